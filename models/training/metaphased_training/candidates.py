"""What the detector offers the classifier on training cells: its boxes, labelled by the annotations they meet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import OTHER, boxes as bx
from .cache import Cache
from .detector import candidates
from .nets import Detector

#: A box is its chromosome from this IoU on, and no single chromosome under that; between them it teaches nothing.
SAME, NONE = 0.6, 0.45


def labels(offered: np.ndarray, truth: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """0..23, OTHER, or -1 (in doubt) for every offered box."""
    if len(truth) == 0 or len(offered) == 0:
        return np.full(len(offered), OTHER, np.int16)
    overlap = bx.iou_matrix(offered, truth)
    best, at = overlap.max(1), overlap.argmax(1)
    return np.where(best >= SAME, classes[at], np.where(best < NONE, OTHER, -1)).astype(np.int16)


@dataclass
class Offered:
    """Offered boxes of a cache: rows `first[i]:first[i + 1]` belong to its item i, in its pixels."""

    first: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Offered":
        z = np.load(path)
        return cls(z["first"], z["boxes"], z["labels"])

    def of(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [n,4] and labels [n] of one item."""
        rows = slice(int(self.first[i]), int(self.first[i + 1]))
        return self.boxes[rows], self.labels[rows]


def collect(weights: Path, coarse: Cache, native: Cache, out: Path, floor=0.03, blind=0.7, same=0.6, limit: int | None = None, progress=print) -> Offered:
    """Runs the detector of a small checkpoint over the training cells and writes what outlives a lenient suppression."""
    c = torch.load(weights, map_location="cpu", weights_only=True)
    net = Detector(**c["net"]).eval()
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in c["state"].items()})
    net.to(memory_format=torch.channels_last)
    wanted = set(coarse.select("train")[:limit].tolist())
    first, found, kinds = [0], [], []
    for i in range(len(coarse)):
        if i in wanted:
            item, full = coarse[i], native[i]
            b, s, p, _ = candidates(net, item.pixels, floor, limit=400)
            b = b[bx.suppress(b, s, p.argmax(1), blind, same)] * (full.pixels.shape[1] / item.pixels.shape[1]) if len(b) else b
            found.append(b.astype(np.float32)), kinds.append(labels(b, full.boxes, full.classes))
            if len(found) % 250 == 0:
                progress(f"{len(found)} of {len(wanted)} cells, {sum(map(len, found))} boxes", flush=True)
        first.append(first[-1] + (len(found[-1]) if i in wanted else 0))
    np.savez(out, first=np.array(first), boxes=np.concatenate(found), labels=np.concatenate(kinds))
    return Offered.read(out)
