"""Who is trained on, who is validated on and who is kept for the end.

The unit of a split is a person (or the nearest thing a set knows). Groups are walked in the order of
sha256("metaphased:SET:GROUP"); the first 12 % are the development test, the next 4 % validation, the rest
training. The result is written once to `splits/SET.csv`, and every other module reads it from there.
"""

import csv
import hashlib
from pathlib import Path

TEST_SHARE = 0.12
VALIDATION_SHARE = 0.04
SPLITS = Path(__file__).resolve().parent.parent / "splits"

#: Groups that never leave the training side: they may hold cells of several persons.
TRAINING_ONLY = {("cil", "unknown"), ("pki3", "9700TEST")}
#: bioimlab cells 002 and 111 are two cuts of one cell.
SAME_CELL = {("bioimlab", "111"): "002"}


def rank(set_name: str, group: str) -> str:
    """The hash by which a group's place in the walk is decided."""
    return hashlib.sha256(f"metaphased:{set_name}:{group}".encode()).hexdigest()


def assign(set_name: str, groups: set[str], test=TEST_SHARE, validation=VALIDATION_SHARE) -> dict[str, str]:
    """Maps each group to `test`, `validation` or `train`."""
    movable = sorted((g for g in groups if (set_name, g) not in TRAINING_ONLY), key=lambda g: rank(set_name, g))
    n_test = round(len(groups) * test)
    n_validation = max(1, round(len(groups) * validation))
    side = {g: "train" for g in groups}
    side.update({g: "test" for g in movable[:n_test]})
    side.update({g: "validation" for g in movable[n_test : n_test + n_validation]})
    return side


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def items(data: Path, set_name: str) -> list[tuple[str, str]]:
    """(item, group) pairs of a set: images of cil, cells of the others, cases of clusters."""
    if set_name == "cil":
        return [(r["image"], r["group"]) for r in _rows(data / "cil/cells.csv")]
    if set_name == "pki3":
        return [(r["cell"], r["patient"]) for r in _rows(data / "pki3/cells.csv")]
    if set_name == "bioimlab":
        return [(r["cell"], SAME_CELL.get(("bioimlab", r["cell"]), r["cell"])) for r in _rows(data / "bioimlab/cells.csv")]
    if set_name == "mfish":
        return [(r["cell"], r["group"]) for r in _rows(data / "mfish/cells.csv")]
    if set_name == "clusters":
        cases = sorted({r["case"] for r in _rows(data / "clusters/objects.csv")})
        return [(c, c) for c in cases]
    raise ValueError(f"no split is defined for the set {set_name!r}; known: cil, pki3, bioimlab, mfish, clusters")


def fold_of(set_name: str, group: str, folds: int = 5) -> int:
    """The cross-validation fold of a group, from a hash of its own so that it is independent of the split."""
    return int(hashlib.sha256(f"metaphased:fold:{set_name}:{group}".encode()).hexdigest(), 16) % folds


def write(data: Path, set_name: str) -> Path:
    """Writes `splits/SET.csv` from the shared data and returns its path."""
    pairs = items(data, set_name)
    side = assign(set_name, {g for _, g in pairs})
    SPLITS.mkdir(exist_ok=True)
    path = SPLITS / f"{set_name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["item", "group", "split", "fold"])
        out.writerows([item, group, side[group], fold_of(set_name, group)] for item, group in sorted(pairs))
    return path


def read(set_name: str) -> dict[str, dict[str, str]]:
    """item -> {group, split, fold} of a committed split."""
    return {r["item"]: r for r in _rows(SPLITS / f"{set_name}.csv")}
