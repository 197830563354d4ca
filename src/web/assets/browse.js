// All cells, page by page: as tiles, or at their places on the slide.

import { byId, closesOutside, dialogBar, h, plural, segments } from "./dom.js";
import { VERDICT_CHOICES, openCell, page, tile, walksByArrows } from "./cells.js";
import { slideMap } from "./map.js";

const PAGE = 60;
const dialog = byId("browse");

/** Shows all cells, or those of a case. */
export function open(id = null) {
  let query = id === null ? {} : { case: id };
  let cells = [];
  let asMap = false;
  const list = h("div", { class: "listed" });
  const state = h("p", { class: "muted small", role: "status" });
  const more = h("button", { type: "button", class: "quiet wide", onclick: () => add() }, "Show more");
  const draw = () => {
    const tiles = h("ol", { class: "tiles" }, cells.map((cell) => tile(cell, query)));
    walksByArrows(tiles);
    list.replaceChildren(asMap ? slideMap(cells, (cell) => openCell(cell.cell, query)) : tiles);
  };
  const add = async () => {
    const of = query;
    const answer = await page(of, cells.at(-1)?.cell, PAGE).catch((error) => ({ cells: [], next: null, error }));
    if (of !== query) return;
    cells.push(...answer.cells);
    draw();
    more.hidden = answer.next === null;
    state.textContent = answer.error?.message ?? `${plural(cells.length, "cell")} shown${answer.next === null ? ", that is all" : ""}`;
  };
  const begin = (next) => {
    query = next;
    cells = [];
    add();
  };
  const byVerdict = segments("Filter by verdict", VERDICT_CHOICES, "", (verdict) => {
    const { verdict: _, ...rest } = query;
    begin(verdict ? { ...rest, verdict } : rest);
  });
  const way = segments("Show as", { tiles: "Tiles", map: "Slide map" }, "tiles", (chosen) => {
    asMap = chosen === "map";
    draw();
  });
  dialog.replaceChildren(dialogBar(dialog, id === null ? "All cells" : `Cells of case ${id}`),
    h("div", { class: "head" }, h("div", { class: "by-verdict" }, byVerdict), way, state), list, more);
  begin(query);
  dialog.showModal();
}

closesOutside(dialog);
