"""What the detector offers the second stage on training cells: its boxes, before most of the suppression."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import boxes as bx
from .cache import Cache
from .detector import candidates
from .nets import Detector
from .run import read_small


@dataclass
class Offered:
    """Offered boxes of a cache: rows `first[i]:first[i + 1]` belong to its item i, in its pixels."""

    first: np.ndarray
    boxes: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Offered":
        z = np.load(path)
        return cls(z["first"], z["boxes"])

    def of(self, i: int) -> np.ndarray:
        """Boxes [n,4] of one item."""
        return self.boxes[int(self.first[i]) : int(self.first[i + 1])]


def collect(weights: Path, coarse: Cache, native: Cache, out: Path, floor=0.01, blind=0.85, same=0.8, limit: int | None = None, progress=print) -> Offered:
    """Runs the detector of a small checkpoint over the training cells and writes what outlives a lenient suppression.

    More lenient than the daemon's: on cells that it was trained on the detector errs less than on others."""
    net = read_small(Detector, weights)
    wanted = set(coarse.select("train")[:limit].tolist())
    first, found = [0], []
    for i in range(len(coarse)):
        if i in wanted:
            item, full = coarse[i], native[i]
            b, s, p, _ = candidates(net, item.pixels, floor, limit=500)
            b = b[bx.suppress(b, s, p.argmax(1), blind, same)] * (full.pixels.shape[1] / item.pixels.shape[1]) if len(b) else b
            found.append(b.astype(np.float32))
            if len(found) % 250 == 0:
                progress(f"{len(found)} of {len(wanted)} cells, {sum(map(len, found))} boxes", flush=True)
        first.append(first[-1] + (len(found[-1]) if i in wanted else 0))
    np.savez(out, first=np.array(first), boxes=np.concatenate(found))
    return Offered.read(out)
