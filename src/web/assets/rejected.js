// Files that gave no cell, each with the reason.

import { api, byId, closesOutside, dialogBar, h, plural } from "./dom.js";

const dialog = byId("rejected");
const PAGE = 100;

/** Shows the list, the latest first. */
export function open() {
  const body = h("tbody");
  const state = h("p", { class: "muted small", role: "status" }, "Loading …");
  const more = h("button", { type: "button", class: "quiet wide", hidden: true, onclick: () => add() }, "Show more");
  let next = null;
  const add = async () => {
    try {
      const page = await api(`rejected?${new URLSearchParams({ limit: PAGE, ...(next ? { before: next } : {}) })}`);
      next = page.next;
      body.append(...page.rejected.map((file) => h("tr", {},
        h("th", { scope: "row" }, file.file), h("td", {}, file.reason ?? "–"), h("td", {}, file.source), h("td", {}, new Date(file.time).toLocaleString()))));
      more.hidden = next === null;
      state.textContent = body.children.length === 0 ? "No file was rejected." : `${plural(body.children.length, "file")}${next === null ? ", that is all" : " so far"}`;
    } catch (error) {
      state.textContent = error.message;
    }
  };
  dialog.replaceChildren(dialogBar(dialog, "Rejected files"), state,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rejected files" }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, ["File", "Why", "Source", "When"].map((text) => h("th", { scope: "col" }, text)))), body)), more);
  dialog.showModal();
  add();
}

byId("rejected-files").addEventListener("click", open);
closesOutside(dialog);
