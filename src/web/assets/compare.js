// Two cases beside each other: results, counts, cell lines with a karyogram of each.

import { api, byId, closesOutside, dialogBar, h, reportUrl } from "./dom.js";
import { openCell } from "./cells.js";
import { gray, isUnscored } from "./dose.js";
import { fixed, t, tn } from "./words.js";

const dialog = byId("compare");

/** Shows two cases by their names. */
export async function compare(names) {
  const columns = names.map((name) => h("section", { "aria-label": t("case.title_of", { case: name }) }, h("h3", {}, t("case.title_of", { case: name })), h("p", { class: "muted" }, t("loading"))));
  dialog.replaceChildren(dialogBar(dialog, t("compare.title", { first: names[0], second: names[1] })), h("div", { class: "compared" }, columns));
  dialog.showModal();
  await Promise.all(names.map(async (name, i) => {
    try {
      const path = `cases/${encodeURIComponent(name)}`;
      const [of, corrections] = await Promise.all([api(path), api(`${path}/corrections`)]);
      columns[i].replaceChildren(...parts(of, corrections).filter(Boolean));
    } catch (error) {
      columns[i].replaceChildren(h("h3", {}, t("case.title_of", { case: name })), h("p", { class: "problem", role: "alert" }, error.message));
    }
  }));
}

function parts({ case: name, closed, stored_cells: cells, state, dose }, corrections) {
  const found = dose?.estimate?.dose_gy;
  return [
    h("h3", {}, t("case.title_of", { case: name })),
    h("p", { class: "headline" }, dose ? (found ? gray(found.value) : t(isUnscored(dose) ? "cells.not_scored" : "compare.no_dose")) : state?.iscn ?? t("compare.no_karyotype")),
    found && h("p", {}, t("compare.dose", { low: gray(found.low), high: gray(found.high), dicentrics: tn("count.dicentric", dose.dicentrics), cells: tn("count.counted_cell", dose.cells.counted) })),
    h("p", { class: "muted small" }, t("compare.cells", { cells: tn("count.cell", cells), n: (dose ?? state)?.cells.reviewed ?? 0, state: t(closed ? "compare.closed" : "cases.open") }), h("a", { href: reportUrl(name), target: "_blank" }, t("case.report"))),
    state && !dose && h("dl", { class: "facts small" }, Object.entries({ "verdict.normal": state.cells.normal, "verdict.abnormal": state.cells.abnormal, "verdict.not_assessable": state.cells.not_assessable, "compare.excluded": state.cells.excluded ?? 0, "compare.needed": state.cells_needed })
      .map(([key, number]) => [h("dt", {}, t(key)), h("dd", {}, number)])),
    corrections.cells > 0 && h("p", { class: "muted small" }, t("case.corrections", { n: corrections.corrections, mean: fixed(corrections.mean, 2) })),
    ...(dose ? [] : state?.clones ?? []).map((clone) => line(name, clone)),
  ];
}

function line(name, clone) {
  const member = clone.members[0];
  return h("figure", { class: "line" },
    h("figcaption", {}, h("strong", {}, clone.iscn), t("case.in", { cells: tn("count.cell", clone.cells) })),
    h("button", { type: "button", class: "picture", "aria-label": t("compare.open", { iscn: clone.iscn }), onclick: () => {
      dialog.close();
      openCell(member, { case: name });
    } }, h("img", { src: `api/v1/cells/${member}/karyogram.svg?r=${Date.now()}`, loading: "lazy", alt: t("compare.karyogram", { iscn: clone.iscn }) })));
}

closesOutside(dialog);
