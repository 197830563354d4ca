"""The label audit: annotations that contradict themselves or what networks see, each with the reason, for `audit/SET.csv`.

Rows name one box (`box` = xmin ymin xmax ymax; of cut chromosomes, the file) or, without one, the whole image. Training leaves the class of a listed box
alone and takes no place where a box is missing for ground (`mark`); evaluation reports the listed images apart.
"""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from . import CLASSES, OTHER, splits
from .boxes import iou_matrix, suppress
from .readers import class_index, rows

AUDIT = Path(__file__).resolve().parent.parent / "audit"
HEADER = ["image", "group", "split", "box", "classes", "reason"]


def double_classes(boxes: list[tuple], names: list[str]):
    """Boxes that carry more than one class."""
    by_box = defaultdict(list)
    for b, n in zip(boxes, names):
        by_box[b].append(n)
    return [(b, sorted(set(v))) for b, v in by_box.items() if len(set(v)) > 1]


def unusual_counts(counts: Counter):
    """Class counts of a cell that no common karyotype has: four or more of a class, or three or more classes off two."""
    off = {c: counts[c] for c in CLASSES[:22] if counts[c] != 2}
    wild = [f"{c}:{n}" for c, n in off.items() if n >= 4 or n == 0]
    return wild + [f"{c}:{n}" for c, n in off.items()] * (len(off) >= 3)


def findings(data: Path) -> list[dict]:
    """All findings in the cil set."""
    side, boxes, names = splits.read("cil"), defaultdict(list), defaultdict(list)
    for r in rows(data / "annotations.csv"):
        boxes[r["image"]].append(tuple(int(r[k]) for k in ("xmin", "ymin", "xmax", "ymax")))
        names[r["image"]].append(r["class"])
    cells = rows(data / "cells.csv")
    sexes = defaultdict(Counter)
    for r in cells:
        if r["group"] != "unknown":
            sexes[r["group"]][r["sex_boxes"]] += 1
    out = []
    for r in cells:
        image, group = r["image"], r["group"]
        add = lambda reason, box="", classes="": out.append(dict(image=image, group=group, split=side[image]["split"], box=box, classes=classes, reason=reason))
        for b, kinds in double_classes(boxes[image], names[image]):
            add("one box with two classes", " ".join(map(str, b)), " ".join(kinds))
        labels = [class_index(n) for n in names[image]]
        counts = Counter(CLASSES[k] for k in labels if k >= 0)
        wild = sorted(set(unusual_counts(counts)))
        if wild:
            add("class counts that no common karyotype has", classes=" ".join(wild))
        usual, n = sexes[group].most_common(1)[0] if sexes[group] else ("", 0)
        if usual and r["sex_boxes"] != usual and n >= 3 and n >= 3 * sexes[group][r["sex_boxes"]]:
            add(f"sex unlike the case's ({usual} in {n} of {sum(sexes[group].values())} cells)", classes=r["sex_boxes"])
        stated = r["stated_chromosomes"]
        if stated.isdigit() and int(stated) != len(boxes[image]):
            add(f"{stated} chromosomes stated, {len(boxes[image])} boxed")
        if int(r["source_chroma"] or 0) > 0:
            add("colour in the shipped file (arrows drawn in)")
        b = np.array(sorted(set(boxes[image])), float)
        near = np.argwhere(np.triu(iou_matrix(b, b) > 0.93, 1))
        for i, j in near:
            add("two boxes that are nearly the same (IoU above 0.93)", " ".join(str(int(v)) for v in b[i]), "")
    return out


def out_of_fold(path: Path, name: str) -> list[dict]:
    """What a network that never saw the cell is sure to be of another class (`cross-validate`)."""
    from .folds import doubted
    side = splits.read(name)
    return [dict(image=r["cell"], group=r["group"], split=side[r["cell"]]["split"], box=r["item"], classes=r["label"],
                 reason=f"out-of-fold disagreement: {r['answer']} with {float(r['p_answer']):.2f}") for r in doubted(path)]


#: A box is missing where the detector gives this score, the classifier this probability to a class, and annotated boxes cover less than this of it.
SCORE, SURE, COVERED = 0.5, 0.9, 0.3
#: A doubt is shared by a network that gives the label less than this.
UNLIKELY = 0.1
NOT_BOXED = "not boxed"


def unboxed(coarse, native, detector, classifier, progress=print) -> list[dict]:
    """Chromosomes that nobody boxed, as both networks see them; `coarse` and `native` are the caches of cil for the two.

    On training cells the detector has been taught that there is nothing: what it still tells is all the likelier."""
    from .classifier import box_views, log_probabilities, median_diagonal
    from .detector import candidates
    out = []
    for i in range(len(coarse)):
        item, full = coarse[i], native[i]
        if i % 500 == 0:
            progress(f"{i} of {len(coarse)} cells looked at, {len(out)} boxes missing", flush=True)
        b, s, p, _ = candidates(detector, item.pixels, SCORE, limit=500)
        if len(b) == 0 or len(item.boxes) == 0:
            continue
        b = b[suppress(b, s, p.argmax(1), 0.5, 0.5)] * (full.pixels.shape[1] / item.pixels.shape[1])
        b = b[share_inside(b, full.boxes) < COVERED]
        if len(b) == 0:
            continue
        sure = np.exp(log_probabilities(classifier, box_views(full.pixels, b, median_diagonal(full.boxes)), 1.0))
        for box, q in zip(b, sure):
            if q[:OTHER].max() >= SURE:
                out.append(dict(image=item.name, group=item.group, split=item.split, box=" ".join(f"{v / native.scale:.0f}" for v in box),
                                classes=CLASSES[q[:OTHER].argmax()], reason=NOT_BOXED))
    return out


def share_inside(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The largest share of each box [n,4] that one of the others [m,4] covers."""
    size = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - np.maximum(boxes[:, None, :2], others[None, :, :2])
    return (np.clip(size, 0, None).prod(-1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)[:, None]).max(1, initial=0)


def mark(folder: Path, scale: float):
    """Writes `audit.npz` beside a cache of cil at `scale` times the size of its pictures: rows of boxes whose class training
    leaves alone, and places that it does not take for ground. Only of training cells: the others are measured as they are annotated."""
    z = np.load(folder / "index.npz")
    at = {str(n): i for i, (n, side) in enumerate(zip(z["names"], z["splits"])) if side == "train"}
    doubted, image, places = [], [], []
    for r in rows(AUDIT / "cil.csv"):
        if r["image"] not in at or not r["box"]:
            continue
        i, box = at[r["image"]], np.array([float(v) for v in r["box"].split()]) * scale
        if r["reason"].startswith(NOT_BOXED):
            image.append(i), places.append(box)
            continue
        mine = np.arange(z["first"][i], z["first"][i + 1])
        doubted += mine[np.abs(z["boxes"][mine] - box).max(1) < 2].tolist()
    np.savez(folder / "audit.npz", doubted=np.array(doubted, int), image=np.array(image, int), unboxed=np.array(places, np.float32).reshape(-1, 4))


def shared(doubts: list[dict], native, classifier) -> list[dict]:
    """The doubts about boxes of cil that a classifier shares which was taught these very labels."""
    from .classifier import box_views, log_probabilities, median_diagonal
    at, kept = {str(n): i for i, n in enumerate(native.names)}, []
    for r in doubts:
        item = native[at[r["image"]]]
        box = np.array([[float(v) for v in r["box"].split()]], np.float32) * native.scale
        p = np.exp(log_probabilities(classifier, box_views(item.pixels, box, median_diagonal(item.boxes)), 1.0))[0]
        if p[CLASSES.index(r["classes"])] < UNLIKELY:
            kept.append(r)
    return kept


def listed(name: str) -> set[str]:
    """Files of cut chromosomes whose class is in doubt."""
    path = AUDIT / f"{name}.csv"
    return {r["box"] for r in rows(path)} if path.exists() else set()


def write(name: str, data: Path, doubts: list[dict] = []) -> Path:
    """Writes `audit/NAME.csv`: of cil the contradictions, and what networks doubt."""
    AUDIT.mkdir(exist_ok=True)
    path = AUDIT / f"{name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, HEADER, lineterminator="\n")
        out.writeheader()
        out.writerows((findings(data) if name == "cil" else []) + doubts)
    return path
