// The karyogram to work on. Its pictures are those of karyogram.svg: one cutting and one scale for both.

import { CLASSES, cellUrl, denverGroup, h, percent } from "./dom.js";
import { t } from "./words.js";

const ROWS = [["A", "B"], ["C"], ["D", "E"], ["F", "G"]];
const DOUBTFUL = 0.8; // as in the drawing
const MOVED_PX = 5; // a pointer that moves less has clicked
const LARGEST_SCALE = 0.85; // of the drawing
const LEAST_SCALE = 0.45; // below this rows break instead

/** The pictures of a cell's chromosomes, by index, as elements: cut out, upright or straightened. */
export async function pictures(cell, straight) {
  const response = await fetch(`${cellUrl(cell, "karyogram.svg")}${straight ? "&straight=true" : ""}`);
  if (!response.ok) return new Map();
  // Its styles are not used here, and the page's policy allows none inside of a document.
  const text = (await response.text()).replace(/<style>.*?<\/style>/s, "");
  const drawing = new DOMParser().parseFromString(text, "image/svg+xml");
  return new Map(await Promise.all([...drawing.querySelectorAll(".chromosome")].map(read)));
}

/** One chromosome of the drawing. The page's policy allows pictures as blobs, not as data in an address. */
async function read(group) {
  const image = group.querySelector("image");
  const bytes = Uint8Array.from(atob(image.getAttribute("href").split(",")[1]), (c) => c.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  const element = h("img", { src: url, alt: "", draggable: "false" });
  for (const side of ["width", "height"]) element.style.setProperty(`--${side}`, `${image.getAttribute(side)}px`);
  await element.decode();
  URL.revokeObjectURL(url);
  return [Number(group.dataset.index), element];
}

/** The karyotype that these classes make, in numbers alone: "47,XX,+21". None where sex chromosomes are missing. */
export function written(classes) {
  const number = (name) => classes.filter((c) => c === name).length;
  const sex = "X".repeat(number("X")) + "Y".repeat(number("Y"));
  if (!sex) return null;
  const changes = CLASSES.slice(0, 22).flatMap((name) => {
    const more = number(name) - 2;
    return Array(Math.abs(more)).fill(`${more > 0 ? "+" : "-"}${name}`);
  });
  return [classes.filter((c) => c !== null).length, sex, ...changes].join(",");
}

/** The karyogram of a cell. `view` says how it stands now: classOf, isMoved, isFlagged, picked, pictures, turnOf, partOf; and what
 *  acts: pick(index), move(index, class), turn(index, degrees), flip(index), cut(index). */
export function karyogram(cell, view) {
  const group = (letter) => h("div", { class: "group", role: "group", "aria-label": t("karyogram.group", { letter }) },
    h("span", { class: "letter", "aria-hidden": "true" }, letter),
    h("div", { class: "places" }, CLASSES.filter((name) => denverGroup(name) === letter && !"XY".includes(name)).map((name) => place(cell, name, view))));
  const rows = ROWS.map((letters) => h("div", { class: "row" }, letters.map(group)));
  rows.at(-1).append(h("div", { class: "group sex", role: "group", "aria-label": t("karyogram.sex") },
    h("div", { class: "places" }, place(cell, "X", view), place(cell, "Y", view))));
  const element = h("div", { class: "karyogram" }, rows, h("div", { class: "row" }, place(cell, null, view)));
  new ResizeObserver(() => fit(element)).observe(element);
  return element;
}

/** The pieces of a cell in an assay that names no classes. */
export function pieces(cell, view) {
  const element = h("div", { class: "karyogram" }, h("div", { class: "row" }, place(cell, null, view, t("karyogram.pieces"))));
  new ResizeObserver(() => fit(element)).observe(element);
  return element;
}

/** Scales the pictures so that the fullest row fits: places grow with what is in them, nothing is cut off. */
function fit(element) {
  const rows = [...element.querySelectorAll(".row")].filter((row) => !row.querySelector(".loose"));
  const over = () => Math.max(1, ...rows.map((row) => row.scrollWidth / row.clientWidth));
  element.classList.remove("breaks");
  let scale = LARGEST_SCALE;
  for (let i = 0; i < 5; i += 1) {
    element.style.setProperty("--scale", scale);
    const excess = over();
    if (excess <= 1) return;
    scale /= excess * 1.01;
    if (scale < LEAST_SCALE) break;
  }
  element.style.setProperty("--scale", LEAST_SCALE);
  element.classList.toggle("breaks", over() > 1);
}

const isWithheld = (c) => c.class === null && c.evidence === "sex chromosome, not disclosed";

/** A chromosome whose structure is unlike its class's stands right of the normal one. */
const isDerivative = (cell, c) => c.damage !== "none" || cell.karyotype.findings.some((f) => f.kind === "structural" && f.chromosomes.includes(c.index));

function place(cell, name, view, title = name ?? t("karyogram.not_placed")) {
  const here = cell.chromosomes.filter((c) => view.classOf(c) === name && !isWithheld(c)).sort((a, b) => isDerivative(cell, a) - isDerivative(cell, b) || b.score - a.score);
  const odd = name !== null && cell.karyotype.findings.some((f) => f.class === name && ["gain", "loss"].includes(f.kind));
  const missing = name === null || "XY".includes(name) ? 0 : Math.max(0, 2 - here.length);
  const classes = `place ${odd ? "odd" : ""} ${name === null ? "loose" : ""} ${here.length === 0 ? "vacant" : ""}`;
  return h("div", { class: classes, "data-class": name ?? "",
    onclick: (event) => {
      if (view.picked() !== null && !event.target.closest("[data-index]")) view.move(view.picked(), name);
    } },
    h("div", { class: "standing" }, here.map((c) => chromosome(cell, c, view)), Array.from({ length: missing }, () => h("i", { class: "missing" }))),
    h("span", { class: "number" }, title));
}

function chromosome(cell, c, view) {
  const picture = view.pictures?.get(c.index);
  const doubtful = c.score < DOUBTFUL;
  const part = view.partOf(c);
  if (picture) picture.style.transform = view.turnOf(c);
  return h("button", {
    type: "button", "data-index": c.index, "aria-pressed": c.index === view.picked(),
    class: `${view.isFlagged(c) ? "flagged" : ""} ${view.isMoved(c) ? "moved" : ""}`,
    "aria-label": t("karyogram.says", { index: c.index, name: view.classOf(c) ?? t("draft.none"), score: percent(c.score) }),
    onclick: () => view.pick(c.index),
    onkeydown: (event) => byKey(event, c, view),
    onpointerdown: (event) => drag(event, c, view),
  },
  part && h("span", { class: "part-mark", title: part }, h("span", { class: "hidden" }, part), h("span", { "aria-hidden": "true" }, "✎")),
  picture ?? h("span", view.pictures ? { class: "unseen", title: "No picture was kept" } : { class: "coming" }),
  c.class !== null && h("span", { class: `score ${doubtful ? "doubtful" : ""}`, "aria-hidden": "true" }, `${(c.score * 100).toFixed(0)}${doubtful ? "?" : ""}`));
}

function byKey(event, c, view) {
  const step = event.altKey && { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (step) {
    const next = CLASSES.indexOf(view.classOf(c)) + step;
    view.move(c.index, CLASSES[Math.min(Math.max(next, 0), CLASSES.length - 1)]);
  } else if (event.key === "Delete") {
    view.move(c.index, null);
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && ["[", "]"].includes(event.key)) {
    view.turn(c.index, event.key === "[" ? -5 : 5);
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && ["u", "f", "s"].includes(event.key.toLowerCase())) {
    ({ u: () => view.turn(c.index, 180), f: () => view.flip(c.index), s: () => view.cut(c.index) })[event.key.toLowerCase()]();
  } else if (event.key.toLowerCase() === "m" && !event.ctrlKey && !event.metaKey && !event.altKey) {
    view.list(c.index);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Carries a chromosome with the pointer to the place where it is let go. */
function drag(event, c, view) {
  // A finger scrolls; it moves a chromosome by a tap on it and a tap on the place.
  if (event.button !== 0 || event.pointerType === "touch") return;
  const button = event.currentTarget;
  const from = [event.clientX, event.clientY];
  const end = new AbortController();
  const over = (at) => document.elementFromPoint(at.clientX, at.clientY)?.closest(".place");
  let carried = false;
  const mark = (target) => {
    for (const marked of document.querySelectorAll(".place.over")) marked.classList.toggle("over", marked === target);
    target?.classList.add("over");
  };
  const stop = () => {
    end.abort();
    button.classList.remove("carried");
    button.style.translate = "";
    mark(null);
  };
  const move = (at) => {
    const [dx, dy] = [at.clientX - from[0], at.clientY - from[1]];
    if (!carried && Math.hypot(dx, dy) < MOVED_PX) return;
    carried = true;
    button.classList.add("carried");
    button.style.translate = `${dx}px ${dy}px`;
    mark(over(at));
  };
  const drop = (at) => {
    const target = over(at);
    stop();
    if (!carried) return;
    // What was carried is not clicked as well.
    const quiet = new AbortController();
    addEventListener("click", (click) => click.stopPropagation(), { capture: true, signal: quiet.signal });
    setTimeout(() => {
      quiet.abort();
      if (target) view.move(c.index, target.dataset.class || null);
    });
  };
  event.preventDefault();
  button.focus({ preventScroll: true });
  addEventListener("pointermove", move, { signal: end.signal });
  addEventListener("pointerup", drop, { signal: end.signal });
  addEventListener("pointercancel", stop, { signal: end.signal });
  addEventListener("keydown", (key) => {
    if (key.key !== "Escape" || !carried) return;
    key.preventDefault();
    key.stopPropagation();
    stop();
  }, { signal: end.signal, capture: true });
}
