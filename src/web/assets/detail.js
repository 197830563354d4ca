// One cell in detail: picture with boxes, karyogram, scores, corrections.

import { VERDICTS, api, byId, cellUrl, denverGroup, h, kept, percent, s, verdictMark } from "./dom.js";
import { drawBoxes } from "./live.js";
import { portrait } from "./portrait.js";
import { countWords, headline, neighbours, sure } from "./cells.js";

const CLASSES = [...Array.from({ length: 22 }, (_, i) => String(i + 1)), "X", "Y"];
const ROWS = [["A", "B"], ["C"], ["D", "E"], ["F", "G"]];
const DAMAGE = ["none", "break", "gap", "exchange", "dicentric", "ring", "fragment", "other"];

const dialog = byId("detail");
let cell = null;
let picked = null; // index of the chosen chromosome
let changes = new Map(); // "index class" -> review action

/** Opens the detail of a cell. */
export async function open(id) {
  if (location.hash !== `#cell/${id}`) history.pushState(null, "", `#cell/${id}`);
  try {
    use(await api(`cells/${encodeURIComponent(id)}`));
  } catch (error) {
    dialog.replaceChildren(bar("Cell"), h("p", { class: "problem", role: "alert" }, error.message));
  }
  if (!dialog.open) dialog.showModal();
}

/** A cell was stored or corrected: follows, unless a person is at work on it. */
export function onCell(changed) {
  if (dialog.open && cell?.cell === changed.cell && changed.revision > cell.revision && changes.size === 0) use(changed);
}

/** Opens the cell in the address. */
export function followAddress() {
  const id = /^#cell\/([0-9a-f-]+)$/.exec(location.hash)?.[1];
  if (id) open(id);
  else if (dialog.open) dialog.close();
}

function use(next) {
  if (cell?.cell !== next.cell) picked = null;
  cell = next;
  changes = new Map();
  draw();
}

const byIndex = (index) => cell.chromosomes.find((c) => c.index === index);
const classOf = (c) => (changes.has(`${c.index} class`) ? changes.get(`${c.index} class`).class : c.class);
const damageOf = (c) => changes.get(`${c.index} damage`)?.damage ?? c.damage;
const cropUrl = (c) => cellUrl(cell, `chromosomes/${c.index}.png`);
const concerned = () => new Set(cell.karyotype.findings.flatMap((f) => f.chromosomes));

function bar(title) {
  const { newer, older } = cell ? neighbours(cell.cell) : {};
  const step = (id, text, label) =>
    h("button", { type: "button", class: "quiet", disabled: !id, "aria-label": label, onclick: () => open(id) }, text);
  return h("header", { class: "bar" },
    h("h2", { id: "detail-title", tabindex: "-1", autofocus: true }, title),
    h("nav", { "aria-label": "Cells" }, step(newer, "‹", "Newer cell"), step(older, "›", "Older cell")),
    h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "✕"));
}

function draw() {
  const { karyotype } = cell;
  const view = region();
  const boxes = s("g");
  const [width, height] = cell.captured.size;
  const svg = s("svg", { class: "overlay", viewBox: view.join(" "), role: "img", "aria-label": `Picture of the cell, ${cell.counts.detected} boxes` },
    s("image", { href: cellUrl(cell, "image.png"), width, height }), boxes);
  const stage = h("figure", { class: "stage" }, svg);
  dialog.replaceChildren(
    bar(headline(cell)),
    h("div", { class: "columns" },
      h("section", { class: "seen", "aria-label": "Cell" },
        h("p", { class: `verdict ${karyotype.verdict}` }, verdictMark(karyotype.verdict), VERDICTS[karyotype.verdict].word,
          sure(karyotype)),
        h("p", { class: "reason" }, karyotype.reason),
        cell.simulated && h("p", { class: "simulated" }, "A simulation",
          cell.simulated.karyotype && [": drawn as ", h("strong", {}, cell.simulated.karyotype)]),
        karyotype.findings.length > 0 && h("ul", { class: "findings" }, karyotype.findings.map(finding)),
        stage,
        facts()),
      h("section", { "aria-label": "Karyogram" },
        karyogram(),
        h("p", { class: "muted small" }, "Select a chromosome for its scores. To correct it, drag it to another place or select another class; ",
          "by keyboard M goes to its class, Alt with an arrow moves it to the next place. Karyogram as SVG: ",
          h("a", { href: cellUrl(cell, "karyogram.svg"), download: `karyogram-${cell.cell}.svg` }, "as on the slide"), ", ",
          h("a", { href: `${cellUrl(cell, "karyogram.svg")}&straight=true`, download: `karyogram-straight-${cell.cell}.svg` }, "straightened")),
        h("div", { id: "inspector" }),
        h("div", { id: "pending" }))),
    h("details", { class: "all" }, h("summary", {}, `All ${cell.chromosomes.length} boxes`), table()));
  const overlay = () => drawBoxes(boxes, cell.chromosomes, view, {
    outlines: kept.get("outlines", false),
    label: (c) => classOf(c) ?? "",
    mark: (c) => `${concerned().has(c.index) || c.damage !== "none" ? "flagged" : ""} ${c.score < 0.5 ? "faint" : ""} ${c.index === picked ? "picked" : ""}`,
    onpick: (i) => pick(cell.chromosomes[i].index),
  });
  stage.style.aspectRatio = `${view[2]} / ${view[3]}`;
  requestAnimationFrame(overlay);
  draw.overlay = overlay;
  drawInspector();
  drawPending();
}

/** The part of the frame that image.png shows: the cell's region. */
function region() {
  const [x, y, width, height] = cell.region;
  return width > 0 && height > 0 ? [x, y, width, height] : [0, 0, ...cell.captured.size];
}

function finding(f) {
  return h("li", {},
    f.iscn && h("strong", {}, `${f.iscn} `), f.text, h("span", { class: "muted" }, ` ${percent(f.posterior)}`),
    f.syndrome && h("span", { class: "muted" }, ` · ${f.syndrome}`));
}

function facts() {
  const { captured, quality } = cell;
  const entries = [
    ["Counts", countWords(cell)],
    ["Taken", `${new Date(captured.time).toLocaleString()}, ${cell.source}, frame ${captured.frame}`],
    captured.file && ["File", captured.file],
    cell.case && ["Case", [cell.case, cell.slide && `slide ${cell.slide}`, cell.colony && `colony ${cell.colony}`].filter(Boolean).join(", ")],
    captured.stage_um && ["Stage", `${captured.stage_um.x.toFixed(1)}, ${captured.stage_um.y.toFixed(1)} µm`],
    ["Quality", `focus ${quality.focus.toFixed(2)}, metaphase ${quality.metaphase.toFixed(2)}, spread ${quality.spread.toFixed(2)}`],
    ["Models", Object.entries(cell.models).map(([task, name]) => `${task} ${name}`).join(", ") || "none: segmentation alone"],
    cell.review && ["Review", `${cell.review.change} (${cell.review.by}, ${new Date(cell.review.time).toLocaleString()})`],
  ].filter(Boolean);
  return h("dl", { class: "facts small" }, entries.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

// Karyogram: every chromosome at its place, drawn to one scale; a place takes what is dropped on it.

function karyogram() {
  const scale = kScale();
  const rows = ROWS.map((groups) => h("div", { class: "row" }, groups.map((letter) =>
    h("div", { class: "group", role: "group", "aria-label": `Group ${letter}` },
      h("span", { class: "letter", "aria-hidden": "true" }, letter),
      h("div", { class: "places" }, CLASSES.filter((name) => denverGroup(name) === letter && !"XY".includes(name))
        .map((name) => place(name, scale)))))));
  const last = rows.at(-1);
  last.append(h("div", { class: "group sex", role: "group", "aria-label": "Sex chromosomes" },
    h("div", { class: "places" }, place("X", scale), place("Y", scale))));
  // The place for what is not a chromosome is always there, so that something can be dragged to it.
  const loose = cell.chromosomes.filter((c) => classOf(c) === null);
  return h("div", { class: `karyogram ${loose.length === 0 ? "complete" : ""}` }, rows, h("div", { class: "row" }, place(null, scale)));
}

/** Pixels of the karyogram per pixel of a crop: the longest chromosome stands about 104 pixels tall. */
function kScale() {
  const sizes = cell.chromosomes.filter((c) => c.class).map((c) => Math.max(c.box[2], c.box[3])).sort((a, b) => a - b);
  return 104 / (sizes[Math.floor(sizes.length * 0.97)] || 104);
}

function place(name, scale) {
  const here = cell.chromosomes.filter((c) => classOf(c) === name).sort((a, b) => b.score - a.score);
  const odd = cell.karyotype.findings.some((f) => f.class === name && ["gain", "loss"].includes(f.kind));
  const element = h("div", { class: `place ${odd ? "odd" : ""} ${name === null ? "loose" : ""}`, "data-class": name ?? "" },
    h("div", { class: "standing" }, here.map((c) => chromosome(c, scale))),
    h("span", { class: "number" }, name ?? "not placed"));
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    setClass(Number(event.dataTransfer.getData("text/plain")), name);
  });
  return element;
}

/** The outline of a chromosome and where its picture begins (as the daemon cuts it: the box, and the outline with two pixels around);
 *  null where it has none. */
function cut(c) {
  if (!c.outline) return null;
  const corner = (axis) => Math.min(c.box[axis], ...c.outline.rings.flat().map((p) => p[axis] - 2));
  return { rings: c.outline.rings, left: Math.floor(Math.max(0, corner(0))), top: Math.floor(Math.max(0, corner(1))) };
}

function chromosome(c, scale) {
  const flagged = concerned().has(c.index) || c.damage !== "none";
  const image = h("img", { src: cropUrl(c), alt: "", draggable: "false" });
  image.addEventListener("load", () => image.replaceWith(portrait(image, c.upright_angle, scale, cut(c))));
  const button = h("button", {
    type: "button", draggable: "true", "data-index": c.index, "aria-pressed": c.index === picked,
    class: `${flagged ? "flagged" : ""} ${changes.has(`${c.index} class`) ? "moved" : ""}`,
    "aria-label": `Chromosome ${c.index}, class ${classOf(c) ?? "none"}, score ${percent(c.score)}`,
    onclick: () => pick(c.index),
  }, image);
  button.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData("text/plain", String(c.index));
    event.dataTransfer.effectAllowed = "move";
    pick(c.index, true);
  });
  button.addEventListener("keydown", (event) => {
    const step = event.altKey && { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step) {
      const now = CLASSES.indexOf(classOf(c));
      setClass(c.index, CLASSES[Math.min(Math.max(now + step, 0), CLASSES.length - 1)]);
    } else if (event.key.toLowerCase() === "m" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      pick(c.index, true);
      dialog.querySelector(".correct select").focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return button;
}

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
  const inspector = byId("inspector");
  if (!c) {
    inspector.replaceChildren();
    return;
  }
  const option = (value, text, now) => h("option", { value, selected: value === now }, text);
  const measures = [
    ["Status", c.status],
    ["Chromosome", percent(c.objectness)],
    c.length_um !== null && ["Length", `${c.length_um.toFixed(1)} µm`],
    c.relative_length !== null && ["Relative length", `${c.relative_length.toFixed(1)} %`],
    c.centromere_index !== null && ["Centromere index", c.centromere_index.toFixed(2)],
    c.evidence && ["Evidence", c.evidence],
  ].filter(Boolean);
  inspector.replaceChildren(h("div", { class: "inspector" },
    h("img", { src: cropUrl(c), alt: `Chromosome ${c.index}` }),
    h("div", {},
      h("h3", {}, `Box ${c.index}: `, classOf(c) === null ? "no class" : `chromosome ${classOf(c)}`),
      h("ul", { class: "alternatives", "aria-label": "Scores" }, c.alternatives.slice(0, 4).map((a) =>
        h("li", {}, h("span", {}, a.class), h("meter", { min: 0, max: 1, value: a.score }), h("span", { class: "muted" }, percent(a.score))))),
      h("dl", { class: "facts small" }, measures.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]))),
    h("div", { class: "correct" },
      h("label", {}, "Class", h("select", { onchange: (e) => setClass(c.index, e.target.value || null) },
        option("", "none", classOf(c) ?? ""), CLASSES.map((name) => option(name, name, classOf(c))))),
      h("label", {}, "Damage", h("select", { onchange: (e) => setDamage(c.index, e.target.value) },
        DAMAGE.map((name) => option(name, name, damageOf(c))))))));
}

// Corrections wait here until the person saves them under a name.

function setClass(index, name) {
  const c = byIndex(index);
  if (!c) return;
  if (c.class === name) changes.delete(`${index} class`);
  else changes.set(`${index} class`, { action: "class", index, class: name });
  picked = index;
  // The page is drawn again: who works by keyboard stays where they were, at the list or at the chromosome.
  const atList = document.activeElement?.closest(".correct") !== null;
  draw();
  dialog.querySelector(atList ? ".correct select" : `.karyogram [data-index="${index}"]`)?.focus({ preventScroll: true });
}

function setDamage(index, damage) {
  if (byIndex(index).damage === damage) changes.delete(`${index} damage`);
  else changes.set(`${index} damage`, { action: "damage", index, damage });
  drawPending();
}

function words(change) {
  const c = byIndex(change.index);
  return change.action === "class"
    ? `box ${c.index}: ${c.class ?? "none"} → ${change.class ?? "none"}`
    : `box ${c.index}: damage ${c.damage} → ${change.damage}`;
}

function drawPending() {
  const pending = byId("pending");
  const list = [...changes.values()];
  const name = h("input", { name: "by", required: true, maxlength: 64, autocomplete: "name", value: kept.get("by", "") });
  const save = async (event, actions) => {
    event.preventDefault();
    if (!name.reportValidity()) return;
    kept.set("by", name.value);
    try {
      let { revision } = cell;
      for (const change of actions) {
        const answer = await api(`cells/${cell.cell}/review`, { by: name.value, revision, change });
        revision = answer?.revision ?? revision + 1;
      }
      use(await api(`cells/${cell.cell}`));
    } catch (error) {
      byId("pending").append(h("p", { class: "problem", role: "alert" }, `Not saved: ${error.message}`));
    }
  };
  pending.replaceChildren(h("form", { class: "pending", onsubmit: (e) => save(e, list) },
    list.length > 0 && h("p", {}, h("strong", {}, "Not saved yet: "), list.map(words).join("; ")),
    h("label", {}, "Your name ", name),
    list.length > 0
      ? [h("button", { type: "submit" }, `Save ${list.length === 1 ? "the correction" : `${list.length} corrections`}`),
        h("button", { type: "button", class: "quiet", onclick: () => use(cell) }, "Discard")]
      : h("button", { type: "button", class: "quiet", onclick: (e) => save(e, [{ action: "confirm" }]) }, "Confirm without changes")));
}

function table() {
  const head = ["Box", "Class", "Score", "Next best", "Status", "Length", "Centromere index", "Damage"];
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, cell.chromosomes.map((c) => h("tr", {},
      h("th", { scope: "row" }, c.index), h("td", {}, c.class ?? "–"), h("td", {}, percent(c.score)),
      h("td", {}, c.alternatives.slice(0, 3).map((a) => `${a.class} ${percent(a.score)}`).join(", ") || "–"),
      h("td", {}, c.status),
      h("td", {}, c.length_um !== null ? `${c.length_um.toFixed(1)} µm` : c.relative_length !== null ? `${c.relative_length.toFixed(1)} %` : "–"),
      h("td", {}, c.centromere_index?.toFixed(2) ?? "–"), h("td", {}, c.damage))))));
}

dialog.addEventListener("close", () => {
  if (location.hash.startsWith("#cell/")) history.pushState(null, "", location.pathname);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select")) return;
  const { newer, older } = cell ? neighbours(cell.cell) : {};
  if (event.key === "ArrowLeft" && newer) open(newer);
  if (event.key === "ArrowRight" && older) open(older);
});
