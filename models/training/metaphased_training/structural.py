"""Real cells with one chromosome changed in structure: an arm shortened, lengthened by another's arm or doubled; and, as a negative, cut and rejoined as it was."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from . import landmarks, outlines, pieces as pc, readers, scenes
from .pieces import WIDTH, Piece

KINDS = ("deletion", "addition", "isochromosome", "sham")
#: Least part of an arm that is lost or gained, and the shortest arm that is changed, as a share of the chromosome's and of its cell's median diagonal.
LEAST, SHORT_ARM, SHORT = 1 / 3, 0.22, 0.18
#: Empty pixels around a changed chromosome.
EDGE = 5
#: How much of a changed chromosome may come to lie on what is dark already.
OVERLAP = 0.01


@dataclass
class Made:
    """A changed chromosome, straight, the short arm's (or one arm's) tip first."""

    clear: np.ndarray
    mask: np.ndarray
    kind: str
    arm: str
    #: Part of the arm that was lost or gained.
    share: float


def rounded(mask: np.ndarray, at_end: bool, wide: float) -> np.ndarray:
    """The mask with one end round, as a tip is."""
    n = int(max(3, round(0.5 * wide)))
    part = mask[::-1] if at_end else mask
    end = np.pad(part[: 2 * n], ((n, 0), (0, 0)))
    shape = cv2.morphologyEx(end, cv2.MORPH_OPEN, outlines.disc(0.35 * wide))[n:]
    out = part.copy()
    out[:n] = np.minimum(part[:n], shape[:n])
    return out[::-1] if at_end else out


def changed(rng, piece: Piece, donor: Piece | None, kind: str) -> Made | None:
    """A chromosome (upright, with its centromere) changed; None where no arm of it is long enough or the donor does not serve."""
    clear, mask = scenes.straight(piece)
    n = len(mask)
    wide = float(np.median((mask > 127).sum(1)))
    spot = int(round(piece.centromere * n))
    arms = [a for a, rows in (("p", spot), ("q", n - spot)) if rows >= max(SHORT_ARM * n, SHORT * piece.median)]
    if not arms:
        return None
    arm = str(rng.choice(arms))
    # The arm that is changed lies below the centromere.
    if arm == "p":
        clear, mask, spot = clear[::-1], mask[::-1], n - spot
    length, share = n - spot, float(rng.uniform(LEAST, 0.9))
    if kind == "deletion":
        keep = n - int(round(share * length))
        if keep < spot + 0.15 * wide or keep < 1.2 * wide:
            return None
        clear, mask = clear[:keep], rounded(mask[:keep], True, wide)
    elif kind == "addition":
        part = donor and scenes.broken(rng, donor, False)
        broad = np.flatnonzero((mask[spot:] > 127).sum(1) >= scenes.BROAD * wide)
        if not part or not len(broad) or not LEAST * length <= len(part[1]) <= 1.3 * length:
            return None
        share = len(part[1]) / length
        clear, mask = clear[: spot + broad[-1] + 1], mask[: spot + broad[-1] + 1]
        columns = max(mask.shape[1], part[1].shape[1])
        upper, lower = scenes.centred((clear, mask, None), columns), scenes.centred(part, columns)
        lower = scenes.toned(upper, lower)
        lower = scenes.fitted(upper, (lower[0][::-1], lower[1][::-1], None))
        clear, mask, seam = np.concatenate([upper[0], lower[0]]), np.concatenate([upper[1], lower[1]]), len(upper[1])
        clear = blended(clear, seam)
    elif kind == "isochromosome":
        share = 1.0
        upper = scenes.centred((clear[spot:][::-1], mask[spot:][::-1], None), mask.shape[1])
        clear, mask = np.concatenate([upper[0], upper[0][::-1]]), np.concatenate([upper[1], upper[1][::-1]])
        clear = blended(clear, len(upper[1]))
    else:
        share = 0.0
        clear = blended(clear, int(rng.uniform(0.15, 0.85) * n))
    if arm == "p":
        clear, mask = clear[::-1], mask[::-1]
    pad = lambda v, fill: np.pad(v, EDGE, constant_values=fill)
    mask = pad(mask, 0)
    clear = np.where(cv2.GaussianBlur(mask, (0, 0), 1.2) > 30, pad(clear, 255), 255).astype(np.uint8)
    return Made(clear, mask, kind, arm, share)


def blended(clear: np.ndarray, seam: int) -> np.ndarray:
    """The light with a seam's rows mixed."""
    rows = slice(max(seam - 3, 0), seam + 3)
    clear = np.ascontiguousarray(clear)
    clear[rows] = cv2.GaussianBlur(clear, (1, 5), 1.0)[rows]
    return clear


def emptied(rng, image: np.ndarray, field: scenes.Field, piece) -> np.ndarray:
    """The picture with ground in the place of one of its chromosomes."""
    own = np.zeros(image.shape, np.uint8)
    h, w = piece.mask.shape
    x, y = (int(v) for v in piece.corner)
    own[y : y + h, x : x + w] = piece.mask
    wide = WIDTH * field.median
    own = cv2.dilate(own, outlines.disc(0.3 * wide)) > 0
    around = cv2.dilate(own.astype(np.uint8), outlines.disc(0.8 * wide)).astype(bool) & ~own & (image > scenes.DARK)
    if around.sum() < 30:
        around = image > scenes.DARK
    out = image.copy()
    out[own] = rng.choice(image[around], own.sum())
    soft = cv2.GaussianBlur(out, (0, 0), 0.7)
    out[own] = soft[own]
    return out


def bent(made: Made, line: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """A straight chromosome laid along the middle line of the one that it replaces, shortened or lengthened about its middle: light, mask, corner."""
    rows = len(made.mask) - 2 * EDGE
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    curve = outlines.resampled(line.mean(0) + (line - line.mean(0)) * (rows / length), 4 * rows)
    reach = made.mask.shape[1] / 2
    x0, y0 = np.floor(curve.min(0) - reach).astype(int)
    x1, y1 = np.ceil(curve.max(0) + reach).astype(int) + 1
    ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    step = np.gradient(curve, axis=0)
    step /= np.hypot(*step.T)[:, None]
    apart = (xs[..., None] - curve[:, 0]) ** 2 + (ys[..., None] - curve[:, 1]) ** 2
    at = apart.argmin(2)
    dx, dy = xs - curve[at, 0], ys - curve[at, 1]
    beyond = dx * step[at, 0] + dy * step[at, 1]
    across = dx * step[at, 1] - dy * step[at, 0]
    row = at * ((rows - 1) / (len(curve) - 1)) + EDGE + np.where((at == 0) | (at == len(curve) - 1), beyond, 0)
    column = across + (made.mask.shape[1] - 1) / 2
    warp = lambda v, fill: cv2.remap(v, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
    return warp(made.clear, 255), warp(made.mask, 0), (int(x0), int(y0))


def edited(rng, field: scenes.Field, kind: str):
    """A cell with one chromosome changed: picture, box [4], class, `Made`; None where no chromosome serves."""
    known = [p for p in field.pieces if p.upright and p.label >= 0 and np.isfinite(p.centromere)]
    for _ in range(40 if known else 0):
        piece, donor = (known[rng.integers(len(known))] for _ in range(2))
        if donor is piece:
            continue
        made = changed(rng, piece, donor, kind)
        if made is None:
            continue
        image = emptied(rng, field.pixels, field, piece)
        clear, mask, corner = bent(made, piece.line + np.array(piece.corner, np.float32))
        to = np.array([[1, 0, corner[0]], [0, 1, corner[1]]], np.float32)
        cover = cv2.warpAffine(mask, to, image.shape[::-1]) > 127
        ys, xs = np.nonzero(cover)
        if not len(xs) or xs.min() < 3 or ys.min() < 3 or xs.max() > image.shape[1] - 4 or ys.max() > image.shape[0] - 4 or (image[cover] < scenes.DARK).mean() > OVERLAP:
            continue
        scene = scenes.Scene(image, field.median)
        box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)
        scenes.over(rng, scene, clear, to, box, 0.0)
        return scene.image, box, piece.label, made
    return None


def with_landmarks(library: pc.Pieces, like: np.ndarray, centre: np.ndarray) -> pc.Pieces:
    """A library, in memory, whose ways up and centromeres are fitted where they were not: the test persons', of which nothing is taught."""
    if not library.index["upright"].any():
        library.say = lambda upright, line, centromere: library.index.update(upright=upright, line=line, centromere=centromere)
        split, library.index["split"] = library.index["split"], np.full(len(library), "train")
        landmarks.fit_unknown(library, like, centre)
        library.index["split"] = split
    return library


def normal_fields(fields, data: Path):
    """Cells of `anatomy.Fields` that are normal and whole, with their names."""
    normal = {r["image"] for r in readers.rows(data / "cil/cells.csv") if r["status"] == "normal" and not r["composition"]}
    for k in range(len(fields)):
        name = fields.cells[fields.images[k]].name
        if name in normal:
            yield name, fields[k]


def write(cells, folder: Path, seed: int = 1) -> int:
    """Every kind of change once in every cell where it can be, as `simulate` writes its truth; a chromosome's `name` is kind, class and arm."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, lines = np.random.default_rng(seed), []
    for source, field in cells:
        for kind in KINDS:
            done = edited(rng, field, kind)
            if done is None:
                continue
            image, box, label, made = done
            name = f"{Path(source).stem}-{kind}.png"
            cv2.imwrite(str(folder / name), image)
            whole = [round(float(v), 1) for v in (*box[:2], *(box[2:] - box[:2]))]
            known = dict(index=0, box=whole, cut=False, kind=kind, arm=made.arm, share=round(made.share, 2), name=f"{kind} {readers.CLASSES[label]}{made.arm}", **{"class": readers.CLASSES[label]})
            lines.append(json.dumps(dict(image=name, source=source, stain="g-band", size=list(image.shape[::-1]), cells=[dict(cell=0, group=field.group, chromosomes=[known])])))
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return len(lines)
