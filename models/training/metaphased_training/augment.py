"""Augmentation of metaphases in numpy: what optics, stains and operators do to a picture.

All functions take and return uint8 grey images with dark chromosomes on bright ground; boxes are float32
[n,4] xmin, ymin, xmax, ymax.
"""

import cv2
import numpy as np

from .cache import BACKGROUND


def dihedral_boxes(boxes: np.ndarray, k: int, w: int, h: int) -> np.ndarray:
    """Boxes under `dihedral_image` with the same k in an image of w x h."""
    x0, y0, x1, y1 = boxes.T
    if k & 1:
        x0, x1 = w - x1, w - x0
    if k & 2:
        y0, y1 = h - y1, h - y0
    if k & 4:
        x0, y0, x1, y1 = y0, x0, y1, x1
    return np.stack([x0, y0, x1, y1], 1).astype(np.float32)


def dihedral_image(image: np.ndarray, k: int) -> np.ndarray:
    """One of eight flips and quarter turns: bit 0 mirrors x, bit 1 mirrors y, bit 2 transposes after that."""
    if k & 1:
        image = image[:, ::-1]
    if k & 2:
        image = image[::-1]
    return image.T if k & 4 else image


def isolated(boxes: np.ndarray) -> np.ndarray:
    """Indices of the boxes that touch no other box."""
    a, b = boxes[:, None], boxes[None]
    touch = (np.minimum(a[..., 2:], b[..., 2:]) > np.maximum(a[..., :2], b[..., :2])).all(-1)
    return np.flatnonzero(touch.sum(1) == 1)


def paste_chromosomes(rng, image, boxes, classes, count: int):
    """Lays copies of isolated chromosomes over others: absorbances add, so grey levels multiply.

    Returns the image, the boxes and the classes with the copies appended.
    """
    alone = isolated(boxes)
    if len(alone) == 0:
        return image, boxes, classes
    image, h, w = image.copy(), *image.shape
    new_boxes, new_classes = [], []
    for i in rng.choice(alone, count):
        x0, y0, x1, y1 = np.rint(boxes[i]).astype(int)
        patch = dihedral_image(image[y0:y1, x0:x1], int(rng.integers(8)))
        ph, pw = patch.shape
        onto = boxes[rng.integers(len(boxes))]
        cx, cy = (onto[:2] + onto[2:]) / 2 + rng.normal(0, 0.35, 2) * (onto[2:] - onto[:2] + [pw, ph]) / 2
        px, py = int(cx - pw / 2), int(cy - ph / 2)
        if px < 0 or py < 0 or px + pw > w or py + ph > h:
            continue
        layer = np.minimum(patch.astype(np.float32) / (BACKGROUND - 8), 1.0)
        under = image[py : py + ph, px : px + pw]
        image[py : py + ph, px : px + pw] = (under * layer).astype(np.uint8)
        new_boxes.append([px, py, px + pw, py + ph])
        new_classes.append(classes[i])
    if new_boxes:
        boxes = np.concatenate([boxes, np.array(new_boxes, np.float32)])
        classes = np.concatenate([classes, np.array(new_classes, classes.dtype)])
    return image, boxes, classes


def wipe_background(image, boxes, level: int):
    """What operators do: everything outside the boxes becomes one level."""
    keep = np.zeros(image.shape, bool)
    for x0, y0, x1, y1 in np.rint(boxes).astype(int):
        keep[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return np.where(keep, image, np.uint8(level))


def tone_table(rng, strength: float = 1.0) -> np.ndarray:
    """A look-up table: gamma and gain of the absorbance, offset of the background."""
    t = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.18 * strength))
    depth = np.exp(rng.normal(0, 0.15 * strength))
    level = BACKGROUND / 255 * np.exp(rng.normal(0, 0.05 * strength))
    absorbed = np.clip(1 - t / (BACKGROUND / 255), -0.2, 1)
    absorbed = np.sign(absorbed) * np.abs(absorbed) ** gamma * depth
    return np.clip(np.rint(255 * level * (1 - absorbed)), 0, 255).astype(np.uint8)


def solid_table(rng) -> np.ndarray:
    """A look-up table that drowns the bands, as a solid stain does: absorbance saturates early."""
    absorbed = np.clip(1 - np.arange(256, dtype=np.float32) / (BACKGROUND - 6), 0, 1)
    deep = rng.uniform(0.45, 0.9) * (1 - np.exp(-absorbed * rng.uniform(4, 9)))
    return np.clip(np.rint(BACKGROUND * np.exp(rng.normal(0, 0.05)) * (1 - deep)), 0, 255).astype(np.uint8)


def optics(rng, image: np.ndarray, solid: bool = False) -> np.ndarray:
    """Stain and gain, uneven light, defocus, camera noise."""
    if solid:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 2.0))
    image = (solid_table(rng) if solid else tone_table(rng))[image]
    if rng.random() < 0.25:
        sigma = rng.uniform(0.4, 1.2)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    elif rng.random() < 0.25:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0)
        image = cv2.addWeighted(image, 1.6, soft, -0.6, 0)
    if rng.random() < 0.2:
        h, w = image.shape
        gx, gy = rng.uniform(-0.12, 0.12, 2)
        light = 1 + gx * np.linspace(-1, 1, w, dtype=np.float32)[None] + gy * np.linspace(-1, 1, h, dtype=np.float32)[:, None]
        image = np.clip(image * light, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        noise = np.empty(image.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, 0, rng.uniform(1, 8))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image


def detector_sample(rng, pixels, boxes, classes, size: int, ignored=np.zeros((0, 4), np.float32), paste: float = 0.5, solid: float = 0.06):
    """A `size` x `size` training crop. Returns image, boxes, classes and the ignore regions (boxes cut to a stump, and `ignored`)."""
    if len(boxes) and rng.random() < paste:
        pixels, boxes, classes = paste_chromosomes(rng, pixels, boxes, classes, int(rng.integers(1, 7)))
    if len(boxes) and rng.random() < 0.06:
        pixels = wipe_background(pixels, boxes, int(rng.choice([255, BACKGROUND, 235])))
    h, w = pixels.shape
    fx = np.exp(np.clip(rng.normal(0, 0.10), -0.25, 0.25))
    fy = fx * np.exp(rng.normal(0, 0.02))
    # The window in cached pixels; where the image is smaller than the window it lies at a random place inside it.
    ww, wh = size / fx, size / fy
    x = rng.uniform(min(0, w - ww), max(0, w - ww))
    y = rng.uniform(min(0, h - wh), max(0, h - wh))
    if len(boxes) and rng.random() < 0.7:  # wide fields are mostly empty: keep a chromosome in the window
        b = boxes[rng.integers(len(boxes))]
        x, y = np.clip([x, y], b[2:] - [ww, wh], np.maximum(b[:2], b[2:] - [ww, wh]))
    matrix = np.array([[fx, 0, -x * fx], [0, fy, -y * fy]], np.float32)
    pad = int(rng.choice([255, BACKGROUND, BACKGROUND]))
    image = cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=pad)
    moved = lambda b: (b - [x, y, x, y]) * [fx, fy, fx, fy]
    whole = moved(boxes)
    cut = np.clip(whole, 0, size)
    area = lambda b: np.maximum(b[:, 2] - b[:, 0], 0) * np.maximum(b[:, 3] - b[:, 1], 0)
    seen = area(cut) / np.maximum(area(whole), 1e-6)
    keep, stump = seen >= 0.6, (seen > 0) & (seen < 0.6)
    k = int(rng.integers(8))
    drown = rng.random() < solid
    image = optics(rng, np.ascontiguousarray(dihedral_image(image, k)), drown)
    if drown:
        classes = np.full_like(classes, -1)  # without bands nobody could tell
    turn = lambda b: dihedral_boxes(b.astype(np.float32), k, size, size)
    hidden = np.concatenate([cut[stump], np.clip(moved(ignored), 0, size)])
    return image, turn(cut[keep]), classes[keep], turn(hidden)
