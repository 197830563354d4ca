// One cell in detail: picture with boxes, karyogram, scores, corrections, verdict.

import { api, byId, cellUrl, closesOutside, dialogBar, h, kept, mayReview, nameField, s, segments, signature } from "./dom.js";
import { drawBoxes } from "./live.js";
import { karyogram, pictures, pieces, written } from "./karyogram.js";
import { beside, headline, markDraft, reasonLine, simulationLine, verdictLine } from "./cells.js";
import { facts, findings, table } from "./facts.js";
import { flip, inspector, turn } from "./inspector.js";
import { brush, cutter } from "./edit.js";
import { changes } from "./history.js";
import { homologs } from "./homologs.js";
import { finishForm } from "./finish.js";
import { closer } from "./zoom.js";
import * as drafts from "./draft.js";
import { t, tn } from "./words.js";

const dialog = byId("detail");
let cell = null;
let query = {}; // among which cells the arrows go
let sides = Promise.resolve({});
let walk = Promise.resolve();
let picked = null; // index of the chosen chromosome
let straight = false;
let shown = null; // pictures of the chromosomes, by index; null while they come
let saving = false;
let problem = "";
let drawing = null; // the tool that is in use on the picture

/** Opens the detail of a cell, among those of a query. */
export async function open(id, of = query) {
  query = of;
  if (location.hash !== `#cell/${id}`) history.pushState(null, "", `#cell/${id}`);
  try {
    use(await api(`cells/${encodeURIComponent(id)}`));
  } catch (error) {
    dialog.replaceChildren(dialogBar(dialog, t("detail.cell")), h("p", { class: "problem", role: "alert" }, error.message));
  }
  if (!dialog.open) dialog.showModal();
}

/** A cell was stored or corrected: follows. What a person has not saved yet is kept beside it. */
export function onCell(changed) {
  if (!saving && dialog.open && cell?.cell === changed.cell && changed.revision > cell.revision) use(changed);
}

/** Opens the cell in the address. */
export function followAddress() {
  const id = /^#cell\/([0-9a-f-]+)$/.exec(location.hash)?.[1];
  if (id) open(id);
  else if (dialog.open) dialog.close();
}

function use(next) {
  drawing = null;
  if (cell?.cell !== next.cell) {
    picked = null;
    problem = "";
    shown = null;
  }
  cell = next;
  sides = beside(cell.cell, query).catch(() => ({}));
  draw();
  load();
}

async function load() {
  const of = cell;
  const way = straight;
  const found = await pictures(of, way).catch(() => new Map());
  if (of !== cell || way !== straight) return;
  shown = found;
  drawKaryogram();
}

const byIndex = (index) => cell.chromosomes.find((c) => c.index === index);
const classOf = (c) => drafts.current(cell, { action: "class", index: c.index });
const damageOf = (c) => drafts.current(cell, { action: "damage", index: c.index });
const concerned = () => new Set(cell.karyotype.findings.flatMap((f) => f.chromosomes));
const isFlagged = (c) => concerned().has(c.index) || damageOf(c) !== "none";

function bar() {
  const step = (side, text, label) => h("button", { type: "button", class: "quiet", "data-focus": side, "aria-label": label, onclick: () => go(side) }, text);
  const steps = [step("newer", "‹", t("detail.newer")), step("older", "›", t("detail.older"))];
  sides.then((found) => {
    for (const button of steps) button.disabled = !found[button.dataset.focus];
  });
  return dialogBar(dialog, headline(cell), h("span", { id: "placed", class: "placed" }), h("nav", { "aria-label": t("detail.cells") }, steps));
}

/** Opens the cell on one side. Steps that come faster than cells are made one after the other. */
function go(side) {
  walk = walk.then(async () => {
    const id = (await sides)[side];
    if (id) await open(id);
  });
}

/** Draws everything. Who works by keyboard stays where they were; the first time the title has the focus. */
function draw() {
  const focus = document.activeElement?.dataset?.focus;
  dialog.replaceChildren(
    bar(),
    h("div", { class: "columns" },
      h("section", { class: "seen", "aria-label": t("detail.cell") }, verdictLine(cell), reasonLine(cell), simulationLine(cell),
        findings(cell), picture(), facts(cell)),
      h("section", { "aria-label": t("detail.karyogram") },
        h("div", { id: "chromosomes" }), orientation(),
        h("div", { id: "inspector" }),
        mayReview && finishForm(cell, correct),
        changes(cell, correct))),
    h("details", { class: "all" }, h("summary", {}, t("detail.all_boxes", { boxes: tn("count.box", cell.chromosomes.length) })), table(cell)),
    h("div", { id: "pending" }));
  drawKaryogram();
  drawInspector();
  drawPending();
  if (!dialog.open) return;
  (dialog.querySelector(`[data-focus="${focus}"]:not(:disabled)`) ?? byId("detail-title")).focus({ preventScroll: true });
}

function orientation() {
  const file = h("a", {}, t("detail.save_svg"));
  const aim = () => {
    file.href = `${cellUrl(cell, "karyogram.svg")}${straight ? "&straight=true" : ""}`;
    file.download = `karyogram-${straight ? "straight-" : ""}${cell.cell}.svg`;
  };
  const choose = (value) => {
    straight = value === "straight";
    aim();
    load();
  };
  aim();
  return h("div", { class: "below" },
    !cell.dicentric && segments(t("detail.chromosomes"), { upright: t("detail.upright"), straight: t("detail.straight") }, straight ? "straight" : "upright", choose),
    h("p", { class: "muted small" },
      t(!mayReview ? "detail.help.view" : cell.dicentric ? "detail.help.pieces" : "detail.help"),
      " ", file),
    !cell.dicentric && cell.case && h("button", { type: "button", class: "quiet", onclick: () => homologs(cell) }, t("detail.homologs")));
}

/** The part of the frame that image.png shows: the cell's region. */
function region() {
  const [x, y, width, height] = cell.region;
  return width > 0 && height > 0 ? [x, y, width, height] : [0, 0, ...cell.captured.size];
}

function picture() {
  let view = region();
  const boxes = s("g");
  const [width, height] = cell.captured.size;
  const image = s("image", { href: cellUrl(cell, "image.png"), width, height });
  const svg = s("svg", { class: "overlay", viewBox: view.join(" "), role: "img", "aria-label": t("detail.picture", { boxes: tn("count.box", cell.counts.detected) }) }, image, boxes);
  const stage = h("figure", { class: "stage" }, svg);
  stage.style.aspectRatio = `${view[2]} / ${view[3]}`;
  draw.overlay = () => drawBoxes(boxes, drafted(), view, {
    outlines: true,
    shows: (c) => kept.get("outlines", false) || c.index === picked || c.isDrawn,
    label: (c) => classOf(c) ?? "",
    mark: (c) => `${isFlagged(c) ? "flagged" : ""} ${c.score < 0.5 ? "faint" : ""} ${c.index === picked ? "picked" : ""}`,
    onpick: (i) => !drawing && i < cell.chromosomes.length && pick(cell.chromosomes[i].index),
  }, drafts.waiting(cell).filter((change) => change.action === "split").map((change) => change.line));
  draw.stage = { svg, view: () => view, bar: h("div", {}) };
  // Letters keep their size on the screen, whatever the size of the picture.
  new ResizeObserver(() => draw.overlay()).observe(svg);
  return [stage, draw.stage.bar, mayReview && !cell.dicentric && h("div", { class: "tools below" }, h("button", { type: "button", class: "quiet", onclick: () => tools.outline(null) }, t("detail.add"))), closer(svg, image, view, (next) => {
    view = next;
    draw.overlay();
  })];
}

/** The chromosomes as the draft leaves them, for the picture; what was added stands last. */
function drafted() {
  const drawn = new Map(drafts.waiting(cell).filter((change) => change.action === "outline").map((change) => [change.index ?? change, change.rings]));
  const list = cell.chromosomes.map((c) => (drawn.has(c.index) ? { ...c, isDrawn: true, outline: { rings: drawn.get(c.index) } } : c));
  const added = [...drawn].filter(([key]) => typeof key === "object").map(([, rings]) => ({ box: around(rings), class: null, damage: "none", score: 1, index: -1, isDrawn: true, outline: { rings } }));
  return [...list, ...added];
}

/** The box around closed lines. */
function around(rings) {
  const [x, y] = [0, 1].map((axis) => rings.flat().map((p) => p[axis]));
  const [left, top] = [Math.min(...x), Math.min(...y)];
  return [left, top, Math.max(...x) - left, Math.max(...y) - top];
}

/** What draws on the picture. */
const tools = {
  cut: (c) => begin((done) => cutter(draw.stage.svg, c, (line) => done({ action: "split", index: c.index, line }), () => done(null)), c),
  outline: (c) => begin((done) => brush(draw.stage.svg, c && drafted().find((other) => other.index === c.index), draw.stage.view(), cell.captured.size,
    (rings) => done({ action: "outline", index: c?.index ?? null, rings }), () => done(null)), c),
};

function begin(start, c) {
  drawing?.end();
  drawing = start((change) => {
    drawing = null;
    draw.stage.bar.replaceChildren();
    if (change) correct(change);
    if (c) focusChromosome(c.index);
  });
  draw.stage.bar.replaceChildren(drawing.element);
  draw.stage.svg.scrollIntoView({ block: "nearest" });
}

/** How the picture of a chromosome is turned and mirrored beyond what the record says. */
function turnOf(c) {
  const [angle, flipped] = [drafts.current(cell, { action: "turn", index: c.index }), drafts.current(cell, { action: "flip", index: c.index })];
  const [was, mirrored] = [c.stance?.angle ?? c.upright_angle ?? 0, c.stance?.mirrored ?? false];
  if (angle === was && flipped === mirrored) return "";
  return `scaleX(${flipped ? -1 : 1}) rotate(${angle - was}deg) scaleX(${mirrored ? -1 : 1})`;
}

/** What waits to be redrawn of a chromosome, in words. */
function partOf(c) {
  const redraws = ["split", "join", "outline"];
  const change = drafts.waiting(cell).find((other) => redraws.includes(other.action) && (other.index === c.index || other.indices?.includes(c.index)));
  return change ? t(`detail.part.${change.action}`) : null;
}

function drawKaryogram() {
  const focused = document.activeElement?.closest(".karyogram [data-index]")?.dataset.index;
  const view = {
    classOf, isFlagged, turnOf, partOf, pictures: shown, pick,
    turn: (index, degrees) => turn(cell, byIndex(index), degrees, correct),
    flip: (index) => flip(cell, byIndex(index), correct),
    cut: (index) => {
      if (!mayReview) return;
      pick(index, true);
      tools.cut(byIndex(index));
    }, picked: () => picked,
    isMoved: (c) => drafts.isChanged(cell, { action: "class", index: c.index }),
    move: (index, name) => correct({ action: "class", index, class: name }),
    list: (index) => {
      if (!mayReview) return;
      pick(index, true);
      dialog.querySelector(".correct select").focus();
    },
  };
  byId("chromosomes").replaceChildren(cell.dicentric ? pieces(cell, view) : karyogram(cell, view));
  if (focused) focusChromosome(focused);
}

const focusChromosome = (index) => dialog.querySelector(`.karyogram [data-index="${index}"]`)?.focus({ preventScroll: true });

function pick(index, keep = false) {
  picked = picked === index && !keep ? null : index;
  for (const button of dialog.querySelectorAll(".karyogram [data-index]")) {
    button.setAttribute("aria-pressed", Number(button.dataset.index) === picked);
  }
  draw.overlay();
  drawInspector();
}

function drawInspector() {
  const c = picked === null ? null : byIndex(picked);
  byId("inspector").replaceChildren(...(c ? [inspector(cell, c, correct, tools)] : []));
}

/** A correction by a person: it waits in the draft. */
function correct(change) {
  if (!mayReview) return;
  const atList = document.activeElement?.closest(".inspector [data-focus]")?.dataset.focus;
  drafts.correct(cell, change);
  if (change.index !== undefined) picked = change.index;
  follow();
  // The karyogram was drawn again: who works by keyboard stays at the list or at the chromosome.
  if (atList) dialog.querySelector(`.inspector [data-focus="${atList}"]`)?.focus({ preventScroll: true });
  else if (["class", "turn", "flip"].includes(change.action)) focusChromosome(change.index);
}

/** The draft changed: what depends on it is drawn again. */
function follow() {
  problem = "";
  drawKaryogram();
  draw.overlay();
  drawInspector();
  drawPending();
  markDraft(cell.cell);
}

function stepBack(step) {
  if (!mayReview) return;
  if (!step(cell)) return;
  follow();
  byId("finish").replaceWith(finishForm(cell, correct));
}

async function save(event, changes) {
  event.preventDefault();
  if (saving) return;
  saving = true;
  const of = cell;
  // The cells beside it are those of now: the saved one may leave the list that is gone through.
  const onwards = event.submitter?.dataset.then && (await sides).older;
  const by = signature();
  problem = "";
  try {
    let { revision } = of;
    for (const change of changes) {
      revision = (await api(`cells/${of.cell}/review`, { by, revision, change })).revision;
      drafts.saved(of, change);
    }
    drafts.discard(of);
  } catch (error) {
    problem = t("detail.not_saved", { reason: error.message });
  }
  saving = false;
  // After a refusal, too: the page then shows what the record says now, with the corrections still beside it.
  const now = await api(`cells/${of.cell}`).catch(() => of);
  markDraft(of.cell);
  if (cell.cell !== of.cell) {
    problem = "";
    return;
  }
  use(now);
  if (onwards && !problem) await open(onwards);
}

/** What waits, and what can be done with it. */
function drawPending() {
  if (!mayReview) {
    byId("pending").replaceChildren(h("p", { class: "pending muted" }, t("detail.view_only")));
    return;
  }
  const list = drafts.waiting(cell);
  const { back, forth } = drafts.steps(cell);
  const lost = drafts.lost(cell);
  const placed = list.some((change) => change.action === "class") && !cell.dicentric && written(cell.chromosomes.map(classOf));
  byId("placed").textContent = placed ? t("detail.placed", { karyotype: placed }) : "";
  const tool = (text, title, enabled, act) => h("button", { type: "button", class: "quiet", title, disabled: !enabled, onclick: act }, text);
  const one = list.length === 1;
  const unclear = cell.dicentric?.unclear > 0;
  byId("pending").replaceChildren(h("form", { class: "pending", onsubmit: (e) => save(e, list.length > 0 ? list : [{ action: "confirm" }]) },
    problem && h("p", { class: "problem", role: "alert" }, problem),
    drafts.isStale(cell) && h("p", { class: "stale" }, t("detail.stale", { who: cell.review ? t("detail.stale.by", { name: cell.review.by, change: cell.review.change }) : "" })),
    lost > 0 && h("p", { class: "stale" }, t("detail.lost", { n: lost })),
    list.length > 0 && h("p", {}, h("strong", {}, t("detail.pending"), " "), list.map((change) => drafts.words(cell, change)).join("; "),
      h("span", { class: "muted" }, t("detail.kept"))),
    nameField(),
    list.length > 0
      ? h("button", { type: "submit" }, one ? t("detail.save_one") : t("detail.save_all", { n: list.length }))
      : h("button", { type: "submit", class: "quiet", disabled: unclear, title: unclear ? t("detail.first_unclear") : null }, t("detail.confirm")),
    (list.length > 0 || !unclear) && h("button", { type: "submit", class: "quiet", "data-then": "older" }, t(list.length > 0 ? "detail.save_next" : "detail.confirm_next")),
    h("span", { class: "tools" },
      tool(t("detail.undo"), t("detail.ctrl_z"), back, () => stepBack(drafts.undo)),
      tool(t("detail.redo"), t("detail.ctrl_shift_z"), forth, () => stepBack(drafts.redo)),
      list.length > 0 && tool(t("detail.discard"), "", true, () => {
        drafts.discard(cell);
        draw();
        markDraft(cell.cell);
      }))));
}

function byKey(event) {
  if (!dialog.open) return;
  const typing = event.target.closest("input, select, textarea");
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && ["z", "y"].includes(key) && !typing) {
    event.preventDefault();
    stepBack(key === "y" || event.shiftKey ? drafts.redo : drafts.undo);
  }
  if (typing || event.altKey || event.ctrlKey || event.metaKey) return;
  const side = { ArrowLeft: "newer", ArrowRight: "older" }[event.key];
  if (!side) return;
  event.preventDefault();
  go(side);
}

dialog.addEventListener("close", () => {
  if (location.hash.startsWith("#cell/")) history.pushState(null, "", location.pathname);
});
closesOutside(dialog);
// Of the document, not of the dialog: keys still work where nothing has the focus.
document.addEventListener("keydown", byKey);
