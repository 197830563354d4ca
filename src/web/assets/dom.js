// Small helpers: elements, numbers, times, requests.

import { role, user } from "./who.js";
export { byId } from "./elements.js";
import { LOCALE, fixed, t, tt } from "./words.js";

/** Whether the person may change something. */
export const mayReview = role !== "view";
/** Whether the person sees users and the sessions of others. */
export const mayAdminister = role === "administer";

/** A new element: h("li", {class: "x", onclick: f}, child, "text"). Values of null are left out. */
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** A share as "94 %". */
export const percent = (share, digits = 0) => t("share", { n: fixed(share * 100, digits) });

/** "3 s ago", "5 min ago", "14:05", "Nov 30". */
export function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return t("ago.seconds", { n: Math.floor(seconds) });
  if (seconds < 3600) return t("ago.minutes", { n: Math.floor(seconds / 60) });
  const then = new Date(time);
  const today = then.toDateString() === new Date().toDateString();
  return today ? then.toLocaleTimeString(LOCALE, { timeStyle: "short" }) : then.toLocaleDateString(LOCALE, { month: "short", day: "numeric" });
}

/** Verdicts in words, with a mark whose shape says the same as its colour. */
export const VERDICTS = {
  normal: { word: t("verdict.normal"), mark: "✓" },
  abnormal: { word: t("verdict.abnormal"), mark: "◆" },
  not_assessable: { word: t("verdict.not_assessable"), mark: "–" },
};

/** The mark of a verdict. */
export function verdictMark(verdict) {
  const { word, mark } = VERDICTS[verdict] ?? VERDICTS.not_assessable;
  return h("span", { class: `mark ${verdict}`, title: word, "aria-hidden": "true" }, mark);
}

/** Relative to the page, so that the path of a proxy stays before it. */
const API = "api/v1/";

/** GET or POST as JSON; a problem+json answer becomes an Error with its detail. */
export async function api(path, body) {
  const options = body === undefined
    ? {}
    : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(API + path, options);
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? problem.title ?? `HTTP ${response.status}`), { status: response.status });
}

/** The address of something of a cell. */
export const cellUrl = (cell, what = "") => `${API}cells/${encodeURIComponent(cell.cell)}${what && `/${what}`}?r=${cell.revision}`;

/** The address of a case's report. */
export const reportUrl = (id) => `${API}cases/${encodeURIComponent(id)}/report.html`;

/** A value kept in this browser only. */
export const kept = {
  get(key, otherwise) {
    try { return JSON.parse(localStorage.getItem(`metaphased.${key}`)) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { localStorage.setItem(`metaphased.${key}`, JSON.stringify(value)); } catch { /* private window */ }
  },
};

/** Keeps the name of a person, and enters it in every other form that is shown. */
function keepName(field) {
  kept.set("by", field.value);
  for (const other of document.querySelectorAll("input[name=by]")) if (other !== field) other.value = field.value;
}

/** The name that a change carries: none of a person whom the daemon knows. */
export const signature = () => (user === null ? kept.get("by", "") : undefined);

/** A field for the person's name, which every change carries; of a person whom the daemon knows, just the name. It is kept while it is
 *  typed, so no form asks twice. */
export function nameField(attributes = {}) {
  if (user !== null) return h("p", { ...attributes, class: `signed ${attributes.class ?? ""}` }, tt("signed", { name: h("strong", {}, user) }));
  return h("label", attributes, t("name"), " ", h("input", { name: "by", "data-focus": "by", maxlength: 64, required: true, autocomplete: "name",
    value: kept.get("by", ""), oninput: (event) => keepName(event.target) }));
}

/** A form that acts under the person's name; an error is shown below it. */
export function namedForm(text, act, ...fields) {
  const status = h("p", { class: "small problem", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    try {
      await act(values, event.target);
      status.textContent = "";
    } catch (error) {
      status.textContent = error.message;
    }
  };
  return h("form", { class: "inline", onsubmit: submit }, ...fields, nameField({ class: "small" }),
    h("button", { type: "submit", class: "quiet" }, text), status);
}

/** A group of buttons of which one is pressed: choices are {value: text}. */
export function segments(label, choices, value, choose) {
  const group = h("div", { class: "segments", role: "group", "aria-label": label });
  const press = (chosen) => {
    for (const button of group.children) button.setAttribute("aria-pressed", button.dataset.value === chosen);
  };
  group.append(...Object.entries(choices).map(([key, text]) => h("button", { type: "button", "data-value": key,
    onclick: () => {
      press(key);
      choose(key);
    } }, text)));
  press(value);
  return group;
}

/** The head of a dialog: its title, more, and the button that closes it. */
export function dialogBar(dialog, title, ...more) {
  return h("header", { class: "bar" }, h("h2", { id: `${dialog.id}-title`, tabindex: "-1", autofocus: true }, title), ...more,
    h("button", { type: "button", class: "quiet", "aria-label": t("close"), onclick: () => dialog.close() }, "✕"));
}

/** Lets a click beside a dialog close it. */
export function closesOutside(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

/** The classes in the order of a karyogram. */
export const CLASSES = [...Array.from({ length: 22 }, (_, i) => String(i + 1)), "X", "Y"];

/** The letter of the Denver group of a class. */
export function denverGroup(name) {
  const n = Number(name);
  if (name === "X") return "C";
  if (name === "Y" || n >= 21) return "G";
  if (n <= 3) return "A";
  if (n <= 5) return "B";
  if (n <= 12) return "C";
  if (n <= 15) return "D";
  return n <= 18 ? "E" : "F";
}
