// The chosen chromosome of a cell: its picture, its scores, its class and damage to correct, and how it lies.

import { CLASSES, cellUrl, h, mayReview, percent } from "./dom.js";
import * as drafts from "./draft.js";

const DAMAGE = ["none", "break", "gap", "exchange", "dicentric", "ring", "fragment", "other"];
const STATUS = { single: "alone", touching: "touching", crossing: "two overlapping", unclear: "unclear" };
const NEAR = 8; // boxes that may be parts of the same chromosome

/** The panel; `correct` takes a correction, `draw` begins a tool on the picture: draw.cut(c), draw.outline(c). */
export function inspector(cell, c, correct, draw) {
  const option = (value, text, now) => h("option", { value, selected: value === now }, text);
  const [now, damage, status] = ["class", "damage", "status"].map((action) => drafts.current(cell, { action, index: c.index }));
  const byClass = (event) => correct({ action: "class", index: c.index, class: event.target.value || null });
  const byDamage = (event) => correct({ action: "damage", index: c.index, damage: event.target.value });
  const byStatus = (event) => correct({ action: "status", index: c.index, status: event.target.value });
  return h("div", { class: "inspector" },
    h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), alt: `Chromosome ${c.index}` }),
    h("div", {},
      h("h3", {}, `Box ${c.index}: `, now === null ? "no class" : `chromosome ${now}`),
      c.alternatives.length > 0 && h("ul", { class: "alternatives", "aria-label": "Scores" }, c.alternatives.slice(0, 4).map(score)),
      h("dl", { class: "facts small" }, measures(c).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]))),
    mayReview && h("div", { class: "correct" },
      !cell.dicentric && h("label", {}, "Class", h("select", { "data-focus": "class", onchange: byClass },
        option("", "none", now ?? ""), CLASSES.map((name) => option(name, name, now)))),
      h("label", {}, "Damage", h("select", { "data-focus": "damage", onchange: byDamage }, DAMAGE.map((name) => option(name, name, damage)))),
      h("label", {}, "Lies", h("select", { "data-focus": "status", onchange: byStatus }, Object.entries(STATUS).map(([key, text]) => option(key, text, status))))),
    mayReview && !cell.dicentric && h("div", { class: "lay", role: "group", "aria-label": `Turn and redraw box ${c.index}` },
      LAY.map(([text, key, act]) => tool(text, `Key ${key}`, () => act(cell, c, correct))),
      tool("Part", "Key S. A line parts a clump", () => draw.cut(c)),
      tool("Redraw", "With a brush", () => draw.outline(c)),
      h("label", { class: "small" }, "Join with", h("select", { "data-focus": "join", onchange: (event) => {
        if (event.target.value) correct({ action: "join", indices: [c.index, Number(event.target.value)] });
      } }, option("", "–"), nearest(cell, c).map((other) => option(String(other.index), `box ${other.index}${other.class ? `, class ${other.class}` : ""}`))))));
}

const tool = (text, title, onclick) => h("button", { type: "button", class: "quiet", title, "data-focus": `lay-${text}`, onclick }, text);

const LAY = [
  ["↺ 5°", "[", (cell, c, correct) => turn(cell, c, -5, correct)],
  ["↻ 5°", "]", (cell, c, correct) => turn(cell, c, 5, correct)],
  ["Upside down", "U", (cell, c, correct) => turn(cell, c, 180, correct)],
  ["Mirror", "F", (cell, c, correct) => flip(cell, c, correct)],
];

/** Turns a chromosome by degrees, clockwise. */
export function turn(cell, c, degrees, correct) {
  const angle = drafts.current(cell, { action: "turn", index: c.index }) + degrees;
  correct({ action: "turn", index: c.index, angle: Math.round((((angle + 540) % 360) - 180) * 10) / 10 });
}

/** Mirrors a chromosome, or takes that back. */
export function flip(cell, c, correct) {
  correct({ action: "flip", index: c.index, flipped: !drafts.current(cell, { action: "flip", index: c.index }) });
}

/** The chromosomes that lie nearest to one. */
function nearest(cell, c) {
  const gap = ([ax, ay, aw, ah], [bx, by, bw, bh]) =>
    Math.hypot(Math.max(0, ax - bx - bw, bx - ax - aw), Math.max(0, ay - by - bh, by - ay - ah));
  return cell.chromosomes.filter((other) => other.index !== c.index)
    .map((other) => [gap(c.box, other.box), other]).sort(([a], [b]) => a - b).slice(0, NEAR).map(([, other]) => other);
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
