// What the record of a cell says: findings, facts, the table of all boxes.

import { h, percent } from "./dom.js";
import { countWords } from "./cells.js";

/** The findings; nothing where there are none. */
export const findings = (cell) => cell.karyotype.findings.length > 0 && h("ul", { class: "findings" }, cell.karyotype.findings.map(finding));

function finding(f) {
  return h("li", {},
    f.iscn && h("strong", {}, `${f.iscn} `), f.text, h("span", { class: "muted" }, ` ${percent(f.posterior)}`),
    f.syndrome && h("span", { class: "muted" }, ` · ${f.syndrome}`));
}

/** Counts, place, quality, models, the last review. */
export function facts(cell) {
  const { captured, quality } = cell;
  const entries = [
    ["Counts", countWords(cell)],
    ["Taken", `${new Date(captured.time).toLocaleString()}, ${cell.source}, frame ${captured.frame}`],
    captured.file && ["File", captured.file],
    cell.case && ["Case", [cell.case, cell.slide && `slide ${cell.slide}`, cell.colony && `colony ${cell.colony}`].filter(Boolean).join(", ")],
    captured.stage_um && ["Stage", `${captured.stage_um.x.toFixed(1)}, ${captured.stage_um.y.toFixed(1)} µm`],
    ["Quality", `focus ${quality.focus.toFixed(2)}, metaphase ${quality.metaphase.toFixed(2)}, spread ${quality.spread.toFixed(2)}`],
    ["Models", Object.entries(cell.models).map(([task, name]) => `${task} ${name}`).join(", ") || "none: segmentation alone"],
    cell.review && ["Review", `${cell.review.change} (${cell.review.by}, ${new Date(cell.review.time).toLocaleString()})`],
  ].filter(Boolean);
  return h("dl", { class: "facts small" }, entries.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

/** All boxes in a table. */
export function table(cell) {
  const head = ["Box", "Class", "Score", "Next best", "Status", "Length", "Centromere index", "Damage"];
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All boxes" }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, cell.chromosomes.map((c) => h("tr", {},
      h("th", { scope: "row" }, c.index), h("td", {}, c.class ?? "–"), h("td", {}, percent(c.score)),
      h("td", {}, c.alternatives.slice(0, 3).map((a) => `${a.class} ${percent(a.score)}`).join(", ") || "–"),
      h("td", {}, c.status),
      h("td", {}, c.length_um !== null ? `${c.length_um.toFixed(1)} µm` : c.relative_length !== null ? `${c.relative_length.toFixed(1)} %` : "–"),
      h("td", {}, c.centromere_index?.toFixed(2) ?? "–"), h("td", {}, c.damage))))));
}
