"""Real solid-Giemsa chromosomes for `anatomy`: cut out where the daemon's own network was sure of outline and centromere, which is what real dicentrics look like.

`found.jsonl` is what `metaphased analyze FRAMES --assay dicentric --no-triage --format jsonl` wrote. Never the four irradiated cells of `dicentric`.
"""

import json
from pathlib import Path

import cv2
import numpy as np

from . import cache, outlines, pieces as pc, readers, scenes
from .classifier import median_diagonal

#: Slides (of adci) and frames (of ddx11) that are measured on, not trained on.
HELD = ("DCScore2013_S10-10", "INTC032014-2.09", "7.png", "8.png")
#: Least scores of an outline and of its only centromere.
SURE_OUTLINE, SURE = 0.76, 0.45
#: Absorbance up to which uneven ground counts as clear.
HAZE = 0.06


#: Out of focus, with pairs that touch end to end.
LEFT_OUT = ("INTC032014-S1.09_A.41",)


def split_of(name: str) -> str:
    """`train` or `validation`, by slide."""
    return "validation" if name.startswith(HELD) else "train"


def mask_of(rings: list, shape: tuple) -> np.ndarray:
    """What rings enclose, uint8 0 or 255; a ring inside another is a hole."""
    mask = np.zeros(shape, np.uint8)
    for ring in rings:
        one = np.zeros(shape, np.uint8)
        cv2.fillPoly(one, [np.rint(np.array(ring) - 0.5).astype(np.int32)], 255)
        mask ^= one
    return mask


def along_line(line: np.ndarray, place) -> float:
    """Share of a line's length at which a place lies."""
    return float(((line - np.array(place, np.float32)) ** 2).sum(1).argmin() / (len(line) - 1))


def cells(data: Path, folder: Path):
    """Frames with what was found in them: name, grey at the usual ground, boxes [n,4], the chromosomes."""
    for found in sorted(folder.glob("found-*.jsonl")):
        frames = data / "giemsa" / found.stem.removeprefix("found-")
        for line in found.read_text().splitlines():
            cell = json.loads(line)
            name = cell["captured"]["file"]
            if name.startswith(LEFT_OUT):
                continue
            grey = cache.normalise_background(readers.read_grey(frames / name))
            boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (c["box"] for c in cell["chromosomes"])], np.float32)
            yield name, grey, boxes, cell["chromosomes"]


def piece_of(grey: np.ndarray, found: dict, median: float) -> pc.Piece | None:
    """One chromosome that lies alone and whose outline is sure; its centromere where exactly one was found."""
    outline, seen = found.get("outline"), found.get("centromeres", [])
    if not outline or outline["score"] < SURE_OUTLINE or len(seen) > 1:
        return None
    whole = mask_of(outline["rings"], grey.shape)
    ys, xs = np.nonzero(whole)
    pad = int(0.8 * pc.WIDTH * median)
    if len(xs) < 100 or xs.min() < pad or ys.min() < pad or xs.max() >= grey.shape[1] - pad or ys.max() >= grey.shape[0] - pad:
        return None
    left, top = int(xs.min()) - pad, int(ys.min()) - pad
    mask = whole[top : ys.max() + pad + 1, left : xs.max() + pad + 1].copy()
    window = grey[top : top + mask.shape[0], left : left + mask.shape[1]]
    width = pc.WIDTH * median
    near = cv2.dilate(mask, outlines.disc(width / 4)) > 0
    if (~near).sum() < 30:
        return None
    dark = outlines.absorbance(window, float(np.percentile(window[~near], 65)))
    dark[dark < HAZE] = 0
    edge = outlines.EDGE * np.percentile(dark[mask > 127], 80)
    own = outlines.largest(((cv2.GaussianBlur(dark, (0, 0), max(0.5, width * 0.035)) > edge) & near | (mask > 127)).astype(np.uint8), (0, 0, *mask.shape[::-1]))
    line = outlines.axis(own, pc.POINTS)
    if line is None or not outlines.alone(own, dark, 0.5 * width):
        return None
    mask = own.astype(np.uint8) * 255
    at = np.nan
    if len(seen) == 1 and seen[0]["score"] >= SURE:
        at = along_line(line, np.array(seen[0]["at"]) - 0.5 - [left, top])
    clear = pc.faded(np.rint(255 * (1 - dark)).astype(np.uint8), mask, width / 6)
    return pc.Piece(clear, mask, -1, median, line, False, at, (left, top))


def build(data: Path, folder: Path) -> tuple[pc.Pieces, list[scenes.Field]]:
    """The library (its `image` is the place in the list) and the frames it was cut from, `group` is the frame's name."""
    fields, found = [], []
    for n, (name, grey, boxes, chromosomes) in enumerate(cells(data, folder)):
        median = median_diagonal(boxes)
        own = [p for p in (piece_of(grey, c, median) for c in chromosomes) if p is not None]
        found += [(p, name, name, split_of(name), n) for p in own]
        fields.append(scenes.Field(grey, median, boxes, own, group=name))
    return pc.write(found, folder / "pieces"), fields
