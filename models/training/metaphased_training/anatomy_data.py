"""From the sets to what the network of outlines is trained and judged on: caches of cells, libraries of single chromosomes, fields with known masks."""

import json
from pathlib import Path

import cv2
import numpy as np

from . import anatomy, audit, cache, giemsa, landmarks, outlines, pieces as pc, readers, scenes, splits
from .classifier import median_diagonal

#: Every how many training cells of cil are read: they hold more chromosomes than a training of an hour sees.
CIL_EVERY = 2
#: And every how many of its test cells: as for the other networks (`release.TEST_EVERY`).
CIL_TEST_EVERY = 3
#: Difference of the two ways' likeness from which the way up counts as known in DAPI, whose bands are faint.
SURE_DAPI = 0.4


class Known:
    """A chromosome of a field: like `pieces.Piece`, with any number of centromeres and no light of its own."""

    def __init__(self, mask, corner, median, line=None, upright=False, centromeres=None):
        self.mask, self.corner, self.median, self.line, self.upright, self.centromeres = mask, corner, median, line, upright, centromeres


def cropped(mask: np.ndarray, pad: int = 2) -> tuple[np.ndarray, tuple[int, int]]:
    """A mask's own rectangle as uint8 and its corner (x, y)."""
    ys, xs = np.nonzero(mask)
    y0, x0 = max(ys.min() - pad, 0), max(xs.min() - pad, 0)
    return mask[y0 : ys.max() + pad + 1, x0 : xs.max() + pad + 1].astype(np.uint8) * 255, (int(x0), int(y0))


def boxes_of(masks) -> np.ndarray:
    """Tight boxes of masks."""
    out = []
    for m in masks:
        ys, xs = np.nonzero(m)
        out.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    return np.array(out, np.float32).reshape(-1, 4)


def class_map_fields(data: Path, *which: str, classes: list | None = None) -> list[scenes.Field]:
    """M-FISH cells of the named splits: DAPI inverted, masks as the class maps draw them; the chromosomes' classes are added to `classes`."""
    found = []
    for group, grey, masks, occupied in pc.of_class_maps(data / "mfish", splits.read("mfish"), which):
        boxes = boxes_of([m for m, _ in masks])
        if len(boxes) < 10:
            continue
        median = median_diagonal(boxes)
        found.append(scenes.Field(grey, median, boxes, [Known(*cropped(m), median) for m, _ in masks], True, group, occupied))
        if classes is not None:
            classes.append([c for _, c in masks])
    return found


def class_map_pieces(fields: list[scenes.Field], maps, split: str):
    """The known chromosomes of M-FISH fields as pieces; `image` is the place in the list."""
    for n, (f, classes) in enumerate(zip(fields, maps)):
        for k, label in zip(f.pieces, classes):
            h, w = k.mask.shape
            part = f.pixels[k.corner[1] : k.corner[1] + h, k.corner[0] : k.corner[0] + w]
            clear = np.rint(np.minimum(part / np.float32(cache.BACKGROUND), 1) * 255).astype(np.uint8)
            yield pc.Piece(pc.faded(clear, k.mask, 2), k.mask, label, k.median, outlines.axis(k.mask > 127, pc.POINTS), False, np.nan, k.corner), f.group, f.group, split, n


def with_landmarks(fields: list[scenes.Field], library: pc.Pieces) -> list[scenes.Field]:
    """Fields whose chromosomes are those of a library."""
    for n, f in enumerate(fields):
        f.pieces = [library[i] for i in library.of_image.get(n, ())]
    return [f for f in fields if f.pieces]


def virtual_fields(folder: Path) -> list[scenes.Field]:
    """Virtual slides as `metaphased simulate` writes them: dark on bright, with masks, middle lines and centromeres."""
    found = []
    for line in (folder / "truth.jsonl").read_text().splitlines():
        row = json.loads(line)
        if len(row["cells"]) != 1:
            continue
        grey, labels = readers.read_grey(folder / row["image"]), cv2.imread(str(folder / row["mask"]), cv2.IMREAD_UNCHANGED)
        grey = cache.normalise_background(255 - grey if row["stain"] in ("dapi", "q-band") else grey)
        boxes = np.array([[b[0], b[1], b[0] + b[2], b[1] + b[3]] for b in (c["box"] for c in row["cells"][0]["chromosomes"])], np.float32)
        median = median_diagonal(boxes)
        known = [k for c in row["cells"][0]["chromosomes"] if (k := virtual_chromosome(c, labels, median, row.get("um_per_px"))) is not None]
        x0, y0 = np.maximum(boxes[:, :2].min(0) - 60, 0).astype(int)
        x1, y1 = (boxes[:, 2:].max(0) + 60).astype(int)
        for k in known:
            k.corner = (k.corner[0] - x0, k.corner[1] - y0)
        found.append(scenes.Field(np.ascontiguousarray(grey[y0:y1, x0:x1]), median, boxes - np.array([x0, y0, x0, y0], np.float32), known, row["stain"] in ("dapi", "q-band"), f"{folder.name}/{row['image']}"))
    return found


def lengthened(line: np.ndarray, length: float) -> np.ndarray:
    """A line drawn out at both ends to a length."""
    step = np.hypot(*np.diff(line, axis=0).T)
    more = max(length - step.sum(), 0) / 2
    ends = [a + (a - b) * more / max(np.hypot(*(a - b)), 1e-6) for a, b in ((line[0], line[1]), (line[-1], line[-2]))]
    return outlines.resampled(np.concatenate([ends[:1], line, ends[1:]]), pc.POINTS)


def virtual_chromosome(c: dict, labels: np.ndarray, median: float, um_per_px: float | None = None) -> Known | None:
    """One chromosome of a virtual slide; None where the field's edge cuts it. The written axis ends where the rounded ends begin, its length does not: with
    the size of a pixel the middle line goes from tip to tip."""
    if c["cut"]:
        return None
    pad = 3
    x, y, w, h = (int(v) for v in c["box"])
    x0, y0 = max(x - pad, 0), max(y - pad, 0)
    part = labels[y0 : y + h + pad, x0 : x + w + pad]
    mask = part == c["index"] + 1
    if not mask.any():
        return None
    _, over = cv2.connectedComponents((part == 65535).astype(np.uint8), connectivity=8)
    near = np.unique(over[cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0])
    mask |= np.isin(over, near[near > 0])
    corner = np.array([x0, y0], np.float32)
    line = pc.along(np.array(c["axis"], np.float32), np.linspace(0, 1, pc.POINTS)) - corner if len(c["axis"]) > 1 and not c["ring"] else None
    if line is not None and um_per_px and "length_um" in c:
        line = lengthened(line, c["length_um"] / um_per_px)
    spots = np.array(c["centromeres"], np.float32).reshape(-1, 2) - corner
    plain = line is not None and not (c["dicentric"] or c["fragment"]) and c["class"] is not None and len(spots) == 1
    return Known(mask.astype(np.uint8) * 255, (x0, y0), median, line, plain, spots)


def build_test(data: Path, folder: Path) -> dict[str, Path]:
    """The same of the test persons, apart from what is trained on; centromeres fitted with the likeness of the training side."""
    root = folder / "anatomy"
    paths = {"cil": root / "cil-test", "cil-pieces": root / "cil-test-pieces", "pki3": root / "pki3-test", "virtual": root / "virtual"}
    if not (paths["pki3"] / "index.npz").exists():
        z = np.load(root / "likeness.npz")
        landmarks.fit_upright(single_library(data, "pki3", paths["pki3"], "test"), data, z["like"], z["centre"])
    if not (paths["cil-pieces"] / "index.npz").exists():
        pc.write(pc.of_cells(cil_cells(data, paths["cil"], "test")), paths["cil-pieces"])
    return paths


def build(data: Path, folder: Path, progress=print) -> dict[str, Path]:
    """Writes what is missing of the cache of cil's cells and of the libraries; test persons are in none of them. Names: cil, cil-pieces, pki3, bioimlab."""
    paths = {k: folder / "anatomy" / k for k in ("cil", "cil-pieces", "pki3", "bioimlab", "mfish", "virtual")}
    fits = folder / "anatomy" / "likeness.npz"
    if not (paths["pki3"] / "index.npz").exists() or not fits.exists():
        like, centre = landmarks.fit_upright(single_library(data, "pki3", paths["pki3"]), data)
        np.savez(fits, like=like, centre=centre)
        progress(f"pki3: centromeres at {(100 * centre).round().astype(int).tolist()} % of the length")
    if not (paths["bioimlab"] / "index.npz").exists():
        landmarks.fit_upright(single_library(data, "bioimlab", paths["bioimlab"]), data)
    if not (paths["cil-pieces"] / "index.npz").exists():
        library = pc.write(pc.of_cells(cil_cells(data, paths["cil"], "train", "validation")), paths["cil-pieces"])
        z = np.load(fits)
        landmarks.fit_unknown(library, z["like"], z["centre"])
        progress(f"cil: {len(library)} chromosomes, way up known of {library.index['upright'].mean():.2f}")
    if not (paths["mfish"] / "index.npz").exists():
        classes, z = [], np.load(fits)
        fields = class_map_fields(data, "train", classes=classes)
        library = pc.write(class_map_pieces(fields, classes, "train"), paths["mfish"])
        landmarks.fit_unknown(library, z["like"], z["centre"], surely=SURE_DAPI)
        progress(f"mfish: {len(library)} chromosomes, way up known of {library.index['upright'].mean():.2f}")
    return paths


def cil_cells(data: Path, folder: Path, *which: str) -> cache.Cache:
    """A cache at full size of cil's cells of the named splits (of training every second, of test every third), without those whose pictures have arrows drawn in."""
    if not (folder / "index.npz").exists():
        arrows = {r["image"] for r in readers.rows(audit.AUDIT / "cil.csv") if "colour" in r["reason"]}
        cells = [c for c in readers.cil(data / "cil") if c.split in which and c.name not in arrows]
        every = dict(train=CIL_EVERY, validation=1, test=CIL_TEST_EVERY)
        cells = [c for s in which for c in [c for c in cells if c.split == s][:: every[s]]]
        cache.build(cells, folder, 1.0)
        audit.mark(folder, 1.0)
    return cache.Cache(folder)


def single_library(data: Path, name: str, folder: Path, *which: str) -> pc.Pieces:
    """The cut chromosomes of a set (without doubted ones) as a library; without `which`, of all but the test persons."""
    doubted = audit.listed(name)
    items = [s for s in readers.singles(data / name, name) if (s.split in which if which else s.split != "test")]
    return pc.write(pc.of_singles(items, lambda s: s.split != "train" or s.name not in doubted), folder)


def source(paths: dict, data: Path, split: str, virtual: str = "", shares: dict = anatomy.SHARES) -> anatomy.Source:
    """Everything that examples of one split are drawn from."""
    libraries = {k: pc.Pieces(paths[p]) for k, p in dict(cil="cil-pieces", pki3="pki3", light="bioimlab").items()}
    dapi = class_map_fields(data, split)
    if split == "train":
        dapi = with_landmarks(dapi, pc.Pieces(paths["mfish"]))
    fields = dict(cil=anatomy.Fields(cache.Cache(paths["cil"]), libraries["cil"], split), mfish=dapi,
                  virtual=[f for p in sorted(paths["virtual"].glob(f"*{virtual}")) if p.is_dir() and p.name.endswith("-held") == bool(virtual) for f in virtual_fields(p)])
    return anatomy.Source(fields, {k: (v, v.select(split)) for k, v in libraries.items()}, shares)


def solid_source(paths: dict, data: Path, split: str, virtual: str = "", shares: dict = anatomy.SOLID) -> anatomy.Source:
    """The same for the network of solid stains; a library of real solid-Giemsa chromosomes takes part that `giemsa.build` has made of `found-*.jsonl`."""
    own, frames = giemsa.build(data, paths["virtual"].parent / "giemsa")
    libraries = {k: pc.Pieces(paths[p]) for k, p in dict(cil="cil-pieces", pki3="pki3").items()} | dict(giemsa=own)
    fields = dict(cil=anatomy.Fields(cache.Cache(paths["cil"]), libraries["cil"], split), giemsa=[f for f in frames if len(f.pieces) >= 3 and giemsa.split_of(f.group) == split],
                  virtual=[f for p in sorted(paths["virtual"].glob(f"giemsa*{virtual}")) if p.is_dir() and p.name.endswith("-held") == bool(virtual) for f in virtual_fields(p)])
    return anatomy.Source(fields, {k: (v, v.select(split)) for k, v in libraries.items()}, shares, solid=True)


def held_batches(paths: dict, data: Path, many: int = 320, made_from=source) -> dict:
    """Validation examples by kind of scene, of `source` or `solid_source`."""
    made = made_from(paths, data, "validation", "-held")
    out = {}
    for n, name in enumerate(made.names):
        one = anatomy.Source(made.fields, made.libraries, {name: 1.0}, made.solid)
        out[name] = anatomy.held_out(one, many, 5 + n)
    return out
