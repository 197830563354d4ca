// Who is logged in, and the way out; for who administers all sessions and users.

import { api, byId, closesOutside, dialogBar, h, mayAdminister, plural } from "./dom.js";
import { entrance, role, user } from "./who.js";

const dialog = byId("people");
const ROLES = { view: "view", review: "review", administer: "administer" };

/** The person in the head of the page. */
function draw() {
  if (user === null) return;
  byId("person").replaceChildren(
    h("button", { type: "button", id: "people-open", class: "quiet", "aria-haspopup": "dialog", onclick: open }, user, h("span", { class: "muted" }, ` · ${ROLES[role]}`)),
    ...(entrance !== "password" ? [] : [h("form", { method: "post", action: "logout" }, h("button", { type: "submit", id: "log-out", class: "quiet" }, "Log out"))]));
  byId("person").hidden = false;
}

/** Shows the sessions, and the users to who administers. */
async function open() {
  const body = h("div", {}, h("p", { class: "muted" }, "Loading …"));
  dialog.replaceChildren(dialogBar(dialog, mayAdminister ? "People" : "My sessions"), body);
  if (!dialog.open) dialog.showModal();
  try {
    const [{ sessions }, users] = await Promise.all([api("sessions"), mayAdminister ? api("users").then((all) => all.users) : null]);
    body.replaceChildren(...[sessionTable(sessions), users && userTable(users)].filter(Boolean).flat());
  } catch (error) {
    body.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
  }
}

const scrolls = (label, table) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
const head = (texts) => h("thead", {}, h("tr", {}, texts.map((text) => h("th", { scope: "col" }, text))));

function sessionTable(sessions) {
  const state = h("p", { class: "small", role: "status" }, plural(sessions.length, "session"));
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
    h("th", { scope: "row" }, x.user, x.current && h("span", { class: "muted" }, " (this one)")),
    h("td", {}, new Date(x.since).toLocaleString()), h("td", {}, new Date(x.until).toLocaleString()), h("td", {}, x.address), h("td", { class: "agent" }, x.agent),
    h("td", {}, h("button", { type: "button", class: "quiet", "data-session": x.session, "aria-label": `End the session of ${x.user} from ${x.address}`, onclick: () => end(x) }, "End")));
  return [h("h3", {}, "Sessions"), state, scrolls("Sessions", h("table", { class: "list" },
    head(["Name", "Since", "Until", "From", "Browser", "Action"]), h("tbody", {}, sessions.map(row))))];
}

function userTable(users) {
  const row = (x) => h("tr", {}, h("th", { scope: "row" }, x.user), h("td", {}, ROLES[x.role]), h("td", {}, x.password ? "password" : "the proxy alone"));
  return [h("h3", {}, "Users"), h("p", { class: "muted small" }, "They are added, changed and removed on the command line: metaphased user."), scrolls("Users", h("table", { class: "list" },
    head(["Name", "Role", "Comes in by"]), h("tbody", {}, users.map(row))))];
}

draw();
closesOutside(dialog);
