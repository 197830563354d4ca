"""The label audit of cil: annotations that contradict themselves, each with the reason, for `audit/cil.csv`.

Rows name one box (`box` = xmin ymin xmax ymax) or, without one, the whole image. Training ignores the class of a
listed box; evaluation reports the listed images apart.
"""

import csv
from collections import Counter, defaultdict
from pathlib import Path

from . import CLASSES, splits
from .boxes import iou_matrix
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
        import numpy as np
        b = np.array(sorted(set(boxes[image])), float)
        near = np.argwhere(np.triu(iou_matrix(b, b) > 0.93, 1))
        for i, j in near:
            add("two boxes that are nearly the same (IoU above 0.93)", " ".join(str(int(v)) for v in b[i]), "")
    return out


def out_of_fold(path: Path) -> list[dict]:
    """Boxes whose class a network that never saw their cell is sure to be another (`cross-validate metaphase`)."""
    from .folds import doubted
    side = splits.read("cil")
    return [dict(image=r["cell"], group=r["group"], split=side[r["cell"]]["split"], box=r["item"], classes=r["label"],
                 reason=f"out-of-fold disagreement: {r['answer']} with {float(r['p_answer']):.2f}") for r in doubted(path)]


def write(data: Path, judged: Path | None = None) -> Path:
    """Writes `audit/cil.csv`; with `judged` (an `out-of-fold.csv`) its disagreements too."""
    AUDIT.mkdir(exist_ok=True)
    path = AUDIT / "cil.csv"
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, HEADER, lineterminator="\n")
        out.writeheader()
        out.writerows(findings(data) + (out_of_fold(judged) if judged else []))
    return path
