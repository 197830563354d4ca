"""Readers of common layouts: Pascal VOC, YOLO text, the simulator's output, folders of single chromosomes.

What is wrong in an annotation (no image, a degenerate box, an unknown name) is reported through `complain` and
left out; it never ends the reading.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

from .readers import UNKNOWN, Cell, Single, class_index, read_grey, trim

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
Complain = Callable[[str], None]


def usable(box: list[float], where: str, complain: Complain) -> bool:
    """Whether a box has an area; complains where not."""
    if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
        return True
    complain(f"{where}: box {box} has no area")
    return False


def images_of(folder: Path) -> dict[str, Path]:
    """Images below a folder by stem."""
    return {p.stem: p for p in sorted(folder.rglob("*")) if p.suffix.lower() in IMAGES}


def voc(folder: Path, complain: Complain = print) -> Iterator[Cell]:
    """Pascal VOC: every XML below `folder` with the image of its stem (the `<path>` inside is ignored)."""
    images = images_of(folder)
    for xml in sorted(folder.rglob("*.xml")):
        path = images.get(xml.stem)
        if path is None:
            complain(f"{xml}: no image named {xml.stem} below {folder}")
            continue
        try:
            root = ET.parse(xml).getroot()
        except ET.ParseError as error:
            complain(f"{xml}: not readable as XML: {error}")
            continue
        boxes, classes = [], []
        for thing in root.iter("object"):
            values = [thing.findtext(f"bndbox/{k}") for k in ("xmin", "ymin", "xmax", "ymax")]
            try:
                box = [float(v) for v in values]
            except (TypeError, ValueError):
                complain(f"{xml}: box {values} is not four numbers")
                continue
            if usable(box, str(xml), complain):
                boxes.append(box)
                classes.append(class_index(thing.findtext("name") or ""))
        yield Cell(path.name, path.stem, "train", lambda path=path: read_grey(path), boxes, classes)


def yolo(folder: Path, names: list[str] | None = None, complain: Complain = print) -> Iterator[Cell]:
    """YOLO text: `class cx cy w h`, or `class x y x y x y ...` of a polygon, relative to the image; `names` maps the
    numbers (none: the class stays unknown)."""
    for stem, path in images_of(folder).items():
        beside = [path.with_suffix(".txt"), path.parent.parent / "labels" / f"{stem}.txt"]
        text = next((p for p in beside if p.is_file()), None)
        if text is None:
            continue
        h, w = read_grey(path).shape
        boxes, classes = [], []
        for n, line in enumerate(text.read_text().splitlines(), 1):
            parts = line.split()
            if not parts:
                continue
            try:
                k, *v = int(parts[0]), *(float(part) for part in parts[1:])
            except ValueError:
                v = []
            if len(v) == 4:
                cx, cy, bw, bh = v
                box = [(cx - bw / 2) * w, (cy - bh / 2) * h, (cx + bw / 2) * w, (cy + bh / 2) * h]
            elif len(v) >= 6 and len(v) % 2 == 0 and min(v) >= 0 and max(v) <= 1:
                box = [min(v[::2]) * w, min(v[1::2]) * h, max(v[::2]) * w, max(v[1::2]) * h]
            else:
                complain(f"{text}:{n}: expected `class cx cy w h`, or x and y of a polygon's corners, found {line!r}")
                continue
            if usable(box, f"{text}:{n}", complain):
                boxes.append(box)
                classes.append(class_index(names[k]) if names and k < len(names) else UNKNOWN)
        yield Cell(path.name, path.stem, "train", lambda path=path: read_grey(path), boxes, classes)


def simulated(folder: Path, complain: Complain = print) -> Iterator[Cell]:
    """The simulator's output: Pascal VOC, where `truth.jsonl` (if it is there) says which cell an image belongs to."""
    group = {}
    truth = folder / "truth.jsonl"
    if truth.is_file():
        for n, line in enumerate(truth.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                complain(f"{truth}:{n}: {error}")
                continue
            image = row.get("image") or row.get("file")
            if image:
                group[Path(image).stem] = str(row.get("slide") or row.get("cell") or Path(image).stem)
    for cell in voc(folder, complain):
        cell.group = group.get(Path(cell.name).stem, cell.group)
        yield cell


def bioimlab_folders(folder: Path, complain: Complain = print) -> Iterator[Single]:
    """The published layout of BioImLab: a folder a cell, files such as `2 10a.bmp` (cell, class, homologue); bright on black."""
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES):
        m = re.fullmatch(r"(\w+) (\d{1,2}|[XYxy])\s?([a-z]?)", path.stem)
        label = class_index(m.group(2)) if m else UNKNOWN
        if label == UNKNOWN:
            complain(f"{path}: the name gives no class; expected e.g. `2 10a.bmp`")
            continue
        yield Single(path.name, path.parent.name, path.parent.name, "train", 0, label, trim(255 - read_grey(path)))


def class_folders(folder: Path, complain: Complain = print) -> Iterator[Single]:
    """Dark single chromosomes in folders named by class; the cell is what follows the last underscore of the name."""
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES):
        label = class_index(re.sub(r"^(clase|class)[_ ]?", "", path.parent.name, flags=re.IGNORECASE))
        if label == UNKNOWN:
            complain(f"{path}: the folder {path.parent.name!r} is no class")
            continue
        cell = path.stem.rsplit("_", 1)[-1]
        yield Single(path.name, cell, cell.split(".")[0], "train", 0, label, trim(read_grey(path)))
