"""Cells as training data: pictures with COCO and Pascal VOC annotations, and masks where chromosomes have outlines.

    python -m metaphased.export FOLDER --case K-17            # cells that a person has reviewed
    python -m metaphased.export FOLDER --all --url http://127.0.0.1:8080

Layout: `images/CELL.png`, `coco.json`, `voc/CELL.xml`, `masks/CELL.png` (16 bits: index of the chromosome + 1, 65535
where two overlap; only for cells whose every chromosome has an outline), and `left_out.csv` with every cell that is not
exported and why.
The classes are those after all corrections. A cell is exported whole or not at all: a picture of which only some
chromosomes are annotated teaches a detector that the others are none.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from . import models
from .client import Client
from .errors import MetaphasedError, NotFound

# Category ids from 1: the classes of human chromosomes, and objects that are no single chromosome of a known class.
CLASSES = (*map(str, range(1, 23)), "X", "Y")
UNCLASSED = "unclassed"
# In a mask: where two chromosomes lie over each other.
OVERLAP = 65535
Ring = list[list[float]]
CATEGORIES = {name: number for number, name in enumerate((*CLASSES, UNCLASSED), start=1)}


@dataclass(frozen=True)
class Exported:
    """What an export gave: cells written, and (cell, reason) of those left out."""

    written: int
    left_out: list[tuple[str, str]]


def export(client: Client, cells: Iterable[models.Cell], folder: Path, reviewed_only: bool = True) -> Exported:
    """Writes cells to `folder`, which must be new or empty.

    Raises:
        FileExistsError: the folder holds something.
        MetaphasedError: the daemon does not answer.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: an export mixes with nothing")
    for name in ("images", "voc", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    left_out: list[tuple[str, str]] = []
    for cell in cells:
        reason = _reason_against(client, cell, reviewed_only)
        if reason is None:
            number = len(images) + 1
            name = f"{cell.cell}.png"
            (folder / "images" / name).write_bytes(client.image(cell))
            if all(_rings(chromosome) for chromosome in cell.chromosomes):
                (folder / "masks" / name).write_bytes(_png(mask(cell), *cell.captured.size))
            width, height = cell.captured.size
            images.append({
                "id": number, "file_name": name, "width": width, "height": height, "date_captured": cell.captured.time,
                "case": cell.case, "revision": cell.revision,
            })
            annotations += _coco(cell, number, len(annotations) + 1)
            _voc(cell, name).write(folder / "voc" / f"{cell.cell}.xml", encoding="utf-8", xml_declaration=True)
        else:
            left_out.append((str(cell.cell), reason))
    categories = [{"id": number, "name": name} for name, number in CATEGORIES.items()]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "coco.json").write_text(json.dumps(document, indent=1))
    with (folder / "left_out.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("cell", "reason"), *left_out])
    return Exported(len(images), left_out)


def _reason_against(client: Client, cell: models.Cell, reviewed_only: bool) -> str | None:
    if reviewed_only and cell.review is None:
        return "no person has reviewed it"
    if not cell.chromosomes:
        return "it has no chromosomes"
    try:
        kept = client.image_was_kept(cell)
    except NotFound:
        kept = False
    return None if kept else "its frame was not kept (store.keep_images)"


def _clipped(cell: models.Cell, box: list[float]) -> tuple[float, float, float, float]:
    """A box within the picture, as corners."""
    width, height = cell.captured.size
    x, y, w, h = box
    return max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))


def _coco(cell: models.Cell, image: int, first: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for offset, chromosome in enumerate(cell.chromosomes):
        x0, y0, x1, y1 = (round(value, 2) for value in _clipped(cell, chromosome.box))
        rows.append({
            "id": first + offset, "image_id": image, "category_id": CATEGORIES[chromosome.class_ or UNCLASSED],
            "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)], "area": round((x1 - x0) * (y1 - y0), 2),
            "iscrowd": 0, "segmentation": [[v for at in ring for v in at] for ring in _rings(chromosome)],
            "score": chromosome.score,
        })
    return rows


def _rings(chromosome: models.Chromosome) -> list[Ring]:
    """The closed lines of a chromosome's outline; none where nothing drew one."""
    outline = chromosome.document().get("outline")
    return outline["rings"] if outline else []


def mask(cell: models.Cell) -> list[array[int]]:
    """Rows of a picture as large as the frame: 0, the index of a chromosome + 1, or `OVERLAP`."""
    width, height = cell.captured.size
    rows = [array("H", bytes(2 * width)) for _ in range(height)]
    for chromosome in cell.chromosomes:
        for y, first, end in _spans(_rings(chromosome), height):
            for x in range(max(first, 0), min(end, width)):
                rows[y][x] = OVERLAP if rows[y][x] else chromosome.index + 1
    return rows


def _spans(rings: list[Ring], height: int) -> Iterator[tuple[int, int, int]]:
    """Pixels `first..end` of each row whose middles lie inside an odd number of the rings."""
    edges = [(a, b) for ring in rings for a, b in zip(ring, [*ring[1:], *ring[:1]], strict=True) if a[1] != b[1]]
    if not edges:
        return
    ys = [at[1] for edge in edges for at in edge]
    for y in range(max(math.floor(min(ys)), 0), min(math.ceil(max(ys)), height)):
        middle = y + 0.5
        crossed = sorted(
            a[0] + (middle - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
            for a, b in edges
            if min(a[1], b[1]) <= middle < max(a[1], b[1])
        )
        for left, right in zip(crossed[::2], crossed[1::2], strict=True):
            yield y, math.ceil(left - 0.5), math.ceil(right - 0.5)


def _png(rows: list[array[int]], width: int, height: int) -> bytes:
    """A grey PNG of 16 bits (ISO 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + struct.pack(f">{width}H", *row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def _voc(cell: models.Cell, name: str) -> ElementTree.ElementTree[ElementTree.Element]:
    """Pascal VOC: corners from 1, whole pixels."""
    root = ElementTree.Element("annotation")
    width, height = cell.captured.size

    def text(parent: ElementTree.Element, tag: str, value: object) -> None:
        ElementTree.SubElement(parent, tag).text = str(value)

    text(root, "folder", "images")
    text(root, "filename", name)
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", width), ("height", height), ("depth", 1)):
        text(size, tag, value)
    for chromosome in cell.chromosomes:
        item = ElementTree.SubElement(root, "object")
        text(item, "name", chromosome.class_ or UNCLASSED)
        text(item, "difficult", int(chromosome.status != "single"))
        box = ElementTree.SubElement(item, "bndbox")
        x0, y0, x1, y1 = _clipped(cell, chromosome.box)
        corners = (round(x0) + 1, round(y0) + 1, max(round(x1), round(x0) + 1), max(round(y1), round(y0) + 1))
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            text(box, tag, value)
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m metaphased.export", description="Cells as COCO and Pascal VOC.")
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--case", help="only this case")
    parser.add_argument("--all", action="store_true", help="cells that nobody has reviewed, too")
    parser.add_argument("--url", help="the daemon's page; else METAPHASED_URL, else http://127.0.0.1:8080")
    arguments = parser.parse_args()
    try:
        with Client(arguments.url) as client:
            cells = client.cells(case=arguments.case, newest_first=False)
            done = export(client, cells, arguments.folder, reviewed_only=not arguments.all)
    except (MetaphasedError, OSError) as error:
        print(f"metaphased.export: {error}", file=sys.stderr)
        return 1
    print(f"{done.written} cells in {arguments.folder}, {len(done.left_out)} left out", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
