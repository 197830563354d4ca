"""Readers of annotated sets: every one yields `Cell`s (metaphases with boxes) or `Single`s (cut chromosomes)."""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from . import CLASSES, splits

UNKNOWN = -1


@dataclass
class Cell:
    """A metaphase: `grey()` decodes it; boxes are xmin, ymin, xmax, ymax (exclusive) in its own pixels."""

    name: str
    group: str
    split: str
    grey: Callable[[], np.ndarray]
    boxes: list[list[float]] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)


def read_grey(path: Path) -> np.ndarray:
    """An image file as 8-bit grey; the error names the file."""
    grey = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if grey is None:
        raise FileNotFoundError(f"{path}: no such image, or not one that can be decoded")
    return grey


def class_index(name: str) -> int:
    """`A1`, `chr7`, `22`, `x` -> 0..23; anything else -> UNKNOWN."""
    m = re.fullmatch(r"(?:chr|[A-G])?(\d{1,2}|[XY])", name.strip(), re.IGNORECASE)
    if not m:
        return UNKNOWN
    label = m.group(1).upper().lstrip("0")
    label = {"23": "X", "24": "Y"}.get(label, label)
    return CLASSES.index(label) if label in CLASSES else UNKNOWN


def rows(path: Path) -> list[dict[str, str]]:
    """A csv file with a header."""
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def merge_doubles(boxes: list[list[float]], classes: list[int]) -> tuple[list[list[float]], list[int]]:
    """Identical boxes become one; if their classes differ, its class is UNKNOWN (two chromosomes boxed as one)."""
    seen: dict[tuple, int] = {}
    for box, c in zip(boxes, classes):
        key = tuple(box)
        seen[key] = c if seen.get(key, c) == c else UNKNOWN
    return [list(k) for k in seen], list(seen.values())


def cil(data: Path) -> Iterator[Cell]:
    """The cil set: `annotations.csv`, `cells.csv`, `images/`; the committed split."""
    found = defaultdict(lambda: ([], []))
    for r in rows(data / "annotations.csv"):
        box = [float(r[k]) for k in ("xmin", "ymin", "xmax", "ymax")]
        found[r["image"]][0].append(box)
        found[r["image"]][1].append(class_index(r["class"]))
    side = splits.read("cil")
    for r in rows(data / "cells.csv"):
        name = r["image"]
        w, h = float(r["width"]), float(r["height"])
        boxes, classes = merge_doubles(*found[name])
        boxes = [[max(b[0], 0), max(b[1], 0), min(b[2], w), min(b[3], h)] for b in boxes]
        path = data / "images" / name
        yield Cell(name, r["group"], side[name]["split"], lambda path=path: read_grey(path), boxes, classes)


@dataclass
class Single:
    """One cut chromosome: dark on 255 (fluorescence already inverted), trimmed to its outline's rectangle."""

    name: str
    cell: str
    group: str
    split: str
    fold: int
    label: int
    grey: np.ndarray


#: Grey level above which a pixel of a single chromosome's picture is ground. Some BioImLab cells have faint specks of up
#: to 20 levels all over the padding: at 247 they stay in the rectangle, at 235 they fall away.
BLANK = 235


def trim(grey: np.ndarray, blank: int = BLANK) -> np.ndarray:
    """Cuts away the border whose pixels are all brighter than `blank`; an empty image stays as it is."""
    dark = grey <= blank
    ys, xs = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    return grey[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] if len(ys) else grey


def singles(data: Path, set_name: str) -> Iterator[Single]:
    """Labelled singles on sheets (`index.csv`): pki3 (dark on white) or bioimlab (bright on black, inverted here)."""
    side, sheets = splits.read(set_name), {}
    for r in rows(data / "index.csv"):
        label = class_index(r["class"])
        if label == UNKNOWN:
            continue
        if r["sheet"] not in sheets:
            sheets = {r["sheet"]: read_grey(data / r["sheet"])}
        x, y, w, h = (int(r[k]) for k in ("x", "y", "width", "height"))
        grey = sheets[r["sheet"]][y : y + h, x : x + w]
        if set_name == "bioimlab":
            grey = 255 - grey
        s = side[r["cell"]]
        yield Single(r["source_file"], r["cell"], s["group"], s["split"], int(s["fold"]), label, trim(grey))


def class_map_boxes(label_map: np.ndarray, least: int = 60) -> tuple[list[list[float]], list[int]]:
    """Boxes of the connected pieces of each class of an M-FISH map; pixels of overlaps (255) join the classes they touch.

    Homologues that touch are one piece and so one box; a piece under `least` pixels is dropped.
    """
    boxes, classes = [], []
    crossing = label_map == 255
    for value in range(1, 25):
        own = label_map == value
        if not own.any():
            continue
        joined = (own | crossing).astype(np.uint8)
        _, labels = cv2.connectedComponents(joined, connectivity=8)
        for piece in np.unique(labels[own]):
            inside = own & (labels == piece)
            if inside.sum() < least:
                continue
            ys, xs = np.nonzero(inside)
            boxes.append([float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)])
            classes.append(value - 1)
    return boxes, classes


def mfish(data: Path) -> Iterator[Cell]:
    """Labelled M-FISH cells: the DAPI plane inverted (dark chromosomes on bright ground), boxes from the class map."""
    side = splits.read("mfish")
    for r in rows(data / "cells.csv"):
        if r["labelled"] != "1":
            continue
        name = r["cell"]
        form = "png" if (data / f"cells/{name}_class.png").is_file() else "webp"
        boxes, classes = class_map_boxes(read_grey(data / f"cells/{name}_class.{form}"))
        path = data / f"cells/{name}_dapi.{form}"
        yield Cell(name, r["group"], side[name]["split"], lambda path=path: 255 - read_grey(path), boxes, classes)
