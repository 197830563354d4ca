// The last cell, the strip of the last cells, and the cells beside one.

import { VERDICTS, ago, api, byId, cellUrl, h, percent, segments, verdictMark } from "./dom.js";
import { isDrafted } from "./draft.js";
import { reasonWords } from "./reasons.js";
import { count, t, tn } from "./words.js";

const SHOWN = 40;
const strip = byId("strip");

let cells = []; // newest first
let newest = null; // whatever the filter says
let query = {}; // of the strip
let asked = false; // for the strip again
let open = () => {};
let newestChanged = () => {};

/** What opens the detail of a cell, which is shown among those of a query. */
export function onOpen(act) {
  open = act;
}

/** Opens a cell, among those of a query. */
export const openCell = (id, of) => open(id, of);

/** What is called with the newest cell. */
export function onNewest(act) {
  newestChanged = act;
}

/** A page of the cells of a query; `after` is the id of the cell before them. */
export const page = (of, after = null, limit = SHOWN) =>
  api(`cells?${new URLSearchParams({ ...of, limit, ...(after ? { after } : {}) })}`);

/** Loads the last cells. */
export async function load() {
  const of = query;
  const answer = await page(of);
  if (of !== query) return;
  cells = answer.cells;
  if (!query.verdict && !query.scoring) setNewest(cells[0] ?? null);
  drawStrip();
}

/** Loads them again in a moment, once for all cells that come until then. */
function loadSoon() {
  if (asked) return;
  asked = true;
  setTimeout(() => {
    asked = false;
    load().catch(() => {});
  }, 500);
}

/** A cell was stored or corrected. */
export function onCell(cell) {
  if (!newest || cell.cell >= newest.cell) setNewest(cell);
  // What counts and what waits is the daemon's to say.
  if (query.scoring) {
    loadSoon();
    return;
  }
  const place = cells.findIndex((c) => c.cell === cell.cell);
  const wanted = !query.verdict || cell.karyotype.verdict === query.verdict;
  if (place >= 0) {
    if (wanted) cells[place] = cell;
    else cells.splice(place, 1);
    const old = strip.querySelector(`[data-cell="${cell.cell}"]`);
    if (wanted) replaceTile(old, cell);
    else old?.remove();
    if (cells.length === 0) drawStrip();
  } else if (wanted && cell.revision <= 1) {
    cells.unshift(cell);
    strip.querySelector(".empty")?.remove();
    const kept = strip.scrollLeft;
    strip.prepend(tile(cell));
    // A person who looks back at older cells is not moved along.
    if (kept > 8) strip.scrollLeft = kept + strip.firstElementChild.offsetWidth + 10;
    for (const old of cells.splice(SHOWN)) strip.querySelector(`[data-cell="${old.cell}"]`)?.remove();
  }
}

/** A new tile in the place of an old one; the focus stays. */
function replaceTile(old, cell) {
  if (!old) return;
  const next = tile(cell);
  const focused = old.contains(document.activeElement);
  old.replaceWith(next);
  if (focused) next.querySelector("button").focus({ preventScroll: true });
}

/** The drafts of a cell changed: its tile says so. */
export function markDraft(id) {
  const cell = cells.find((c) => c.cell === id);
  if (cell) replaceTile(strip.querySelector(`[data-cell="${id}"]`), cell);
}

/** The cells beside this one in the store, among those of a query: {newer, older}, none at an end. */
export async function beside(id, { order: _, ...of }) {
  const [newer, older] = await Promise.all(["oldest", "newest"].map((order) => page({ ...of, order }, id, 1)));
  return { newer: newer.cells[0]?.cell, older: older.cells[0]?.cell };
}

/** Whether a cell of the dicentric assay waits for a person: nothing in it was counted. */
export const isUnscored = ({ dicentric: d }) => d != null && (d.not_scored != null || isAllUnclear(d));
const isAllUnclear = (d) => d.scored_by === "machine" && d.monocentrics === 0 && d.unclear > 0;

/** The headline of a cell: its karyotype, or its dicentrics. */
export function headline(cell) {
  const d = cell.dicentric;
  if (d && isUnscored(cell)) return t("cells.not_scored");
  if (d) return tn("count.dicentric", d.dicentrics + d.tricentrics + (d.higher?.length ?? 0));
  return cell.karyotype.iscn ?? tn("count.chromosome", cell.counts.detected);
}

/** The headline where there is little space. */
const shortHeadline = (cell) => (cell.dicentric || cell.karyotype.iscn ? headline(cell) : t("cells.found", { n: count(cell.counts.detected) }));

/** The counts of a cell in words. */
export function countWords(cell) {
  const { detected, damaged, unclear } = cell.counts;
  const d = cell.dicentric;
  if (d && isUnscored(cell)) return t("cells.pieces", { pieces: tn("count.piece", detected) });
  const words = d
    ? [tn("count.centromere", d.centromeres), d.rings && tn("count.ring", d.rings), d.fragments && tn("count.fragment", d.fragments), t(d.complete ? "cells.complete" : "cells.not_complete")]
    : [tn("count.chromosome", detected), damaged && t("cells.damaged", { n: count(damaged) }), unclear && t("cells.unclear", { n: count(unclear) })];
  return words.filter(Boolean).join(" · ");
}

/** The verdict over a cell in words; in the dicentric assay, what the cell counts as. */
export function verdictLine(cell) {
  const { karyotype, dicentric: d } = cell;
  if (cell.excluded) return h("p", { class: "verdict excluded" }, h("span", { class: "mark", "aria-hidden": "true" }, "⊘"), t("cells.excluded"));
  if (d) {
    const word = t(isUnscored(cell) ? "cells.waits" : d.not_selected ? "cells.not_selected" : !d.complete ? "cells.part" : d.ranked ? "cells.ranked" : "cells.whole", { best: count(d.ranked?.best ?? 0) });
    return h("p", { class: "verdict not_assessable" }, word);
  }
  return h("p", { class: `verdict ${karyotype.verdict}` }, verdictMark(karyotype.verdict), VERDICTS[karyotype.verdict].word, sure(karyotype),
    cell.review && h("span", { class: "muted small" }, t("cells.verified", { name: cell.review.by })));
}

/** Why the cell counts as it does, in words; nothing where that is said already. */
export function reasonLine(cell) {
  if (cell.excluded) return h("p", { class: "reason" }, `${cell.excluded.reason} (${cell.excluded.by})`);
  return cell.dicentric ? null : h("p", { class: "reason" }, reasonWords(cell));
}

/** What was drawn, of a simulated cell. */
export function simulationLine(cell) {
  return cell.simulated && h("p", { class: "muted small simulated" }, t("cells.simulation"), cell.simulated.karyotype && t("cells.drawn", { karyotype: cell.simulated.karyotype }));
}

function setNewest(cell) {
  newest = cell;
  if (!cell) return;
  const large = cell.karyotype.iscn || cell.dicentric;
  byId("last-body").replaceChildren(...[
    verdictLine(cell),
    h("p", { class: large ? "headline" : "headline words" }, large ? breakable(headline(cell)) : countWords(cell)),
    reasonLine(cell),
    large && h("p", { class: "muted small" }, countWords(cell)),
    simulationLine(cell),
    h("button", { type: "button", class: "wide", onclick: () => open(cell.cell) }, t("cells.open")),
  ].filter(Boolean));
  tick();
  newestChanged(cell);
}

/** How sure a verdict is; nothing where none was given. */
function sure({ posterior, verdict }) {
  return posterior !== null && verdict !== "not_assessable" && h("span", { class: "muted small" }, t("cells.sure", { share: percent(posterior) }));
}

/** A long karyotype breaks between its cell lines, and within one only after a comma. */
export function breakable(text) {
  return text.split(/(?<=\/)/).map((line) => h("span", { class: "part" }, line.split(/(?<=,)/).flatMap((part) => [part, h("wbr")])));
}

/** What a person did to a cell, in a word. */
function stateWord(cell) {
  if (isDrafted(cell.cell)) return t("cells.state.not_saved");
  if (cell.excluded) return t("cells.state.excluded");
  return cell.review ? t("cells.state.reviewed") : "";
}

/** A cell as a tile that opens it, among those of a query. */
export function tile(cell, of = query) {
  const { word } = VERDICTS[cell.karyotype.verdict];
  const state = stateWord(cell);
  const button = h("button", { type: "button", onclick: () => open(cell.cell, of) },
    h("img", { src: cellUrl(cell, "thumbnail.jpg"), alt: "", loading: "lazy", width: 132, height: 108 }),
    h("span", { class: "name" }, !cell.dicentric && [verdictMark(cell.karyotype.verdict), h("span", { class: "hidden" }, word)], h("span", { class: "what" }, shortHeadline(cell))),
    h("span", { class: "when" }, h("time", { datetime: cell.captured.time, class: state ? "hidden" : null }, ago(cell.captured.time)), state && h("span", { class: "state" }, state)));
  return h("li", { "data-cell": cell.cell, class: `${cell.karyotype.verdict} ${cell.excluded ? "excluded" : ""}` }, button);
}

function drawStrip() {
  const focused = document.activeElement?.closest("#strip li")?.dataset.cell;
  strip.replaceChildren(...cells.map((cell) => tile(cell)));
  if (focused) strip.querySelector(`[data-cell="${focused}"] button`)?.focus({ preventScroll: true });
  if (cells.length === 0) {
    const what = query.verdict ? t("cells.none_here", { verdict: VERDICTS[query.verdict].word.toLowerCase() }) : t(query.scoring ? "cells.none_such" : "cells.none");
    strip.replaceChildren(h("li", { class: "empty muted" }, what));
  }
}

function tick() {
  if (newest) byId("last-time").textContent = ago(newest.captured.time);
  for (const time of strip.querySelectorAll("time")) time.textContent = ago(time.dateTime);
}

/** Lets the arrow keys go from tile to tile. */
export function walksByArrows(list) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
    const next = step && event.target.closest("li")?.[step]?.querySelector("button");
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

const VERDICT_CHOICES = { "": t("all"), ...Object.fromEntries(Object.entries(VERDICTS).map(([key, { word }]) => [key, word])) };
const SCORING_CHOICES = { "": t("all"), dicentrics: t("cells.scoring.dicentrics"), to_review: t("cells.scoring.to_review"), not_counted: t("cells.scoring.not_counted") };

/** The filters of a list of cells, of which each assay shows its own; a choice is part of a query. */
export const filters = (choose) => [
  h("div", { class: "by-verdict" }, segments(t("cells.filter"), VERDICT_CHOICES, "", (verdict) => choose(verdict ? { verdict } : {}))),
  h("div", { class: "by-scoring", title: t("cells.scoring.title") }, segments(t("cells.filter"), SCORING_CHOICES, "", (scoring) => choose(scoring ? { scoring } : {}))),
];

walksByArrows(strip);
byId("filter").append(...filters((chosen) => {
  query = chosen;
  load().catch(() => {});
}));
setInterval(tick, 1000);
