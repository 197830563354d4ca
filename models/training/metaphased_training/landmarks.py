"""Way up and centromere of single chromosomes whose class is known: fitted to how its class looks.

A class's likeness is the mean of its upright chromosomes' profiles (width, absorbance along the middle line). A chromosome whose way up nobody wrote down is compared with the likeness
of its class both ways; the centromere is the narrowest place near where the class has its constriction.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from . import CLASSES, outlines, pieces, readers

ROWS = 64
#: Standard deviation of the centromere's place about its class's, share of the length; and the narrowing, share of the width, that weighs as much as one.
SPREAD, NARROWING = 0.035, 0.12
#: Difference of the two ways' likeness from which the way up counts as known.
SURE = 0.25


def expected(data: Path) -> np.ndarray:
    """Centromere index of the 24 classes, as literature has it."""
    table = {r["chromosome"]: float(r["centromere_index_pct"]) / 100 for r in readers.rows(data / "domain/chromosome_morphology.csv")}
    return np.array([table[c] for c in CLASSES])


def measured(library: pieces.Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Profiles of all pieces [n,2,ROWS]: width over its median, absorbance less its mean over its deviation; NaN without a middle line. And the lengths."""
    out, length = np.full((len(library), 2, ROWS), np.nan, np.float32), np.zeros(len(library), np.float32)
    for i in range(len(library)):
        p = library[i]
        if p.line is None:
            continue
        wide, dark = outlines.profiles(p.clear, p.mask > 127, p.line, pieces.WIDTH * p.median, ROWS)
        length[i] = np.hypot(*np.diff(p.line, axis=0).T).sum()
        out[i] = gaussian_filter1d(wide, 1.0) / max(np.median(wide), 1e-3), (dark - dark.mean()) / max(dark.std(), 1e-3)
    return out, length


def likeness(shapes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean profiles of the classes, [24,2,ROWS]."""
    return np.stack([np.nanmedian(shapes[labels == c], axis=0) if (labels == c).any() else np.zeros(shapes.shape[1:]) for c in range(24)])


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two rows; 0 where one is level."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))


def agreement(shape: np.ndarray, like: np.ndarray, shift: int = 3) -> float:
    """How well profiles agree, with the bands allowed to lie a little off."""
    best = -9.0
    a = shape[:, shift:-shift]
    for d in range(-shift, shift + 1):
        b = like[:, shift + d : ROWS - shift + d]
        score = [alike(x, y) for x, y in zip(a, b)]
        best = max(best, score[1] + 0.5 * score[0])
    return best


def margins(shapes: np.ndarray, labels: np.ndarray, like: np.ndarray) -> np.ndarray:
    """How much better each piece agrees with its class as it lies than upside down; 0 where nobody knows."""
    out = np.zeros(len(shapes), np.float32)
    for i, (shape, label) in enumerate(zip(shapes, labels)):
        if label >= 0 and np.isfinite(shape).all() and shape.std(1).min() > 0:
            out[i] = agreement(shape, like[label]) - agreement(shape[:, ::-1], like[label])
    return out


def constrictions(wide: np.ndarray, labels: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Centromeres as shares of the length from the short arm's tip: narrow and near where the class has its own."""
    u = (np.arange(ROWS) + 0.5) / ROWS
    cost = np.nan_to_num(wide, nan=1.0) / NARROWING + (u[None] - centre[labels][:, None]) ** 2 / (2 * SPREAD**2)
    cost[:, (u < 0.06) | (u > 0.8)] = 1e6
    k = cost.argmin(1).clip(1, ROWS - 2)
    rows = np.arange(len(k))
    a, b, c = cost[rows, k - 1], cost[rows, k], cost[rows, k + 1]
    bow = a - 2 * b + c
    shift = np.where((bow > 1e-6) & (bow < 1e5), 0.5 * (a - c) / np.maximum(bow, 1e-6), 0)
    return (u[k] + shift.clip(-0.5, 0.5) / ROWS).astype(np.float32)


def class_centres(wide: np.ndarray, labels: np.ndarray, like: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Where each class has its constriction: first the narrowest place of its mean width near the literature's, then the median of its pieces' own."""
    centre = constrictions(like[:, 0], np.arange(24), start)
    found = constrictions(wide, labels, centre)
    return np.array([np.median(found[labels == c]) if (labels == c).any() else centre[c] for c in range(24)])


def fit_upright(library: pieces.Pieces, data: Path, like: np.ndarray | None = None, centre: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Finds the centromeres of a library whose pieces are upright; those of the training side that look upside down lose their way up.

    Likeness and class centres are those given, else those of its training side; returns both."""
    shapes, _ = measured(library)
    labels, lined = library.index["label"], np.isfinite(shapes[:, 0, 0])
    teach = (library.index["split"] == "train") & lined
    if like is None:
        like = likeness(shapes[teach], labels[teach])
        centre = class_centres(shapes[teach, 0], labels[teach], like, expected(data))
    upright = lined & (~teach | (margins(shapes, labels, like) > -0.1))
    library.say(upright, library.index["line"], np.where(lined, constrictions(shapes[:, 0], labels, centre), np.nan))
    return like, centre


def fit_unknown(library: pieces.Pieces, like: np.ndarray, centre: np.ndarray, rounds: int = 2, surely: float = SURE):
    """Finds the way up and the centromeres of a library from the likeness of another; after the first round from its own."""
    shapes, _ = measured(library)
    labels, line = library.index["label"], library.index["line"].copy()
    known = np.isfinite(shapes[:, 0, 0]) & (labels >= 0)
    for n in range(rounds):
        m = margins(shapes, labels, like)
        over = m < 0
        shapes[over] = shapes[over][..., ::-1]
        line[over] = line[over][:, ::-1]
        sure = known & (np.abs(m) > surely)
        teach = sure & (library.index["split"] == "train")
        like = likeness(shapes[teach], labels[teach])
    centre = class_centres(shapes[teach, 0], labels[teach], like, centre)
    found = constrictions(shapes[:, 0], np.maximum(labels, 0), centre)
    library.say(sure, line, np.where(sure, found, np.nan))
    return like, centre
