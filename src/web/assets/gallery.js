// The called dicentrics of a case: a person accepts or rejects each, and the dose is updated.

import { api, byId, cellUrl, h, kept, percent, plural } from "./dom.js";

const dialog = byId("gallery");
const PAGE = 500;
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

function bar() {
  return h("header", { class: "bar" }, h("h2", { id: "gallery-title", tabindex: "-1", autofocus: true }, "Called dicentrics"),
    h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "✕"));
}

function draw(cells) {
  const all = cells.flatMap((cell) => boxes(cell).map((c) => [cell, c]));
  const waiting = () => all.filter(([cell, c]) => !isJudged(cell, c));
  const shown = whole ? all : waiting();
  const by = h("input", { maxlength: 64, required: true, autocomplete: "name", value: kept.get("by", "") });
  const choose = (every, text) => h("button", { type: "button", "aria-pressed": whole === every, onclick: () => { whole = every; draw(cells); } }, text);
  const left = choose(false, "");
  const count = () => { left.textContent = `${waiting().length} awaiting review`; };
  count();
  dialog.replaceChildren(bar(),
    h("div", { class: "gallery-head" },
      h("label", {}, "Your name ", by),
      h("div", { class: "segments", role: "group", "aria-label": "Which dicentrics" },
        left, choose(true, `All ${all.length}`))),
    h("p", { class: "muted small" }, "Accept what has two centromeres. For the others, select what they are: it decides whether the cell is complete. The dose is updated at once."),
    shown.length > 0
      ? h("ul", { class: "gallery" }, shown.map(([cell, c]) => item(cell, c, by, count)))
      : h("p", { class: "muted" }, all.length > 0 ? "All are reviewed." : "No dicentric was called in this case."));
}

function item(cell, c, by, reviewed) {
  const judged = () => cell.chromosomes.find((x) => x.index === c.index).damage === "dicentric" ? "Accepted" : "Rejected";
  const state = h("p", { class: "small", role: "status" });
  const element = h("li", {});
  const show = (text, done) => {
    state.textContent = text;
    element.classList.toggle("done", done);
    element.classList.toggle("rejected", done && text.startsWith("Rejected"));
  };
  const decide = async (change, word) => {
    if (!by.reportValidity()) return;
    kept.set("by", by.value);
    try {
      const answer = await api(`cells/${cell.cell}/review`, { by: by.value, revision: cell.revision, change: { index: c.index, ...change } });
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
  const reject = (seen) => h("button", { type: "button", class: "quiet", disabled: c.damage !== "dicentric",
    onclick: () => decide({ action: "reject_dicentric", seen }, `Rejected: ${SEEN[seen].toLowerCase()}`) }, SEEN[seen]);
  element.append(
    h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), loading: "lazy", alt: `Chromosome ${c.index} of the cell taken ${cell.captured.time}` }),
    state,
    h("button", { type: "button", class: "wide", onclick: () => decide({ action: "damage", damage: "dicentric" }, "Accepted") }, "Dicentric"),
    h("div", { class: "reject", role: "group", "aria-label": "Not a dicentric" }, Object.keys(SEEN).map(reject)),
    h("a", { class: "small", href: `#cell/${cell.cell}`, onclick: () => dialog.close() },
      `Cell with ${plural(cell.dicentric.dicentrics, "dicentric")}, ${cell.dicentric.complete ? "complete" : "not complete"}`));
  show(isJudged(cell, c) ? judged() : c.evidence ?? `${percent(c.score)} sure`, isJudged(cell, c));
  return element;
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
