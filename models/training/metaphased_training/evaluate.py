"""Evaluation in Python for steering: what the daemon's own `evaluate` measures, close enough to choose settings by.

The figures that count are those of `metaphased evaluate`, which runs the daemon's stages.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment, minimize_scalar

from . import OTHER, boxes as bx
from .classifier import accuracy, box_views, median_diagonal, moved, refined
from .detector import candidates


def log_softmax(z: np.ndarray) -> np.ndarray:
    """Logarithm of the soft maximum over the last axis."""
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


@dataclass
class Seen:
    """What the networks say of one cell: candidates in descending order of objectness, before suppression."""

    name: str
    group: str
    truth: np.ndarray  # [t,4], pixels of the detector's input
    labels: np.ndarray  # [t], -1 unknown
    boxes: np.ndarray  # [n,4]
    score: np.ndarray  # [n] objectness
    single: np.ndarray  # [n] one-to-one objectness
    detector: np.ndarray  # [n,24] log probabilities
    classifier: np.ndarray | None = None  # [k,25] log probabilities, for those that outlive a lenient suppression
    kept: np.ndarray | None = None  # [k] indices that the classifier saw
    places: np.ndarray | None = None  # [n,4] the boxes, those that the classifier saw as it refined them
    found: np.ndarray | None = None  # [k] logit that the refined box is a chromosome's


def look(detector, classifier, coarse, native, indices, floor=0.01, blind=0.85, same=0.7, most=120, temperature=1.0) -> list[Seen]:
    """Runs both networks over cells of the two caches (detector's scale, native scale); `temperature` is the classifier's."""
    found = []
    for i in indices:
        item, full = coarse[i], native[i]
        b, s, p, both = candidates(detector.eval(), item.pixels, floor)
        seen = Seen(item.name, item.group, item.boxes, item.classes.astype(int), b, s, both[:, 1], np.log(np.maximum(p, 1e-7)), places=b)
        if classifier is not None and len(b):
            c = p.argmax(1)
            kept = bx.suppress(b, s, c, blind, same)[:most]
            scale = full.pixels.shape[1] / item.pixels.shape[1]
            big = b[kept] * scale
            sure = s[kept] > 0.4
            median = median_diagonal(big[sure] if sure.sum() > 5 else big)
            seen.classifier, more = refined(classifier, box_views(full.pixels, big, median), temperature)
            seen.kept, seen.places = kept, b.copy()
            if more.shape[1]:
                h, w = item.pixels.shape
                seen.found, seen.places[kept] = more[:, 0], moved(b[kept], more[:, 1:], w, h)
        found.append(seen)
    return found


def rows_of(seen: Seen, index: np.ndarray) -> list[int]:
    """Where the classifier's answers to these candidates stand."""
    row = {int(k): n for n, k in enumerate(seen.kept)}
    return [row[int(k)] for k in index]


def joined(seen: Seen, index: np.ndarray, weight: float, temperature: float = 1.0) -> np.ndarray:
    """Log probabilities of the 24 classes from both networks (classifier + weight * detector)."""
    z = weight * seen.detector[index]
    if seen.classifier is not None:
        z = z + log_softmax(seen.classifier[rows_of(seen, index)][:, :OTHER])
    return log_softmax(z / temperature)


def other_log(seen: Seen, index: np.ndarray) -> np.ndarray:
    """ln(1 - p(other)) of the classifier; 0 without one."""
    if seen.classifier is None:
        return np.zeros(len(index))
    p = np.exp(log_softmax(seen.classifier[rows_of(seen, index)]))[:, OTHER]
    return np.log(np.maximum(1 - p, 1e-6))


def found_logit(seen: Seen, index: np.ndarray) -> np.ndarray:
    """The classifier's logit that the refined box is a chromosome's; 0 where it does not refine."""
    if seen.found is None:
        return np.zeros(len(index))
    return seen.found[rows_of(seen, index)]


def survivors(seen: Seen, blind: float, same: float, floor: float, weight: float = 1.0) -> np.ndarray:
    """Indices that outlive suppression, best first."""
    pool = seen.kept if seen.kept is not None else np.arange(len(seen.score))
    pool = pool[seen.score[pool] >= floor]
    if len(pool) == 0:
        return pool
    classes = seen.detector[pool].argmax(1)
    return pool[bx.suppress(seen.boxes[pool], seen.score[pool], classes, blind, same)]


def covered(seen: Seen, index: np.ndarray, boxes: np.ndarray | None = None) -> bool:
    """Whether every chromosome of the cell can have a candidate of its own; `boxes`: where these lie, if not at their refined places."""
    if len(index) < len(seen.truth):
        return False
    meets = bx.iou_matrix(seen.truth, (seen.places if boxes is None else boxes)[index]) >= 0.5
    rows, columns = linear_sum_assignment(-meets.astype(float))
    return bool(meets[rows, columns].all())


def lend(seen: Seen, blind: float, same: float, floor: float, least: float) -> np.ndarray:
    """Detector log probabilities in which a box that falls lends its classes, weighted by score, to the one it fell to (IoU >= `least`)."""
    pool = np.arange(len(seen.score))
    pool = pool[seen.score[pool] >= floor]
    classes, boxes = seen.detector[pool].argmax(1), seen.boxes[pool]
    overlap = bx.iou_matrix(boxes, boxes)
    limit = np.where(classes[:, None] == classes[None], min(blind, same), blind)
    weighted = np.exp(seen.detector[pool]) * seen.score[pool, None]
    total, weight, kept = weighted.copy(), seen.score[pool].copy(), []
    for i in range(len(pool)):
        fell = next((j for j in kept if overlap[i, j] > limit[i, j]), None)
        if fell is None:
            kept.append(i)
        elif overlap[i, fell] >= least:
            total[fell] += weighted[i]
            weight[fell] += seen.score[pool[i]]
    out = seen.detector.copy()
    out[pool[kept]] = np.log(np.maximum(total[kept] / weight[kept, None], 1e-13))
    return out


@dataclass
class Outcome:
    """What came of each cell, so that figures and their bootstrap need no second look."""

    perfect: np.ndarray
    right: np.ndarray
    miscount: np.ndarray
    hit: np.ndarray  # boxes with their class
    matched: np.ndarray
    scores: list
    hits: list
    truths: np.ndarray

    def figures(self, rows=None) -> dict:
        """perfect, right, count_mae, accuracy of matched boxes, ap50; over `rows` of the cells."""
        r = np.arange(len(self.perfect)) if rows is None else np.asarray(rows)
        out = dict(perfect=float(self.perfect[r].mean()), right=float(self.right[r].mean()), count_mae=float(self.miscount[r].mean()),
                   accuracy=float(self.hit[r].sum() / max(self.matched[r].sum(), 1)))
        if self.scores:
            out["ap50"] = bx.average_precision(np.concatenate([self.scores[i] for i in r]), np.concatenate([self.hits[i] for i in r]), int(self.truths[r].sum()))
        return out


def outcome(cells: list[Seen], answers) -> Outcome:
    """`answers` yields for each cell (indices, classes, scores of all survivors or None, matches of those or None)."""
    rows, scores, hits = [], [], []
    for seen, (k, c, s, h) in zip(cells, answers):
        got = bx.match(seen.boxes[k], seen.truth)
        ok = len(k) == len(seen.truth) and (got >= 0).all()
        t = seen.labels[got]
        good = ((c == t) | (t < 0)) & (got >= 0)
        rows.append((ok, ok and good.all(), abs(len(k) - len(seen.truth)), good.sum(), (got >= 0).sum(), len(seen.truth)))
        if s is not None:
            scores.append(s), hits.append(h)
    perfect, right, miscount, hit, matched, truths = (np.array(v, float) for v in zip(*rows))
    return Outcome(perfect, right, miscount, hit, matched, scores, hits, truths)


def told(seen: Seen, k: np.ndarray, thresholds: dict) -> np.ndarray:
    """Which of the survivors `k` the detector tells as chromosomes."""
    overlap = thresholds["overlap"]
    return k[bx.told(seen.boxes[k], seen.score[k], thresholds["score"], overlap["free"], overlap["price"])]


def alone(cells: list[Seen], thresholds: dict, weight=1.0) -> Outcome:
    """The detector by itself; classes are each box's own."""
    def answers():
        for seen in cells:
            k = survivors(seen, thresholds["nms_iou"], thresholds["nms_same_class_iou"], 0.001)
            over = told(seen, k, thresholds)
            yield over, joined(seen, over, weight).argmax(1), seen.score[k], bx.match(seen.boxes[k], seen.truth) >= 0
    return outcome(cells, answers())


def temperature(z: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that maximises the likelihood of the labels."""
    nll = lambda t: -log_softmax(z / np.exp(t))[np.arange(len(labels)), labels].mean()
    return float(np.exp(minimize_scalar(nll, bounds=(-1.5, 1.5), method="bounded").x))


def expected_calibration_error(p: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by their counts."""
    top, hit = p.max(1), p.argmax(1) == labels
    at = np.minimum((top * bins).astype(int), bins - 1)
    return float(sum(abs(hit[at == b].mean() - top[at == b].mean()) * (at == b).mean() for b in range(bins) if (at == b).any()))


def assigned(z: np.ndarray, labels: np.ndarray, cells: list[str]) -> float:
    """Accuracy when each cell's chromosomes share two slots a class (a third at 4 nats): a simple open prior."""
    hit = 0
    for cell in dict.fromkeys(cells):
        rows = np.flatnonzero(np.array(cells) == cell)
        p = log_softmax(z[rows][:, :OTHER])
        slots = np.repeat(np.arange(24), 3)
        price = np.tile([0.0, 0.0, 4.0], 24)
        price[69:] = [0.7, 4.0, 8.0]
        r, c = linear_sum_assignment(-(p[:, slots] - price[None]))
        hit += int((slots[c] == labels[rows[r]]).sum())
    return hit / len(labels)


__all__ = ["accuracy", "look", "alone", "temperature", "expected_calibration_error", "assigned"]
