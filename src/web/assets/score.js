// Scoring a cell of the dicentric assay: how many pieces of each kind, with the running sum of centromeres.

import { h } from "./dom.js";
import * as drafts from "./draft.js";
import { t, tn, tt } from "./words.js";

/** Kinds of pieces: name in the record, key, centromeres. */
const KINDS = [
  ["monocentrics", "1", 1],
  ["dicentrics", "2", 2],
  ["tricentrics", "3", 3],
  ["rings", "r", 1],
  ["fragments", "f", 0],
  ["unclear", "u", 0],
];

/** The form; `correct` takes what the person counts, to be saved with the other corrections. */
export function scoreForm(cell, correct) {
  const record = () => drafts.current(cell, { action: "dicentric" });
  const sum = h("p", { id: "centromeres", role: "status" });
  const inputs = new Map();
  const show = () => {
    for (const [name, input] of inputs) input.value = record()[name];
    sum.replaceChildren(...(cell.dicentric.quickscan
      ? [t("score.quickscan")]
      : words(record(), cell.dicentric.accepted_centromeres)));
    rest.disabled = record().unclear === 0;
  };
  const count = (counts) => {
    correct({ action: "dicentric", record: { ...record(), ...counts } });
    show();
  };
  const field = ([name, key]) => {
    const input = h("input", { id: `score-${name}`, "data-focus": `score-${name}`, type: "number", min: 0, max: 200, step: 1, inputmode: "numeric",
      onchange: (event) => count({ [name]: Math.max(0, Math.round(Number(event.target.value) || 0)) }) });
    inputs.set(name, input);
    return h("label", {}, t(`kind.${name}`), h("kbd", {}, key.toUpperCase()), input);
  };
  const byKey = (event) => {
    const kind = KINDS.find(([, key]) => key === event.key.toLowerCase());
    if (!kind || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
    event.preventDefault();
    event.stopPropagation();
    const [name] = kind;
    const step = event.shiftKey ? -1 : 1;
    const now = record();
    if (now[name] + step < 0) return;
    // A piece that is counted was unclear before, and is again when it is taken back.
    const unclear = Math.max(0, now.unclear - step);
    count(name === "unclear" ? { unclear: now.unclear + step } : { [name]: now[name] + step, unclear });
  };
  const rest = h("button", { type: "button", class: "quiet", onclick: () => {
    const { monocentrics, unclear } = record();
    count({ monocentrics: monocentrics + unclear, unclear: 0 });
  } }, t("score.all_mono"));
  const form = h("fieldset", { id: "score", class: "scoring", tabindex: "0", onkeydown: byKey },
    h("legend", {}, t("score.title")),
    h("div", { class: "kinds" }, KINDS.map(field)), sum, rest,
    h("p", { class: "muted small" }, t("score.help")));
  show();
  return form;
}

/** The sum of centromeres, and whether the cell is complete with it. */
function words(record, [low, high]) {
  const higher = record.higher ?? [];
  const sum = KINDS.reduce((n, [name, , centromeres]) => n + record[name] * centromeres, higher.reduce((a, b) => a + b, 0));
  const complete = sum >= low && sum <= high;
  const wanted = low === high ? low : t("score.range", { low, high });
  return tt(complete ? "score.complete" : "score.incomplete", { sum: h("strong", {}, tn("count.centromere", sum)), wanted });
}
