// The chosen chromosome of a cell: its picture, its scores, its class and damage to correct, and how it lies.

import { CLASSES, cellUrl, h, mayReview, percent } from "./dom.js";
import * as drafts from "./draft.js";
import { fixed, t } from "./words.js";

const DAMAGE = ["none", "break", "gap", "exchange", "dicentric", "ring", "fragment", "other"];
const STATUS = ["single", "touching", "crossing", "unclear"];
const NEAR = 8; // boxes that may be parts of the same chromosome

/** The panel; `correct` takes a correction, `draw` begins a tool on the picture: draw.cut(c), draw.outline(c). */
export function inspector(cell, c, correct, draw) {
  const option = (value, text, now) => h("option", { value, selected: value === now }, text);
  const [now, damage, status] = ["class", "damage", "status"].map((action) => drafts.current(cell, { action, index: c.index }));
  const byClass = (event) => correct({ action: "class", index: c.index, class: event.target.value || null });
  const byDamage = (event) => correct({ action: "damage", index: c.index, damage: event.target.value });
  const byStatus = (event) => correct({ action: "status", index: c.index, status: event.target.value });
  return h("div", { class: "inspector" },
    h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), alt: t("inspector.chromosome", { index: c.index }) }),
    h("div", {},
      h("h3", {}, t("inspector.box", { index: c.index }), now === null ? t("inspector.no_class") : t("inspector.of_class", { name: now })),
      c.alternatives.length > 0 && h("ul", { class: "alternatives", "aria-label": t("inspector.scores") }, c.alternatives.slice(0, 4).map(score)),
      h("dl", { class: "facts small" }, measures(c).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]))),
    mayReview && h("div", { class: "correct" },
      !cell.dicentric && h("label", {}, t("inspector.class"), h("select", { "data-focus": "class", onchange: byClass },
        option("", t("inspector.none"), now ?? ""), CLASSES.map((name) => option(name, name, now)))),
      h("label", {}, t("inspector.damage"), h("select", { "data-focus": "damage", onchange: byDamage }, DAMAGE.map((name) => option(name, t(`damage.${name}`), damage)))),
      h("label", {}, t("inspector.lies"), h("select", { "data-focus": "status", onchange: byStatus }, STATUS.map((key) => option(key, t(`status.${key}`), status))))),
    mayReview && !cell.dicentric && h("div", { class: "lay", role: "group", "aria-label": t("inspector.redraw_group", { index: c.index }) },
      LAY.map(([name, key, act]) => tool(name, t("inspector.key", { key }), () => act(cell, c, correct))),
      tool("part", t("inspector.part.title"), () => draw.cut(c)),
      tool("redraw", t("inspector.redraw.title"), () => draw.outline(c)),
      h("label", { class: "small" }, t("inspector.join"), h("select", { "data-focus": "join", onchange: (event) => {
        if (event.target.value) correct({ action: "join", indices: [c.index, Number(event.target.value)] });
      } }, option("", "–"), nearest(cell, c).map((other) => option(String(other.index), t(other.class ? "inspector.other_class" : "inspector.other", { index: other.index, name: other.class })))))));
}

const tool = (name, title, onclick) => h("button", { type: "button", class: "quiet", title, "data-focus": `lay-${name}`, onclick }, t(`inspector.${name}`));

const LAY = [
  ["left", "[", (cell, c, correct) => turn(cell, c, -5, correct)],
  ["right", "]", (cell, c, correct) => turn(cell, c, 5, correct)],
  ["upside", "U", (cell, c, correct) => turn(cell, c, 180, correct)],
  ["mirror", "F", (cell, c, correct) => flip(cell, c, correct)],
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
  h("meter", { min: 0, max: 1, value: a.score, "aria-label": t("inspector.score_of", { name: a.class }) }), h("span", { class: "muted" }, percent(a.score)));

const measures = (c) => [
  [t("inspector.status"), t(`status.${c.status}`)],
  [t("inspector.is_one"), percent(c.objectness)],
  c.length_um !== null && [t("inspector.length"), `${fixed(c.length_um, 1)} µm`],
  c.relative_length !== null && [t("inspector.relative"), `${fixed(c.relative_length, 1)} %`],
  c.centromere_index !== null && [t("inspector.centromere"), fixed(c.centromere_index, 2)],
  c.evidence && [t("inspector.evidence"), c.evidence],
].filter(Boolean);
