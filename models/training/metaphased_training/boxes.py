"""Boxes: overlap, suppression, matching and average precision (numpy)."""

import numpy as np


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
