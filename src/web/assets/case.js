// The case: cells done and still needed, findings so far; or the dose with its interval on the curve. Closing it.

import { api, byId, h, mayReview, namedForm, nameField, percent, reportUrl } from "./dom.js";
import { doseParts } from "./dose.js";
import { breakable, page } from "./cells.js";
import { open as openCases, onResume } from "./cases.js";
import { open as openGallery } from "./gallery.js";
import { askedWords } from "./reasons.js";
import { count, fixed, said, t, tn, tt } from "./words.js";

let current; // id of the case that is open, null for none; undefined before that is known
let shown = { state: null, dose: null };
let acknowledged = null; // who saw the alarm of the case, and when
let alarmChanged = () => {};

/** Sets what is called with the alarm of the open case: {case, state, reason}. */
export function onAlarm(act) {
  alarmChanged = act;
}

/** Shows the case that takes cells now; null for none. The forms of a case stay as they are: a person may be writing in them. */
export async function use(id) {
  const next = id ?? null;
  if (next !== current) begin(next);
  if (next === null) return;
  try {
    // A case has a record from its first cell on.
    const { cells } = await page({ case: next }, null, 1);
    const { state, dose, acknowledged: seen } = cells.length > 0 ? await api(`cases/${encodeURIComponent(next)}`) : { state: null, dose: null };
    // The answer of a case that is no longer the one at work says nothing.
    if (next !== current) return;
    acknowledged = seen ?? null;
    draw(state, dose);
  } catch (error) {
    if (next !== current) return;
    byId("case-body").querySelector(".case-now")?.replaceChildren(h("p", { class: "muted" }, error.message));
  }
}

/** Another case: everything of the one before goes. */
function begin(id) {
  current = id;
  shown = { state: null, dose: null };
  acknowledged = null;
  byId("case-name").value = current ?? "";
  byId("case-end").hidden = current === null;
  byId("case-title").textContent = current === null ? t("case.title") : t("case.title_of", { case: current });
  byId("case-body").replaceChildren(...(current === null
    ? [h("p", { class: "muted" }, t("case.no_case"))]
    : [h("div", { class: "case-now" }), ...(mayReview ? [closeForm()] : []), h("p", { class: "small" }, h("a", { href: reportUrl(current), target: "_blank" }, t("case.report")))]));
}

/** A `case/1` document came. */
export function onCase(state) {
  if (state.case === current) draw(state, shown.dose);
}

/** A `dose/1` document came. */
export function onDose(dose) {
  if (dose.case === current) draw(shown.state, dose);
}

function draw(state, dose) {
  shown = { state, dose };
  if (dose) {
    const low = dose.estimate?.dose_gy.low;
    const reason = low === null || low === undefined ? "" : t("said.lower_limit", { low: fixed(low, 2) });
    alarmChanged({ case: current, state: dose.alarm, reason, ...(dose.alarm === "acknowledged" ? acknowledged : {}) });
  }
  const parts = [dose && doseParts(dose, () => openGallery(current)), state && cellParts(state)].filter(Boolean).flat();
  const now = byId("case-body").querySelector(".case-now");
  if (dose && mayReview && !byId("case-body").querySelector(".subject-data")) now.after(subjectForm());
  const notes = now.querySelector(".warnings")?.open;
  now.replaceChildren(...(parts.length > 0 ? parts.filter(Boolean) : [h("p", { class: "muted" }, t("case.no_cells"))]));
  if (notes !== undefined && now.querySelector(".warnings")) now.querySelector(".warnings").open = notes;
}

/** What the dose uses of a person. It can be set here, and is not shown again. */
function subjectForm() {
  const field = (name, text, attributes) => h("label", { class: "small" }, text, h("input", { name, ...attributes }));
  const status = h("p", { class: "small", role: "status" });
  const id = current;
  const save = async (event) => {
    event.preventDefault();
    const { by, ...data } = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ""));
    for (const name of ["age", "earlier_gy"]) if (name in data) data[name] = Number(data[name]);
    try {
      await api(`cases/${encodeURIComponent(id)}/subject`, { by, subject: Object.keys(data).length > 0 ? data : null });
      event.target.reset();
      status.textContent = t("case.saved");
    } catch (error) {
      status.textContent = error.message;
    }
  };
  return h("details", { class: "subject-data" },
    h("summary", { class: "small" }, t("case.subject")),
    h("form", { class: "subject", onsubmit: save },
      h("p", { class: "muted small" }, t("case.subject.about")),
      field("exposed", t("case.exposed"), { type: "date" }), field("sampled", t("case.sampled"), { type: "date" }),
      field("age", t("case.age"), { type: "number", min: 0, max: 120, step: "any" }),
      field("earlier_gy", t("case.earlier"), { type: "number", min: 0, step: "any" }), field("earlier_exposed", t("case.earlier_exposed"), { type: "date" }),
      nameField({ class: "small" }),
      h("button", { type: "submit", class: "quiet" }, t("case.save")), status));
}

/** Ends the open case and closes it: no further cell is added. */
function closeForm() {
  const id = current;
  return h("details", { class: "close-case" },
    h("summary", { class: "small" }, t("case.close")),
    h("p", { class: "muted small" }, t("case.close.about")),
    namedForm(t("case.close"), async ({ by }) => {
      await api("commands/case", { case: null, slide: null });
      await api(`cases/${encodeURIComponent(id)}/close`, { by });
      await use(null);
      byId("case-body").prepend(h("p", { role: "status" }, t("case.closed", { case: id })));
    }));
}

/** Offers to reopen a case where it is closed. */
async function offerReopening(id) {
  const { closed } = await api(`cases/${encodeURIComponent(id)}`).catch(() => ({}));
  if (!closed) return;
  byId("case-problem").after(namedForm(t("case.reopen"), async ({ by }, form) => {
    await api(`cases/${encodeURIComponent(id)}/reopen`, { by });
    await begun(id);
    form.remove();
  }));
}

function cellParts(state) {
  const [done, unit] = state.cells.colonies == null ? [state.cells.assessable, "count.cell"] : [state.cells.colonies, "count.colony"];
  const words = state.cells_needed > 0 ? t("case.more_needed", { n: count(state.cells_needed) }) : t("case.enough");
  const look = state.review.slice(0, 3).map((r) => h("li", {}, h("a", { href: `#cell/${r.cell}` }, t("case.look")), `: ${askedWords(r)}`));
  return [
    state.iscn && h("p", { class: "headline" }, breakable(state.iscn), state.cells_needed > 0 && h("span", { class: "muted small" }, t("case.so_far"))),
    state.simulated && h("p", { class: "muted small" }, t("case.simulated")),
    h("p", {}, tt("case.of", { cells: h("strong", {}, tn(unit, done)), target: count(state.cells_target), words })),
    h("progress", { max: state.cells_target || 1, value: Math.min(done, state.cells_target), "aria-label": t("case.n_of", { n: done, all: state.cells_target }) }),
    state.cells.cut_by_frame > 0 && h("p", { class: "muted small" }, t("case.cut", { cells: tn("count.cell", state.cells.cut_by_frame) })),
    state.extended && h("p", { class: "muted small" }, said(state.extended_code?.code, state.extended_code?.values, state.extended)),
    h("p", { class: "muted small" }, [t("case.reviewed", { n: state.cells.reviewed, all: state.cells.seen }), state.cells.excluded > 0 && t("case.excluded", { cells: tn("count.cell", state.cells.excluded) })].filter(Boolean).join(", ")),
    h("ul", { class: "findings" },
      state.clones.filter((clone) => !clone.normal).map((clone) =>
        h("li", {}, h("strong", {}, clone.iscn), t("case.in", { cells: tn("count.cell", clone.cells) }),
          clone.syndromes?.length > 0 && h("span", { class: "muted" }, ` · ${clone.syndromes.join(", ")}`))),
      state.chance_findings.map((f) => h("li", { class: "muted" }, t("case.chance", { iscn: f.iscn, cells: tn("count.cell", f.cells.length), needed: f.one_colony ? t("case.second_colony") : f.needed }))),
      look),
    state.review.length > look.length && h("p", { class: "muted small" }, t("case.to_look", { cells: tn("count.more_cell", state.review.length - look.length) })),
    state.excludes && h("p", { class: "muted small" }, t("case.excludes", { cells: tn(unit === "count.cell" ? "count.cell_normal" : "count.colony_normal", done), share: percent(Math.ceil(100 * state.excluded.share) / 100), level: percent(state.excluded.confidence) })),
  ];
}

byId("case-change").addEventListener("click", () => {
  byId("case-form").hidden = !byId("case-form").hidden;
  if (!byId("case-form").hidden) byId("case-name").focus();
});

/** Makes a case the one that takes cells; null for none. */
async function begun(name) {
  await api("commands/case", { case: name, slide: null });
  byId("case-form").hidden = true;
  byId("case-problem").textContent = "";
  await use(name);
}

async function command(name) {
  try {
    await begun(name);
  } catch (error) {
    byId("case-problem").textContent = error.message;
    if (name && error.status === 409) await offerReopening(name);
  }
}

byId("case-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("case-name").value.trim();
  if (name) command(name);
});
byId("case-end").addEventListener("click", () => command(null));
byId("case-list").addEventListener("click", openCases);
onResume(begun);
