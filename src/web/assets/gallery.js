// The called dicentrics of a case: a person accepts or rejects each, and the dose is updated.

import { api, byId, cellUrl, closesOutside, dialogBar, h, mayReview, nameField, percent, segments, signature } from "./dom.js";
import { t, tn, when } from "./words.js";

const dialog = byId("gallery");
const PAGE = 500;
const KEYS = { d: "dicentric", 1: "one_chromosome", 2: "two_chromosomes", u: "unclear" };
const SEEN = ["one_chromosome", "two_chromosomes", "unclear"];

let name = null; // of the case that is shown
let whole = false; // reviewed ones, too

/** Opens the called dicentrics of a case. */
export async function open(id) {
  name = id;
  dialog.replaceChildren(bar(), h("p", { class: "muted" }, t("loading")));
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

const bar = () => dialogBar(dialog, t("gallery.title"));

function draw(cells) {
  const all = cells.flatMap((cell) => boxes(cell).map((c) => [cell, c]));
  const waiting = () => all.filter(([cell, c]) => !isJudged(cell, c));
  const shown = whole ? all : waiting();
  const label = mayReview && nameField();
  const by = label && label.querySelector("input");
  const choice = segments(t("gallery.which"), { waiting: "", all: t("gallery.all", { n: all.length }) }, whole ? "all" : "waiting", (chosen) => {
    whole = chosen === "all";
    draw(cells);
  });
  const count = () => { choice.firstChild.textContent = t("gallery.waiting", { n: waiting().length }); };
  count();
  dialog.replaceChildren(bar(),
    h("div", { class: "head" }, label, choice),
    h("p", { class: "muted small" }, t("gallery.help")),
    shown.length > 0
      ? h("ul", { class: "gallery", onkeydown: byKey }, shown.map(([cell, c]) => item(cell, c, by, count)))
      : h("p", { class: "muted" }, t(all.length > 0 ? "gallery.all_reviewed" : "gallery.none")));
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
  const judged = () => cell.chromosomes.find((x) => x.index === c.index).damage === "dicentric";
  const state = h("p", { class: "small", role: "status" });
  const element = h("li", {});
  const show = (text, done, accepted) => {
    state.textContent = text;
    element.classList.toggle("done", done);
    const rejected = done && !accepted;
    element.classList.toggle("rejected", rejected);
    // Accepting what was rejected would add it to the pieces that the rejection has made of it.
    for (const button of element.querySelectorAll("[data-choice]")) button.disabled = rejected;
  };
  const decide = async (change, word, accepted) => {
    if (by && !by.reportValidity()) return;
    try {
      const answer = await api(`cells/${cell.cell}/review`, { by: signature(), revision: cell.revision, change: { index: c.index, ...change } });
      // Several chromosomes of one cell share its revision.
      cell.revision = answer.revision;
      cell.dicentric.reviewed = [...judgedIn(cell), c.index];
      cell.chromosomes.find((x) => x.index === c.index).damage = change.action === "damage" ? "dicentric" : "none";
      show(word, true, accepted);
      reviewed();
    } catch (error) {
      show(error.message, false, false);
    }
  };
  const reject = (seen) => h("button", { type: "button", class: "quiet", "data-choice": seen,
    onclick: () => decide({ action: "reject_dicentric", seen }, t("gallery.rejected_as", { what: t(`gallery.seen.${seen}`) }), false) }, t(`gallery.seen.${seen}`));
  element.append(...[
    h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), loading: "lazy", alt: t("gallery.picture", { index: c.index, time: when(cell.captured.time) }) }),
    state,
    mayReview && h("button", { type: "button", class: "wide", "data-choice": "dicentric", onclick: () => decide({ action: "damage", damage: "dicentric" }, t("gallery.accepted"), true) }, t("gallery.dicentric")),
    mayReview && h("div", { class: "reject", role: "group", "aria-label": t("gallery.not") }, SEEN.map(reject)),
    h("a", { class: "small", href: `#cell/${cell.cell}`, onclick: () => dialog.close() },
      t("gallery.cell", { dicentrics: tn("count.dicentric", cell.dicentric.dicentrics), complete: t(cell.dicentric.complete ? "cells.complete" : "cells.not_complete") })),
  ].filter(Boolean));
  show(isJudged(cell, c) ? t(judged() ? "gallery.accepted" : "gallery.rejected") : c.evidence ?? t("cells.sure", { share: percent(c.score) }), isJudged(cell, c), judged());
  return element;
}

closesOutside(dialog);
