// Finishing a cell: the verdict, the karyotype written by hand and checked while it is typed, exclusion with a reason.

import { VERDICTS, api, h, segments } from "./dom.js";
import { scoreForm } from "./score.js";
import * as drafts from "./draft.js";
import { t, when } from "./words.js";

const CHECK_MS = 250; // after the last key
const REASONS = ["lost", "overlap", "banding", "focus", "counted"];

/** The form; `correct` takes what the person changes, to be saved with the other corrections. */
export function finishForm(cell, correct) {
  return h("details", { id: "finish", class: "finish", open: true },
    h("summary", {}, t("finish.title")),
    h("div", { class: "fields" }, cell.dicentric ? scoreForm(cell, correct) : [verdict(cell, correct), iscn(cell, correct)], exclusion(cell, correct), comment(cell, correct)));
}

function verdict(cell, correct) {
  const words = Object.fromEntries(Object.entries(VERDICTS).map(([key, { word }]) => [key, word]));
  return h("div", { class: "field" }, h("span", { "aria-hidden": "true" }, t("finish.verdict")),
    segments(t("finish.verdict"), words, drafts.current(cell, { action: "verdict" }), (chosen) => correct({ action: "verdict", verdict: chosen })));
}

function iscn(cell, correct) {
  const status = h("p", { id: "iscn-status", class: "small", role: "status" });
  let timer = null;
  const typed = (event) => {
    const text = event.target.value.trim();
    // An empty field asks for nothing.
    correct({ action: "iscn", iscn: text || (cell.karyotype.iscn ?? "") });
    clearTimeout(timer);
    timer = setTimeout(() => check(text, status), CHECK_MS);
  };
  const value = drafts.current(cell, { action: "iscn" });
  return h("div", { class: "field" }, h("label", { for: "iscn" }, t("finish.karyotype")),
    h("div", {}, h("input", { id: "iscn", "data-focus": "iscn", value, autocomplete: "off", spellcheck: "false", placeholder: "46,XX", "aria-describedby": "iscn-status", oninput: typed }), status));
}

/** Says whether a karyotype is right by the rules of ISCN, and what it says. */
async function check(text, status) {
  if (!text) {
    status.textContent = "";
    return;
  }
  try {
    const { string, valid, reason, abnormalities } = await api(`iscn?${new URLSearchParams({ text })}`);
    if (string !== text) return;
    status.textContent = valid ? t("finish.right", { words: abnormalities.join("; ") || t("finish.no_abnormality") }) : t("finish.wrong", { reason });
    status.className = `small ${valid ? "right" : "problem"}`;
  } catch (error) {
    status.textContent = error.message;
  }
}

/** Notes: those that are there, and one to write. */
function comment(cell, correct) {
  const written = drafts.current(cell, { action: "comment" }) ?? "";
  return h("div", { class: "field" }, h("label", { for: "comment" }, t("finish.comment")),
    h("div", {},
      (cell.comments ?? []).map((c) => h("p", { class: "small comment" }, c.text, h("span", { class: "muted" }, ` ${c.by}, ${when(c.time)}`))),
      h("textarea", { id: "comment", "data-focus": "comment", rows: 2, maxlength: 2000, oninput: (event) => correct({ action: "comment", text: event.target.value.trim() }) }, written)));
}

function exclusion(cell, correct) {
  const choose = (reason) => {
    back.hidden = reason === null;
    correct({ action: "exclude", reason });
  };
  const now = drafts.current(cell, { action: "exclude" });
  const reason = h("input", { id: "exclude", "data-focus": "exclude", value: now ?? "", list: "exclude-reasons", autocomplete: "off", maxlength: 200, placeholder: t("finish.reason"),
    onchange: (event) => choose(event.target.value.trim() || null) });
  const back = h("button", { type: "button", class: "quiet", hidden: now === null, onclick: () => {
    reason.value = "";
    choose(null);
  } }, t("finish.again"));
  return h("div", { class: "field" }, h("label", { for: "exclude" }, t("finish.exclude")),
    h("div", { class: "inline" }, reason, h("datalist", { id: "exclude-reasons" }, REASONS.map((name) => h("option", { value: t(`finish.reason.${name}`) }))), back));
}
