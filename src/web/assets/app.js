// The live page: connects to the daemon's events and hands them to the parts of the page.

import { api, byId, h, mayReview, nameField } from "./dom.js";
import * as live from "./live.js";
import * as cells from "./cells.js";
import * as detail from "./detail.js";
import * as kase from "./case.js";
import { open as browse } from "./browse.js";
import { ring } from "./sound.js";
import "./rejected.js";
import "./people.js";
import { count, fixed, known, number, said, t, tn, when } from "./words.js";

const MARKS = { ok: "●", degraded: "▲", failed: "■" };

let stream = null;
let source = null;
let lost = false;
let over = false; // the session
let state = null;
let alarm = null;
let newest = null; // cell
let station = "";

// Health: quiet when all is well; what is wrong is said above everything else, with what to do.

function drawHealth() {
  const chip = (level, name, word, title) =>
    h("li", { class: `chip ${level}`, title }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[level] ?? "○"),
      h("span", { class: "name" }, name), h("span", { class: "word" }, word));
  if (lost || !state) {
    byId("health").replaceChildren(chip("failed", t("app.daemon"), t(lost ? "app.not_reached" : "app.connecting")));
    return;
  }
  const { sources, engine, broker, store } = state;
  const link = t(!broker.url ? "app.off" : broker.connected ? "app.connected" : "app.not_connected");
  byId("health").replaceChildren(
    ...Object.entries(sources).map(([name, x]) => chip(x.level, name, known(`activity.${x.activity || x.level}`, x.activity), x.reason)),
    chip(engine.level, t("app.engine"), engine.name || t(`activity.${engine.level}`), engine.reason || engine.library),
    chip(broker.level, t("app.broker"), link, broker.reason || broker.url),
    chip(store.level, t("app.store"), t(`activity.${store.level}`), store.reason));
}

/** What is wrong, part by part: [level, words]. */
function troubles({ sources, stages, engine, store, broker }) {
  const named = (kind, parts) => Object.entries(parts).map(([name, part]) => [t(`app.part.${kind}`, { name }), part]);
  const parts = [...named("source", sources), ...named("stage", stages), [t("app.part.engine"), engine], [t("app.part.store"), store], [t("app.part.broker"), broker]];
  return parts.filter(([, part]) => part.level !== "ok")
    .map(([name, part]) => [part.level, part.reason ? `${name}: ${part.reason}` : name])
    .sort(([a], [b]) => (b === "failed") - (a === "failed"));
}

function drawNotices() {
  const notices = over
    ? [["failed", [t("app.over"), " ", h("a", { href: "./" }, t("app.again"))]]]
    : lost
    ? [["failed", t("app.lost")]]
    : state ? troubles(state) : [];
  const list = notices.map(([level, text]) => notice(level, text));
  if (alarm && !lost) list.unshift(alarmNotice());
  drawTitle();
  const words = list.map((x) => x.textContent).join("\n");
  if (byId("notices").dataset.words === words) return;
  byId("notices").dataset.words = words;
  const typing = byId("notices").contains(document.activeElement);
  byId("notices").replaceChildren(...list);
  if (typing) byId("notices").querySelector("input")?.focus();
  // The field makes place, so that the page still fits the window.
  document.body.style.setProperty("--above", `${byId("notices").offsetHeight}px`);
}

const notice = (level, ...text) => h("div", { class: `notice ${level}` },
  h("span", { class: "mark", "aria-hidden": "true" }, MARKS[level]), h("span", { class: "text" }, text));

function alarmNotice() {
  const raised = alarm.state === "raised";
  const who = alarm.by ? t("app.alarm.by", { name: alarm.by, time: when(alarm.time) }) : "";
  const low = alarm.lower_limit_gy;
  const reason = said(alarm.reason_code, { low: low == null ? "" : fixed(low, 2), level: alarm.level_gy == null ? "" : number(alarm.level_gy) }, alarm.reason);
  const text = t(`app.alarm.${alarm.state}`, { case: alarm.case, reason, who });
  const element = notice(raised ? "failed" : "degraded", h("strong", {}, t("app.alarm")), text);
  if (raised) element.querySelector(".text").append(h("span", { class: "small sound-waits" }, ` ${t("sound.waits")}.`));
  if (raised && mayReview) element.append(h("form", { class: "inline", onsubmit: acknowledge }, nameField({ class: "small" }), h("button", { type: "submit" }, t("app.acknowledge"))));
  return element;
}

/** The title of the tab: an alarm is seen from another tab, too. */
function drawTitle() {
  const name = [station, "metaphased"].filter(Boolean).join(" · ");
  const raised = alarm?.state === "raised" && !lost;
  ring(raised);
  document.title = lost ? `✕ ${t("app.title.lost")} · ${name}` : raised ? `⚠ ${t("app.title.alarm", { case: alarm.case })} · ${name}` : name;
}

async function acknowledge(event) {
  event.preventDefault();
  const { by } = Object.fromEntries(new FormData(event.target));
  const form = event.target;
  try {
    await api("commands/acknowledge", { by, case: alarm.case ?? null });
  } catch (error) {
    form.querySelector(".problem")?.remove();
    form.append(h("span", { class: "problem", role: "alert" }, error.message));
  }
}

function onState(next) {
  if (state && next.case !== state.case) kase.use(next.case);
  state = next;
  drawHealth();
  drawNotices();
  showStored();
}

/** Without pictures of its own the field shows the last stored cell. */
const showStored = () => live.showStored(newest, state?.sources[source]?.activity);

cells.onNewest((cell) => {
  newest = cell;
  showStored();
});

// An alarm is published as it happens, and is part of the dose of its case for a page that is opened later.

function onAlarm(next) {
  // The dose says again that an alarm was acknowledged, and not by whom.
  if (["raised", "held", "acknowledged"].includes(next.state)) alarm = next.state === alarm?.state && next.case === alarm.case ? { ...alarm, reason: next.reason } : next;
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
    t("app.rate.frames", { n: fixed(rate, 1) }), t("app.rate.cells", { n: fixed(stats.cells_per_min, 1) }), t("app.stored", { cells: tn("count.cell", stats.cells_stored) }),
    t("app.published", { n: count(stats.cells_published) }), stats.outbox_depth > 0 && t("app.waiting", { n: count(stats.outbox_depth) }),
    t("app.dropped", { frames: tn("count.frame", dropped) }),
  ].filter(Boolean).join(" · ");
  const rows = (table, head, list) => byId(table).replaceChildren(byId(table).caption,
    h("thead", {}, h("tr", {}, head.map((x) => h("th", { scope: "col" }, t(`app.head.${x}`))))),
    h("tbody", {}, list.map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((x) => h("td", {}, x))))));
  const reasons = (record) => Object.entries(record ?? {}).map(([why, n]) => `${count(n)} ${known(`why.${why}`, why.replaceAll("_", " "))}`).join(", ") || "0";
  rows("source-table", ["source", "frames_s", "accepted", "stored", "merged", "in_flight", "rejected", "dropped"],
    Object.entries(stats.sources).map(([name, x]) => [name, fixed(x.frames_per_s, 1), count(x.accepted), count(x.stored),
      count(x.merged), count(x.in_flight), reasons(x.rejected), reasons(x.dropped)]));
  rows("stage-table", ["stage", "done", "mean", "waiting"],
    Object.entries(stats.stages).map(([name, x]) => [name, count(x.done), `${fixed(x.mean_ms, 1)} ms`, count(x.waiting)]));
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
    askWhetherOver();
    // The browser gives up for good on some errors (a restart behind a proxy): then connect again.
    if (stream.readyState === EventSource.CLOSED && !over) setTimeout(() => over || connect(), 3000);
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

/** A stream that ends may mean that the person is logged in no more. */
async function askWhetherOver() {
  const { status } = await fetch("api/v1/session").catch(() => ({}));
  if (status !== 401 || over) return;
  over = true;
  stream.close();
  drawNotices();
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
  byId("station").textContent = [birth.station, t(birth.assay === "dicentric" ? "app.assay.dicentric" : "app.assay.karyotype")].join(" · ");
  // A radiation station is read for its dose first.
  document.body.classList.toggle("dicentric", birth.assay === "dicentric");
  station = birth.station;
  byId("version").textContent = `metaphased ${birth.version}.`;
  onState(status.state);
  onStats(status.stats);
  const names = Object.keys(status.state.sources);
  if (source === null && names.length > 0) watch(names[0], names);
  else drawSources(names);
  await Promise.all([cells.load(), kase.use(status.state.case)]);
}

cells.onOpen(detail.open);
byId("all-cells").addEventListener("click", () => browse());
addEventListener("popstate", detail.followAddress);
addEventListener("hashchange", detail.followAddress);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.target.closest("input, select, textarea")) return;
  const id = { b: "show-boxes", o: "show-outlines", c: "show-classes", h: "hold" }[event.key.toLowerCase()];
  if (id) byId(id).click();
});

byId("case-change").hidden = !mayReview;
drawHealth();
refresh().catch((error) => {
  if (error.status === 401) location.reload();
  setLost(true);
  setTimeout(function again() {
    refresh().catch(() => setTimeout(again, 3000));
  }, 3000);
}).finally(detail.followAddress);
