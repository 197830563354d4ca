"""Single chromosomes with their masks, cut out of the sets: what pictures are composed of, and the truth of each.

A library is a folder with `pixels.bin` (for each piece the light that it lets through, 255 = all, and its mask) and `index.npz`. Middle lines run
from the tip of the short arm where the way up is known (`upright`), and `centromere` is then the place of the constriction on them, 0 to 1.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from . import outlines, readers
from .cache import Cache, normalise_background
from .classifier import median_diagonal

#: Width of chromosomes over the median box diagonal of their cell, cil.
WIDTH = 0.18
#: Pixels that annotated boxes of cil leave around a chromosome, and that a cut-out keeps around a box.
MARGIN, KEPT = 5, 6
POINTS = 24
NAMES = ("name", "group", "split", "label", "median", "offset", "h", "w", "left", "top", "line", "upright", "centromere", "image")


@dataclass
class Piece:
    """One chromosome: `clear` and `mask` [h,w] uint8 (255 = light, chromosome), its middle line in its own pixels or None."""

    clear: np.ndarray
    mask: np.ndarray
    label: int
    median: float
    line: np.ndarray | None
    upright: bool
    #: Share of the line at which the constriction lies; NaN when it is not known.
    centromere: float
    corner: tuple[float, float]

    @property
    def centromeres(self) -> np.ndarray | None:
        """The places of its centromeres [k,2]; None when nobody knows."""
        return None if np.isnan(self.centromere) or self.line is None else along(self.line, [self.centromere])


def along(line: np.ndarray, shares) -> np.ndarray:
    """Places [k,2] at shares of a line's length."""
    at = np.asarray(shares, np.float32) * (len(line) - 1)
    return np.stack([np.interp(at, np.arange(len(line)), line[:, k]) for k in (0, 1)], 1).astype(np.float32)


class Pieces:
    """Random access to a library."""

    def __init__(self, folder: Path):
        z = np.load(folder / "index.npz")
        self.folder = folder
        self.index = {k: z[k] for k in NAMES}
        self.pixels = np.memmap(folder / "pixels.bin", np.uint8, "r")
        self.of_image = {}
        for i, image in enumerate(self.index["image"]):
            self.of_image.setdefault(int(image), []).append(i)

    def __len__(self):
        return len(self.index["label"])

    def __getitem__(self, i: int) -> Piece:
        at = {k: v[i] for k, v in self.index.items()}
        n, shape = int(at["h"]) * int(at["w"]), (int(at["h"]), int(at["w"]))
        both = np.asarray(self.pixels[int(at["offset"]) : int(at["offset"]) + 2 * n])
        line = None if np.isnan(at["line"][0, 0]) else at["line"]
        return Piece(both[:n].reshape(shape), both[n:].reshape(shape), int(at["label"]), float(at["median"]), line, bool(at["upright"]),
                     float(at["centromere"]), (float(at["left"]), float(at["top"])))

    def select(self, *splits: str) -> np.ndarray:
        """Indices of the pieces of the named splits."""
        return np.flatnonzero(np.isin(self.index["split"], splits))

    def say(self, upright: np.ndarray, line: np.ndarray, centromere: np.ndarray):
        """Writes the ways up, lines and constrictions that were found."""
        self.index |= dict(upright=upright, line=line, centromere=centromere)
        np.savez(self.folder / "index.npz", **self.index)


def write(found, folder: Path) -> Pieces:
    """Writes a library of (Piece, name, group, split, image)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, at = {k: [] for k in NAMES}, 0
    with open(folder / "pixels.bin", "wb") as f:
        for p, name, group, split, image in found:
            line = np.full((POINTS, 2), np.nan, np.float32) if p.line is None else p.line
            values = (name, group, split, p.label, p.median, at, *p.mask.shape, *p.corner, line, p.upright, p.centromere, image)
            for k, v in zip(NAMES, values):
                rows[k].append(v)
            f.write(np.ascontiguousarray(p.clear).tobytes() + np.ascontiguousarray(p.mask).tobytes())
            at += 2 * p.mask.size
    np.savez(folder / "index.npz", **{k: np.array(v) for k, v in rows.items()})
    return Pieces(folder)


def faded(clear: np.ndarray, mask: np.ndarray, reach: float) -> np.ndarray:
    """Light let through, with what lies more than `reach` pixels from the mask faded to clear."""
    keep = cv2.dilate(mask, outlines.disc(reach)).astype(np.float32) / 255
    keep = cv2.GaussianBlur(keep, (0, 0), max(0.5, reach * 0.4))
    return np.rint(255 - keep * (255 - clear.astype(np.float32))).astype(np.uint8)


def of_box(grey: np.ndarray, box, width: float, margin: float, label: int, median: float) -> Piece | None:
    """The chromosome of an annotated box, if it lies alone and its mask is clean."""
    x0, y0, x1, y1 = np.rint(box).astype(int)
    left, top = max(x0 - KEPT, 0), max(y0 - KEPT, 0)
    window = grey[top : y1 + KEPT, left : x1 + KEPT]
    inner = (x0 - left, y0 - top, x1 - left, y1 - top)
    found = outlines.outline(window, width, inner) if min(window.shape) > 8 else None
    if found is None or not outlines.clean(found[0], width, inner, margin):
        return None
    own, ground = found
    dark = outlines.absorbance(window, ground)
    if not outlines.alone(own, dark, width / 3):
        return None
    mask = own.astype(np.uint8) * 255
    clear = faded(np.rint(255 * (1 - dark)).astype(np.uint8), mask, width / 6)
    return Piece(clear, mask, label, median, outlines.axis(own, POINTS), False, np.nan, (left, top))


def of_cells(cells: Cache, margin: float = MARGIN):
    """Pieces of the annotated metaphases of a cache at full size; `image` is the place in the cache."""
    for n in range(len(cells)):
        item = cells[n]
        if len(item.boxes) < 10:
            continue
        median = median_diagonal(item.boxes)
        for box, label in zip(item.boxes, item.classes):
            p = of_box(item.pixels, box, WIDTH * median, margin, int(label), median)
            if p is not None:
                yield p, item.name, item.group, item.split, n


def half_way(grey: np.ndarray, own: np.ndarray, width: float, least: float = 0.7) -> np.ndarray:
    """The mask of a cut chromosome on white half way up its edge, as `outlines.outline` draws it in a metaphase; `own` where that would lose too much of it."""
    pad = int(width)
    found = outlines.outline(np.pad(np.where(own | (grey == 255), grey, 255), pad, constant_values=255), width, (pad, pad, pad + own.shape[1], pad + own.shape[0]))
    if found is None:
        return own
    inner = found[0][pad:-pad, pad:-pad]
    return inner if inner.sum() >= least * own.sum() else own


def of_singles(items: list[readers.Single], taught=lambda s: True):
    """Pieces of cut chromosomes on white."""
    diagonals = {}
    for s in items:
        diagonals.setdefault(s.cell, []).append(np.hypot(*s.grey.shape))
    for n, s in enumerate(items):
        if not taught(s):
            continue
        grey = np.pad(s.grey, 4, constant_values=255)
        own = (cv2.GaussianBlur(grey, (0, 0), 0.6) < readers.BLANK).astype(np.uint8)
        own = cv2.morphologyEx(own, cv2.MORPH_CLOSE, outlines.disc(2))
        best = outlines.largest(own, (0, 0, own.shape[1], own.shape[0]))
        if best is None or best.sum() < 60:
            continue
        median = float(np.median(diagonals[s.cell]))
        best = half_way(grey, outlines.filled(best.astype(np.uint8), 12), WIDTH * median)
        mask = best.astype(np.uint8) * 255
        yield (Piece(faded(grey, mask, max(2.0, WIDTH * median / 6)), mask, s.label, median, outlines.axis(best, POINTS), True, np.nan, (0, 0)),
               s.name, s.group, s.split, n)


def class_map_masks(label_map: np.ndarray, least: int = 60):
    """Mask and class of every connected piece of an M-FISH map, with the overlaps that it borders on; homologues that touch are left out."""
    crossing = label_map == 255
    _, overlaps = cv2.connectedComponents(crossing.astype(np.uint8), connectivity=8)
    for value in range(1, 25):
        own = label_map == value
        if not own.any():
            continue
        near = np.unique(overlaps[cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & crossing])
        joined = own | np.isin(overlaps, near[near > 0])
        _, labels = cv2.connectedComponents(joined.astype(np.uint8), connectivity=8)
        found = [(labels == k) for k in np.unique(labels[own]) if (own & (labels == k)).sum() >= least]
        if value <= 22 and len(found) != 2:
            continue
        for mask in found:
            yield mask, value - 1


def of_class_maps(data: Path, split_of: dict, splits: tuple):
    """Cells of M-FISH as (group, inverted and normalised grey, [(mask, class)], where any chromosome is drawn)."""
    for r in readers.rows(data / "cells.csv"):
        if r["labelled"] != "1" or split_of[r["cell"]]["split"] not in splits:
            continue
        form = "png" if (data / f"cells/{r['cell']}_class.png").is_file() else "webp"
        grey = normalise_background(255 - readers.read_grey(data / f"cells/{r['cell']}_dapi.{form}"))
        label_map = readers.read_grey(data / f"cells/{r['cell']}_class.{form}")
        yield r["group"], grey, list(class_map_masks(label_map)), label_map > 0
