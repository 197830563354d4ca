// One class over the cells of a case: its chromosomes side by side, to compare a doubtful one with its like.

import { CLASSES, byId, closesOutside, dialogBar, h } from "./dom.js";
import { headline, openCell, page } from "./cells.js";
import { pictures } from "./karyogram.js";
import { t, tn } from "./words.js";

const dialog = byId("homologs");
const MOST = 24; // cells

/** Shows the homologs of a class over the cells of the case of `cell`, this one first. */
export async function homologs(cell, name = "1") {
  const list = h("ol", { class: "homologs" });
  const state = h("p", { class: "muted small", role: "status" }, t("loading"));
  const choose = h("select", { onchange: (event) => fill(event.target.value) }, CLASSES.map((x) => h("option", { value: x, selected: x === name }, x)));
  dialog.replaceChildren(dialogBar(dialog, t("homologs.title", { case: cell.case })), h("div", { class: "head" }, h("label", {}, t("homologs.class"), " ", choose), state), list);
  dialog.showModal();
  let all = [], cut = new Map(), problem = "";
  const fill = (wanted) => {
    list.replaceChildren(...all.map((of) => row(of, wanted, cut.get(of.cell))));
    state.textContent = [tn("count.cell", all.length), problem].filter(Boolean).join("; ");
  };
  const { cells, next } = await page({ case: cell.case }, null, MOST).catch((error) => {
    problem = error.message;
    return { cells: [] };
  });
  if (next) problem = t("homologs.latest", { n: MOST });
  all = [cell, ...cells.filter((other) => other.cell !== cell.cell && !other.excluded)];
  // Cut out and upright as in the karyogram; each cell is fetched once, whatever classes are looked at.
  cut = new Map(all.map((of) => [of.cell, pictures(of, false)]));
  fill(choose.value);
}

function row(cell, name, cut) {
  const here = cell.chromosomes.filter((c) => c.class === name);
  const pair = h("div", { class: "pair" }, here.length === 0 && h("span", { class: "small" }, t("none")));
  cut.then((found) => pair.append(...here.map((c) => found.get(c.index)).filter(Boolean).map((image) => {
    image.alt = t("homologs.picture", { name });
    return image;
  })), (error) => pair.append(h("span", { class: "problem small" }, error.message)));
  return h("li", {}, pair,
    h("button", { type: "button", class: "link small", onclick: () => {
      dialog.close();
      openCell(cell.cell, { case: cell.case });
    } }, headline(cell)));
}

closesOutside(dialog);
