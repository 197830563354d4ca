"""What a training needs, in little: grey WebP metaphases, sheets of singles, one folder that travels to a GPU.

Layout: `cil/` (images at `scale` of their size, annotations.csv, cells.csv with the boxes scaled), `pki3/` and
`bioimlab/` (sheets as lossless WebP, index.csv, cells.csv), `mfish/` (DAPI and class map), `pack.json`. Test
patients are left out: what does not travel cannot be trained on.
"""

import csv
import json
from pathlib import Path

import cv2

from . import readers, splits
from .cache import shrink

LIMIT_MB = 60


def _write_rows(path: Path, rows: list[dict]):
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, list(rows[0]), lineterminator="\n")
        out.writeheader()
        out.writerows(rows)


def pack_cil(data: Path, out: Path, scale: float, quality: int, progress) -> None:
    """Metaphases of the training and validation side."""
    side = splits.read("cil")
    (out / "images").mkdir(parents=True, exist_ok=True)
    cells = [r for r in readers.rows(data / "cells.csv") if side[r["image"]]["split"] != "test"]
    sizes = {}
    for n, r in enumerate(cells):
        grey = shrink(readers.read_grey(data / "images" / r["image"]), scale)
        sizes[r["image"]] = grey.shape
        target = out / "images" / r["image"]
        if not target.exists():
            cv2.imwrite(str(target), grey, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if n % 500 == 0:
            progress(f"{n}/{len(cells)} metaphases")
    _write_rows(out / "cells.csv", [r | {"height": sizes[r["image"]][0], "width": sizes[r["image"]][1]} for r in cells])
    boxes = [r for r in readers.rows(data / "annotations.csv") if r["image"] in sizes]
    _write_rows(out / "annotations.csv", [r | {k: round(float(r[k]) * scale, 2) for k in ("xmin", "ymin", "xmax", "ymax")} for r in boxes])


def pack_singles(data: Path, out: Path, name: str) -> None:
    """Sheets of singles of the training and validation side, pixels unchanged."""
    side = splits.read(name)
    (out / "cells").mkdir(parents=True, exist_ok=True)
    index = [r for r in readers.rows(data / "index.csv") if side[r["cell"]]["split"] != "test"]
    for sheet in dict.fromkeys(r["sheet"] for r in index):
        cv2.imwrite(str((out / sheet).with_suffix(".webp")), readers.read_grey(data / sheet), [cv2.IMWRITE_WEBP_QUALITY, 101])
    _write_rows(out / "index.csv", [r | {"sheet": str(Path(r["sheet"]).with_suffix(".webp"))} for r in index])


def pack_mfish(data: Path, out: Path) -> None:
    """DAPI planes (WebP) and class maps (lossless) of the labelled training cells."""
    side = splits.read("mfish")
    (out / "cells").mkdir(parents=True, exist_ok=True)
    cells = [r for r in readers.rows(data / "cells.csv") if r["labelled"] == "1" and side[r["cell"]]["split"] != "test"]
    for r in cells:
        for kind, quality in (("dapi", 85), ("class", 101)):
            grey = readers.read_grey(data / f"cells/{r['cell']}_{kind}.png")
            cv2.imwrite(str(out / f"cells/{r['cell']}_{kind}.webp"), grey, [cv2.IMWRITE_WEBP_QUALITY, quality])
    _write_rows(out / "cells.csv", cells)


def write(data: Path, out: Path, scale: float = 0.7, quality: int = 60, progress=print) -> float:
    """Writes a pack and returns its size in megabytes; an error when it is too large to travel."""
    pack_cil(data / "cil", out / "cil", scale, quality, progress)
    for name in ("pki3", "bioimlab"):
        pack_singles(data / name, out / name, name)
    pack_mfish(data / "mfish", out / "mfish")
    (out / "pack.json").write_text(json.dumps(dict(scale=scale, quality=quality)))
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6
    progress(f"{size:.1f} MB in {out}")
    if size > LIMIT_MB:
        raise ValueError(f"the pack has {size:.1f} MB, at most {LIMIT_MB} travel: lower the scale ({scale}) or the quality ({quality})")
    return size


def scale_of(data: Path) -> float:
    """How many pixels of `data` a pixel of the original is: a pack's scale, or 1."""
    mark = data / "pack.json"
    return float(json.loads(mark.read_text())["scale"]) if mark.is_file() else 1.0
