"""How a chromosome becomes the classifier's input: the same rule in training, export and the daemon."""

import cv2
import numpy as np

from .cache import BACKGROUND

#: Side of the classifier's input.
SIZE = 96
#: The square's side is the larger of the margin times the long side of the box and the floor times the cell's median box diagonal:
#: a cut chromosome fills it; in a metaphase there is room to see what the box missed.
SINGLE, FIELD = dict(margin=1.12, floor=0.75), dict(margin=1.3, floor=0.9)
#: Singles: the 2nd percentile goes to DARK, white stays white.
DARK, DARK_PERCENTILE = 20, 0.02


def square_side(w: float, h: float, median: float, rule: dict) -> float:
    """Side of the square around a box's centre that the classifier sees, in source pixels."""
    return max(rule["margin"] * max(w, h), rule["floor"] * median)


def sizes(w: float, h: float, median: float) -> np.ndarray:
    """The second input: natural logarithms of diagonal, width and height over the cell's median box diagonal."""
    return np.log(np.array([np.hypot(w, h), w, h], np.float32) / np.float32(median))


def lattice(box, side: float, stretch=(1.0, 1.0)) -> np.ndarray:
    """The matrix [2,3] from pixels of the source (a whole number is a pixel's middle) to the 192 x 192 places that a crop is sampled at."""
    n = 2 * SIZE
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    fx, fy = n / side * stretch[0], n / side * stretch[1]
    # Source index of lattice point i: cx - 0.5 + (i + 0.5 - n / 2) / f.
    return np.array([[fx, 0, n / 2 - 0.5 - fx * (cx - 0.5)], [0, fy, n / 2 - 0.5 - fy * (cy - 0.5)]])


def cut(grey: np.ndarray, box, side: float, pad: int = BACKGROUND, stretch=(1.0, 1.0)) -> np.ndarray:
    """Bilinear samples on a 192 x 192 lattice over the square, averaged two by two: [96,96] uint8."""
    n = 2 * SIZE
    fine = cv2.warpAffine(grey, lattice(box, side, stretch), (n, n), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=pad)
    return cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def mask(w: float, h: float, side: float) -> np.ndarray:
    """1 where a pixel's centre lies inside the box (which is centred in the square), else 0: [96,96] uint8."""
    at = np.abs((np.arange(SIZE) + 0.5) / SIZE - 0.5) * side
    return ((at[:, None] <= h / 2) & (at[None] <= w / 2)).astype(np.uint8)


def stretch_single(grey: np.ndarray) -> np.ndarray:
    """Brings the 2nd percentile of a single chromosome's rectangle to 20 and leaves 255 in place."""
    cumulative = np.bincount(grey.ravel(), minlength=256).cumsum()
    low = min(int(np.searchsorted(cumulative, DARK_PERCENTILE * grey.size)), 254)
    table = np.clip(np.rint((np.arange(256) - low) * ((255 - DARK) / (255 - low)) + DARK), 0, 255).astype(np.uint8)
    return table[grey]
