// The case: cells done and still needed, findings so far; or the dose with its interval on the curve. Closing it.

import { api, byId, count, h, mayReview, namedForm, nameField, plural, reportUrl } from "./dom.js";
import { doseParts } from "./dose.js";
import { breakable, page } from "./cells.js";
import { open as openCases, onResume } from "./cases.js";
import { open as openGallery } from "./gallery.js";

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
  byId("case-title").textContent = current === null ? "Case" : `Case ${current}`;
  byId("case-body").replaceChildren(...(current === null
    ? [h("p", { class: "muted" }, "No case is open: new cells belong to none.")]
    : [h("div", { class: "case-now" }), ...(mayReview ? [closeForm()] : []), h("p", { class: "small" }, h("a", { href: reportUrl(current), target: "_blank" }, "Report"))]));
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
    const reason = low === null || low === undefined ? "" : `the lower limit of the dose is ${low.toFixed(2)} Gy.`;
    alarmChanged({ case: current, state: dose.alarm, reason, ...(dose.alarm === "acknowledged" ? acknowledged : {}) });
  }
  const parts = [dose && doseParts(dose, () => openGallery(current)), state && cellParts(state)].filter(Boolean).flat();
  const now = byId("case-body").querySelector(".case-now");
  if (dose && mayReview && !byId("case-body").querySelector(".subject-data")) now.after(subjectForm());
  const notes = now.querySelector(".warnings")?.open;
  now.replaceChildren(...(parts.length > 0 ? parts.filter(Boolean) : [h("p", { class: "muted" }, "No cells yet.")]));
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
      status.textContent = "Saved. The dose is updated.";
    } catch (error) {
      status.textContent = error.message;
    }
  };
  return h("details", { class: "subject-data" },
    h("summary", { class: "small" }, "Subject data"),
    h("form", { class: "subject", onsubmit: save },
      h("p", { class: "muted small" }, "Used for the dose, stored on this machine, not shown again. Saving replaces earlier values."),
      field("exposed", "Exposed", { type: "date" }), field("sampled", "Blood drawn", { type: "date" }),
      field("age", "Age, years", { type: "number", min: 0, max: 120, step: "any" }),
      field("earlier_gy", "Earlier dose, Gy", { type: "number", min: 0, step: "any" }), field("earlier_exposed", "Earlier exposure", { type: "date" }),
      nameField({ class: "small" }),
      h("button", { type: "submit", class: "quiet" }, "Save"), status));
}

/** Ends the open case and closes it: no further cell is added. */
function closeForm() {
  const id = current;
  return h("details", { class: "close-case" },
    h("summary", { class: "small" }, "Close case"),
    h("p", { class: "muted small" }, "A closed case takes no further cells until it is reopened. Its cells can still be corrected."),
    namedForm("Close case", async ({ by }) => {
      await api("commands/case", { case: null, slide: null });
      await api(`cases/${encodeURIComponent(id)}/close`, { by });
      await use(null);
      byId("case-body").prepend(h("p", { role: "status" }, `Case ${id} is closed.`));
    }));
}

/** Offers to reopen a case where it is closed. */
async function offerReopening(id) {
  const { closed } = await api(`cases/${encodeURIComponent(id)}`).catch(() => ({}));
  if (!closed) return;
  byId("case-problem").after(namedForm("Reopen", async ({ by }, form) => {
    await api(`cases/${encodeURIComponent(id)}/reopen`, { by });
    await begun(id);
    form.remove();
  }));
}

function cellParts(state) {
  const [done, unit] = state.cells.colonies == null ? [state.cells.assessable, ["cell"]] : [state.cells.colonies, ["colony", "colonies"]];
  const words = state.cells_needed > 0 ? `${count(state.cells_needed)} more needed` : "enough";
  const look = state.review.slice(0, 3).map((r) => h("li", {}, h("a", { href: `#cell/${r.cell}` }, "Look at this cell"), `: ${r.reason}`));
  return [
    state.iscn && h("p", { class: "headline" }, breakable(state.iscn), state.cells_needed > 0 && h("span", { class: "muted small" }, " so far")),
    state.simulated && h("p", { class: "muted small" }, "A simulation: these cells were drawn."),
    h("p", {}, h("strong", {}, plural(done, ...unit)), ` of ${count(state.cells_target)}, ${words}`),
    h("progress", { max: state.cells_target || 1, value: Math.min(done, state.cells_target), "aria-label": `${done} of ${state.cells_target}` }),
    state.cells.cut_by_frame > 0 && h("p", { class: "muted small" }, `${plural(state.cells.cut_by_frame, "cell")} cut by the frame: not counted`),
    state.extended && h("p", { class: "muted small" }, state.extended),
    h("p", { class: "muted small" }, [`${state.cells.reviewed} of ${state.cells.seen} reviewed`, state.cells.excluded > 0 && `${plural(state.cells.excluded, "cell")} excluded`].filter(Boolean).join(", ")),
    h("ul", { class: "findings" },
      state.clones.filter((clone) => !clone.normal).map((clone) =>
        h("li", {}, h("strong", {}, clone.iscn), ` in ${plural(clone.cells, "cell")}`,
          clone.syndromes?.length > 0 && h("span", { class: "muted" }, ` · ${clone.syndromes.join(", ")}`))),
      state.chance_findings.map((f) => h("li", { class: "muted" }, `${f.iscn} in ${plural(f.cells.length, "cell")}; a clone requires ${f.one_colony ? "a second colony" : f.needed}`)),
      look),
    state.review.length > look.length && h("p", { class: "muted small" }, `${plural(state.review.length - look.length, "more cell")} to look at`),
    state.excludes && h("p", { class: "muted small" }, state.excludes),
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
