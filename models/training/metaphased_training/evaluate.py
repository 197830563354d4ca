"""Evaluation in Python for steering: what the daemon's own `evaluate` measures, close enough to choose settings by.

The figures that count are those of `metaphased evaluate`, which runs the daemon's stages.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment, minimize_scalar

from . import OTHER, boxes as bx
from .classifier import accuracy, box_views, logits, median_diagonal
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
    classifier: np.ndarray | None = None  # [n,25] logits, for those that outlive a lenient suppression
    kept: np.ndarray | None = None  # indices that the classifier saw


def look(detector, classifier, coarse, native, indices, floor=0.01, blind=0.85, same=0.7, most=90, views=(0,)) -> list[Seen]:
    """Runs both networks over cells of the two caches (detector's scale, native scale)."""
    found = []
    for i in indices:
        item, full = coarse[i], native[i]
        b, s, p, both = candidates(detector.eval(), item.pixels, floor)
        seen = Seen(item.name, item.group, item.boxes, item.classes.astype(int), b, s, both[:, 1], np.log(np.maximum(p, 1e-7)))
        if classifier is not None and len(b):
            c = p.argmax(1)
            kept = bx.suppress(b[:400], s[:400], c[:400], blind, same)[:most]
            scale = full.pixels.shape[1] / item.pixels.shape[1]
            big = b[kept] * scale
            sure = s[kept] > 0.4
            median = median_diagonal(big[sure] if sure.sum() > 5 else big)
            seen.classifier, seen.kept = logits(classifier, *box_views(full.pixels, big, median)), kept
        found.append(seen)
    return found


def joined(seen: Seen, index: np.ndarray, weight: float, temperature: float = 1.0) -> np.ndarray:
    """Log probabilities of the 24 classes from both networks (classifier + weight * detector)."""
    z = weight * seen.detector[index]
    if seen.classifier is not None:
        row = {int(k): n for n, k in enumerate(seen.kept)}
        z = z + log_softmax(seen.classifier[[row[int(k)] for k in index]][:, :OTHER])
    return log_softmax(z / temperature)


def other_log(seen: Seen, index: np.ndarray) -> np.ndarray:
    """ln(1 - p(other)) of the classifier; 0 without one."""
    if seen.classifier is None:
        return np.zeros(len(index))
    row = {int(k): n for n, k in enumerate(seen.kept)}
    p = np.exp(log_softmax(seen.classifier[[row[int(k)] for k in index]]))[:, OTHER]
    return np.log(np.maximum(1 - p, 1e-6))


def survivors(seen: Seen, blind: float, same: float, floor: float, weight: float = 1.0) -> np.ndarray:
    """Indices that outlive suppression, best first."""
    pool = seen.kept if seen.kept is not None else np.arange(len(seen.score))[:400]
    pool = pool[seen.score[pool] >= floor]
    if len(pool) == 0:
        return pool
    classes = seen.detector[pool].argmax(1)
    return pool[bx.suppress(seen.boxes[pool], seen.score[pool], classes, blind, same)]


def alone(cells: list[Seen], threshold: float, blind=0.6, same=0.5, weight=1.0, other_weight=0.0) -> dict:
    """Detector by itself at a threshold: AP50, perfect cells, cells right, count error."""
    scores, hits, total, perfect, right, miscount = [], [], 0, 0, 0, 0
    for seen in cells:
        k = survivors(seen, blind, same, 0.001)
        s = np.exp(np.log(seen.score[k]) + other_weight * other_log(seen, k))
        order = np.argsort(-s, kind="stable")
        k, s = k[order], s[order]
        got = bx.match(seen.boxes[k], seen.truth)
        scores.append(s), hits.append(got >= 0)
        total += len(seen.truth)
        over = s >= threshold
        ok = over.sum() == len(seen.truth) and (got[over] >= 0).all()
        perfect += ok
        miscount += abs(int(over.sum()) - len(seen.truth))
        if ok:
            c, t = joined(seen, k[over], weight).argmax(1), seen.labels[got[over]]
            right += bool(((c == t) | (t < 0)).all())
    n = len(cells)
    return dict(ap50=bx.average_precision(np.concatenate(scores), np.concatenate(hits), total), perfect=perfect / n, right=right / n, count_mae=miscount / n)


@dataclass
class Prices:
    """Settings of the joint selection, in nats."""

    weight: float = 1.0  # of the detector's classes beside the classifier's
    other: float = 1.0  # of ln(1 - p(other))
    gate: float = 0.0  # to be overcome by a candidate's log odds
    third: float = 4.0  # for a third chromosome of a class
    y: float = 0.7  # for a Y, and for a second X beside it
    temperature: float = 1.0


def select(seen: Seen, index: np.ndarray, prices: Prices) -> tuple[np.ndarray, np.ndarray]:
    """Joint selection over a cell: which candidates are chromosomes and of which class. Two slots a class, a third at a price."""
    if len(index) == 0:
        return index, index
    s = np.clip(seen.score[index], 1e-4, 1 - 1e-4)
    worth = np.log(s / (1 - s)) + prices.other * other_log(seen, index) - prices.gate
    p = joined(seen, index, prices.weight, prices.temperature)
    slots, cost = [], []
    for c in range(24):
        for n in range(3):
            price = prices.third if n == 2 else 0.0
            if c == 23:
                price = (prices.y, prices.third, 2 * prices.third)[n]
            slots.append(c), cost.append(price)
    gain = worth[:, None] + p[:, slots] + 3.2 - np.array(cost)[None]  # 3.2: the log of the 24 equal classes
    table = np.concatenate([gain, np.zeros((len(index), len(index)))], 1)  # a slot "nothing" for each
    rows, cols = linear_sum_assignment(-table)
    taken = cols < len(slots)
    return index[rows[taken]], np.array(slots)[cols[taken]]


def pipeline(cells: list[Seen], prices: Prices, blind=0.7, same=0.6, floor=0.02) -> dict:
    """After the joint selection: perfect cells, cells right, accuracy of matched boxes, edits a cell."""
    perfect = right = miscount = hit = matched = 0
    for seen in cells:
        k, c = select(seen, survivors(seen, blind, same, floor), prices)
        got = bx.match(seen.boxes[k], seen.truth)
        ok = len(k) == len(seen.truth) and (got >= 0).all()
        perfect += ok
        t = seen.labels[got]
        good = ((c == t) | (t < 0)) & (got >= 0)
        right += bool(ok and good.all())
        hit, matched = hit + int(good.sum()), matched + int((got >= 0).sum())
        miscount += abs(len(k) - len(seen.truth))
    n = len(cells)
    return dict(perfect=perfect / n, right=right / n, accuracy=hit / max(matched, 1), count_mae=miscount / n)


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


__all__ = ["accuracy", "look", "alone", "pipeline", "Prices", "temperature", "expected_calibration_error", "assigned"]
