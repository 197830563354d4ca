// The case: cells done and still needed, findings so far; or the dose with its interval on the curve.

import { api, byId, count, h, percent, plural, s } from "./dom.js";

let current = null; // id of the case that is open
let shown = { state: null, dose: null };

/** Tells which case is open, and reads it. */
export async function use(id) {
  current = id ?? null;
  byId("case-name").value = current ?? "";
  byId("case-end").hidden = current === null;
  byId("case-title").textContent = current === null ? "Case" : `Case ${current}`;
  shown = { state: null, dose: null };
  if (current === null) {
    byId("case-body").replaceChildren(h("p", { class: "muted" }, "No case is open: cells stand alone."));
    return;
  }
  try {
    const { state, dose } = await api(`cases/${encodeURIComponent(current)}`);
    draw(state, dose);
  } catch (error) {
    byId("case-body").replaceChildren(h("p", { class: "muted" }, error.status === 404 ? "No cells yet." : error.message));
  }
}

/** A `case/1` document came. */
export function onCase(state) {
  if (state.case === current) draw(state, shown.dose);
}

/** A `dose/1` document came. */
export function onDose(dose) {
  if (dose.case === current) draw(shown.state, dose);
}

function draw(state, dose) {
  shown = { state, dose };
  const parts = [dose && doseParts(dose), state && cellParts(state)].filter(Boolean).flat();
  byId("case-body").replaceChildren(
    ...(parts.length > 0 ? parts.filter(Boolean) : [h("p", { class: "muted" }, "No cells yet.")]),
    h("p", { class: "small" }, h("a", { href: `/api/v1/cases/${encodeURIComponent(current)}/report.html`, target: "_blank" }, "Report")));
}

function cellParts(state) {
  const done = state.cells.assessable;
  const words = state.cells_needed > 0 ? `${count(state.cells_needed)} more needed` : "enough";
  const look = state.review.slice(0, 3).map((r) => h("li", {}, h("a", { href: `#cell/${r.cell}` }, "Look at this cell"), `: ${r.reason}`));
  return [
    state.iscn && h("p", { class: "headline" }, state.iscn),
    h("p", {}, h("strong", {}, plural(done, "cell")), ` of ${count(state.cells_target)}, ${words}`),
    h("progress", { max: state.cells_target || 1, value: Math.min(done, state.cells_target), "aria-label": `${done} of ${state.cells_target} cells` }),
    state.extended && h("p", { class: "muted small" }, state.extended),
    h("ul", { class: "findings" },
      state.clones.filter((clone) => !clone.normal).map((clone) =>
        h("li", {}, h("strong", {}, clone.iscn), ` in ${plural(clone.cells, "cell")}`,
          clone.syndromes?.length > 0 && h("span", { class: "muted" }, ` · ${clone.syndromes.join(", ")}`))),
      state.chance_findings.map((f) => h("li", { class: "muted" }, `${f.iscn} in ${plural(f.cells.length, "cell")}; a clone needs ${f.needed}`)),
      look),
    state.excludes && h("p", { class: "muted small" }, state.excludes),
  ];
}

function doseParts(d) {
  const gray = (value) => (value === null || value === undefined ? "not bounded" : `${value.toFixed(2)} Gy`);
  const { value, low, high, level } = d.dose_gy;
  return [
    h("p", { class: "headline" }, gray(value)),
    h("p", {}, `${percent(level ?? 0.95)} interval ${gray(low)} to ${gray(high)}`),
    curve(d),
    h("p", { class: "muted small" }, `${plural(d.input?.dicentrics ?? 0, "dicentric")} in ${plural(d.input?.cells ?? 0, "cell")}`),
    (d.warnings ?? []).length > 0 && h("ul", { class: "warnings small" }, d.warnings.map((w) => h("li", {}, w))),
  ];
}

/** The calibration curve with the estimate on it, as a small drawing. */
function curve(d) {
  const c = d.curve;
  if (!c || c.beta === undefined) return null;
  const yieldAt = (gy) => c.c + c.alpha * gy + c.beta * gy * gy;
  const [width, height] = [300, 130];
  const top = Math.max(5, (d.dose_gy.high ?? d.dose_gy.value) * 1.25);
  const x = (gy) => 26 + (gy / top) * (width - 34);
  const y = (v) => height - 20 - (v / yieldAt(top)) * (height - 28);
  const points = Array.from({ length: 61 }, (_, i) => (i / 60) * top).map((gy) => `${x(gy).toFixed(1)},${y(yieldAt(gy)).toFixed(1)}`);
  const { value, low, high } = d.dose_gy;
  return s("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Calibration curve with the estimate of ${value.toFixed(2)} gray` },
    s("path", { class: "axis", d: `M26 8V${height - 20}H${width - 6}` }),
    low !== null && s("rect", { class: "interval", x: x(low), y: 8, width: Math.max(1, x(high ?? top) - x(low)), height: height - 28 }),
    s("polyline", { points: points.join(" ") }),
    s("circle", { cx: x(value), cy: y(yieldAt(value)), r: 4.5 }),
    Array.from({ length: Math.floor(top) + 1 }, (_, gy) => s("text", { x: x(gy), y: height - 6 }, gy)),
    s("text", { class: "unit", x: width - 6, y: height - 6 }, "Gy"));
}

byId("case-change").addEventListener("click", () => {
  byId("case-form").hidden = !byId("case-form").hidden;
  if (!byId("case-form").hidden) byId("case-name").focus();
});

async function command(name) {
  try {
    await api("commands/case", { case: name, slide: null });
    byId("case-form").hidden = true;
    await use(name);
  } catch (error) {
    byId("case-body").prepend(h("p", { class: "problem", role: "alert" }, error.message));
  }
}

byId("case-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("case-name").value.trim();
  if (name) command(name);
});
byId("case-end").addEventListener("click", () => command(null));
