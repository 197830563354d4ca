// The called dicentrics of a case: a person accepts or rejects each, and the dose is updated.

import { api, byId, cellUrl, closesOutside, dialogBar, h, mayReview, nameField, percent, plural, segments, signature } from "./dom.js";

const dialog = byId("gallery");
const PAGE = 500;
const KEYS = { d: "dicentric", 1: "one_chromosome", 2: "two_chromosomes", u: "unclear" };
const SEEN = { one_chromosome: "One chromosome", two_chromosomes: "Two chromosomes", unclear: "Unclear" };

let name = null; // of the case that is shown
let whole = false; // reviewed ones, too

/** Opens the called dicentrics of a case. */
export async function open(id) {
  name = id;
  dialog.replaceChildren(bar(), h("p", { class: "muted" }, "Loading …"));
  if (!dialog.open) dialog.showModal();
  try {
    draw(await called(id));
  } catch (error) {
    dialog.replaceChildren(bar(), h("p", { class: "problem", role: "alert" }, error.message));
  }
}

/** Cells with dicentrics that were called in the picture, newest first. */
async function called(id) {
  const found = [];
  let after = null;
  do {
    const page = await api(`cells?${new URLSearchParams({ case: id, limit: PAGE, ...(after ? { after } : {}) })}`);
    found.push(...page.cells.filter((cell) => cell.dicentric && boxes(cell).length > 0));
    after = page.next;
  } while (after);
  return found;
}

const judgedIn = (cell) => cell.dicentric.reviewed ?? [];
// A cell that a person scored as a whole needs no further review.
const isJudged = (cell, c) => judgedIn(cell).includes(c.index) || (cell.dicentric.scored_by === "review" && judgedIn(cell).length === 0);
const boxes = (cell) => cell.chromosomes.filter((c) => c.damage === "dicentric" || judgedIn(cell).includes(c.index));

const bar = () => dialogBar(dialog, "Called dicentrics");

function draw(cells) {
  const all = cells.flatMap((cell) => boxes(cell).map((c) => [cell, c]));
  const waiting = () => all.filter(([cell, c]) => !isJudged(cell, c));
  const shown = whole ? all : waiting();
  const label = mayReview && nameField();
  const by = label && label.querySelector("input");
  const choice = segments("Which dicentrics", { waiting: "", all: `All ${all.length}` }, whole ? "all" : "waiting", (chosen) => {
    whole = chosen === "all";
    draw(cells);
  });
  const count = () => { choice.firstChild.textContent = `${waiting().length} awaiting review`; };
  count();
  dialog.replaceChildren(bar(),
    h("div", { class: "head" }, label, choice),
    h("p", { class: "muted small" }, "Accept what has two centromeres. For the others, select what they are: it decides whether the cell is complete. The dose is updated at once. To take a rejection back, open the cell and count its pieces. ",
      "Keys: D dicentric, 1 one chromosome, 2 two chromosomes, U unclear; arrows go on."),
    shown.length > 0
      ? h("ul", { class: "gallery", onkeydown: byKey }, shown.map(([cell, c]) => item(cell, c, by, count)))
      : h("p", { class: "muted" }, all.length > 0 ? "All are reviewed." : "No dicentric was called in this case."));
}

/** Judges the one that has the focus, and goes on to the next. */
function byKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const here = event.target.closest("li");
  const choice = KEYS[event.key.toLowerCase()];
  const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key] ?? (choice && "nextElementSibling");
  if (!step) return;
  event.preventDefault();
  if (choice) here.querySelector(`[data-choice="${choice}"]`)?.click();
  here[step]?.querySelector("button:enabled, a").focus();
}

function item(cell, c, by, reviewed) {
  const judged = () => cell.chromosomes.find((x) => x.index === c.index).damage === "dicentric" ? "Accepted" : "Rejected";
  const state = h("p", { class: "small", role: "status" });
  const element = h("li", {});
  const show = (text, done) => {
    state.textContent = text;
    element.classList.toggle("done", done);
    const rejected = done && text.startsWith("Rejected");
    element.classList.toggle("rejected", rejected);
    // Accepting what was rejected would add it to the pieces that the rejection has made of it.
    for (const button of element.querySelectorAll("[data-choice]")) button.disabled = rejected;
  };
  const decide = async (change, word) => {
    if (by && !by.reportValidity()) return;
    try {
      const answer = await api(`cells/${cell.cell}/review`, { by: signature(), revision: cell.revision, change: { index: c.index, ...change } });
      // Several chromosomes of one cell share its revision.
      cell.revision = answer.revision;
      cell.dicentric.reviewed = [...judgedIn(cell), c.index];
      cell.chromosomes.find((x) => x.index === c.index).damage = change.action === "damage" ? "dicentric" : "none";
      show(word, true);
      reviewed();
    } catch (error) {
      show(error.message, false);
    }
  };
  const reject = (seen) => h("button", { type: "button", class: "quiet", "data-choice": seen,
    onclick: () => decide({ action: "reject_dicentric", seen }, `Rejected: ${SEEN[seen].toLowerCase()}`) }, SEEN[seen]);
  element.append(...[
    h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), loading: "lazy", alt: `Chromosome ${c.index} of the cell taken ${cell.captured.time}` }),
    state,
    mayReview && h("button", { type: "button", class: "wide", "data-choice": "dicentric", onclick: () => decide({ action: "damage", damage: "dicentric" }, "Accepted") }, "Dicentric"),
    mayReview && h("div", { class: "reject", role: "group", "aria-label": "Not a dicentric" }, Object.keys(SEEN).map(reject)),
    h("a", { class: "small", href: `#cell/${cell.cell}`, onclick: () => dialog.close() },
      `Cell with ${plural(cell.dicentric.dicentrics, "dicentric")}, ${cell.dicentric.complete ? "complete" : "not complete"}`),
  ].filter(Boolean));
  show(isJudged(cell, c) ? judged() : c.evidence ?? `${percent(c.score)} sure`, isJudged(cell, c));
  return element;
}

closesOutside(dialog);
