// Drawing on the picture of a cell: a line along which a chromosome is parted, a brush for an outline. Each works with a
// mouse, a finger and the keyboard, and hands what was drawn to the draft.

import { h, s } from "./dom.js";
import { t } from "./words.js";

const STEP_PX = 2; // of the frame, for an arrow key
const TURN = 10; // degrees, for a bracket
const MARGIN = 60; // pixels of the frame around a chromosome that the brush reaches
const HANDLE_PX = 11; // of the screen
const TOLERANCE = 0.5; // of an outline, in pixels of the frame

/** The place of a pointer in the frame. */
function placeOf(svg, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}

const tenth = (v) => Math.round(v * 10) / 10;
const pixel = (svg) => svg.viewBox.baseVal.width / (svg.clientWidth || 800);

/** The bar of a tool: what to do, its buttons, and how it ends. */
function bar(text, apply, cancel, ...buttons) {
  return h("div", { class: "drawing", role: "group", "aria-label": text },
    h("p", { class: "small" }, text), buttons,
    h("button", { type: "button", "data-draw": "apply", onclick: apply }, t("edit.done")),
    h("button", { type: "button", class: "quiet", onclick: cancel }, t("edit.cancel")));
}

/** Begins a tool on `svg`: `draw` fills a group each time something changes. Gives what ends it. */
function begin(svg, label, keys, draw) {
  const group = s("g", { class: "tool", tabindex: "0", role: "group", "aria-label": label });
  const end = new AbortController();
  const show = () => group.replaceChildren(...draw().flat(Infinity).filter(Boolean));
  svg.dataset.tool = "";
  svg.append(group);
  group.addEventListener("keydown", (event) => {
    const act = keys(event);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
    if (group.isConnected) show();
  });
  show();
  group.focus({ preventScroll: true });
  return { group, show, signal: end.signal, end: () => {
    end.abort();
    group.remove();
    delete svg.dataset.tool;
  } };
}

const arrow = (event) => ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] })[event.key];

/** Parts chromosome `c` along a line: `done` gets its two ends. Gives the bar and what ends the tool. */
export function cutter(svg, c, done, cancel) {
  const [x, y, width, height] = c.box;
  const middle = [x + width / 2, y + height / 2];
  const reach = Math.max(8, Math.min(width, height) / 2 + 4);
  // Square to the chromosome, as it lies.
  const turn = (c.axis?.length > 1 ? Math.atan2(c.axis.at(-1)[1] - c.axis[0][1], c.axis.at(-1)[0] - c.axis[0][0]) : width > height ? 0 : Math.PI / 2) + Math.PI / 2;
  let line = [[middle[0] - reach * Math.cos(turn), middle[1] - reach * Math.sin(turn)], [middle[0] + reach * Math.cos(turn), middle[1] + reach * Math.sin(turn)]];
  const apply = () => {
    tool.end();
    done(line.map((p) => p.map(tenth)));
  };
  const stop = () => {
    tool.end();
    cancel();
  };
  const turned = (degrees) => {
    const [cx, cy] = [(line[0][0] + line[1][0]) / 2, (line[0][1] + line[1][1]) / 2];
    const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
    line = line.map(([px, py]) => [cx + (px - cx) * cos - (py - cy) * sin, cy + (px - cx) * sin + (py - cy) * cos]);
  };
  const keys = (event) => {
    const step = arrow(event);
    if (step) return () => { line = line.map((p) => [p[0] + STEP_PX * step[0], p[1] + STEP_PX * step[1]]); };
    return { Enter: apply, Escape: stop, "[": () => turned(-TURN), "]": () => turned(TURN) }[event.key];
  };
  const tool = begin(svg, t("edit.cut", { index: c.index }), keys, () => [
    s("line", { class: "cut", x1: line[0][0], y1: line[0][1], x2: line[1][0], y2: line[1][1] }),
    line.map(([cx, cy]) => s("circle", { class: "handle", cx, cy, r: HANDLE_PX * pixel(svg) * 0.6 })),
  ]);
  let held = null; // which end follows the pointer
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const at = placeOf(svg, event);
    const near = line.findIndex((p) => Math.hypot(p[0] - at[0], p[1] - at[1]) < HANDLE_PX * pixel(svg));
    if (near < 0) line = [at, at];
    held = near < 0 ? 1 : near;
    svg.setPointerCapture(event.pointerId);
  }, { signal: tool.signal });
  svg.addEventListener("pointermove", (event) => {
    if (held === null) return;
    line[held] = placeOf(svg, event);
    tool.show();
  }, { signal: tool.signal });
  svg.addEventListener("pointerup", () => { held = null; }, { signal: tool.signal });
  const element = bar(t("edit.cut.help"), apply, stop);
  return { element, end: tool.end };
}

/** Draws the outline of chromosome `c` with a brush; a new one where `c` is none. `view` is the part of the frame that is shown,
 *  `size` the frame's. `done` gets the closed lines. */
export function brush(svg, c, view, size, done, cancel) {
  const box = c?.box ?? [view[0] + view[2] / 2 - 8, view[1] + view[3] / 2 - 22, 16, 44];
  const left = Math.max(0, Math.floor(box[0] - MARGIN));
  const top = Math.max(0, Math.floor(box[1] - MARGIN));
  const width = Math.min(size[0], Math.ceil(box[0] + box[2] + MARGIN)) - left;
  const height = Math.min(size[1], Math.ceil(box[1] + box[3] + MARGIN)) - top;
  let mask = filled(startOf(c, box), left, top, width, height);
  let radius = 4;
  let erases = false;
  const erase = h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => {
    erases = !erases;
    erase.setAttribute("aria-pressed", erases);
  } }, t("edit.erase"));
  const apply = () => {
    const rings = traced(mask, width, height, left, top);
    if (rings.length === 0) return;
    tool.end();
    done(rings);
  };
  const stop = () => {
    tool.end();
    cancel();
  };
  const changed = (next) => {
    mask = next;
    tool.show();
  };
  const keys = (event) => {
    const step = arrow(event);
    if (step) return () => { mask = moved(mask, width, height, STEP_PX * step[0], STEP_PX * step[1]); };
    return { Enter: apply, Escape: stop, "+": () => { mask = grown(mask, width, height, 1); }, "-": () => { mask = grown(mask, width, height, 0); } }[event.key];
  };
  const tool = begin(svg, t("edit.outline"), keys, () => [
    s("rect", { class: "reach", x: left, y: top, width, height }),
    s("path", { class: "drawn", d: traced(mask, width, height, left, top).map((ring) => `M${ring.map((p) => p.join(" ")).join("L")}Z`).join("") }),
  ]);
  let last = null;
  const paint = (event) => {
    const at = placeOf(svg, event);
    stroke(mask, width, height, (last ?? at).map((v, i) => v - [left, top][i]), at.map((v, i) => v - [left, top][i]), radius, erases || event.altKey ? 0 : 1);
    last = at;
    tool.show();
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    last = null;
    svg.setPointerCapture(event.pointerId);
    paint(event);
  }, { signal: tool.signal });
  svg.addEventListener("pointermove", (event) => event.buttons === 1 && last && paint(event), { signal: tool.signal });
  svg.addEventListener("pointerup", () => { last = null; }, { signal: tool.signal });
  const element = bar(t("edit.outline.help"), apply, stop,
    erase,
    h("button", { type: "button", class: "quiet", onclick: () => changed(grown(mask, width, height, 1)) }, t("edit.grow")),
    h("button", { type: "button", class: "quiet", onclick: () => changed(grown(mask, width, height, 0)) }, t("edit.shrink")),
    h("button", { type: "button", class: "quiet", onclick: () => changed(new Uint8Array(width * height)) }, t("edit.clear")),
    h("label", { class: "small" }, t("edit.brush"), h("input", { type: "range", min: 1, max: 14, step: 1, value: radius, oninput: (event) => { radius = Number(event.target.value); } })));
  return { element, end: tool.end };
}

/** What the brush begins with: the outline, else the ellipse in the box. */
function startOf(c, [x, y, width, height]) {
  if (c?.outline) return c.outline.rings;
  const corner = (i) => [x + (width / 2) * (1 + Math.cos((i * Math.PI) / 16)), y + (height / 2) * (1 + Math.sin((i * Math.PI) / 16))];
  return [Array.from({ length: 32 }, (_, i) => corner(i))];
}

/** The pixels of closed lines, as a mask. */
function filled(rings, left, top, width, height) {
  const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  canvas.beginPath();
  for (const ring of rings) {
    ring.forEach(([x, y], i) => (i === 0 ? canvas.moveTo(x - left, y - top) : canvas.lineTo(x - left, y - top)));
    canvas.closePath();
  }
  canvas.fill("evenodd");
  const { data } = canvas.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height }, (_, i) => (data[4 * i + 3] > 127 ? 1 : 0));
}

/** Sets the pixels within `radius` of a stretch to a value. */
function stroke(mask, width, height, a, b, radius, value) {
  const steps = Math.max(1, Math.ceil(Math.hypot(b[0] - a[0], b[1] - a[1])));
  for (let step = 0; step <= steps; step += 1) {
    const [cx, cy] = [0, 1].map((i) => a[i] + ((b[i] - a[i]) * step) / steps);
    for (let y = Math.max(0, Math.floor(cy - radius)); y <= Math.min(height - 1, cy + radius); y += 1) {
      for (let x = Math.max(0, Math.floor(cx - radius)); x <= Math.min(width - 1, cx + radius); x += 1) {
        if (Math.hypot(x + 0.5 - cx, y + 0.5 - cy) <= radius) mask[y * width + x] = value;
      }
    }
  }
}

/** The mask with a rim of pixels more (`value` 1), or less (0). */
function grown(mask, width, height, value) {
  return mask.map((own, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    const near = [x > 0 && mask[i - 1], x < width - 1 && mask[i + 1], y > 0 && mask[i - width], y < height - 1 && mask[i + width]];
    return near.some((other) => other === value) ? value : own;
  });
}

function moved(mask, width, height, dx, dy) {
  return mask.map((_, i) => {
    const [x, y] = [(i % width) - dx, Math.floor(i / width) - dy];
    return x >= 0 && y >= 0 && x < width && y < height ? mask[y * width + x] : 0;
  });
}

/** The line around the largest piece of a mask, in pixels of the frame; none where it is empty. */
function traced(mask, width, height, left, top) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  // Sides of pixels, each from its first corner to its second, the inside on the right.
  const next = new Map();
  const corner = (x, y) => y * (width + 1) + x;
  const add = (from, to) => next.set(from, [...(next.get(from) ?? []), to]);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!inside(x, y)) continue;
      if (!inside(x, y - 1)) add(corner(x, y), corner(x + 1, y));
      if (!inside(x + 1, y)) add(corner(x + 1, y), corner(x + 1, y + 1));
      if (!inside(x, y + 1)) add(corner(x + 1, y + 1), corner(x, y + 1));
      if (!inside(x - 1, y)) add(corner(x, y + 1), corner(x, y));
    }
  }
  let longest = [];
  while (next.size > 0) {
    const ring = [];
    let at = next.keys().next().value;
    while (next.has(at)) {
      ring.push(at);
      const ways = next.get(at);
      const way = ways.pop();
      if (ways.length === 0) next.delete(at);
      at = way;
    }
    if (ring.length > longest.length) longest = ring;
  }
  if (longest.length < 12) return [];
  const places = longest.map((k) => [(k % (width + 1)) + left, Math.floor(k / (width + 1)) + top]);
  const smooth = places.map((p, i) => [0, 1].map((axis) => (places.at(i - 1)[axis] + 2 * p[axis] + places[(i + 1) % places.length][axis]) / 4));
  const half = Math.floor(smooth.length / 2);
  const first = simplified(smooth.slice(0, half + 1));
  const second = simplified([...smooth.slice(half), smooth[0]]);
  return [[...first.slice(0, -1), ...second.slice(0, -1)].map((p) => p.map(tenth))];
}

/** A line without places that lie within the tolerance of it (Douglas and Peucker 1973). */
function simplified(line) {
  if (line.length < 3) return line;
  const [a, b] = [line[0], line.at(-1)];
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1e-6;
  const off = (p) => Math.abs((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])) / length;
  let far = 0;
  for (let i = 1; i < line.length - 1; i += 1) if (off(line[i]) > off(line[far])) far = i;
  if (far === 0 || off(line[far]) <= TOLERANCE) return [a, b];
  return [...simplified(line.slice(0, far + 1)).slice(0, -1), ...simplified(line.slice(far))];
}
