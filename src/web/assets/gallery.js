// The called dicentrics of a case: a person accepts or rejects each, and the dose follows.

import { api, byId, cellUrl, h, kept, percent } from "./dom.js";

const dialog = byId("gallery");
const LOOKED_THROUGH = 500;

/** Opens the called dicentrics of `name` that no person has looked at. */
export async function open(name) {
  dialog.replaceChildren(bar(), h("p", { class: "muted" }, "Looking …"));
  if (!dialog.open) dialog.showModal();
  try {
    const { cells } = await api(`cells?${new URLSearchParams({ case: name, limit: LOOKED_THROUGH })}`);
    const waiting = cells.filter((cell) => cell.dicentric?.scored_by === "machine" && cell.dicentric.dicentrics > 0);
    draw(waiting);
  } catch (error) {
    dialog.replaceChildren(bar(), h("p", { class: "problem", role: "alert" }, error.message));
  }
}

function bar() {
  return h("header", { class: "bar" }, h("h2", { id: "gallery-title", tabindex: "-1", autofocus: true }, "Called dicentrics"),
    h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "✕"));
}

function draw(cells) {
  const name = h("input", { maxlength: 64, required: true, autocomplete: "name", value: kept.get("by", "") });
  const list = h("ul", { class: "gallery" }, cells.flatMap((cell) =>
    cell.chromosomes.filter((c) => c.damage === "dicentric").map((c) => item(cell, c, name))));
  dialog.replaceChildren(bar(),
    h("p", {}, h("label", {}, "Your name ", name)),
    list.children.length > 0 ? list : h("p", { class: "muted" }, "None waits for a person."));
}

function item(cell, c, name) {
  const state = h("p", { class: "small muted", role: "status" }, `${percent(c.score)} sure${c.evidence ? `; ${c.evidence}` : ""}`);
  const decide = async (damage, word) => {
    if (!name.reportValidity()) return;
    kept.set("by", name.value);
    try {
      const change = { action: "damage", index: c.index, damage };
      const answer = await api(`cells/${cell.cell}/review`, { by: name.value, revision: cell.revision, change });
      // Several chromosomes of one cell share its revision.
      cell.revision = answer?.revision ?? cell.revision + 1;
      element.classList.add("done");
      state.textContent = word;
    } catch (error) {
      state.textContent = error.message;
    }
  };
  const element = h("li", {},
    h("img", { src: cellUrl(cell, `chromosomes/${c.index}.png`), alt: `Chromosome ${c.index} of the cell taken ${cell.captured.time}` }),
    state,
    h("p", {}, h("button", { type: "button", onclick: () => decide("dicentric", "Accepted") }, "Accept"), " ",
      h("button", { type: "button", class: "quiet", onclick: () => decide("none", "Rejected") }, "Reject"), " ",
      h("a", { class: "small", href: `#cell/${cell.cell}`, onclick: () => dialog.close() }, "Cell")));
  return element;
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
