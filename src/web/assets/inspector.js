// The chosen chromosome: its scores and measures, its class and its damage to correct.

import { CLASSES, cellUrl, h, percent } from "./dom.js";
import * as drafts from "./draft.js";

const DAMAGE = ["none", "break", "gap", "exchange", "dicentric", "ring", "fragment", "other"];

/** The panel for a chromosome; `correct` takes what the person changes. */
export function inspector(cell, c, correct) {
  const option = (value, text, now) => h("option", { value, selected: value === now }, text);
  const [now, damage] = ["class", "damage"].map((action) => drafts.current(cell, { action, index: c.index }));
  const byClass = (event) => correct({ action: "class", index: c.index, class: event.target.value || null });
  const byDamage = (event) => correct({ action: "damage", index: c.index, damage: event.target.value });
  return h("div", { class: "inspector" },
    h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), alt: `Chromosome ${c.index}` }),
    h("div", {},
      h("h3", {}, `Box ${c.index}: `, now === null ? "no class" : `chromosome ${now}`),
      c.alternatives.length > 0 && h("ul", { class: "alternatives", "aria-label": "Scores" }, c.alternatives.slice(0, 4).map(score)),
      h("dl", { class: "facts small" }, measures(c).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]))),
    h("div", { class: "correct" },
      !cell.dicentric && h("label", {}, "Class", h("select", { "data-focus": "class", onchange: byClass },
        option("", "none", now ?? ""), CLASSES.map((name) => option(name, name, now)))),
      h("label", {}, "Damage", h("select", { "data-focus": "damage", onchange: byDamage }, DAMAGE.map((name) => option(name, name, damage))))));
}

const score = (a) => h("li", {}, h("span", {}, a.class),
  h("meter", { min: 0, max: 1, value: a.score, "aria-label": `Class ${a.class}` }), h("span", { class: "muted" }, percent(a.score)));

const measures = (c) => [
  ["Status", c.status],
  ["Chromosome", percent(c.objectness)],
  c.length_um !== null && ["Length", `${c.length_um.toFixed(1)} µm`],
  c.relative_length !== null && ["Relative length", `${c.relative_length.toFixed(1)} %`],
  c.centromere_index !== null && ["Centromere index", c.centromere_index.toFixed(2)],
  c.evidence && ["Evidence", c.evidence],
].filter(Boolean);
