// Files that gave no cell, each with the reason.

import { api, byId, closesOutside, dialogBar, h } from "./dom.js";
import { t, tn, when } from "./words.js";

const dialog = byId("rejected");
const PAGE = 100;

/** Shows the list, the latest first. */
export function open() {
  const body = h("tbody");
  const state = h("p", { class: "muted small", role: "status" }, t("loading"));
  const more = h("button", { type: "button", class: "quiet wide", hidden: true, onclick: () => add() }, t("more"));
  let next = null;
  const add = async () => {
    try {
      const page = await api(`rejected?${new URLSearchParams({ limit: PAGE, ...(next ? { before: next } : {}) })}`);
      next = page.next;
      body.append(...page.rejected.map((file) => h("tr", {},
        h("th", { scope: "row" }, file.file), h("td", {}, file.reason ?? "–"), h("td", {}, file.source), h("td", {}, when(file.time)))));
      more.hidden = next === null;
      state.textContent = body.children.length === 0 ? t("rejected.none") : t(next === null ? "rejected.all" : "rejected.so_far", { files: tn("count.file", body.children.length) });
    } catch (error) {
      state.textContent = error.message;
    }
  };
  dialog.replaceChildren(dialogBar(dialog, t("rejected.title")), state,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("rejected.title") }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, ["file", "why", "source", "when"].map((name) => h("th", { scope: "col" }, t(`rejected.head.${name}`))))), body)), more);
  dialog.showModal();
  add();
}

byId("rejected-files").addEventListener("click", open);
closesOutside(dialog);
