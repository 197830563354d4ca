// Looking closer: zoom and contrast of the picture of a cell.

import { h } from "./dom.js";
import { t } from "./words.js";

const STEP = 1.5;
const CLOSEST = 12; // times as large as the whole

/** Buttons, wheel and pointer that change what `svg` shows, within `whole` (x, y, width, height); `changed` is called with
 *  each new view. Gives the bar of buttons. */
export function closer(svg, image, whole, changed) {
  let view = [...whole];
  const set = (next) => {
    view = next;
    svg.setAttribute("viewBox", view.join(" "));
    changed(view);
  };
  /** Zooms about a place that is given as shares of the width and height. */
  const zoom = (factor, [sx, sy] = [0.5, 0.5]) => {
    const width = Math.min(Math.max(view[2] / factor, whole[2] / CLOSEST), whole[2]);
    const height = (width / whole[2]) * whole[3];
    set(within([view[0] + (view[2] - width) * sx, view[1] + (view[3] - height) * sy, width, height], whole));
  };
  svg.addEventListener("wheel", (event) => {
    // Without the key the wheel scrolls, as everywhere; the gesture of two fingers comes with it.
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = svg.getBoundingClientRect();
    zoom(event.deltaY < 0 ? STEP : 1 / STEP, [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
  }, { passive: false });
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons !== 1 || view[2] === whole[2] || "tool" in svg.dataset) return;
    const scale = view[2] / svg.clientWidth;
    set(within([view[0] - event.movementX * scale, view[1] - event.movementY * scale, view[2], view[3]], whole));
  });
  const button = (text, label, act) => h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: act }, text);
  return h("div", { class: "closer" },
    button("+", t("zoom.in"), () => zoom(STEP)), button("−", t("zoom.out"), () => zoom(1 / STEP)), button(t("zoom.whole"), t("zoom.whole.title"), () => set([...whole])),
    h("label", { class: "small muted" }, t("zoom.contrast"), h("input", { type: "range", min: 0.5, max: 2.5, step: 0.1, value: 1,
      oninput: (event) => { image.style.filter = `contrast(${event.target.value})`; } })));
}

/** A view that does not leave the whole. */
function within([x, y, width, height], whole) {
  const clamp = (at, side, from, all) => Math.min(Math.max(at, from), from + all - side);
  return [clamp(x, width, whole[0], whole[2]), clamp(y, height, whole[1], whole[3]), width, height];
}
