"""Boxes: overlap, suppression, matching and average precision (numpy)."""

import numpy as np
from scipy.sparse.csgraph import connected_components


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of every box of a [n,4] with every box of b [m,4]."""
    lo = np.maximum(a[:, None, :2], b[None, :, :2])
    hi = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.prod(np.clip(hi - lo, 0, None), -1)
    area = lambda x: np.prod(np.clip(x[:, 2:] - x[:, :2], 0, None), -1)
    return inter / np.maximum(area(a)[:, None] + area(b)[None] - inter, 1e-9)


def suppress(boxes, scores, classes, blind: float, same: float) -> np.ndarray:
    """Greedy suppression; a box falls to a better one of any class at IoU > blind, of its class at IoU > same."""
    order = np.argsort(-scores, kind="stable")
    overlap = iou_matrix(boxes, boxes)
    limit = np.where(classes[:, None] == classes[None], min(blind, same), blind)
    kept = []
    for i in order:
        if all(overlap[i, j] <= limit[i, j] for j in kept):
            kept.append(i)
    return np.array(kept, int)


def told(boxes: np.ndarray, scores: np.ndarray, least: float, free: float, price: float, steps: int = 10_000) -> np.ndarray:
    """Indices of the likeliest set of chromosomes: the one with most of logit(score) - logit(`least`) in sum, less what its overlaps cost.

    Two boxes whose IoU u lies above `free` cost `price` (u - `free`) / (1 - `free`) together. Boxes that overlap in a chain are settled by branch
    and bound, best first; exact, unless that takes more than `steps`."""
    logit = lambda p: np.log(np.clip(p, 1e-6, 1 - 1e-6) / (1 - np.clip(p, 1e-6, 1 - 1e-6)))
    worth = logit(np.asarray(scores, float)) - logit(np.float64(least))
    live = np.flatnonzero(worth >= 0)
    live = live[np.argsort(-worth[live], kind="stable")]
    cost = np.maximum(iou_matrix(boxes[live], boxes[live]) - free, 0) / (1 - free) * price
    np.fill_diagonal(cost, 0)
    chosen = []
    for group in np.unique(chains := connected_components(cost > 0)[1] if len(live) else live):
        rows = np.flatnonzero(chains == group)
        chosen += [live[r] for r in rows[best_set(worth[live[rows]], cost[np.ix_(rows, rows)], steps)]]
    return np.sort(np.array(chosen, int))


def best_set(worth: np.ndarray, cost: np.ndarray, steps: int) -> list[int]:
    """The rows, sorted by falling worth, whose worth less the cost of their pairs is largest."""
    rest = np.r_[np.cumsum(worth[::-1])[::-1], 0.0]
    best, left = (float(worth[0]), [0]), steps

    def go(row: int, value: float, taken: list[int]):
        nonlocal best, left
        left -= 1
        if value > best[0]:
            best = value, taken
        if row < len(worth) and value + rest[row] > best[0] and left > 0:
            gain = worth[row] - cost[row, taken].sum()
            if gain > 0:
                go(row + 1, value + gain, taken + [row])
            go(row + 1, value, taken)
    go(0, 0.0, [])
    return best[1]


def match(boxes: np.ndarray, truth: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """For boxes in descending score: index of the truth each takes (greedy, best overlap still free), or -1."""
    taken = np.full(len(boxes), -1)
    if len(truth) == 0 or len(boxes) == 0:
        return taken
    overlap = iou_matrix(boxes, truth)
    free = np.ones(len(truth), bool)
    for i in range(len(boxes)):
        j = int(np.argmax(np.where(free, overlap[i], -1)))
        if free[j] and overlap[i, j] >= threshold:
            taken[i], free[j] = j, False
    return taken


def average_precision(scores: np.ndarray, hits: np.ndarray, positives: int) -> float:
    """All-point interpolated area under precision over recall."""
    if positives == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(hits[order])
    precision = tp / np.arange(1, len(tp) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = np.concatenate([[0], tp / positives])
    return float(np.sum(np.diff(recall) * precision))
