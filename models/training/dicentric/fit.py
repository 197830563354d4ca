"""Fits the dicentric scorer's two logistic functions to pieces as `evaluate dicentric --out` writes them, and prints the Rust file: for solid
stains from virtual slides and composed cells, for banded ones from whole real cells without dicentrics and composed cells.

The features are those of `dicentric_features` and `acentric_features` in crates/dosimetry/src/dicentric/piece.rs, in their order.
"""

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

FOLDS = 5
COMPOSED_WEIGHT = 10.0  # Beside virtual slides: real frames are few, and what is scored is real.
# Odds of a dicentric that scores of banded stains assume, in units of those in the examples: the most of 1, 3, 10, 30 with up to 10 false a
# 1,000 cells at a score of 0.99, in cells of validation and of the fit alike.
BANDED_ODDS = 3.0
LEAST_APART = 0.8
NO_SITE = dict(share=0, heat=0, depth=0, both=0, mass=0, tone=0)


def ranked(piece):
    """The places that may be centromeres, best first, no two of them the same one."""
    kept = []
    value = lambda s: s["heat"] + 0.7 * min(s["depth"], 0.5) + 0.5 * min(s["both"], 0.4)
    for site in sorted(piece["sites"], key=value, reverse=True):
        if all(abs(k["share"] - site["share"]) * piece["aspect"] >= LEAST_APART for k in kept):
            kept.append(site)
    return kept


def from_end(piece, site):
    return min(site["share"], 1 - site["share"]) * piece["aspect"]


def of_cell(piece):
    return [min(piece["slender"], 2.5), min(piece["length"], 2.5), min(piece["area"], 3)]


def dicentric_features(piece, a, b):
    low, high = sorted((a["share"], b["share"]))
    between = [s["depth"] for s in piece["sites"] if low < s["share"] < high]
    depths = [min(a["depth"], 0.5), min(b["depth"], 0.5), min(a["both"], 0.4), min(b["both"], 0.4)]
    rest = [min(from_end(piece, b), 1), min((high - low) * piece["aspect"], 2.5), max(between, default=0)]
    tail = [min(piece["bend"], 0.3), min(max(b["tone"], 0.7), 1.2)]
    tail += [min(piece["aspect"], 8), float(piece["crossing"]), a["heat"] * b["heat"]]
    return [a["heat"], b["heat"], *depths, b["heat"] * min(b["both"], 0.4), *of_cell(piece), *rest, *tail]


def acentric_features(piece, best):
    return [best["heat"], min(best["depth"], 0.5), min(best["both"], 0.4), min(from_end(piece, best), 1), *of_cell(piece)]


def load(folders, weight):
    """Rows of (group, true kind, piece, weight): pieces of which it is known what they are."""
    rows = []
    for folder in folders:
        for line in (Path(folder) / "cells.jsonl").read_text().splitlines():
            row = json.loads(line)
            if row.get("piece") and row.get("truth"):
                rows.append((f"{folder}/{row['group']}", row["truth"], row["piece"], weight))
    return rows


def fit(x, y, weights, groups, name):
    """Mean, spread and model of all rows; the cross-validation over groups goes to stderr."""
    mean, spread = x.mean(0), x.std(0) + 1e-6
    x = (x - mean) / spread
    fold = np.array([zlib.crc32(g.encode()) % FOLDS for g in groups])
    score = np.zeros(len(y))
    make = lambda: LogisticRegression(C=0.3, max_iter=1000)
    for k in range(FOLDS):
        model = make().fit(x[fold != k], y[fold != k], sample_weight=weights[fold != k])
        score[fold == k] = model.predict_proba(x[fold == k])[:, 1]
    for domain, some in (("virtual or real", weights == 1.0), ("composed", weights != 1.0), ("all", weights > 0)):
        if not (some & y).any():
            continue
        false = np.sort(score[some & ~y])[::-1]
        at = lambda share: (score[some & y] > false[min(int(share * len(false)), len(false) - 1)]).mean()
        found = {f"{n} of 1000 false": round(float(at(n / 1000)), 2) for n in (1, 3, 5, 10)}
        print(name, domain, int((some & y).sum()), "of", int(some.sum()), found, file=sys.stderr)
    return mean, spread, make().fit(x, y, sample_weight=weights)


def constant(name, words, fitted):
    mean, spread, model = fitted
    number = lambda v: repr(round(float(v), 4))
    lines = [f"/// {words}", f"pub(super) const {name}: Logistic<{len(mean)}> = Logistic {{"]
    lines += [f"    offset: {number(model.intercept_[0])},", "    features: ["]
    lines += [f"        ({number(w)}, {number(m)}, {number(s)})," for w, m, s in zip(model.coef_[0], mean, spread)]
    return "\n".join([*lines, "    ],", "};", ""])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--virtual", nargs="+", default=[])
    arguments.add_argument("--real", nargs="+", default=[], help="whole cells of a banded stain, whose pieces are chromosomes")
    arguments.add_argument("--composed", nargs="+", default=[])
    arguments = arguments.parse_args()
    rows = load(arguments.virtual + arguments.real, 1.0) + load(arguments.composed, COMPOSED_WEIGHT if arguments.virtual else 1.0)

    pairs = [(row, ranked(row[2])) for row in rows]
    pairs = [(row, sites) for row, sites in pairs if len(sites) > 1]
    x = np.array([dicentric_features(row[2], sites[0], sites[1]) for row, sites in pairs])
    y = np.array([row[1] in ("dicentric", "tricentric") for row, _ in pairs])
    groups, weights = [row[0] for row, _ in pairs], np.array([row[3] for row, _ in pairs])
    dicentric = fit(x, y, weights, groups, "dicentric")
    if arguments.real:
        dicentric[2].intercept_ += np.log(BANDED_ODDS)

    singles = [row for row in rows if row[1] in ("monocentric", "fragment")]
    x = np.array([acentric_features(row[2], (ranked(row[2]) or [NO_SITE])[0]) for row in singles])
    y = np.array([row[1] == "fragment" for row in singles])
    acentric = fit(x, y, np.array([row[3] for row in singles]), [row[0] for row in singles], "acentric")

    kind = "solid stains, on virtual slides" if arguments.virtual else "banded stains, on real"
    print(f"//! Fitted numbers of the scorer for {kind} and composed cells: models/training/dicentric/README.md.\n")
    print("use super::piece::Logistic;\n")
    features = "by the features of `{}`: weight, mean, spread."
    print(constant("DICENTRIC", "Probability that a piece has two centromeres, " + features.format("dicentric_features"), dicentric))
    print(constant("ACENTRIC", "Probability that a piece has none, " + features.format("acentric_features"), acentric), end="")


if __name__ == "__main__":
    main()
