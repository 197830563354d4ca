// The slide: cells at their places under the stage.

import { VERDICTS, h, s } from "./dom.js";
import { headline, isUnscored } from "./cells.js";
import { fixed, t, tn } from "./words.js";

const SIDE = 1000; // units of the longer side

/** A map of cells, each to be opened; the ones whose place is not known are counted below. */
export function slideMap(cells, open) {
  const placed = cells.filter((cell) => cell.captured.stage_um);
  const missing = cells.length - placed.length;
  const note = missing > 0 && h("p", { class: "muted small" }, t("map.unplaced", { cells: tn("count.cell", missing) }));
  if (placed.length === 0) return h("div", {}, note);
  const [x, y] = ["x", "y"].map((axis) => placed.map((cell) => cell.captured.stage_um[axis]));
  const [left, top] = [Math.min(...x), Math.min(...y)];
  const [width, height] = [Math.max(...x) - left || 1, Math.max(...y) - top || 1];
  const scale = SIDE / Math.max(width, height);
  const margin = 40;
  const view = [-margin, -margin, width * scale + 2 * margin, height * scale + 2 * margin];
  const svg = s("svg", { class: "map", viewBox: view.join(" "), role: "group", "aria-label": t("map.says", { cells: tn("count.cell", placed.length), width: fixed(width / 1000, 1), height: fixed(height / 1000, 1) }) },
    placed.map((cell, i) => point(cell, (x[i] - left) * scale, (y[i] - top) * scale, open)));
  return h("div", {}, svg, h("p", { class: "muted small" }, t("map.size", { width: fixed(width / 1000, 2), height: fixed(height / 1000, 2) })), note);
}

/** What a cell counts as; a cell with dicentrics counts as abnormal. */
function kind({ dicentric: d, karyotype }, unscored) {
  if (!d) return karyotype.verdict;
  if (unscored) return "not_assessable";
  return d.dicentrics + d.tricentrics > 0 ? "abnormal" : "normal";
}

/** The shape says the same as the colour. */
function point(cell, x, y, open) {
  const verdict = kind(cell, isUnscored(cell));
  const name = [headline(cell), !cell.dicentric && VERDICTS[verdict].word, cell.excluded && t("cells.state.excluded")].filter(Boolean).join(", ");
  const act = () => open(cell);
  const shape = verdict === "abnormal" ? s("path", { d: "M0 -13L13 0L0 13L-13 0Z" }) : verdict === "normal" ? s("circle", { r: 10 }) : s("rect", { x: -9, y: -9, width: 18, height: 18 });
  return s("g", { class: `point ${verdict} ${cell.excluded ? "excluded" : ""}`, transform: `translate(${x} ${y})`, tabindex: "0", role: "button", "aria-label": name,
    onclick: act, onkeydown: (event) => {
      if (!["Enter", " "].includes(event.key)) return;
      event.preventDefault();
      act();
    } }, s("title", {}, name), s("circle", { class: "reach", r: 20 }), shape);
}
