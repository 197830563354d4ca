// Who changed what of a cell, and the way back to how it was.

import { api, h, mayReview } from "./dom.js";
import { t, when } from "./words.js";

/** The changes of a cell, loaded when they are asked for; `correct` takes the way back. */
export function changes(cell, correct) {
  if (cell.revision <= 1) return null;
  const list = h("ol", { class: "history small" }, h("li", { class: "muted" }, t("loading")));
  const load = async (event) => {
    if (!event.target.open) return;
    try {
      const { reviews } = await api(`cells/${cell.cell}/reviews`);
      const first = { revision: reviews[0]?.revision > 1 ? reviews[0].revision - 1 : null, change: t("history.found") };
      list.replaceChildren(...[...reviews].reverse().concat(first).map((review) => entry(cell, review, correct)));
    } catch (error) {
      list.replaceChildren(h("li", { class: "problem" }, error.message));
    }
  };
  return h("details", { id: "history", ontoggle: load }, h("summary", {}, t("history.title", { n: cell.revision })), list);
}

function entry(cell, { revision, by, time, change }, correct) {
  const goes = mayReview && revision !== null && revision < cell.revision;
  return h("li", {}, h("span", {}, change), by && h("span", { class: "muted" }, ` ${by}, ${when(time)}`),
    goes && h("button", { type: "button", class: "quiet", "aria-label": t("history.back_to", { n: revision }), onclick: () => correct({ action: "revert", revision }) }, t("history.back")));
}
