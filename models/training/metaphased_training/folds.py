"""Cross-validation over cells or patients, and what it says of the labels: every chromosome judged by a network that never saw its cell."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import CLASSES, OTHER, classifier, evaluate as ev, splits
from .cache import Cache
from .export import load
from .nets import Classifier
from .release import classifier_figures, truth_boxes

HEADER = ["part", "cell", "group", "item", "label", "answer", "p_label", "p_answer"]
#: An annotation is doubted when the out-of-fold network is this sure of another class and gives the label less than the second.
SURE, UNLIKELY = 0.95, 0.01


def singles_source(items: list, name: str, part: int, parts: int) -> dict:
    """The set with one part held out and all others to train on, whatever the committed split says."""
    return dict(singles={name: [replace(s, split="validation" if s.fold % parts == part else "train") for s in items]}, shares={name: 1.0})


def metaphase_source(folder: Path, part: int, parts: int) -> dict:
    """The metaphases of training and validation with one part held out; the test split stays untouched."""
    cells, side = Cache(folder, audited=False), splits.read("cil")
    open_to_us = np.isin(cells.splits, ("train", "validation"))
    held = np.array([int(side[str(n)]["fold"]) % parts == part for n in cells.names])
    cells.splits = np.where(open_to_us, np.where(held, "validation", "train"), cells.splits)
    return dict(cache=cells)


def answers(source: dict, run: Path):
    """Logits of a finished run on what its source holds out: logits, labels, cells, groups, item names."""
    net, _ = load(Classifier, run)
    if "cache" in source:
        cells = source["cache"]
        chosen = cells.select("validation")
        views, names, groups = truth_boxes(cells, chosen)
        items = [" ".join(f"{v:.0f}" for v in b) for i in chosen for b, c in zip(cells[i].boxes, cells[i].classes) if c >= 0]
    else:
        held = [s for v in source["singles"].values() for s in v if s.split == "validation"]
        views, names, groups, items = classifier.singles_views(held), [s.cell for s in held], [s.group for s in held], [s.name for s in held]
    return classifier.logits(net, *views[:3]), views[3].astype(int), names, groups, items


def cross_validate(make, out: Path, minutes: float, parts: int, **more) -> dict:
    """Trains on all parts but one, `parts` times over, each for `minutes`; writes `out-of-fold.csv` and `result.json`.

    `make(part)` gives the source with that part held out. A part that is finished is not trained again.
    """
    zs, rows = [], []
    for part in range(parts):
        source = make(part)
        classifier.train(source, out / f"part{part}", minutes, validate_minutes=1e9, **more)
        z, labels, cells, groups, items = answers(source, out / f"part{part}")
        p = np.exp(ev.log_softmax(z[:, :OTHER]))
        zs.append(z)
        rows += [(part, *r) for r in zip(cells, groups, items, labels, p.argmax(1), p[np.arange(len(p)), labels].round(5), p.max(1).round(5))]
    with open(out / "out-of-fold.csv", "w", newline="", encoding="utf-8") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(HEADER)
        table.writerows((n, c, g, i, CLASSES[y], CLASSES[k], *p) for n, c, g, i, y, k, *p in rows)
    z, y = np.concatenate(zs), np.array([r[4] for r in rows])
    result = classifier_figures(z, y, [r[1] for r in rows], [r[2] for r in rows], ev.temperature(z[:, :OTHER], y), "cross_validated")
    result |= dict(minutes_a_part=minutes, parts=parts)
    (out / "result.json").write_text(json.dumps(result, indent=1))
    return result


def doubted(path: Path) -> list[dict]:
    """Rows of an `out-of-fold.csv` whose label the network would not have given."""
    with open(path, newline="", encoding="utf-8") as f:
        return [r for r in csv.DictReader(f) if r["answer"] != r["label"] and float(r["p_answer"]) >= SURE and float(r["p_label"]) <= UNLIKELY]
