// The dose of a case: the estimate with its interval on the curve, the counts, what is still needed.

import { h, percent, s } from "./dom.js";
import { flagWords } from "./reasons.js";
import { count, fixed, number, t, tn, tt } from "./words.js";

export const gray = (value) => (value === null || value === undefined ? t("unbounded") : t("dose.gray", { n: fixed(value, 2) }));

/** Why a dose does not hold for who counted its cells, in a few words; null where it does. */
export function mismatchWords(dose) {
  if (!dose.mismatch) return null;
  const why = dose.flag_codes?.find(({ code }) => MISMATCHES.includes(code));
  return why ? t(`mismatch.${why.code}`) : dose.mismatch;
}

const MISMATCHES = ["flag_other_scorer", "flag_by_people", "flag_curve_by_people", "flag_scorer_unknown"];

/** The parts of the panel for a `dose/1` document; `review` opens the called dicentrics. */
export function doseParts(dose, review) {
  const found = dose.estimate;
  const notes = [...flagWords(dose), ...(found?.warnings ?? [])];
  return [
    ...(found ? estimate(found, dose) : [h("p", { class: "headline words" }, t(isUnscored(dose) ? "cells.not_scored" : "dose.none"))]),
    isUnscored(dose)
      ? h("p", {}, t("dose.wait", { cells: tn("count.cell", unscored(dose)) }))
      : h("p", {}, tt("dose.counted", { dicentrics: h("strong", {}, tn("count.dicentric", dose.dicentrics)), cells: tn("count.counted_cell", dose.cells.counted), progress: t(`dose.progress.${dose.progress}`) })),
    dose.cells.quickscan > 0 && h("p", { class: "muted small" }, t("dose.quickscan")),
    dose.cells.not_selected > 0 && h("p", { class: "muted small" }, t("dose.not_selected", { cells: tn("count.cell", dose.cells.not_selected) })),
    dose.cells.excluded > 0 && h("p", { class: "muted small" }, t("case.excluded", { cells: tn("count.cell", dose.cells.excluded) })),
    dose.cells_needed.cells && h("p", { class: "muted small" }, t("dose.needed", { n: count(dose.cells_needed.cells), gy: number(dose.cells_needed.half_width_gy) })),
    dose.counts.length > 1 && histogram(dose.counts),
    found && found.dispersion.u !== null && h("p", { class: "muted small" },
      t("dose.u", { u: fixed(found.dispersion.u, 2), more: found.dispersion.u > 1.96 ? t("dose.u.more") : "" })),
    found?.partial_body && h("p", {}, h("strong", {}, t("dose.part")),
      t("dose.part.of", { dose: gray(found.partial_body.dose_gy.value), share: percent(found.partial_body.fraction.value) })),
    dose.dicentrics > 0 && h("button", { type: "button", class: dose.cells.awaiting_review > 0 ? "wide" : "wide quiet", onclick: review },
      dose.cells.awaiting_review > 0 ? t("dose.review", { cells: tn("count.cell", dose.cells.awaiting_review) }) : t("dose.called")),
    notes.length > 0 && h("details", { class: "warnings small", open: notes.length < 3 },
      h("summary", {}, tn("count.note", notes.length)), h("ul", {}, notes.map((text) => h("li", {}, text)))),
  ];
}

/** How many cells nobody has scored yet. */
const unscored = ({ cells }) => cells.unclear + (cells.not_scored ?? 0);

/** Whether nothing is counted because nobody has scored: such a case is not free of dicentrics. */
export const isUnscored = (dose) => dose.cells.counted === 0 && unscored(dose) > 0;

/** Why the dose may still change; none where it is done. */
function preliminary({ preliminary: said, progress, cells }) {
  if (said === true || progress === "started") return t("dose.preliminary");
  return cells.awaiting_review > 0 ? t("dose.preliminary.review", { cells: tn("count.cell", cells.awaiting_review) }) : null;
}

function estimate(found, dose) {
  const { value, low, high, level, method } = found.dose_gy;
  // Merkle's limits join two errors of this level each: 83 % twice is about 95 %.
  const shown = method === "merkle" ? t("dose.merkle") : percent(level);
  return [
    h("p", { class: "headline" }, gray(value), preliminary(dose) && h("span", { class: "preliminary small" }, ` ${preliminary(dose)}`)),
    dose.mismatch && h("p", {}, h("strong", {}, t("dose.mismatch", { mismatch: mismatchWords(dose) }))),
    h("p", {}, t("dose.interval", { level: shown, low: gray(low), high: gray(high) })),
    curve(found, dose.alarm_gy ?? null),
    h("p", { class: "muted small" }, t("dose.curve", { id: found.curve.id, radiation: found.curve.radiation })),
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
  const says = t(alarm === null ? "dose.says" : "dose.says.alarm", { dose: gray(value), alarm: gray(alarm) });
  return s("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": says },
    band(found, end) && s("path", { class: "band", d: band(found, end).map(([gy, low, high]) => [x(gy), Math.min(y(low), height - bottom), Math.max(y(high), top)])
      .reduce(([up, down], [at, low, high]) => [[...up, `${at.toFixed(1)} ${high.toFixed(1)}`], [`${at.toFixed(1)} ${low.toFixed(1)}`, ...down]], [[], []]).flat().join("L").replace(/^/, "M") + "Z" }),
    s("rect", { class: "interval", x: x(from), y: top, width: Math.max(1, x(to) - x(from)), height: height - bottom - top }),
    s("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - 10}` }),
    s("polyline", { points: line.join(" ") }),
    alarm !== null && [s("path", { class: "alarm", d: `M${x(alarm)} ${top}V${height - bottom}` }),
      s("text", { class: "alarm", x: x(alarm) + (alarm > end * 0.7 ? -3 : 3), y: top + 8, "text-anchor": alarm > end * 0.7 ? "end" : "start" }, t("dose.alarm", { n: number(alarm) }))],
    s("path", { class: "guide", d: `M${left} ${y(yieldAt(value))}H${x(value)}V${height - bottom}` }),
    s("circle", { cx: x(value), cy: y(yieldAt(value)), r: 4.5 }),
    marks.map((gy) => s("text", { x: x(gy), y: height - bottom + 13 }, gy)),
    s("text", { x: (left + width - 10) / 2, y: height - 6 }, t("dose.axis")),
    s("text", { transform: `translate(12 ${(top + height - bottom) / 2}) rotate(-90)` }, t("dose.axis.yield")),
    s("text", { class: "unit", x: left - 4, y: top + 6 }, fixed(yieldAt(end), 1)),
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
    h("caption", { class: "hidden" }, t("dose.histogram")),
    h("tbody", {}, counts.map((cells, k) => h("tr", {},
      h("th", { scope: "row" }, k), h("td", {}, h("meter", { min: 0, max: most, value: cells, "aria-label": t("dose.with", { cells: tn("count.cell", cells), k }) })), h("td", {}, count(cells))))));
}
