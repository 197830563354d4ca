// Corrections that are not saved yet: kept in this browser, cell by cell, until they are saved or discarded.

import { kept } from "./dom.js";
import { known, t } from "./words.js";

const KEPT = "drafts";
// What a correction of the chromosomes works out again must be settled before a person overrules it.
const ORDER = ["revert", "outline", "split", "join", "class", "damage", "status", "turn", "flip", "dicentric", "iscn", "verdict", "exclude", "comment"];
/** Corrections that make other chromosomes: sent once, never again. */
const REDRAWS = ["revert", "outline", "split", "join", "comment"];

const drafts = kept.get(KEPT, {}); // cell id -> {revision, done, undone}, the last step last

/** What a correction is about: a later one about the same replaces an earlier one. */
const subject = ({ action, index, indices, rings }) => `${action} ${index ?? indices ?? (rings ? `new ${rings[0][0]}` : "")}`;

/** What the record says about the subject of a correction; undefined where the record has no such chromosome. */
function recorded(cell, { action, index, indices }) {
  const chromosome = cell.chromosomes.find((c) => c.index === index);
  switch (action) {
    case "class": return chromosome && (chromosome.class ?? null);
    case "damage": return chromosome?.damage;
    case "iscn": return cell.karyotype.iscn ?? "";
    case "verdict": return cell.karyotype.verdict;
    case "dicentric": return cell.dicentric;
    case "status": return chromosome?.status;
    case "turn": return chromosome && (chromosome.stance?.angle ?? chromosome.upright_angle ?? 0);
    case "flip": return chromosome && (chromosome.stance?.mirrored ?? false);
    case "outline": return index === null ? null : chromosome && (chromosome.outline?.rings ?? null);
    case "split": return chromosome && null;
    case "join": return indices?.every((i) => cell.chromosomes.some((c) => c.index === i)) ? null : undefined;
    case "revert": case "comment": return null;
    default: return cell.excluded?.reason ?? null;
  }
}

/** The value that a correction sets. */
const VALUES = { exclude: "reason", dicentric: "record", turn: "angle", flip: "flipped", outline: "rings", split: "line", join: "indices", revert: "revision", comment: "text" };
const valueOf = (change) => change[VALUES[change.action] ?? change.action];

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function keep(cell, draft) {
  if (draft.done.length + draft.undone.length > 0) drafts[cell.cell] = draft;
  else delete drafts[cell.cell];
  kept.set(KEPT, drafts);
}

const draftOf = (cell) => drafts[cell.cell] ?? { revision: cell.revision, done: [], undone: [] };

/** Whether corrections of the cell with this id wait to be saved. */
export const isDrafted = (id) => (drafts[id]?.done.length ?? 0) > 0;

/** The corrections that wait, in the order in which they are saved. */
export function waiting(cell) {
  const latest = new Map(draftOf(cell).done.map((change) => [subject(change), change]));
  return [...latest.values()]
    .filter((change) => recorded(cell, change) !== undefined && valueOf(change) !== "" && !same(recorded(cell, change), valueOf(change)))
    .sort((a, b) => ORDER.indexOf(a.action) - ORDER.indexOf(b.action));
}

/** The value that a waiting correction gives to a subject, such as {action: "class", index: 3}; else that of the record. */
export function current(cell, about) {
  const change = waiting(cell).find((other) => subject(other) === subject(about));
  return change ? valueOf(change) : recorded(cell, about);
}

/** Whether a correction of this subject waits. */
export const isChanged = (cell, about) => waiting(cell).some((change) => subject(change) === subject(about));

/** Whether the record has changed since the corrections were made. */
export const isStale = (cell) => waiting(cell).length > 0 && draftOf(cell).revision < cell.revision;

/** Corrections that name chromosomes which the record no longer has. */
export const lost = (cell) => draftOf(cell).done.filter((change) => recorded(cell, change) === undefined).length;

/** Adds a correction. Typing goes on in the step that it began. */
export function correct(cell, change) {
  const draft = draftOf(cell);
  const last = draft.done.at(-1);
  const typing = ["iscn", "comment"].includes(change.action) && last?.action === change.action;
  const done = typing ? draft.done.slice(0, -1) : draft.done;
  keep(cell, { revision: draft.revision, done: [...done, change], undone: [] });
}

/** Takes the last step back; false where there is none. */
export function undo(cell) {
  const { revision, done, undone } = draftOf(cell);
  if (done.length > 0) keep(cell, { revision, done: done.slice(0, -1), undone: [...undone, done.at(-1)] });
  return done.length > 0;
}

/** Takes the last step back that was taken back; false where there is none. */
export function redo(cell) {
  const { revision, done, undone } = draftOf(cell);
  if (undone.length > 0) keep(cell, { revision, done: [...done, undone.at(-1)], undone: undone.slice(0, -1) });
  return undone.length > 0;
}

/** Whether there is a step to take back, and one to do again. */
export const steps = (cell) => ({ back: draftOf(cell).done.length > 0, forth: draftOf(cell).undone.length > 0 });

/** A correction was saved: what redraws must not be sent again when a later one is refused. */
export function saved(cell, change) {
  if (!REDRAWS.includes(change.action)) return;
  const draft = draftOf(cell);
  keep(cell, { ...draft, done: draft.done.filter((other) => subject(other) !== subject(change)) });
}

/** Drops the corrections of a cell. */
export const discard = (cell) => keep(cell, { revision: cell.revision, done: [], undone: [] });

/** What a correction changes, in words. */
export function words(cell, change) {
  const none = t("draft.none");
  const old = recorded(cell, change);
  switch (change.action) {
    case "class": return t("draft.class", { index: change.index, old: old ?? none, new: change.class ?? none });
    case "damage": return t("draft.damage", { index: change.index, old: t(`damage.${old}`), new: t(`damage.${change.damage}`) });
    case "iscn": return t("draft.iscn", { iscn: change.iscn });
    case "dicentric": return Object.keys(change.record).filter((kind) => !same(change.record[kind], old[kind]))
      .map((kind) => `${known(`kind.${kind}`, kind)} ${old[kind]} → ${change.record[kind]}`).join(", ");
    case "status": return t("draft.status", { index: change.index, status: t(`status.${change.status}`) });
    case "turn": return t("draft.turn", { index: change.index });
    case "flip": return t(change.flipped ? "draft.flip" : "draft.unflip", { index: change.index });
    case "outline": return change.index === null ? t("draft.added") : t("draft.outline", { index: change.index });
    case "split": return t("draft.split", { index: change.index });
    case "join": return t("draft.join", { indices: change.indices.join(t("draft.and")) });
    case "revert": return t("draft.revert", { revision: change.revision });
    case "comment": return t("draft.comment");
    case "verdict": return t("draft.verdict", { verdict: t(`verdict.${change.verdict}`) });
    default: return change.reason === null ? t("draft.again") : t("draft.excluded", { reason: change.reason });
  }
}
