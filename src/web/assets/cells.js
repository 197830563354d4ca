// The last cell, and the strip of the last cells.

import { VERDICTS, ago, api, byId, cellUrl, count, h, percent, plural, verdictMark } from "./dom.js";

const SHOWN = 40;
const strip = byId("strip");

let cells = []; // newest first
let newest = null; // whatever the filter says
let verdict = "";
let open = () => {};

/** What opens the detail of a cell. */
export function onOpen(act) {
  open = act;
}

/** Loads the last cells. */
export async function load() {
  const query = new URLSearchParams({ limit: SHOWN });
  if (verdict) query.set("verdict", verdict);
  const answer = await api(`cells?${query}`);
  cells = answer.cells;
  if (!verdict) setNewest(cells[0] ?? null);
  drawStrip();
}

/** A cell was stored or corrected. */
export function onCell(cell) {
  const place = cells.findIndex((c) => c.cell === cell.cell);
  const wanted = !verdict || cell.karyotype.verdict === verdict;
  if (place >= 0) {
    if (wanted) cells[place] = cell;
    else cells.splice(place, 1);
    drawStrip();
  } else if (wanted && cell.revision <= 1) {
    cells.unshift(cell);
    const kept = strip.scrollLeft;
    strip.prepend(tile(cell));
    // A person who looks back at older cells is not moved along.
    if (kept > 8) strip.scrollLeft = kept + strip.firstElementChild.offsetWidth + 10;
    for (const old of cells.splice(SHOWN)) strip.querySelector(`[data-cell="${old.cell}"]`)?.remove();
  }
  if (!newest || cell.cell >= newest.cell) setNewest(cell);
}

/** The cells beside this one: {before, after} in the order of the strip. */
export function neighbours(id) {
  const place = cells.findIndex((c) => c.cell === id);
  return { newer: cells[place - 1]?.cell, older: place < 0 ? cells[0]?.cell : cells[place + 1]?.cell };
}

/** The headline of a cell: its karyotype, or its dicentrics. */
export function headline(cell) {
  const d = cell.dicentric;
  if (d) return plural(d.dicentrics + d.tricentrics + (d.higher?.length ?? 0), "dicentric");
  return cell.karyotype.iscn ?? plural(cell.counts.detected, "chromosome");
}

/** The counts of a cell in words. */
export function countWords(cell) {
  const { detected, damaged, unclear } = cell.counts;
  const d = cell.dicentric;
  const words = d
    ? [plural(d.centromeres, "centromere"), d.rings && plural(d.rings, "ring"), d.fragments && plural(d.fragments, "fragment"), d.complete ? "complete" : "not complete"]
    : [plural(detected, "chromosome"), damaged && `${count(damaged)} damaged`, unclear && `${count(unclear)} unclear`];
  return words.filter(Boolean).join(" · ");
}

function setNewest(cell) {
  newest = cell;
  if (!cell) return;
  const { karyotype } = cell;
  byId("last-body").replaceChildren(...[
    h("p", { class: `verdict ${karyotype.verdict}` }, verdictMark(karyotype.verdict), VERDICTS[karyotype.verdict].word,
      sure(karyotype)),
    karyotype.iscn || cell.dicentric
      ? h("p", { class: "headline" }, breakable(headline(cell)))
      : h("p", { class: "headline words" }, countWords(cell)),
    h("p", { class: "reason" }, karyotype.reason),
    (karyotype.iscn || cell.dicentric) && h("p", { class: "muted small" }, countWords(cell)),
    cell.simulated && h("p", { class: "muted small simulated" }, "A simulation", cell.simulated.karyotype && `: drawn as ${cell.simulated.karyotype}`),
    h("button", { type: "button", class: "wide", onclick: () => open(cell.cell) }, "Open this cell"),
  ].filter(Boolean));
  tick();
}

/** How sure a verdict is; nothing where none was given. */
export function sure({ posterior, verdict }) {
  return posterior !== null && verdict !== "not_assessable" && h("span", { class: "muted small" }, `${percent(posterior)} sure`);
}

/** A long karyotype breaks after its commas. */
function breakable(text) {
  return text.split(/(?<=,)/).flatMap((part) => [part, h("wbr")]);
}

function tile(cell) {
  const word = VERDICTS[cell.karyotype.verdict].word;
  const button = h("button", { type: "button", onclick: () => open(cell.cell), "aria-label": `${headline(cell)}, ${word}, ${ago(cell.captured.time)}` },
    h("img", { src: cellUrl(cell, "thumbnail.jpg"), alt: "", loading: "lazy", width: 132, height: 108 }),
    h("span", { class: "name" }, verdictMark(cell.karyotype.verdict), headline(cell)),
    h("time", { datetime: cell.captured.time }, ago(cell.captured.time)));
  return h("li", { "data-cell": cell.cell, class: cell.karyotype.verdict }, button);
}

function drawStrip() {
  strip.replaceChildren(...cells.map(tile));
  if (cells.length === 0) {
    const what = verdict ? `No cell here is “${VERDICTS[verdict].word.toLowerCase()}”.` : "No cells yet.";
    strip.replaceChildren(h("li", { class: "empty muted" }, what));
  }
}

function tick() {
  if (newest) byId("last-time").textContent = ago(newest.captured.time);
  for (const time of strip.querySelectorAll("time")) time.textContent = ago(time.dateTime);
}

strip.addEventListener("keydown", (event) => {
  const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
  const next = step && event.target.closest("li")?.[step]?.querySelector("button");
  if (next) {
    event.preventDefault();
    next.focus();
  }
});

byId("filter").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  verdict = button.dataset.verdict;
  for (const other of event.currentTarget.children) other.setAttribute("aria-pressed", other === button);
  load().catch(() => {});
});

setInterval(tick, 1000);
