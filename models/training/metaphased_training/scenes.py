"""Pictures with known outlines: single chromosomes laid over each other and over real metaphases as absorbances (or light) add, and the crops and truths of a network's examples."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from . import augment, crops, outlines
from .cache import BACKGROUND
from .pieces import POINTS, WIDTH, Piece, Pieces, along

#: Widest and narrowest margin that a box leaves around its chromosome, in chromosome widths.
MARGINS = (0.0, 0.5)


@dataclass
class Target:
    """A chromosome of a scene: its mask in pixels of its own, the way from those to the scene's, and what else is known, in the scene's."""

    mask: np.ndarray
    to: np.ndarray
    hull: np.ndarray
    line: np.ndarray | None
    upright: bool
    centromeres: np.ndarray | None

    @property
    def bounds(self) -> np.ndarray:
        """Its tight box."""
        low, high = self.hull.min(0), self.hull.max(0) + 1
        return np.r_[low, high]


@dataclass
class Field:
    """A real or virtual metaphase: grey, the median box diagonal, all boxes, and the chromosomes whose outlines are known (each with its corner)."""

    pixels: np.ndarray
    median: float
    boxes: np.ndarray
    pieces: list
    light: bool = False
    group: str = ""
    #: Where any chromosome lies, also those that are not among the pieces; None where only the pieces are known.
    occupied: np.ndarray | None = None


@dataclass
class Scene:
    """A picture and the chromosomes that are known in it."""

    image: np.ndarray
    median: float
    targets: list = field(default_factory=list)
    anchors: list = field(default_factory=list)
    #: Whether light adds (fluorescence, inverted) instead of absorbance.
    light: bool = False
    #: How many chromosomes lie over each pixel; of those whose outlines nobody knows, what is dark.
    depth: np.ndarray | None = None
    group: str = ""


#: Grey level under which a pixel of a metaphase is taken for chromosome.
DARK = 185
#: How often a chromosome is laid down although it makes a pile of three or hides behind another.
PILED = 0.12


def moved(points: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Points [n,2] under a matrix [2,3]."""
    return (points @ m[:, :2].T + m[:, 2]).astype(np.float32)


def chained(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The matrix that does `first` and then `second`."""
    return np.column_stack((second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]))


def hull_of(mask: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of a mask, [n,2]."""
    edges, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.convexHull(np.concatenate(edges))[:, 0].astype(np.float32)


def target_of(piece, to: np.ndarray) -> Target:
    """A piece at its place in a scene."""
    if "hull" not in vars(piece):
        piece.hull = hull_of(piece.mask)
    line = None if piece.line is None else moved(piece.line, to)
    spots = piece.centromeres
    return Target(piece.mask, to, moved(piece.hull, to), line, piece.upright, None if spots is None else moved(spots, to))


def turned(rng, scale: float, angle: float | None = None, stretch: float = 0.04) -> np.ndarray:
    """A random turn, flip and slight stretch at a scale, about the origin."""
    a = rng.uniform(0, 2 * np.pi) if angle is None else angle
    flip = np.diag([rng.choice([-1.0, 1.0]), 1.0]) if angle is None else np.eye(2)
    uneven = np.diag(np.exp(rng.normal(0, stretch, 2)))
    return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ flip @ uneven * scale


@dataclass
class Joined:
    """A chromosome put together from parts; the way up of none is known."""

    clear: np.ndarray
    mask: np.ndarray
    median: float
    line: np.ndarray
    centromeres: np.ndarray
    upright: bool = False
    label: int = -1


def bowed(rng, piece, strength: float = 0.09):
    """The piece bent sideways."""
    h, w = piece.mask.shape
    bow, waves, phase = rng.normal(0, strength) * h, rng.choice([0.5, 1.0, 1.5]), rng.uniform(0, np.pi)
    offset = lambda y: bow * (np.sin(np.pi * waves * y / h + phase) - np.sin(phase))
    rows = offset(np.arange(h, dtype=np.float32))
    low, high = int(np.floor(rows.min())), int(np.ceil(rows.max()))
    grid_x = (np.arange(w + high - low, dtype=np.float32)[None] + low - rows[:, None]).astype(np.float32)
    grid_y = np.repeat(np.arange(h, dtype=np.float32)[:, None], grid_x.shape[1], 1)
    warp = lambda picture, fill: cv2.remap(picture, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
    shifted = lambda p: p + np.stack([offset(p[:, 1]) - low, np.zeros(len(p))], 1).astype(np.float32)
    line = None if piece.line is None else shifted(piece.line)
    clear, mask = warp(piece.clear, 255), warp(piece.mask, 0)
    if isinstance(piece, Joined):
        return Joined(clear, mask, piece.median, line, shifted(piece.centromeres))
    return Piece(clear, mask, piece.label, piece.median, line, piece.upright, piece.centromere, (0, 0))


def straight(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """Light and mask along the middle line, a pixel each way as long as in the picture."""
    half = 1.1 * WIDTH * piece.median
    rows, columns = max(12, int(round(np.hypot(*np.diff(piece.line, axis=0).T).sum()))), max(12, int(round(2 * half)))
    return outlines.straightened(piece.clear, piece.line, half, rows, columns, 255), outlines.straightened(piece.mask, piece.line, half, rows, columns, 0)


#: How far from a centromere a chromosome breaks at the least, and how wide it is there at the least, in its widths.
BREAK, BROAD = 0.35, 0.75


def broken(rng, piece: Piece, centric: bool):
    """What a break beyond the centromere leaves of a chromosome, the tip first and the break last: light, mask, row of the centromere (None in the part
    without it). None where neither arm is long enough."""
    clear, mask = straight(piece)
    spot = piece.centromere * len(mask)
    if rng.random() < 0.5:
        clear, mask, spot = clear[::-1], mask[::-1], len(mask) - 1 - spot
    wide = (mask > 127).sum(1)
    usual = float(np.median(wide))
    rows = np.arange(len(mask))
    places = np.flatnonzero((wide >= BROAD * usual) & (rows > spot + BREAK * usual) & (rows < len(mask) - (1 if centric else max(6, 0.5 * usual))))
    if not len(places):
        return None
    at = int(rng.choice(places)) + 1
    return (clear[:at], mask[:at], spot) if centric else (clear[at:][::-1], mask[at:][::-1], None)


def joined(rng, first: Piece, second: Piece, kind: str) -> Joined | None:
    """`dicentric`: two chromosomes broken and rejoined, each with its centromere; `rejoined`: one with its centromere and the broken end of another;
    `fragment`: broken ends alone, one or two. All straight, with seams, their ends as real chromosomes end."""
    want = {"dicentric": (True, True), "rejoined": (True, False), "fragment": (False, False) if rng.random() < 0.5 else (False,)}[kind]
    parts = [broken(rng, p, centric) for p, centric in zip((first, second), want)]
    if any(p is None for p in parts):
        return None
    if len(parts) == 2:
        columns = max(p[1].shape[1] for p in parts)
        parts = [centred(p, columns) for p in parts]
        lower = toned(parts[0], parts[1])
        parts[1] = fitted(parts[0], (lower[0][::-1], lower[1][::-1], None if lower[2] is None else len(lower[1]) - 1 - lower[2]))
    spots, at = [], 0
    for _, mask, spot in parts:
        if spot is not None:
            spots.append(at + spot)
        at += len(mask)
    pad = lambda v, fill: np.pad(np.concatenate(v), 5, constant_values=fill)
    clear, mask = pad([p[0] for p in parts], 255), pad([p[1] for p in parts], 0)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, outlines.disc(1))
    if len(parts) == 2:
        seam = slice(len(parts[0][1]) + 2, len(parts[0][1]) + 8)
        clear[seam] = cv2.GaussianBlur(clear, (1, 5), 1.0)[seam]
    clear = np.where(cv2.GaussianBlur(mask, (0, 0), 1.0) > 40, clear, 255).astype(np.uint8)
    middle = (mask.shape[1] - 1) / 2
    line = np.stack([np.full(POINTS, middle), np.linspace(5, len(mask) - 6, POINTS)], 1).astype(np.float32)
    places = np.array([[middle, s + 5] for s in spots], np.float32).reshape(-1, 2)
    whole = outlines.largest((mask > 127).astype(np.uint8), (0, 0, mask.shape[1], mask.shape[0]))
    if whole is None or whole.sum() < max(60, 0.97 * (mask > 127).sum()):
        return None
    return Joined(clear, np.where(whole, mask, 0).astype(np.uint8), first.median, line, places)


def centred(part, columns: int):
    """The part with as many columns, and its break in the middle of them."""
    clear, mask, spot = part
    own = np.flatnonzero((mask[-3:] > 127).any(0))
    shift = (columns - 1) / 2 - ((own[0] + own[-1]) / 2 if len(own) else (mask.shape[1] - 1) / 2)
    m = np.array([[1, 0, shift], [0, 1, 0]], np.float32)
    size = (columns, len(mask))
    return cv2.warpAffine(np.ascontiguousarray(clear), m, size, borderValue=255), cv2.warpAffine(np.ascontiguousarray(mask), m, size, borderValue=0), spot


def toned(upper, lower):
    """The lower part as dark as the upper one, so that no step in tone betrays the seam."""
    dark = [float((255 - c[m > 127].astype(np.float32)).mean()) for c, m, _ in (upper, lower)]
    grow = np.clip(dark[0] / max(dark[1], 1), 0.5, 2)
    return np.clip(255 - (255 - lower[0].astype(np.float32)) * grow, 0, 255).astype(np.uint8), lower[1], lower[2]


def fitted(upper, lower):
    """The lower part made as wide as the upper one where they meet."""
    ends = [(m > 127).sum(1)[s].mean() for m, s in ((upper[1], slice(-4, None)), (lower[1], slice(0, 4)))]
    grow = np.clip(max(ends[0], 3) / max(ends[1], 3), 0.6, 1.6)
    h, w = lower[1].shape
    m = np.array([[grow, 0, (w - 1) / 2 * (1 - grow)], [0, 1, 0]])
    return cv2.warpAffine(lower[0], m, (w, h), borderValue=255), cv2.warpAffine(lower[1], m, (w, h), borderValue=0), lower[2]


def window(rng, source: Field, scale: float, reach: float = 1.7) -> Scene:
    """A part of a metaphase around one of its known chromosomes, turned and scaled so that the median diagonal is `scale` pixels."""
    h, w = source.pixels.shape
    middle = source.pieces[rng.integers(len(source.pieces))]
    at = np.array(middle.corner) + np.array(middle.mask.shape[::-1]) / 2 + rng.normal(0, 0.3, 2) * source.median
    s = scale / source.median
    side = int(2 * reach * scale)
    m = turned(rng, s, stretch=0.03)
    to = np.column_stack((m, np.array([side / 2, side / 2]) - m @ at))
    pixels = source.pixels if s > 0.75 else cv2.GaussianBlur(source.pixels, (0, 0), 0.45 / s)
    pad = int(rng.choice([255, BACKGROUND, BACKGROUND]))
    image = cv2.warpAffine(pixels, to, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=pad)
    scene = Scene(image, scale, light=source.light, depth=(image < DARK).astype(np.uint8))
    for p in source.pieces:
        own = target_of(p, chained(to, np.array([[1, 0, p.corner[0]], [0, 1, p.corner[1]]])))
        b = own.bounds
        if (b[:2] > -0.1 * (b[2:] - b[:2])).all() and (b[2:] < side + 0.1 * (b[2:] - b[:2])).all():
            scene.targets.append(own)
    corners = (source.boxes[:, :2] + source.boxes[:, 2:]) / 2
    scene.anchors = [c for c in moved(corners, to) if (c > 0).all() and (c < side).all()]
    return scene


def ground(rng, scale: float, light: bool, reach: float = 1.7) -> Scene:
    """Empty ground: a level, slow unevenness, grain."""
    side = int(2 * reach * scale)
    level = float(rng.choice([255, BACKGROUND, BACKGROUND, 235]))
    slow = cv2.resize(rng.normal(0, rng.uniform(0, 3), (5, 5)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, rng.uniform(0, 6), (side, side)).astype(np.float32), (0, 0), 1.0)
    return Scene(np.clip(level + slow + grain, 0, 255).astype(np.uint8), scale, light=light, depth=np.zeros((side, side), np.uint8))


def border_point(rng, own: Target) -> np.ndarray:
    """A random place of a chromosome's edge, in the scene."""
    edge, _ = cv2.findContours((own.mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    edge = max(edge, key=len)[:, 0].astype(np.float32)
    return moved(edge[rng.integers(len(edge), size=1)], own.to)[0]


def inner_point(rng, own: Target) -> np.ndarray:
    """A random place inside a chromosome."""
    ys, xs = np.nonzero(own.mask > 127)
    k = rng.integers(len(xs))
    return moved(np.array([[xs[k], ys[k]]], np.float32), own.to)[0]


def direction(own: Target) -> float:
    """The angle of a chromosome's long side."""
    if own.line is not None:
        d = own.line[-1] - own.line[0]
    else:
        p = own.hull - own.hull.mean(0)
        d = np.linalg.svd(p, full_matrices=False)[2][0]
    return float(np.arctan2(d[1], d[0]))


def lay(rng, scene: Scene, piece, tone: float = 0.12, apart: bool = False):
    """Lays a piece into a scene: across another chromosome, with its edge to another's, beside and along one, or anywhere. Seldom over a crossing; `apart`: where nothing lies."""
    side = scene.image.shape[0]
    for _ in range(40 if apart else 4):
        own = placed(rng, scene, piece, 1.0 if apart else rng.random())
        b = own.bounds
        if (b[:2] < 0).any() or (b[2:] > side).any():
            continue
        cover = cv2.warpAffine(own.mask, own.to, (side, side)) > 127
        under = scene.depth[cover]
        if apart and under.any():
            continue
        if ((under > 1).mean() > 0.02 or (under > 0).mean() > 0.5) and rng.random() > PILED:
            continue
        scene.depth += cover
        over(rng, scene, piece.clear, own.to, b, tone)
        scene.targets.append(own)
        return


def placed(rng, scene: Scene, piece, kind: float) -> Target:
    """A place for a piece; what kind of place, by a number from 0 (across another) to 1 (anywhere)."""
    side = scene.image.shape[0]
    m = turned(rng, scene.median / piece.median * np.exp(rng.normal(0, 0.06)))
    onto = scene.targets[rng.integers(len(scene.targets))] if scene.targets else None
    probe = target_of(piece, np.column_stack((m, np.zeros(2))))
    if onto is not None and 0.66 < kind < 0.9:
        turn = direction(onto) - direction(probe) + rng.normal(0, 0.12)
        m = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ m
        probe = target_of(piece, np.column_stack((m, np.zeros(2))))
    wide = WIDTH * scene.median
    if onto is None or kind > 0.9:
        place = scene.anchors[rng.integers(len(scene.anchors))] if scene.anchors and rng.random() < 0.6 else rng.uniform(0.08, 0.92, 2) * side
        shift = place - inner_point(rng, probe)
    elif kind < 0.3:
        shift = inner_point(rng, onto) - inner_point(rng, probe)
    elif kind < 0.66:
        a, b = border_point(rng, onto), border_point(rng, probe)
        out = (a - onto.hull.mean(0)) - (b - probe.hull.mean(0))
        shift = a - b + rng.normal(0.03, 0.1) * wide * out / max(np.hypot(*out), 1e-3)
    else:
        d = direction(onto)
        across = np.array([-np.sin(d), np.cos(d)]) * rng.choice([-1, 1])
        shift = inner_point(rng, onto) - inner_point(rng, probe) + across * wide * rng.uniform(0.8, 1.3)
    return target_of(piece, np.column_stack((m, shift)))


def over(rng, scene: Scene, clear: np.ndarray, to: np.ndarray, bounds: np.ndarray, tone: float):
    """Adds a piece's absorbance, or its light, to the picture."""
    pad = 6
    x0, y0 = np.maximum(np.floor(bounds[:2]).astype(int) - pad, 0)
    x1, y1 = np.minimum(np.ceil(bounds[2:]).astype(int) + pad, scene.image.shape[::-1])
    scale = np.sqrt(abs(np.linalg.det(to[:, :2])))
    if scale < 0.75:
        clear = cv2.GaussianBlur(clear, (0, 0), 0.45 / scale)
    local = np.column_stack((to[:, :2], to[:, 2] - [x0, y0]))
    layer = cv2.warpAffine(clear, local, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255).astype(np.float32) / 255
    under = scene.image[y0:y1, x0:x1].astype(np.float32)
    if scene.light:
        mixed = under - BACKGROUND * (1 - layer) * np.exp(rng.normal(0, tone))
    else:
        mixed = under * np.maximum(layer, 0.02) ** np.exp(rng.normal(0, tone))
    scene.image[y0:y1, x0:x1] = np.clip(mixed, 0, 255).astype(np.uint8)


def jittered(rng, own: Target, wide: float) -> np.ndarray:
    """A box as a detector draws it: a margin, and its errors."""
    b = own.bounds + np.array([-1, -1, 1, 1]) * rng.uniform(*MARGINS) * wide
    size = np.tile(b[2:] - b[:2], 2)
    return b + rng.normal(0, 0.03 if rng.random() < 0.8 else 0.08, 4) * size


def example(scene: Scene, own: Target, box: np.ndarray, median: float):
    """Crop [S,S], box mask, coverage of the chromosome [S,S] uint8, share of the way to the long arm's tip [S/2,S/2] (NaN where not known),
    heat of the centromeres [S,S] float32 (NaN when not known)."""
    w, h = box[2] - box[0], box[3] - box[1]
    side = crops.square_side(w, h, median, crops.FIELD)
    m, n = crops.lattice(box, side), crops.SIZE
    cover = cv2.resize(cv2.warpAffine(own.mask, chained(m, own.to), (2 * n, 2 * n), flags=cv2.INTER_LINEAR), (n, n), interpolation=cv2.INTER_AREA)
    to_crop = lambda p: (moved(p, m) + 0.5) / 2 - 0.5
    way = way_map(cover, to_crop(own.line)) if own.upright and own.line is not None else np.full((n // 2, n // 2), np.nan, np.float16)
    heat = np.full((n, n), np.nan, np.float32) if own.centromeres is None else heat_map(to_crop(own.centromeres), n)
    return crops.cut(scene.image, box, side), crops.mask(w, h, side), cover, way, heat


def way_map(cover: np.ndarray, line: np.ndarray) -> np.ndarray:
    """For every second pixel of a chromosome how far along its middle line it lies, 0 at the tip of the short arm; NaN outside."""
    half = cv2.resize(cover, (cover.shape[1] // 2, cover.shape[0] // 2), interpolation=cv2.INTER_AREA)
    out = np.full(half.shape, np.nan, np.float16)
    ys, xs = np.nonzero(half > 127)
    if len(xs):
        places = np.stack([xs * 2 + 0.5, ys * 2 + 0.5], 1)
        d = ((places[:, None] - line[None]) ** 2).sum(2)
        out[ys, xs] = d.argmin(1) / (len(line) - 1)
    return out


#: Standard deviation of a centromere's spot of heat, in pixels of the crop.
SPOT = 2.0


def heat_map(places: np.ndarray, n: int) -> np.ndarray:
    """The largest of the spots of all centromeres at every pixel."""
    at = np.arange(n)
    out = np.zeros((n, n), np.float32)
    for x, y in places:
        out = np.maximum(out, np.exp(-((at - y) ** 2)[:, None] / (2 * SPOT**2)) * np.exp(-((at - x) ** 2)[None] / (2 * SPOT**2)))
    return out
