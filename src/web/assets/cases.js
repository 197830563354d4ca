// The list of cases: what each gave, how far it is reviewed; search, filter, close and reopen.

import { api, byId, closesOutside, dialogBar, h, mayReview, nameField, percent, reportUrl, segments, signature } from "./dom.js";
import { open as browse } from "./browse.js";
import { compare } from "./compare.js";
import { isUnscored } from "./dose.js";

const dialog = byId("cases");
const FILTERS = {
  all: ["All", () => true],
  open: ["Open", (c) => !c.closed],
  closed: ["Closed", (c) => Boolean(c.closed)],
  unreviewed: ["To review", (c) => reviewed(c)[0] < reviewed(c)[1]],
};

let filter = "all";
let wanted = "";
const chosen = new Set(); // cases to compare, two at most
let resume = () => {};

/** What makes a case the one that takes cells. */
export function onResume(act) {
  resume = act;
}

/** Shows the list. */
export async function open() {
  dialog.replaceChildren(dialogBar(dialog, "Cases"), h("p", { class: "muted" }, "Loading …"));
  if (!dialog.open) dialog.showModal();
  try {
    draw((await api("cases?lean=true")).cases);
  } catch (error) {
    dialog.replaceChildren(dialogBar(dialog, "Cases"), h("p", { class: "problem", role: "alert" }, error.message));
  }
}

/** Cells that a person has looked at, and all. */
function reviewed({ state, dose, stored_cells: all }) {
  const { cells } = dose ?? state ?? { cells: { reviewed: 0 } };
  return [cells.reviewed, all];
}

function result({ state, dose }) {
  if (!dose) return state?.iscn ?? "no karyotype yet";
  if (!dose.estimate) return isUnscored(dose) ? "not scored" : "no dose yet";
  const { value, low, high, level } = dose.estimate.dose_gy;
  const gray = (gy) => (gy === null ? "not bounded" : gy.toFixed(2));
  return `${value.toFixed(2)} Gy (${percent(level)}: ${gray(low)} to ${gray(high)})${dose.mismatch ? `; does not hold: ${dose.mismatch}` : ""}`;
}

function draw(cases) {
  const body = h("tbody");
  const state = h("p", { class: "small", role: "status" });
  const fill = () => {
    const found = cases.filter((c) => FILTERS[filter][1](c) && `${c.case} ${result(c)}`.toLowerCase().includes(wanted));
    body.replaceChildren(...found.map((c) => row(c, state)));
    state.textContent = found.length === cases.length ? `${cases.length} in all` : `${found.length} of ${cases.length}`;
  };
  const search = h("input", { type: "search", value: wanted, placeholder: "name or result", autocomplete: "off", oninput: (event) => {
    wanted = event.target.value.trim().toLowerCase();
    fill();
  } });
  const words = Object.fromEntries(Object.entries(FILTERS).map(([key, [text]]) => [key, text]));
  const choose = segments("Filter cases", words, filter, (chosen) => {
    filter = chosen;
    fill();
  });
  fill();
  const both = h("button", { type: "button", class: "quiet", disabled: chosen.size !== 2, onclick: () => compare([...chosen]) }, "Compare two");
  body.addEventListener("change", (event) => {
    const box = event.target.closest("[data-compare]");
    if (!box) return;
    if (box.checked) chosen.add(box.dataset.compare);
    else chosen.delete(box.dataset.compare);
    // A third one takes the place of the first.
    if (chosen.size > 2) {
      const [first] = chosen;
      chosen.delete(first);
      const old = body.querySelector(`[data-compare="${CSS.escape(first)}"]`);
      if (old) old.checked = false;
    }
    both.disabled = chosen.size !== 2;
  });
  dialog.replaceChildren(dialogBar(dialog, "Cases"),
    h("div", { class: "head" }, h("label", {}, "Search ", search), choose, both, mayReview && nameField(), state),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Cases" }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, ["Case", "Result", "Cells", "Reviewed", "Opened", "State", "Actions", "Compare"].map((text) => h("th", { scope: "col" }, text)))),
      body)));
}

function row(c, state) {
  const [done, all] = reviewed(c);
  const act = (text, work) => h("button", { type: "button", class: "quiet", "aria-label": `${text}: case ${c.case}`, onclick: async () => {
    const by = dialog.querySelector("[name=by]");
    if (by && !by.reportValidity()) return;
    try {
      await work(signature());
      await open();
    } catch (error) {
      state.textContent = error.message;
    }
  } }, text);
  const path = `cases/${encodeURIComponent(c.case)}`;
  const day = (time) => new Date(time).toLocaleDateString([], { dateStyle: "medium" });
  return h("tr", {},
    h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => browse(c.case) }, c.case)),
    h("td", {}, result(c)), h("td", {}, c.stored_cells), h("td", {}, `${done} of ${all}`), h("td", {}, day(c.opened)),
    h("td", {}, c.closed ? `closed ${day(c.closed)}` : "open"),
    h("td", {}, h("span", { class: "actions" },
      h("a", { href: reportUrl(c.case), target: "_blank", "aria-label": `Report of case ${c.case}` }, "Report"),
      mayReview && (c.closed
        ? act("Reopen", (by) => api(`${path}/reopen`, { by }))
        : [act("Close", (by) => api(`${path}/close`, { by })), act("Continue", () => resume(c.case))]))),
    h("td", {}, h("input", { type: "checkbox", "data-compare": c.case, "aria-label": `Compare case ${c.case}`, checked: chosen.has(c.case) })));
}

closesOutside(dialog);
