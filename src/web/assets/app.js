// The live page: connects to the daemon's events and hands them to the parts of the page.

import { api, byId, count, h, plural } from "./dom.js";
import * as live from "./live.js";
import * as cells from "./cells.js";
import * as detail from "./detail.js";
import * as kase from "./case.js";

const MARKS = { ok: "●", degraded: "▲", failed: "■" };

let stream = null;
let source = null;
let lost = false;
let state = null;
let alarm = null;

// Health: quiet when all is well; what is wrong is said above everything else, with what to do.

function drawHealth() {
  const chip = (level, name, word, title) =>
    h("li", { class: `chip ${level}`, title }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[level] ?? "○"),
      h("span", { class: "name" }, name), h("span", { class: "word" }, word));
  if (lost || !state) {
    byId("health").replaceChildren(chip("failed", "Daemon", lost ? "not reached" : "connecting"));
    return;
  }
  const { sources, engine, broker, store } = state;
  byId("health").replaceChildren(
    ...Object.entries(sources).map(([name, x]) => chip(x.level, name, x.activity || x.level, x.reason)),
    chip(engine.level, "Engine", engine.name || engine.level, engine.reason || engine.library),
    chip(broker.level, "Broker", broker.connected ? "connected" : "not connected", broker.reason || broker.url),
    chip(store.level, "Store", store.level === "ok" ? "ok" : store.level, store.reason));
}

function drawNotices() {
  const notices = [];
  if (lost) {
    notices.push(["failed", "The connection to metaphased is lost. The page shows what it last knew and tries again every few seconds. "
      + "If this lasts: is the daemon still running?"]);
  } else if (state) {
    for (const reason of state.reasons) notices.push([state.level, reason]);
  }
  const list = notices.map(([level, text]) =>
    h("p", { class: `notice ${level}` }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[level]), h("span", { class: "text" }, text)));
  if (alarm && !lost) {
    const raised = alarm.state === "raised";
    const text = raised ? ` in case ${alarm.case}: ${alarm.reason}` : ` of case ${alarm.case} is held until a person has looked at the called dicentrics: ${alarm.reason}`;
    list.unshift(h("p", { class: `notice ${raised ? "failed" : "degraded"}` }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[raised ? "failed" : "degraded"]),
      h("span", { class: "text" }, h("strong", {}, "Alarm"), text),
      raised && h("button", { type: "button", onclick: acknowledge }, "Acknowledge")));
  }
  const words = list.map((x) => x.textContent).join("\n");
  if (byId("notices").dataset.words === words) return;
  byId("notices").dataset.words = words;
  byId("notices").replaceChildren(...list);
  // The field makes room, so that the page still fits the window.
  document.body.style.setProperty("--above", `${byId("notices").offsetHeight}px`);
}

async function acknowledge() {
  const by = prompt("Your name, for the record:");
  if (!by) return;
  await api("commands/acknowledge", { by, case: alarm.case ?? null }).catch((error) => window.alert(error.message));
}

function onState(next) {
  if (state && next.case !== state.case) kase.use(next.case);
  state = next;
  drawHealth();
  drawNotices();
}

// An alarm is published as it happens, and is part of the dose of its case for a page that is opened later.

function onAlarm(next) {
  if (["raised", "held"].includes(next.state)) alarm = next;
  else if (alarm?.case === next.case) alarm = null;
  drawNotices();
}

kase.onAlarm(onAlarm);

// Counts in small print.

function onStats(stats) {
  const sum = (record) => Object.values(record ?? {}).reduce((a, b) => a + b, 0);
  const rate = Object.values(stats.sources).reduce((a, x) => a + x.frames_per_s, 0);
  const dropped = Object.values(stats.sources).reduce((a, x) => a + sum(x.dropped), 0);
  byId("rates").textContent = [
    `${rate.toFixed(1)} frames/s`, `${stats.cells_per_min.toFixed(1)} cells/min`, `${plural(stats.cells_stored, "cell")} stored`,
    `${count(stats.cells_published)} published`, stats.outbox_depth > 0 && `${count(stats.outbox_depth)} waiting for the broker`,
    `${plural(dropped, "frame")} dropped`,
  ].filter(Boolean).join(" · ");
  const rows = (table, head, list) => byId(table).replaceChildren(byId(table).caption,
    h("thead", {}, h("tr", {}, head.map((x) => h("th", { scope: "col" }, x)))),
    h("tbody", {}, list.map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((x) => h("td", {}, x))))));
  const reasons = (record) => Object.entries(record ?? {}).map(([why, n]) => `${count(n)} ${why.replaceAll("_", " ")}`).join(", ") || "0";
  rows("source-table", ["Source", "Frames/s", "Accepted", "Stored", "Merged", "In flight", "Rejected", "Dropped"],
    Object.entries(stats.sources).map(([name, x]) => [name, x.frames_per_s.toFixed(1), count(x.accepted), count(x.stored),
      count(x.merged), count(x.in_flight), reasons(x.rejected), reasons(x.dropped)]));
  rows("stage-table", ["Stage", "Done", "Mean", "Waiting"],
    Object.entries(stats.stages).map(([name, x]) => [name, count(x.done), `${x.mean_ms.toFixed(1)} ms`, count(x.waiting)]));
}

// Sources: one is watched at a time; the daemon prepares pictures only for that one.

function drawSources(names) {
  const group = byId("sources");
  group.hidden = names.length < 2;
  group.replaceChildren(...names.map((name) =>
    h("button", { type: "button", "aria-pressed": name === source, onclick: () => watch(name, names) }, name)));
}

function watch(name, names) {
  source = name;
  live.show(name);
  drawSources(names);
  connect();
}

function connect() {
  stream?.close();
  stream = new EventSource(`api/v1/events?live=${encodeURIComponent(source ?? "")}`);
  stream.onopen = () => refresh().catch(() => {});
  stream.onerror = () => {
    setLost(true);
    // The browser gives up for good on some errors (a restart behind a proxy): then connect again.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
  const on = (kind, act) => stream.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  on("state", onState);
  on("stats", onStats);
  on("frame", live.onFrame);
  on("boxes", live.onBoxes);
  on("cell", (cell) => {
    cells.onCell(cell);
    detail.onCell(cell);
  });
  on("case", kase.onCase);
  on("dose", kase.onDose);
  on("alarm", onAlarm);
}

function setLost(now) {
  if (lost === now) return;
  lost = now;
  live.setStale(now);
  drawHealth();
  drawNotices();
}

async function refresh() {
  const status = await api("status");
  setLost(false);
  const { birth } = status;
  byId("station").textContent = [birth.station, birth.assay === "dicentric" ? "dicentric assay" : "karyotype"].join(" · ");
  // A radiation station is read for its dose first.
  document.body.classList.toggle("dicentric", birth.assay === "dicentric");
  document.title = `${birth.station} · metaphased`;
  byId("version").textContent = `metaphased ${birth.version}.`;
  onState(status.state);
  onStats(status.stats);
  const names = Object.keys(status.state.sources);
  if (source === null && names.length > 0) watch(names[0], names);
  else drawSources(names);
  await Promise.all([cells.load(), kase.use(status.state.case)]);
}

cells.onOpen(detail.open);
addEventListener("popstate", detail.followAddress);
addEventListener("hashchange", detail.followAddress);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.target.closest("input, select, textarea")) return;
  const id = { b: "show-boxes", o: "show-outlines", c: "show-classes", h: "hold" }[event.key.toLowerCase()];
  if (id) byId(id).click();
});

drawHealth();
refresh().catch((error) => {
  if (error.status === 401) location.reload();
  setLost(true);
  setTimeout(function again() {
    refresh().catch(() => setTimeout(again, 3000));
  }, 3000);
}).finally(detail.followAddress);
