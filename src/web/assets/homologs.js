// One class over the cells of a case: its chromosomes side by side, to compare a doubtful one with its like.

import { CLASSES, byId, cellUrl, closesOutside, dialogBar, h, plural } from "./dom.js";
import { headline, openCell, page } from "./cells.js";

const dialog = byId("homologs");
const MOST = 24; // cells

/** Shows the homologs of a class over the cells of the case of `cell`, this one first. */
export async function homologs(cell, name = "1") {
  const list = h("ol", { class: "homologs" });
  const state = h("p", { class: "muted small", role: "status" }, "Loading …");
  const choose = h("select", { onchange: (event) => fill(event.target.value) }, CLASSES.map((x) => h("option", { value: x, selected: x === name }, x)));
  dialog.replaceChildren(dialogBar(dialog, `Homologs of case ${cell.case}`), h("div", { class: "head" }, h("label", {}, "Class ", choose), state), list);
  dialog.showModal();
  const { cells } = await page({ case: cell.case }, null, MOST).catch((error) => {
    state.textContent = error.message;
    return { cells: [] };
  });
  const all = [cell, ...cells.filter((other) => other.cell !== cell.cell && !other.excluded)];
  const fill = (wanted) => {
    list.replaceChildren(...all.map((of) => row(of, wanted)));
    state.textContent = plural(all.length, "cell");
  };
  fill(name);
}

function row(cell, name) {
  const here = cell.chromosomes.filter((c) => c.class === name);
  return h("li", {},
    h("div", { class: "pair" }, here.map((c) => standing(cell, c)), here.length === 0 && h("span", { class: "muted small" }, "none")),
    h("button", { type: "button", class: "link small", onclick: () => {
      dialog.close();
      openCell(cell.cell, { case: cell.case });
    } }, headline(cell)));
}

/** A chromosome upright: its picture, turned as the record says. */
function standing(cell, c) {
  const [, , width, height] = c.box;
  const angle = c.stance?.angle ?? c.upright_angle ?? 0;
  const side = Math.ceil(Math.hypot(width, height));
  const image = h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), loading: "lazy", alt: `Chromosome ${c.index}, class ${c.class}` });
  image.style.transform = `${c.stance?.mirrored ? "scaleX(-1) " : ""}rotate(${angle}deg)`;
  const frame = h("span", { class: "turned" }, image);
  frame.style.setProperty("--side", `${side}px`);
  return frame;
}

closesOutside(dialog);
