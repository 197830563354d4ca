// The dose of a case: the estimate with its interval on the curve, the counts, what is still needed.

import { count, h, percent, plural, s } from "./dom.js";

const PROGRESS = {
  started: "too few cells to sort by dose",
  triage: "enough cells to sort by dose",
  full: "a full assay",
};

export const gray = (value) => (value === null || value === undefined ? "not bounded" : `${value.toFixed(2)} Gy`);

/** The parts of the panel for a `dose/1` document; `review` opens the called dicentrics. */
export function doseParts(dose, review) {
  const found = dose.estimate;
  const notes = [...dose.flags, ...(found?.warnings ?? [])];
  return [
    ...(found ? estimate(found, dose) : [h("p", { class: "headline words" }, isUnscored(dose) ? "Not scored" : "No dose yet")]),
    isUnscored(dose)
      ? h("p", {}, `${plural(unscored(dose), "cell")} wait for a person or a scorer: none is counted yet.`)
      : h("p", {}, h("strong", {}, plural(dose.dicentrics, "dicentric")), ` in ${plural(dose.cells.counted, "counted cell")}: ${PROGRESS[dose.progress]}`),
    dose.cells.quickscan > 0 && h("p", { class: "muted small" }, "QuickScan: cells complete by their look, centromeres not counted"),
    dose.cells.not_selected > 0 && h("p", { class: "muted small" }, `${plural(dose.cells.not_selected, "cell")} left out by the selection of cells`),
    dose.cells.excluded > 0 && h("p", { class: "muted small" }, `${plural(dose.cells.excluded, "cell")} excluded`),
    dose.cells_needed.cells && h("p", { class: "muted small" }, `About ${count(dose.cells_needed.cells)} cells give ± ${dose.cells_needed.half_width_gy} Gy.`),
    dose.counts.length > 1 && histogram(dose.counts),
    found && found.dispersion.u !== null && h("p", { class: "muted small" },
      `Dispersion u ${found.dispersion.u.toFixed(2)}${found.dispersion.u > 1.96 ? ": more scatter than a whole-body exposure gives" : ""}`),
    found?.partial_body && h("p", {}, h("strong", {}, "If part of the body: "),
      `${gray(found.partial_body.dose_gy.value)} to ${percent(found.partial_body.fraction.value)} of it`),
    dose.dicentrics > 0 && h("button", { type: "button", class: dose.cells.awaiting_review > 0 ? "wide" : "wide quiet", onclick: review },
      dose.cells.awaiting_review > 0 ? `Review the dicentrics of ${plural(dose.cells.awaiting_review, "cell")}` : "Called dicentrics"),
    notes.length > 0 && h("details", { class: "warnings small", open: notes.length < 3 },
      h("summary", {}, plural(notes.length, "note")), h("ul", {}, notes.map((text) => h("li", {}, text)))),
  ];
}

/** How many cells nobody has scored yet. */
const unscored = ({ cells }) => cells.unclear + (cells.not_scored ?? 0);

/** Whether nothing is counted because nobody has scored: such a case is not free of dicentrics. */
export const isUnscored = (dose) => dose.cells.counted === 0 && unscored(dose) > 0;

/** Why the dose may still change; none where it is done. */
function preliminary({ preliminary: said, progress, cells }) {
  if (said === true || progress === "started") return "preliminary";
  return cells.awaiting_review > 0 ? `preliminary, ${plural(cells.awaiting_review, "cell")} to review` : null;
}

function estimate(found, dose) {
  const { value, low, high, level, method } = found.dose_gy;
  // Merkle's limits join two errors of this level each: 83 % twice is about 95 %.
  const shown = method === "merkle" ? "About 95 % (Merkle)" : percent(level);
  return [
    h("p", { class: "headline" }, gray(value), preliminary(dose) && h("span", { class: "preliminary small" }, ` ${preliminary(dose)}`)),
    dose.mismatch && h("p", {}, h("strong", {}, `This dose does not hold: ${dose.mismatch}.`)),
    h("p", {}, `${shown} interval ${gray(low)} to ${gray(high)}`),
    curve(found, dose.alarm_gy ?? null),
    h("p", { class: "muted small" }, `Curve ${found.curve.id}, ${found.curve.radiation}`),
  ];
}

/** The calibration curve with the estimate on it, and the level of the alarm where there is one. */
function curve(found, alarm) {
  const { c, alpha, beta } = found.curve;
  const yieldAt = (gy) => c + alpha * gy + (found.input.protraction ?? 1) * beta * gy * gy;
  const { value, low, high } = found.dose_gy;
  const [width, height, left, top, bottom] = [320, 168, 44, 14, 36];
  const end = Math.max(2, Math.ceil(Math.max(high ?? value * 1.5, alarm ?? 0) * 1.15));
  const x = (gy) => left + (gy / end) * (width - left - 10);
  const y = (cells) => height - bottom - (cells / yieldAt(end)) * (height - bottom - top);
  const line = Array.from({ length: 61 }, (_, i) => (i / 60) * end).map((gy) => `${x(gy).toFixed(1)},${y(yieldAt(gy)).toFixed(1)}`);
  const step = end > 12 ? 4 : end > 6 ? 2 : 1;
  const marks = Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step);
  const [from, to] = [Math.max(0, low ?? 0), high ?? end];
  const says = `Dicentrics per cell against dose: the estimate of ${gray(value)} on the curve${alarm === null ? "" : `, the alarm at ${gray(alarm)}`}`;
  return s("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": says },
    band(found, end) && s("path", { class: "band", d: band(found, end).map(([gy, low, high]) => [x(gy), Math.min(y(low), height - bottom), Math.max(y(high), top)])
      .reduce(([up, down], [at, low, high]) => [[...up, `${at.toFixed(1)} ${high.toFixed(1)}`], [`${at.toFixed(1)} ${low.toFixed(1)}`, ...down]], [[], []]).flat().join("L").replace(/^/, "M") + "Z" }),
    s("rect", { class: "interval", x: x(from), y: top, width: Math.max(1, x(to) - x(from)), height: height - bottom - top }),
    s("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - 10}` }),
    s("polyline", { points: line.join(" ") }),
    alarm !== null && [s("path", { class: "alarm", d: `M${x(alarm)} ${top}V${height - bottom}` }),
      s("text", { class: "alarm", x: x(alarm) + (alarm > end * 0.7 ? -3 : 3), y: top + 8, "text-anchor": alarm > end * 0.7 ? "end" : "start" }, `alarm ${alarm} Gy`)],
    s("path", { class: "guide", d: `M${left} ${y(yieldAt(value))}H${x(value)}V${height - bottom}` }),
    s("circle", { cx: x(value), cy: y(yieldAt(value)), r: 4.5 }),
    marks.map((gy) => s("text", { x: x(gy), y: height - bottom + 13 }, gy)),
    s("text", { x: (left + width - 10) / 2, y: height - 6 }, "dose, Gy"),
    s("text", { transform: `translate(12 ${(top + height - bottom) / 2}) rotate(-90)` }, "dicentrics per cell"),
    s("text", { class: "unit", x: left - 4, y: top + 6 }, yieldAt(end).toFixed(1)),
    s("text", { class: "unit", x: left - 4, y: height - bottom }, "0"));
}

/** The 95 % band of the curve, [dose, low, high] along it; none where the curve gives no covariance. */
function band({ curve: { c, alpha, beta, covariance }, input }, end) {
  if (!covariance) return null;
  const g = input.protraction ?? 1;
  return Array.from({ length: 41 }, (_, i) => (i / 40) * end).map((gy) => {
    const way = [1, gy, g * gy * gy];
    const variance = way.reduce((sum, a, i) => sum + way.reduce((part, b, k) => part + a * b * covariance[i][k], 0), 0);
    const [middle, error] = [c + alpha * gy + g * beta * gy * gy, 1.96 * Math.sqrt(Math.max(0, variance))];
    return [gy, Math.max(0, middle - error), middle + error];
  });
}

/** How many counted cells carry 0, 1, 2 ... dicentrics. */
function histogram(counts) {
  const most = Math.max(...counts, 1);
  return h("table", { class: "histogram small" },
    h("caption", { class: "hidden" }, "Counted cells by number of dicentrics"),
    h("tbody", {}, counts.map((cells, k) => h("tr", {},
      h("th", { scope: "row" }, k), h("td", {}, h("meter", { min: 0, max: most, value: cells, "aria-label": `${plural(cells, "cell")} with ${k}` })), h("td", {}, count(cells))))));
}
