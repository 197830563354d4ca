// What the record of a cell says: findings, facts, the table of all boxes.

import { h, percent } from "./dom.js";
import { countWords } from "./cells.js";
import { findingWords } from "./reasons.js";
import { fixed, t, when } from "./words.js";

/** The findings; nothing where there are none. */
export const findings = (cell) => cell.karyotype.findings.length > 0 && h("ul", { class: "findings" }, cell.karyotype.findings.map(finding));

function finding(f) {
  return h("li", {},
    f.iscn && h("strong", {}, `${f.iscn} `), findingWords(f), h("span", { class: "muted" }, ` ${percent(f.posterior)}`),
    f.syndrome && h("span", { class: "muted" }, ` · ${f.syndrome}`));
}

/** Counts, place, quality, models, the last review. */
export function facts(cell) {
  const { captured, quality } = cell;
  const entries = [
    [t("facts.counts"), countWords(cell)],
    [t("facts.taken"), t("facts.taken_at", { time: when(captured.time), source: cell.source, frame: captured.frame })],
    captured.file && [t("facts.file"), captured.file],
    cell.case && [t("facts.case"), [cell.case, cell.slide && t("facts.slide", { name: cell.slide }), cell.colony && t("facts.colony", { name: cell.colony })].filter(Boolean).join(", ")],
    captured.stage_um && [t("facts.stage"), `${captured.stage_um.x.toFixed(1)}, ${captured.stage_um.y.toFixed(1)} µm`],
    [t("facts.quality"), t("facts.scores", { focus: fixed(quality.focus, 2), metaphase: fixed(quality.metaphase, 2), spread: fixed(quality.spread, 2) })],
    [t("facts.models"), Object.entries(cell.models).map(([task, name]) => `${task} ${name}`).join(", ") || t("facts.no_models")],
    cell.review && [t("facts.review"), `${cell.review.change} (${cell.review.by}, ${when(cell.review.time)})`],
  ].filter(Boolean);
  return h("dl", { class: "facts small" }, entries.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

/** All boxes in a table. */
export function table(cell) {
  const head = ["box", "class", "score", "next", "status", "length", "centromere", "damage"];
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("facts.all_boxes") }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, t(`facts.head.${name}`))))),
    h("tbody", {}, cell.chromosomes.map((c) => h("tr", {},
      h("th", { scope: "row" }, c.index), h("td", {}, c.class ?? "–"), h("td", {}, percent(c.score)),
      h("td", {}, c.alternatives.slice(0, 3).map((a) => `${a.class} ${percent(a.score)}`).join(", ") || "–"),
      h("td", {}, t(`status.${c.status}`)),
      h("td", {}, c.length_um !== null ? `${fixed(c.length_um, 1)} µm` : c.relative_length !== null ? `${fixed(c.relative_length, 1)} %` : "–"),
      h("td", {}, c.centromere_index == null ? "–" : fixed(c.centromere_index, 2)), h("td", {}, t(`damage.${c.damage}`)))))));
}
