"""Composed dicentrics on real frames: two real centric pieces joined near their ends with the rest of both as a fragment, and as many
chromosomes cut and rejoined in the same way that keep one centromere. Writes the layout of `simulate` (truth.jsonl), without masks."""

import argparse
import json
import math
import random
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from metaphased_training.giemsa import mask_of

REACH = 70  # Half the side of a chromosome's patch, in pixels.
MIDDLE = 90  # Column of the axis in a joined patch.
MOST_PAIRS = 6  # Pairs that are exchanged in one frame.


class Patch:
    """A chromosome turned so that its axis stands: grey, soft edge, mask, and the row of its centromere."""

    def __init__(self, frame, mask, centromere):
        ys, xs = np.nonzero(mask)
        cy, cx = ys.mean(), xs.mean()
        _, vectors = np.linalg.eigh(np.cov(np.stack([xs - cx, ys - cy])))
        dx, dy = vectors[:, 1]
        rows, columns = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1].astype(np.float32)
        at = [cy + rows * dy - columns * dx, cx + rows * dx + columns * dy]
        soft = ndimage.binary_dilation(mask, iterations=2).astype(np.float32)
        self.planes = [
            ndimage.map_coordinates(frame, at, order=1, mode="nearest"),
            ndimage.map_coordinates(soft, at, order=1),
            ndimage.map_coordinates(mask.astype(np.float32), at, order=1) > 0.5,
        ]
        self.pose = (cx, cy, dx, dy)
        self.centromere = REACH + (centromere[0] - 0.5 - cx) * dx + (centromere[1] - 0.5 - cy) * dy
        self.first, self.last = np.nonzero(self.planes[2].any(1))[0][[0, -1]]
        self.width = mask.sum() / max(self.last - self.first, 1)

    def cut(self, rng):
        """The part with the centromere and the rest, each with the column of its middle at the cut; none where it is too short."""
        planes, row, first, last = self.planes, self.centromere, self.first, self.last
        if row - first > last - row:
            n = planes[0].shape[0] - 1
            planes, row, first, last = [p[::-1] for p in planes], n - row, n - last, n - first
        space = last - row
        if space < 1.1 * self.width:
            return None
        at = int(round(row + rng.uniform(0.55 * self.width, min(1.6 * self.width, space - 0.5 * self.width))))
        if not first + 3 < at < last - 3:
            return None
        columns = np.nonzero(planes[2][at - 1 : at + 2].any(0))[0]
        middle, width = (columns[0] + columns[-1]) / 2, columns[-1] - columns[0] + 1
        centric = ([p[first - 3 : at] for p in planes], middle)
        rest = ([p[at : last + 4] for p in planes], middle)
        return centric, rest, row - (first - 3), width


def turned(part):
    return [p[::-1] for p in part[0]], part[1]


def joined(top, bottom):
    """One patch of two, their middles at the cut in one column."""

    def placed(part):
        planes, middle = part
        out = [np.zeros((planes[0].shape[0], 2 * MIDDLE + 1), np.float32) for _ in planes]
        out[0] += 255
        shift = int(round(MIDDLE - middle))
        for to, plane in zip(out, planes):
            left, skip = max(0, shift), max(0, -shift)
            n = min(plane.shape[1] - skip, to.shape[1] - left)
            to[:, left : left + n] = plane[:, skip : skip + n]
        return out

    first, second = placed(top), placed(bottom)
    planes = [np.concatenate(pair, 0) for pair in zip(first, second)]
    seam = first[0].shape[0]
    planes[0][seam - 2 : seam + 2] = ndimage.gaussian_filter1d(planes[0], 1.0, axis=0)[seam - 2 : seam + 2]
    return planes


def erase(frame, mask, chromosomes, rng):
    """The ground around a chromosome in its place."""
    own = ndimage.binary_dilation(mask, iterations=5)
    around = ndimage.binary_dilation(own, iterations=8) & ~own & ~ndimage.binary_dilation(chromosomes, iterations=4)
    if around.sum() < 30:
        return False
    choice = np.random.RandomState(rng.randrange(1 << 30)).choice(frame[around], own.sum())
    frame[own] = choice
    frame[own] = ndimage.gaussian_filter(frame, 0.7)[own]
    return True


def paste(frame, planes, pose):
    cx, cy, dx, dy = pose
    height, width = planes[0].shape
    reach = max(planes[0].shape) // 2 + 4
    top, bottom = max(int(cy) - reach, 0), min(int(cy) + reach + 1, frame.shape[0])
    left, right = max(int(cx) - reach, 0), min(int(cx) + reach + 1, frame.shape[1])
    ys, xs = np.mgrid[top:bottom, left:right].astype(np.float32)
    at = [(xs - cx) * dx + (ys - cy) * dy + (height - 1) / 2, (xs - cx) * dy - (ys - cy) * dx + (width - 1) / 2]
    grey = ndimage.map_coordinates(planes[0], at, order=1, mode="nearest")
    soft = ndimage.gaussian_filter(ndimage.map_coordinates(planes[1], at, order=1), 0.6)
    frame[top:bottom, left:right] = frame[top:bottom, left:right] * (1 - soft) + grey * soft


def truth_of(planes, pose, centromeres, index):
    cx, cy, dx, dy = pose
    rows, columns = np.nonzero(planes[2])
    u, v = rows - (planes[0].shape[0] - 1) / 2, columns - (planes[0].shape[1] - 1) / 2
    x, y = cx + u * dx + v * dy, cy + u * dy - v * dx
    box = [float(v) for v in (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1)]
    along = [row - (planes[0].shape[0] - 1) / 2 for row in centromeres]
    places = [[float(cx + a * dx + 0.5), float(cy + a * dy + 0.5)] for a in along]
    return dict(index=index, box=box, centromeres=places, cut=False)


def alone(chromosome, all_of_them):
    x, y, w, h = chromosome["box"]
    for other in all_of_them:
        ox, oy, ow, oh = other["box"]
        shared = max(0, min(x + w, ox + ow) - max(x, ox)) * max(0, min(y + h, oy + oh) - max(y, oy))
        if other is not chromosome and shared > 0.15 * w * h:
            return False
    return True


def usable(frame, cell):
    """Chromosomes that lie alone with one sure centromere, as (mask, patch), and the pixels of all."""
    everything, good = np.zeros(frame.shape, bool), []
    for chromosome in cell["chromosomes"]:
        outline, seen = chromosome.get("outline"), chromosome.get("centromeres", [])
        if not outline:
            continue
        mask = mask_of(outline["rings"], frame.shape) > 0
        everything |= mask
        sure = len(seen) == 1 and seen[0]["score"] >= 0.5 and outline["score"] >= 0.83
        if mask.sum() < 200 or not sure or not alone(chromosome, cell["chromosomes"]):
            continue
        patch = Patch(frame, mask, seen[0]["at"])
        if patch.last - patch.first >= 1.6 * patch.width and patch.first >= 4 and patch.last <= 2 * REACH - 4:
            good.append((mask, patch))
    return good, everything


def exchange(frame, one, other, to_dicentric, everything, rng, first_index):
    """Cuts two chromosomes and joins their parts in their places; what lies there then, nothing where it does not work."""
    (a, x), (b, y) = one, other
    cut_a, cut_b = x.cut(rng), y.cut(rng)
    if not cut_a or not cut_b or abs(cut_a[3] - cut_b[3]) > 0.35 * max(cut_a[3], cut_b[3]):
        return []
    if to_dicentric:
        both = joined(cut_a[0], turned(cut_b[0]))
        products = [(both, [cut_a[2], both[0].shape[0] - 1 - cut_b[2]]), (joined(turned(cut_a[1]), cut_b[1]), [])]
    else:
        products = [(joined(cut_a[0], cut_b[1]), [cut_a[2]]), (joined(cut_b[0], cut_a[1]), [cut_b[2]])]
    if not erase(frame, a, everything, rng) or not erase(frame, b, everything, rng):
        return []
    truth = []
    for (planes, centromeres), patch in zip(products, (x, y)):
        paste(frame, planes, patch.pose)
        truth.append(truth_of(planes, patch.pose, centromeres, first_index + len(truth)))
    return truth


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("frames", type=Path, help="folder of frames")
    arguments.add_argument("found", type=Path, help="what `analyze --format jsonl` wrote of them")
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--stain", default="giemsa", help="of the frames")
    arguments.add_argument("--rounds", type=int, default=4, help="pictures a frame")
    arguments = arguments.parse_args()
    rng = random.Random(arguments.seed)
    (arguments.out / "masks").mkdir(parents=True, exist_ok=True)
    number = 0
    with open(arguments.out / "truth.jsonl", "w") as truth_file:
        for line in arguments.found.read_text().splitlines():
            cell = json.loads(line)
            if cell.get("schema") != "cell/1":
                continue
            name = cell["captured"]["file"]
            frame = np.asarray(Image.open(arguments.frames / name).convert("L")).astype(np.float32)
            good, everything = usable(frame, cell)
            for _ in range(arguments.rounds if len(good) >= 4 else 0):
                picture, truth = frame.copy(), []
                rng.shuffle(good)
                for k in range(min(len(good) // 2, MOST_PAIRS)):
                    pair = good[2 * k], good[2 * k + 1]
                    truth += exchange(picture, *pair, k % 2 == 0, everything, rng, len(truth))
                image = f"composed{number:04d}.png"
                number += 1
                Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(arguments.out / image)
                cells = [dict(group=name, chromosomes=truth)]
                size = [frame.shape[1], frame.shape[0]]
                row = dict(image=image, mask="", stain=arguments.stain, size=size, cells=cells)
                truth_file.write(json.dumps(row) + "\n")
    print(number, "pictures")


if __name__ == "__main__":
    main()
