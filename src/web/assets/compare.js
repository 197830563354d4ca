// Two cases beside each other: results, counts, cell lines with a karyogram of each.

import { api, byId, closesOutside, dialogBar, h, plural, reportUrl } from "./dom.js";
import { openCell } from "./cells.js";
import { gray, isUnscored } from "./dose.js";

const dialog = byId("compare");

/** Shows two cases by their names. */
export async function compare(names) {
  const columns = names.map((name) => h("section", { "aria-label": `Case ${name}` }, h("h3", {}, `Case ${name}`), h("p", { class: "muted" }, "Loading …")));
  dialog.replaceChildren(dialogBar(dialog, `${names[0]} and ${names[1]}`), h("div", { class: "compared" }, columns));
  dialog.showModal();
  await Promise.all(names.map(async (name, i) => {
    try {
      columns[i].replaceChildren(...parts(await api(`cases/${encodeURIComponent(name)}`)).filter(Boolean));
    } catch (error) {
      columns[i].replaceChildren(h("h3", {}, `Case ${name}`), h("p", { class: "problem", role: "alert" }, error.message));
    }
  }));
}

function parts({ case: name, closed, stored_cells: cells, state, dose }) {
  const found = dose?.estimate?.dose_gy;
  return [
    h("h3", {}, `Case ${name}`),
    h("p", { class: "headline" }, dose ? (found ? gray(found.value) : isUnscored(dose) ? "Not scored" : "No dose yet") : state?.iscn ?? "No karyotype yet"),
    found && h("p", {}, `${gray(found.low)} to ${gray(found.high)}, ${plural(dose.dicentrics, "dicentric")} in ${plural(dose.cells.counted, "counted cell")}`),
    h("p", { class: "muted small" }, `${plural(cells, "cell")}, ${(dose ?? state)?.cells.reviewed ?? 0} reviewed, ${closed ? "closed" : "open"} · `, h("a", { href: reportUrl(name), target: "_blank" }, "Report")),
    state && !dose && h("dl", { class: "facts small" }, Object.entries({ Normal: state.cells.normal, Abnormal: state.cells.abnormal, "Not assessable": state.cells.not_assessable, Excluded: state.cells.excluded ?? 0, "Still needed": state.cells_needed })
      .map(([text, number]) => [h("dt", {}, text), h("dd", {}, number)])),
    ...(dose ? [] : state?.clones ?? []).map((clone) => line(name, clone)),
  ];
}

function line(name, clone) {
  const member = clone.members[0];
  return h("figure", { class: "line" },
    h("figcaption", {}, h("strong", {}, clone.iscn), ` in ${plural(clone.cells, "cell")}`),
    h("button", { type: "button", class: "picture", "aria-label": `Open a cell of ${clone.iscn}`, onclick: () => {
      dialog.close();
      openCell(member, { case: name });
    } }, h("img", { src: `api/v1/cells/${member}/karyogram.svg?r=${Date.now()}`, loading: "lazy", alt: `Karyogram of a cell with ${clone.iscn}` })));
}

closesOutside(dialog);
