"""How G-banded chromosomes look along their axis, by class: the table from which the virtual slide draws them.

The chromosomes that lie alone in the training patients' metaphases of cil are measured along their middle line (`profiles`), brought over the mean of their
class (`brought_over`) and averaged. What is measured holds the blur of a microscope, and the slide blurs again: so `refined` measures simulated cells in the
same way and moves the table by what they lack, a round or two.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from . import CLASSES, outlines, pieces, readers
from .cache import normalise_background
from .classifier import median_diagonal

STEPS, COLUMNS = 128, 33
#: Length of a median chromosome 1 of cil in pixels; what the rim of a picture takes of density and of width at each tip, in the same.
LONGEST, FADED, ROUNDED = 162, 3.5, 7.0
#: Largest shift of a band, in steps, and the price of a step of it.
REACH, PRICE = 9, 0.35
#: Most chromosomes of a class that are learned from.
MOST = 500


def profiles(p: pieces.Piece, line: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Optical density of the inner half, width in pixels [STEPS], and length in pixels along a middle line."""
    half = 0.16 * p.median
    od = -np.log(np.clip(p.clear.astype(np.float32), 4, 255) / 255)
    dark = outlines.straightened(od, line, half, STEPS, COLUMNS, 0)
    own = outlines.straightened((p.mask > 127).astype(np.uint8) * 255, line, half, STEPS, COLUMNS, 0) > 127
    px = 2 * half / COLUMNS
    wide = own.sum(1)
    middle = (own * np.arange(COLUMNS)).sum(1) / np.maximum(wide, 1)
    inner = own & (np.abs(np.arange(COLUMNS)[None] - middle[:, None]) * px <= 0.275 * wide[:, None] * px + 0.3)
    return (dark * inner).sum(1) / np.maximum(inner.sum(1), 1), wide * px, float(np.hypot(*np.diff(line, axis=0).T).sum())


class Measured:
    """Profiles of many chromosomes, each against its cell: density [n,STEPS], width [n,STEPS], length [n], label [n]."""

    def __init__(self, rows, effects: dict | None = None):
        """Rows of (density, width, length, label, cell). `effects`: what classes differ by, of another set; else learned here."""
        self.label = np.array([r[3] for r in rows])
        cells, cell = np.unique([r[4] for r in rows], return_inverse=True)
        self.density, self.width, self.length = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows])
        logs = dict(tone=np.log(self.density[:, 6:-6].mean(1)), width=np.log(np.median(self.width, 1)), length=np.log(self.length))
        self.effects = effects or {k: self._two_way(v, cell, len(cells)) for k, v in logs.items()}
        own = {k: (np.bincount(cell, v - self.effects[k][self.label]) / np.bincount(cell))[cell] for k, v in logs.items()}
        self.density = self.density / np.exp(own["tone"])[:, None]
        self.width = self.width / np.exp(own["width"])[:, None]

    def _two_way(self, value, cell, cells, rounds: int = 8) -> np.ndarray:
        """What each class adds to a value, beside what its cell adds."""
        effect = np.zeros(24)
        for _ in range(rounds):
            of_cell = np.bincount(cell, value - effect[self.label], cells) / np.bincount(cell, minlength=cells)
            rest = value - of_cell[cell]
            effect = np.array([np.median(rest[self.label == c]) if (self.label == c).any() else 0 for c in range(24)])
            effect -= effect.mean()
        return effect


def of_library(library: pieces.Pieces) -> tuple[list, np.ndarray]:
    """Rows of the upright training chromosomes of a library, and the centromere of each class."""
    x = library.index
    use = np.flatnonzero((x["split"] == "train") & x["upright"] & np.isfinite(x["centromere"]) & np.isfinite(x["line"][:, 0, 0]))
    rows = [(*profiles(library[k], library[k].line), int(x["label"][k]), str(x["name"][k])) for k in use]
    return rows, np.array([np.median(x["centromere"][use][x["label"][use] == c]) for c in range(24)])


def of_slide(folder: Path) -> list:
    """Rows of the chromosomes that lie alone in what `metaphased simulate` wrote, found as those of real pictures are."""
    rows = []
    for text in open(folder / "truth.jsonl"):
        picture = json.loads(text)
        grey = normalise_background(readers.read_grey(folder / picture["image"]))
        drawn = picture["cells"][0]["chromosomes"]
        boxes = np.array([[c["box"][0] - 5, c["box"][1] - 5, c["box"][0] + c["box"][2] + 5, c["box"][1] + c["box"][3] + 5] for c in drawn], np.float32)
        median = median_diagonal(boxes)
        for c, box in zip(drawn, boxes):
            p = pieces.of_box(grey, box, pieces.WIDTH * median, pieces.MARGIN, CLASSES.index(c["class"]), median)
            if p is None or p.line is None or "name" in c:
                continue
            tip = np.array(c["axis"][0]) - p.corner
            over = np.hypot(*(p.line[0] - tip)) > np.hypot(*(p.line[-1] - tip))
            rows.append((*profiles(p, p.line[::-1] if over else p.line), p.label, f"{folder}/{picture['image']}"))
    return rows


def standard(rows: np.ndarray) -> np.ndarray:
    """Rows less their mean over their deviation, both without the tips."""
    inner = rows[:, 4:-4]
    return (rows - inner.mean(1, keepdims=True)) / np.maximum(inner.std(1, keepdims=True), 1e-3)


def brought_over(density: np.ndarray, width: np.ndarray, like: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Shifts [n,STEPS] that lay each row's bands and widths over those of a class, by dynamic programming."""
    rows = [(standard(density), standard(like[0][None])[0]), (4 * width / np.median(width, 1)[:, None], 4 * like[1] / np.median(like[1]))]
    shifts = np.arange(-REACH, REACH + 1)
    cost = 0
    for own, mean in rows:
        padded = np.pad(own, ((0, 0), (REACH, REACH)), mode="edge")
        cost = cost + np.stack([(padded[:, REACH + d : REACH + d + STEPS] - mean) ** 2 for d in shifts], 2)
    cost[:, [0, -1]] += 0.6 * np.abs(shifts)
    total, came = cost[:, 0], np.zeros(cost.shape, np.int8)
    for u in range(1, STEPS):
        up = np.pad(total[:, :-1] + PRICE, ((0, 0), (1, 0)), constant_values=1e9)
        down = np.pad(total[:, 1:] + PRICE, ((0, 0), (0, 1)), constant_values=1e9)
        ways = np.stack([total, up, down])
        came[:, u] = np.array([0, -1, 1], np.int8)[ways.argmin(0)]
        total = ways.min(0) + cost[:, u]
    k, n = total.argmin(1), np.arange(len(cost))
    path = np.zeros((len(cost), STEPS), np.float32)
    for u in range(STEPS - 1, -1, -1):
        path[:, u] = k - REACH
        k = k + came[n, u, k]
    return gaussian_filter1d(path, 2.5, axis=1, mode="nearest")


def shifted(rows: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Rows read at their steps plus a shift."""
    at = np.arange(STEPS) + by
    return np.stack([np.interp(a, np.arange(STEPS), r) for a, r in zip(at, rows)])


def mean(density: np.ndarray, width: np.ndarray, like=None, rounds: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Mean density and median width of a class, bands brought over each other (or over `like`); the quarter that agrees least is left out."""
    teach, learn = np.ones(len(density), bool), like is None
    like = like or (np.median(density, 0), np.median(width, 0))
    for _ in range(rounds if learn else 1):
        by = brought_over(density, width, like)
        if learn:
            by -= by[teach].mean(0)
        over = shifted(density, by)
        agrees = (standard(over) * standard(like[0][None])).mean(1)
        teach = agrees > (max(0.55, np.percentile(agrees, 25)) if learn else 0.5)
        found = over[teach].mean(0), np.median(shifted(width, by)[teach], 0)
        like = found if learn else like
    return found


def flat_tips(row: np.ndarray, px: float, length: float) -> np.ndarray:
    """A row whose ends repeat what lies `px` pixels from them: the rim is the picture's, not the chromosome's."""
    k = int(np.ceil(px * STEPS / (LONGEST * length)))
    return np.r_[np.full(k, row[k]), row[k:-k], np.full(k, row[-k - 1])]


def learned(library: pieces.Pieces, seed: int = 1):
    """What real chromosomes are like: lengths (chromosome 1 is 1), centromeres, mean profiles [(density, width)], and what classes differ by."""
    rows, centromere = of_library(library)
    measured, rng = Measured(rows), np.random.default_rng(seed)
    length = np.exp(measured.effects["length"])
    means = []
    for c in range(24):
        use = rng.permutation(np.flatnonzero(measured.label == c))[:MOST]
        means.append(mean(measured.density[use], measured.width[use]))
    return length / length[0], centromere, means, measured.effects


def refined(table: Path, slides: list[Path], length, means, effects, gain: float) -> tuple[list, float]:
    """The profiles of a table, moved by what simulated chromosomes lack of real ones; and the mean lack of density before that."""
    measured, lacks, out = Measured([row for folder in slides for row in of_slide(folder)], effects), [], []
    for c, text in enumerate(open(table)):
        old = [np.array(v.split(","), float) / 100 for v in text.split()[3:]]
        use = measured.label == c
        lack = [real - drawn for real, drawn in zip(means[c], mean(measured.density[use], measured.width[use], means[c]))]
        lacks.append(np.abs(lack[0][6:-6]).mean())
        steps = [flat_tips(gaussian_filter1d(d, s), px, length[c]) for d, s, px in zip(lack, (0.7, 2.0), (2.5, 6.0))]
        out.append([np.clip(v + gain * d, low, high) for v, d, low, high in zip(old, steps, (0.05, 0.3), (4.0, 1.6))])
    return out, float(np.mean(lacks))


def write(table: Path, library: Path, slides: list[Path], gain: float = 0.8):
    """Writes the table; with simulated slides that were drawn from the one there, refines it."""
    length, centromere, means, effects = learned(pieces.Pieces(library))
    if slides:
        rows, lack = refined(table, slides, length, means, effects, gain)
        print(f"simulated chromosomes lack {lack:.4f} of their cell's density on average")
    else:
        rows = [[flat_tips(d, FADED, length[c]), flat_tips(w, ROUNDED, length[c])] for c, (d, w) in enumerate(means)]
    text = [f"{name} {1000 * length[c]:.0f} {1000 * centromere[c]:.0f} " + " ".join(",".join(f"{100 * v:.0f}" for v in row) for row in rows[c])
            for c, name in enumerate(CLASSES)]
    table.write_text("\n".join(text) + "\n")
