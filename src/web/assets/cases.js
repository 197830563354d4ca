// The list of cases: what each gave, how far it is reviewed; search, filter, close and reopen.

import { api, byId, closesOutside, dialogBar, h, mayReview, nameField, percent, reportUrl, segments, signature } from "./dom.js";
import { open as browse } from "./browse.js";
import { compare } from "./compare.js";
import { isUnscored, mismatchWords } from "./dose.js";
import { day, fixed, t } from "./words.js";

const dialog = byId("cases");
const FILTERS = {
  all: [t("all"), () => true],
  open: [t("cases.filter.open"), (c) => !c.closed],
  closed: [t("cases.filter.closed"), (c) => Boolean(c.closed)],
  unreviewed: [t("cases.filter.unreviewed"), (c) => reviewed(c)[0] < reviewed(c)[1]],
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
  dialog.replaceChildren(dialogBar(dialog, t("cases.title")), h("p", { class: "muted" }, t("loading")));
  if (!dialog.open) dialog.showModal();
  try {
    draw((await api("cases?lean=true")).cases);
  } catch (error) {
    dialog.replaceChildren(dialogBar(dialog, t("cases.title")), h("p", { class: "problem", role: "alert" }, error.message));
  }
}

/** Cells that a person has looked at, and all. */
function reviewed({ state, dose, stored_cells: all }) {
  const { cells } = dose ?? state ?? { cells: { reviewed: 0 } };
  return [cells.reviewed, all];
}

function result({ state, dose }) {
  if (!dose) return state?.iscn ?? t("cases.no_karyotype");
  if (!dose.estimate) return t(isUnscored(dose) ? "cases.not_scored" : "cases.no_dose");
  const { value, low, high, level } = dose.estimate.dose_gy;
  const gray = (gy) => (gy === null ? t("unbounded") : fixed(gy, 2));
  const words = t("cases.dose", { value: fixed(value, 2), level: percent(level), low: gray(low), high: gray(high) });
  const mismatch = mismatchWords(dose);
  return mismatch ? t("cases.dose.mismatch", { dose: words, mismatch }) : words;
}

function draw(cases) {
  const body = h("tbody");
  const state = h("p", { class: "small", role: "status" });
  const fill = () => {
    const found = cases.filter((c) => FILTERS[filter][1](c) && `${c.case} ${result(c)}`.toLowerCase().includes(wanted));
    body.replaceChildren(...found.map((c) => row(c, state)));
    state.textContent = found.length === cases.length ? t("cases.in_all", { n: cases.length }) : t("case.n_of", { n: found.length, all: cases.length });
  };
  const search = h("input", { type: "search", value: wanted, placeholder: t("cases.search"), autocomplete: "off", oninput: (event) => {
    wanted = event.target.value.trim().toLowerCase();
    fill();
  } });
  const words = Object.fromEntries(Object.entries(FILTERS).map(([key, [text]]) => [key, text]));
  const choose = segments(t("cases.filter"), words, filter, (chosen) => {
    filter = chosen;
    fill();
  });
  fill();
  const both = h("button", { type: "button", class: "quiet", disabled: chosen.size !== 2, onclick: () => compare([...chosen]) }, t("cases.compare"));
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
  dialog.replaceChildren(dialogBar(dialog, t("cases.title")),
    h("div", { class: "head" }, h("label", {}, t("search"), " ", search), choose, both, mayReview && nameField(), state),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("cases.title") }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, ["case", "result", "cells", "reviewed", "opened", "state", "actions", "compare"].map((name) => h("th", { scope: "col" }, t(`cases.head.${name}`))))),
      body)));
}

function row(c, state) {
  const [done, all] = reviewed(c);
  const act = (text, work) => h("button", { type: "button", class: "quiet", "aria-label": t("cases.act", { action: text, case: c.case }), onclick: async () => {
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
  return h("tr", {},
    h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => browse(c.case) }, c.case)),
    h("td", {}, result(c)), h("td", {}, c.stored_cells), h("td", {}, t("case.n_of", { n: done, all })), h("td", {}, day(c.opened)),
    h("td", {}, c.closed ? t("cases.closed", { day: day(c.closed) }) : t("cases.open")),
    h("td", {}, h("span", { class: "actions" },
      h("a", { href: reportUrl(c.case), target: "_blank", "aria-label": t("cases.report_of", { case: c.case }) }, t("case.report")),
      mayReview && (c.closed
        ? act(t("cases.reopen"), (by) => api(`${path}/reopen`, { by }))
        : [act(t("cases.close"), (by) => api(`${path}/close`, { by })), act(t("cases.continue"), () => resume(c.case))]))),
    h("td", {}, h("input", { type: "checkbox", "data-compare": c.case, "aria-label": t("cases.compare_one", { case: c.case }), checked: chosen.has(c.case) })));
}

closesOutside(dialog);
