// Who is logged in, and the way out; for who administers all sessions and users.

import { api, byId, closesOutside, dialogBar, h, mayAdminister } from "./dom.js";
import { entrance, role, user } from "./who.js";
import { t, tn, when } from "./words.js";

const dialog = byId("people");

/** The person in the head of the page. */
function draw() {
  if (user === null) return;
  byId("person").replaceChildren(
    h("button", { type: "button", id: "people-open", class: "quiet", "aria-haspopup": "dialog", onclick: open }, user, h("span", { class: "muted" }, ` · ${t(`people.role.${role}`)}`)),
    ...(entrance !== "password" ? [] : [h("form", { method: "post", action: "logout" }, h("button", { type: "submit", id: "log-out", class: "quiet" }, t("people.log_out")))]));
  byId("person").hidden = false;
}

/** Shows the sessions, and the users to who administers. */
async function open() {
  const body = h("div", {}, h("p", { class: "muted" }, t("loading")));
  dialog.replaceChildren(dialogBar(dialog, t(mayAdminister ? "people.title" : "people.mine")), body);
  if (!dialog.open) dialog.showModal();
  try {
    const [{ sessions }, users] = await Promise.all([api("sessions"), mayAdminister ? api("users").then((all) => all.users) : null]);
    body.replaceChildren(...[sessionTable(sessions), users && userTable(users)].filter(Boolean).flat());
  } catch (error) {
    body.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
  }
}

const scrolls = (label, table) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
const head = (names) => h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, t(`people.head.${name}`)))));

function sessionTable(sessions) {
  const state = h("p", { class: "small", role: "status" }, tn("count.session", sessions.length));
  const end = async (session) => {
    try {
      await api(`sessions/${session.session}/end`, {});
      if (session.current) location.reload();
      else await open();
    } catch (error) {
      state.textContent = error.message;
    }
  };
  const row = (x) => h("tr", {},
    h("th", { scope: "row" }, x.user, x.current && h("span", { class: "muted" }, t("people.this"))),
    h("td", {}, h("button", { type: "button", class: "quiet", "data-session": x.session, "aria-label": t("people.end_of", { name: x.user, address: x.address }), onclick: () => end(x) }, t("people.end"))),
    h("td", {}, when(x.since)), h("td", {}, when(x.until)), h("td", {}, x.address), h("td", { class: "agent" }, x.agent));
  return [h("h3", {}, t("people.sessions")), state, scrolls(t("people.sessions"), h("table", { class: "list" },
    head(["name", "action", "since", "until", "from", "browser"]), h("tbody", {}, sessions.map(row))))];
}

function userTable(users) {
  const row = (x) => h("tr", {}, h("th", { scope: "row" }, x.user), h("td", {}, t(`people.role.${x.role}`)), h("td", {}, t(x.password ? "people.password" : "people.proxy")));
  return [h("h3", {}, t("people.users")), h("p", { class: "muted small" }, t("people.about")), scrolls(t("people.users"), h("table", { class: "list" },
    head(["name", "role", "way"]), h("tbody", {}, users.map(row))))];
}

draw();
closesOutside(dialog);
