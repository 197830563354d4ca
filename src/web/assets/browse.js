// All cells, page by page: as tiles, or at their places on the slide.

import { byId, closesOutside, dialogBar, h, segments } from "./dom.js";
import { filters, openCell, page, tile, walksByArrows } from "./cells.js";
import { slideMap } from "./map.js";
import { t, tn } from "./words.js";

const PAGE = 60;
const ORDERS = ["newest", "oldest", "doubt", "quality"];
const dialog = byId("browse");

/** Shows all cells, or those of a case. */
export function open(id = null) {
  let query = id === null ? {} : { case: id };
  let cells = [];
  let next = null; // where the next page begins
  let asMap = false;
  const list = h("div", { class: "listed" });
  const state = h("p", { class: "muted small", role: "status" });
  const more = h("button", { type: "button", class: "quiet wide", onclick: () => add() }, t("more"));
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
    state.textContent = answer.error?.message ?? t(answer.next === null ? "browse.all_shown" : "browse.shown", { cells: tn("count.cell", cells.length) });
  };
  const begin = (wanted) => {
    query = wanted;
    next = null;
    cells = [];
    add();
  };
  const chosen = filters((choice) => {
    const { verdict: _, scoring: __, ...rest } = query;
    begin({ ...rest, ...choice });
  });
  const order = h("select", { onchange: (event) => {
    const { order: _, ...rest } = query;
    begin(event.target.value === "newest" ? rest : { ...rest, order: event.target.value });
  } }, ORDERS.map((value) => h("option", { value }, t(`browse.${value}`))));
  let timer = null;
  const search = h("input", { type: "search", placeholder: t("browse.search"), autocomplete: "off", oninput: (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const { search: _, ...rest } = query;
      const text = event.target.value.trim();
      begin(text ? { ...rest, search: text } : rest);
    }, 200);
  } });
  const way = segments(t("browse.show_as"), { tiles: t("browse.tiles"), map: t("browse.map") }, "tiles", (chosen) => {
    asMap = chosen === "map";
    draw();
  });
  dialog.replaceChildren(dialogBar(dialog, id === null ? t("browse.title") : t("browse.of_case", { case: id })),
    h("div", { class: "head" }, chosen, h("label", {}, t("browse.order"), " ", order), h("label", {}, t("search"), " ", search), way, state), list, more);
  begin(query);
  dialog.showModal();
}

closesOutside(dialog);
