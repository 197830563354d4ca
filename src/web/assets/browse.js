// All cells, page by page: as tiles, or at their places on the slide.

import { byId, closesOutside, dialogBar, h, plural, segments } from "./dom.js";
import { VERDICT_CHOICES, openCell, page, tile, walksByArrows } from "./cells.js";
import { slideMap } from "./map.js";

const PAGE = 60;
const TIMES = { newest: "newest first", oldest: "oldest first" };
const RANKS = { doubt: "doubtful first", quality: "best pictures first" };
const dialog = byId("browse");

/** Shows all cells, or those of a case. */
export function open(id = null) {
  let query = id === null ? {} : { case: id };
  let cells = [];
  let next = null; // where the next page begins
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
    const answer = await page(of, next, PAGE).catch((error) => ({ cells: [], next: null, error }));
    if (of !== query) return;
    next = answer.next;
    cells.push(...answer.cells);
    draw();
    more.hidden = answer.next === null;
    state.textContent = answer.error?.message ?? `${plural(cells.length, "cell")} shown${answer.next === null ? ", that is all" : ""}`;
  };
  const begin = (wanted) => {
    query = wanted;
    next = null;
    cells = [];
    add();
  };
  const byVerdict = segments("Filter by verdict", VERDICT_CHOICES, "", (verdict) => {
    const { verdict: _, ...rest } = query;
    begin(verdict ? { ...rest, verdict } : rest);
  });
  const order = h("select", { onchange: (event) => {
    const { order: _, ...rest } = query;
    begin(event.target.value === "newest" ? rest : { ...rest, order: event.target.value });
  } }, Object.entries(id === null ? TIMES : { ...TIMES, ...RANKS }).map(([value, text]) => h("option", { value }, text)));
  let timer = null;
  const search = h("input", { type: "search", placeholder: "karyotype, file or id", autocomplete: "off", oninput: (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const { search: _, ...rest } = query;
      const text = event.target.value.trim();
      begin(text ? { ...rest, search: text } : rest);
    }, 200);
  } });
  const way = segments("Show as", { tiles: "Tiles", map: "Slide map" }, "tiles", (chosen) => {
    asMap = chosen === "map";
    draw();
  });
  dialog.replaceChildren(dialogBar(dialog, id === null ? "All cells" : `Cells of case ${id}`),
    h("div", { class: "head" }, h("div", { class: "by-verdict" }, byVerdict), h("label", {}, "Order ", order), h("label", {}, "Search ", search), way, state), list, more);
  begin(query);
  dialog.showModal();
}

closesOutside(dialog);
