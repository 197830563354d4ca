"""Outlines of chromosomes that lie alone: where the truth of composed pictures comes from."""

import cv2
import numpy as np

#: Absorbance, as a share of the darkest within reach, from which a pixel is chromosome.
EDGE = 0.42
#: Least absorbance of a chromosome's pixel above the ground, and the least of its darkest part.
FAINT, DEEP = 0.07, 0.2


def absorbance(grey: np.ndarray, ground: np.ndarray | float) -> np.ndarray:
    """How much light is missing, 0 (ground) to 1, float32."""
    return np.clip(1 - grey.astype(np.float32) / ground, 0, 1)


def disc(radius: float) -> np.ndarray:
    """A round structuring element."""
    n = max(1, int(round(radius)))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * n + 1, 2 * n + 1))


def outline(grey: np.ndarray, width: float, inner: tuple[int, int, int, int]) -> tuple[np.ndarray, float] | None:
    """Mask (bool) of the chromosome that fills the box `inner` (x0, y0, x1, y1) of a picture, and the level of the ground; None if there is none.

    `width` is how wide chromosomes of the cell are, in pixels. A pixel belongs to the chromosome from a share of the absorbance of the darkest
    place within half a width: half way up the edge of dark bands and pale ones alike.
    """
    rim = np.concatenate([grey[:2].ravel(), grey[-2:].ravel(), grey[:, :2].ravel(), grey[:, -2:].ravel()])
    ground = float(np.percentile(rim, 65))
    if ground < 40:
        return None
    dark = cv2.GaussianBlur(absorbance(grey, ground), (0, 0), max(0.5, width * 0.035))
    near = cv2.GaussianBlur(cv2.dilate(dark, disc(width * 0.4)), (0, 0), width * 0.25)
    own = (dark > np.maximum(EDGE * near, FAINT)).astype(np.uint8)
    own = cv2.morphologyEx(own, cv2.MORPH_CLOSE, disc(width * 0.22))
    best = largest(cv2.morphologyEx(own, cv2.MORPH_OPEN, disc(width * 0.12)), inner)
    if best is None or dark[best].max() < DEEP:
        return None
    return filled(best.astype(np.uint8), width), ground


def largest(mask: np.ndarray, inner: tuple[int, int, int, int]) -> np.ndarray | None:
    """The connected piece with the most pixels inside a box."""
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    x0, y0, x1, y1 = inner
    counts = np.bincount(labels[y0:y1, x0:x1].ravel(), minlength=2)
    counts[0] = 0
    return labels == counts.argmax() if counts.max() else None


def filled(mask: np.ndarray, width: float) -> np.ndarray:
    """The mask without holes smaller than a chromosome's width across; the loop of a bent one stays open."""
    holes, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    mask = mask.copy()
    for k in range(1, holes):
        x, y, w, h, area = stats[k]
        inside = x > 0 and y > 0 and x + w < mask.shape[1] and y + h < mask.shape[0]
        if inside and area < 0.25 * width * width:
            mask[labels == k] = 1
    return mask.astype(bool)


def clean(mask: np.ndarray, width: float, inner: tuple[int, int, int, int], margin: float) -> bool:
    """Whether a mask is one whole chromosome's: of a plausible width, and as large as the annotated box `inner`, which leaves `margin` around it."""
    ys, xs = np.nonzero(mask)
    h, w = mask.shape
    if len(xs) < 0.4 * width * width or xs.min() == 0 or ys.min() == 0 or xs.max() == w - 1 or ys.max() == h - 1:
        return False
    own = np.array([xs.min() - margin, ys.min() - margin, xs.max() + 1 + margin, ys.max() + 1 + margin])
    box = np.array(inner, float)
    both = np.maximum(np.minimum(own[2:], box[2:]) - np.maximum(own[:2], box[:2]), 0).prod()
    union = (own[2:] - own[:2]).prod() + (box[2:] - box[:2]).prod() - both
    broad = 2 * cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3).max()
    return both / union > 0.75 and 0.45 * width < broad < 1.9 * width


def alone(mask: np.ndarray, dark: np.ndarray, reach: float) -> bool:
    """Whether hardly anything else is dark within `reach` pixels of a mask."""
    own = mask.astype(np.uint8)
    ring = cv2.dilate(own, disc(reach)) - cv2.dilate(own, disc(reach * 0.4))
    return bool((dark[ring > 0] > 0.12).mean() < 0.03)


def principal_turn(mask: np.ndarray) -> np.ndarray:
    """A rotation about the mask's middle that brings its long side upright: matrix [2,3], upwards stays upwards."""
    ys, xs = np.nonzero(mask)
    centre = np.array([xs.mean(), ys.mean()])
    _, vectors = np.linalg.eigh(np.cov(np.stack([xs, ys])))
    along = vectors[:, 1] * np.sign(vectors[1, 1] or 1)
    turn = np.array([[along[1], -along[0]], [along[0], along[1]]])
    return np.c_[turn, -turn @ centre]


def axis(mask: np.ndarray, points: int = 24) -> np.ndarray | None:
    """The middle line of a gently bent mask as [points,2] (x, y), from the upper end to the lower; None where it bends too much for a cubic.

    Equal steps of arc length from tip to tip."""
    m = principal_turn(mask)
    ys, xs = np.nonzero(mask)
    px, py = m @ np.stack([xs, ys, np.ones_like(xs)])
    low, high = py.min() - 0.5, py.max() + 0.5
    t = (py - low) / (high - low) * 2 - 1
    fit = np.polynomial.polynomial.polyfit(t, px, 3)
    off = px - np.polynomial.polynomial.polyval(t, fit)
    if np.percentile(np.abs(off), 97) > 0.62 * 2 * cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3).max():
        return None
    fine = np.linspace(-1, 1, 200)
    line = np.stack([np.polynomial.polynomial.polyval(fine, fit), (fine + 1) / 2 * (high - low) + low], 1)
    line = (line - m[:, 2]) @ m[:, :2]
    return resampled(line, points)


def resampled(line: np.ndarray, points: int) -> np.ndarray:
    """A polyline at equal steps of arc length."""
    at = np.r_[0, np.cumsum(np.hypot(*np.diff(line, axis=0).T))]
    want = np.linspace(0, at[-1], points)
    return np.stack([np.interp(want, at, line[:, k]) for k in (0, 1)], 1).astype(np.float32)


def straightened(picture: np.ndarray, line: np.ndarray, half: float, rows: int, columns: int, fill: int) -> np.ndarray:
    """The picture along a middle line: [rows, columns], a row across the line at each of equal steps, `half` pixels to either side."""
    line = resampled(line, rows)
    step = np.gradient(line, axis=0)
    step /= np.maximum(np.hypot(*step.T), 1e-6)[:, None]
    across = np.stack([step[:, 1], -step[:, 0]], 1)
    at = (np.arange(columns) + 0.5) / columns * 2 - 1
    grid = line[:, None] + across[:, None] * (at * half)[None, :, None]
    return cv2.remap(picture, grid[..., 0].astype(np.float32), grid[..., 1].astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)


def profiles(clear: np.ndarray, mask: np.ndarray, line: np.ndarray, width: float, rows: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Width in pixels and mean absorbance across the middle line at `rows` steps."""
    half, columns = 0.95 * width, 33
    own = straightened(mask.astype(np.uint8) * 255, line, half, rows, columns, 0) > 127
    dark = 1 - straightened(clear, line, half, rows, columns, 255).astype(np.float32) / 255
    wide = own.sum(1)
    return wide * (2 * half / columns), np.where(wide > 0, (dark * own).sum(1) / np.maximum(wide, 1), 0)
