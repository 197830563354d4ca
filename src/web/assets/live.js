// The live field: picture, boxes, scale bar, hints.
//
// The daemon publishes a frame ("frame"), the page fetches its picture, and a moment later the boxes of that frame may
// follow ("boxes"). Boxes belong to one frame, or to all frames of its scene. When the camera has moved on in between,
// the page goes back to the frame with the boxes and pauses there ("hold on cells").

import { byId, cellUrl, h, s, kept, percent } from "./dom.js";
import { fixed, said, t, tn } from "./words.js";

const HOLD_MS = 1600;
const field = byId("field");
const overlay = byId("overlay");
const paint = field.getContext("2d");

let source = null;
let current = null; // frame note on the canvas
let boxes = null; // last boxes received
let wanted = null; // frame note to fetch next
let fetching = false;
let heldUntil = 0;
let isLive = false; // a picture of the source was shown
let stored = null; // cell that is shown while no picture comes
let next = null; // cell to show after that
let showing = false;

const switches = { boxes: kept.get("boxes", true), outlines: kept.get("outlines", false), classes: kept.get("classes", true), hold: kept.get("hold", true) };

/** Sets the source whose field is shown. */
export function show(name) {
  source = name;
  current = boxes = wanted = stored = null;
  heldUntil = 0;
  isLive = false;
  overlay.replaceChildren();
  paint.clearRect(0, 0, field.width, field.height);
  byId("waiting").textContent = t("live.waiting");
  byId("waiting").hidden = false;
}

/** Shows the last stored cell while no picture comes: before the first one, and after a folder was read to its end. */
export async function showStored(cell, activity) {
  if (isLive && activity !== "finished") return;
  if (!cell || cell.source !== source || stored?.cell === cell.cell) return;
  next = [cell, activity];
  // While cells come fast, one picture is fetched at a time, and of those that came meanwhile the last.
  if (showing) return;
  showing = true;
  while (next) {
    const [of, then] = next;
    next = null;
    await drawStored(of, then).catch(() => {});
  }
  showing = false;
}

async function drawStored(cell, activity) {
  stored = cell;
  const response = await fetch(cellUrl(cell, "image.png")).catch(() => null);
  if (!response?.ok || stored !== cell) return;
  const picture = await createImageBitmap(await response.blob());
  if (stored !== cell) return;
  const { captured } = cell;
  const findings = new Set(cell.karyotype.findings.flatMap((f) => f.chromosomes));
  boxes = { source, frame: captured.frame, scene: null, boxes: cell.chromosomes.map((c) => ({ ...c, abnormal: findings.has(c.index) })) };
  draw({ source, frame: captured.frame, scene: null, size: captured.size, um_per_px: captured.um_per_px, quality: cell.quality, exposure: null, hints: [] }, picture);
  picture.close();
  byId("waiting").hidden = false;
  byId("waiting").textContent = t(activity === "finished" ? "live.finished" : "live.last");
}

/** A frame can be fetched. */
export function onFrame(note) {
  if (note.source !== source) return;
  const sameScene = boxes && note.scene !== null && note.scene === boxes.scene;
  if (performance.now() < heldUntil && !sameScene) return;
  wanted = note;
  fetchNext();
}

/** Boxes of a frame. */
export function onBoxes(found) {
  if (found.source !== source) return;
  boxes = found;
  if (current && belongs(current)) {
    drawOverlay();
  } else if (switches.hold && found.note) {
    wanted = found.note;
    fetchNext();
  }
  if (switches.hold) heldUntil = performance.now() + HOLD_MS;
}

/** The picture is no longer live. */
export function setStale(stale) {
  byId("stage").classList.toggle("stale", stale);
}

const belongs = (note) =>
  boxes !== null && (note.frame === boxes.frame || (note.scene !== null && note.scene === boxes.scene));

async function fetchNext() {
  if (fetching || document.hidden) return;
  fetching = true;
  while (wanted) {
    const note = wanted;
    wanted = null;
    try {
      const response = await fetch(`api/v1/sources/${encodeURIComponent(note.source)}/frame.jpg?frame=${note.frame}`);
      if (!response.ok) continue;
      const picture = await createImageBitmap(await response.blob());
      if (note.source === source) {
        isLive = true;
        stored = null;
        draw(note, picture);
      }
      picture.close();
    } catch {
      // Gone already, or the connection was lost: the next frame replaces it.
    }
  }
  fetching = false;
}

function draw(note, picture) {
  if (field.width !== picture.width || field.height !== picture.height) {
    field.width = picture.width;
    field.height = picture.height;
    byId("stage").style.aspectRatio = `${picture.width} / ${picture.height}`;
    document.body.style.setProperty("--shape", picture.width / picture.height);
  }
  paint.drawImage(picture, 0, 0);
  current = note;
  byId("waiting").hidden = true;
  drawOverlay();
  drawScale();
  byId("focus").value = note.quality.focus;
  byId("focus").title = t("live.focus", { n: fixed(note.quality.focus, 2) });
  byId("saturated").textContent = note.exposure ? percent(note.exposure.saturated, note.exposure.saturated < 0.1 ? 1 : 0) : "–";
  byId("frame").textContent = note.frame;
  const hints = note.hints.map((hint) => h("span", { class: hint.kind }, said(hint.code && `hint_${hint.code}`, { share: percent(hint.share ?? 0) }, hint.text)));
  // Words that stay the same are not read out again.
  if (byId("hints").textContent !== hints.map((x) => x.textContent).join("")) byId("hints").replaceChildren(...hints);
}

/** Draws boxes into an SVG element that shows `view` of the frame. `label` gives the text of a box, `mark` its extra class; `outlines`:
 *  the outlines of chromosomes, too, where they are known and `shows` says so. `cuts`: lines along which some are to be parted. */
export function drawBoxes(parent, list, view, { label, mark, onpick, outlines, shows = () => true }, cuts = []) {
  const [, y, width] = view;
  // A pixel of the screen in pixels of the frame.
  const pixel = width / ((parent.ownerSVGElement ?? parent).clientWidth || 800);
  parent.style.setProperty("--label", `${12.5 * pixel}px`);
  const lines = cuts.map(([a, b]) => s("line", { class: "cut", x1: a[0], y1: a[1], x2: b[0], y2: b[1] }));
  parent.replaceChildren(...list.map((item, i) => {
    const [bx, by, bw, bh] = item.box;
    const text = label(item);
    const group = s("g", { class: `box ${mark(item)}`, "data-index": i },
      s("rect", { x: bx, y: by, width: bw, height: bh, rx: 3 * pixel }),
      outlines && item.outline && shows(item) && s("path", { d: outlinePath(item.outline) }),
      text && s("text", { x: bx + bw / 2, y: by > y + 16 * pixel ? by - 3 * pixel : by + bh + 12 * pixel }, text));
    if (onpick) group.addEventListener("click", () => onpick(i));
    return group;
  }), ...lines);
}

/** The closed lines of an outline as an SVG path. */
const outlinePath = (outline) => outline.rings.map((ring) => `M${ring.map((p) => p.join(" ")).join("L")}Z`).join("");

function drawOverlay() {
  const visible = current && belongs(current) && (switches.boxes || switches.outlines || switches.classes);
  if (!visible) {
    overlay.replaceChildren();
    field.setAttribute("aria-label", t("live.picture"));
    return;
  }
  overlay.setAttribute("viewBox", `0 0 ${current.size.join(" ")}`);
  drawBoxes(overlay, boxes.boxes, [0, 0, ...current.size], {
    outlines: switches.outlines,
    label: (b) => (switches.classes ? b.class ?? "" : ""),
    mark: (b) => `${b.abnormal || b.damage !== "none" ? "flagged" : ""} ${b.score < 0.5 ? "faint" : ""} ${switches.boxes ? "" : "bare"}`,
  });
  field.setAttribute("aria-label", t("live.boxed", { chromosomes: tn("count.chromosome", boxes.boxes.length) }));
}

/** A round length of about a fifth of the field: {um, share of the width}. */
export function scaleBar(umPerPx, widthPx) {
  const aim = umPerPx * widthPx * 0.2;
  const step = 10 ** Math.floor(Math.log10(aim));
  const um = [5, 2, 1].map((k) => k * step).find((length) => length <= aim) ?? step;
  return { um, share: um / (umPerPx * widthPx) };
}

function drawScale() {
  const known = current.um_per_px > 0;
  byId("scale").hidden = !known;
  if (!known) return;
  const { um, share } = scaleBar(current.um_per_px, current.size[0]);
  byId("scale-text").textContent = `${um} µm`;
  byId("scale-bar").style.width = `${share * field.clientWidth}px`;
}

function bindSwitch(id, key) {
  const button = byId(id);
  const apply = () => {
    button.setAttribute("aria-pressed", switches[key]);
    kept.set(key, switches[key]);
    if (key === "hold" && !switches.hold) heldUntil = 0;
    drawOverlay();
  };
  button.addEventListener("click", () => {
    switches[key] = !switches[key];
    apply();
  });
  apply();
}

bindSwitch("show-boxes", "boxes");
bindSwitch("show-outlines", "outlines");
bindSwitch("show-classes", "classes");
bindSwitch("hold", "hold");
new ResizeObserver(() => {
  if (!current) return;
  drawOverlay();
  drawScale();
}).observe(field);
