"""Decoded images in one flat uint8 file, so that a training reads pixels through the page cache and never decodes.

A cache is a folder with `pixels.bin` and `index.npz` (names, offsets, heights, widths, boxes, classes, groups,
splits). Boxes are in pixels of the cached scale; a class of -1 says that the class is not known or in doubt. `audit.npz`
beside them (`audit.mark`) says what training is to leave alone.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from . import readers

#: The level to which the background of a metaphase is brought before a network sees it.
BACKGROUND = 220
BACKGROUND_PERCENTILE = 0.90


def background_level(grey: np.ndarray) -> int:
    """Smallest grey level that at least 90 % of the pixels do not exceed."""
    cumulative = np.bincount(grey.ravel(), minlength=256).cumsum()
    return int(np.searchsorted(cumulative, BACKGROUND_PERCENTILE * grey.size))


def normalise_background(grey: np.ndarray) -> np.ndarray:
    """Scales grey levels so that the background lies at 220; clips at 255. Dark chromosomes on bright ground."""
    level = max(background_level(grey), 1)
    table = np.clip(np.rint(np.arange(256) * (BACKGROUND / level)), 0, 255).astype(np.uint8)
    return table[grey]


def shrink(grey: np.ndarray, scale: float) -> np.ndarray:
    """Resizes by area averaging; the size is rounded to whole pixels."""
    if scale == 1.0:
        return grey
    h, w = grey.shape
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


@dataclass
class Item:
    """One image of a cache: pixels [h,w] uint8, boxes [n,4] float32 (xmin, ymin, xmax, ymax), classes [n]."""

    name: str
    group: str
    split: str
    pixels: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    #: Where a chromosome may lie that was not boxed, [k,4]: no example of ground.
    ignored: np.ndarray


class Cache:
    """Random access to a cache folder written by `build`; `audited`: training leaves alone what the audit lists."""

    def __init__(self, folder: Path, audited: bool = True):
        z = np.load(folder / "index.npz")
        self.names, self.groups, self.splits = z["names"], z["groups"], z["splits"]
        self.offset, self.h, self.w = z["offset"], z["h"], z["w"]
        self.first, self.boxes, self.classes = z["first"], z["boxes"], z["classes"]
        self.scale = float(z["scale"])
        self.pixels = np.memmap(folder / "pixels.bin", np.uint8, "r")
        self.ignored = {}
        if audited and (folder / "audit.npz").exists():
            listed = np.load(folder / "audit.npz")
            self.classes[listed["doubted"]] = -1
            for i in np.unique(listed["image"]):
                self.ignored[int(i)] = listed["unboxed"][listed["image"] == i]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i: int) -> Item:
        h, w, o = int(self.h[i]), int(self.w[i]), int(self.offset[i])
        rows = slice(int(self.first[i]), int(self.first[i + 1]))
        pixels = np.asarray(self.pixels[o : o + h * w]).reshape(h, w)
        return Item(str(self.names[i]), str(self.groups[i]), str(self.splits[i]), pixels, self.boxes[rows], self.classes[rows],
                    self.ignored.get(i, self.boxes[:0]))

    def select(self, *splits: str) -> np.ndarray:
        """Indices of the images of the named splits."""
        return np.flatnonzero(np.isin(self.splits, splits))


def build(cells, folder: Path, scale: float, progress=None, diagonal: float | None = None) -> Cache:
    """Writes a cache of metaphases (any iterable of `readers.Cell`) at `scale` times their size.

    With `diagonal`, each cell gets the scale at which the median diagonal of its boxes has that many pixels.
    """
    given = scale
    folder.mkdir(parents=True, exist_ok=True)
    names, groups, splits, offset, hs, ws, first, boxes, classes = [], [], [], [], [], [], [0], [], []
    at = 0
    with open(folder / "pixels.part", "wb") as f:
        for n, cell in enumerate(cells):
            if diagonal:
                b = np.array(cell.boxes)
                given = diagonal / float(np.median(np.hypot(b[:, 2] - b[:, 0], b[:, 3] - b[:, 1])))
            grey = shrink(normalise_background(cell.grey()), given)
            names.append(cell.name), groups.append(cell.group), splits.append(cell.split)
            offset.append(at), hs.append(grey.shape[0]), ws.append(grey.shape[1])
            boxes += [[v * given for v in b] for b in cell.boxes]
            classes += cell.classes
            first.append(len(classes))
            f.write(np.ascontiguousarray(grey).tobytes())
            at += grey.size
            if progress and n % 500 == 0:
                progress(f"{n} images cached")
    (folder / "pixels.part").replace(folder / "pixels.bin")
    np.savez(
        folder / "index.npz", names=np.array(names), groups=np.array(groups), splits=np.array(splits), scale=scale,
        offset=np.array(offset, np.int64), h=np.array(hs), w=np.array(ws), first=np.array(first, np.int64),
        boxes=np.array(boxes, np.float32).reshape(-1, 4), classes=np.array(classes, np.int16),
    )
    return Cache(folder)
