"""The recipes of the shipped models: which caches, which shapes, how long."""

import time
from pathlib import Path

import numpy as np
import torch

from . import anatomy, anatomy_data, audit, cache, candidates, classifier, detector, pack, readers
from .nets import Anatomy, Classifier, Detector
from .run import CHECKPOINTS, read_small, save_small

#: Scale of the detector's input against cil's frames, and the median box diagonal that this gives.
DETECTOR_SCALE, DETECTOR_DIAGONAL = 0.66, 67.4
OFFERED = "offered.npz"


def caches(data: Path, folder: Path) -> dict[str, Path]:
    """Builds what is missing of the caches and marks in them what the audit lists; names: coarse, native, mfish."""
    given = pack.scale_of(data)
    folders = {"coarse": folder / "cil@0.66", "native": folder / "cil@1.0", "mfish": folder / "mfish@67"}
    if not (folders["coarse"] / "index.npz").exists():
        cache.build(readers.cil(data / "cil"), folders["coarse"], DETECTOR_SCALE / given, print)
    if not (folders["native"] / "index.npz").exists():
        cache.build(readers.cil(data / "cil"), folders["native"], 1.0, print)
    if not (folders["mfish"] / "index.npz").exists():
        cache.build(readers.mfish(data / "mfish"), folders["mfish"], 1.0, print, diagonal=DETECTOR_DIAGONAL)
    audit.mark(folders["coarse"], DETECTOR_SCALE)
    audit.mark(folders["native"], given)
    return folders


def train_detector(data: Path, folder: Path, runs: Path, minutes: float, **more):
    """The detector: cil, with one example in twenty from M-FISH's DAPI planes."""
    c = caches(data, folder)
    return detector.train(c["coarse"], runs / "detector", minutes, extra={str(c["mfish"]): 0.05}, **more)


def train_metaphase(data: Path, folder: Path, runs: Path, minutes: float, **more):
    """The classifier of boxes cut from a metaphase; with the detector's own boxes where `offer` has collected them."""
    native = caches(data, folder)["native"]
    source = dict(cache=cache.Cache(native))
    if (native / OFFERED).exists():
        source["offered"] = candidates.Offered.read(native / OFFERED)
    return classifier.train(source, runs / "metaphase", minutes, **more)


def offer(data: Path, folder: Path, weights: Path) -> Path:
    """Keeps what the detector of a small checkpoint offers on the training cells, beside the native cache."""
    c = caches(data, folder)
    candidates.collect(weights, cache.Cache(c["coarse"]), cache.Cache(c["native"]), c["native"] / OFFERED)
    return c["native"] / OFFERED


def second_opinion(data: Path, folder: Path, doubts: list[dict]) -> list[dict]:
    """Of the doubts about labels of cil those that the committed checkpoints share, and the chromosomes that nobody boxed, as they see them."""
    c = caches(data, folder)
    coarse, native = (cache.Cache(c[k], audited=False) for k in ("coarse", "native"))
    detector_net, classifier_net = read_small(Detector, CHECKPOINTS / "detector.pt"), read_small(Classifier, CHECKPOINTS / "metaphase.pt")
    return audit.shared(doubts, native, classifier_net) + audit.unboxed(coarse, native, detector_net, classifier_net)


def train_single(data: Path, folder: Path, runs: Path, minutes: float, **more):
    """The classifier of single chromosomes, G-banded and Q-banded at once; best started from the classifier of boxes, which knows bands already."""
    doubted = {k: audit.listed(k) for k in ("pki3", "bioimlab")}
    taught = lambda s, names: s.split != "train" or s.name not in names
    sets = {k: [s for s in readers.singles(data / k, k) if taught(s, doubted[k])] for k in ("pki3", "bioimlab")}
    return classifier.train(dict(singles=sets, shares=dict(pki3=0.65, bioimlab=0.35)), runs / "singles", minutes, **more)


def cross_validate(what: str, data: Path, folder: Path, runs: Path, minutes: float, parts: int, **more) -> dict:
    """The shipped shape on all parts but one, in turn: a set of singles, or the boxes of metaphases."""
    from . import folds
    if what == "metaphase":
        native = caches(data, folder)["native"]
        return folds.cross_validate(lambda p: folds.metaphase_source(native, p, parts), runs / "folds-metaphase", minutes, parts, **more)
    items = list(readers.singles(data / what, what))
    return folds.cross_validate(lambda p: folds.singles_source(items, what, p, parts), runs / f"folds-{what}", minutes, parts, **more)


def train_anatomy(data: Path, folder: Path, runs: Path, minutes: float, **more):
    """The network that draws a box's chromosome. Virtual slides take part that lie in `anatomy/virtual` of the cache (held ones in folders that end in -held)."""
    paths = anatomy_data.build(data, folder)
    return anatomy.train(anatomy_data.source(paths, data, "train"), anatomy_data.held_batches(paths, data), runs / "anatomy", minutes, full=True, **more)


def train_anatomy_solid(data: Path, folder: Path, runs: Path, minutes: float, **more):
    """The same for solid stains, with many dicentrics; best started from `anatomy`."""
    paths = anatomy_data.build(data, folder)
    held = anatomy_data.held_batches(paths, data, made_from=anatomy_data.solid_source)
    return anatomy.train(anatomy_data.solid_source(paths, data, "train"), held, runs / "anatomy-solid", minutes, full=True, **more)


def anatomy_paths(data: Path, folder: Path, split: str) -> dict[str, Path]:
    """Caches and libraries that hold a split's chromosomes."""
    paths = anatomy_data.build(data, folder)
    return anatomy_data.build_test(data, folder) if split == "test" else paths


def outline_figures(data: Path, folder: Path, runs: Path, split: str, cells: int, weights: Path | None = None) -> dict:
    """Figures of the network of outlines: of a small checkpoint or of the run."""
    from . import anatomy_figures, export
    net = read_small(Anatomy, weights) if weights else export.load(Anatomy, runs / "anatomy")[0]
    net = net.to(memory_format=torch.channels_last)
    paths = anatomy_data.build(data, folder)
    choice = anatomy_figures.freeze(net, paths, data)
    return choice | anatomy_figures.figures(net, anatomy_paths(data, folder, split), data, split, choice, cells)


def compose(data: Path, folder: Path, out: Path, split: str, cells: int):
    """Composed cells of one split as a folder that `metaphased evaluate` reads."""
    from . import anatomy_figures, pieces
    paths = anatomy_paths(data, folder, split)
    fields = anatomy.Fields(cache.Cache(paths["cil"]), pieces.Pieces(paths["cil-pieces"]), split)
    anatomy_figures.write_composed(fields, out, cells)


def compose_structural(data: Path, folder: Path, out: Path, split: str) -> int:
    """Normal real cells of one split with one chromosome changed in structure, as a folder that `scripts/structural-rates` reads."""
    from . import pieces, structural
    paths = anatomy_paths(data, folder, split)
    fits = np.load(folder / "anatomy" / "likeness.npz")
    library = structural.with_landmarks(pieces.Pieces(paths["cil-pieces"]), fits["like"], fits["centre"])
    return structural.write(structural.normal_fields(anatomy.Fields(cache.Cache(paths["cil"]), library, split), data), out)


TASKS = {"detector": (train_detector, 0.5), "metaphase": (train_metaphase, 0.35), "single": (train_single, 0.15), "anatomy": (train_anatomy, 0.0), "anatomy-solid": (train_anatomy_solid, 0.0)}


def train_all(data: Path, folder: Path, runs: Path, minutes: float, **more):
    """All three, one after the other, in shares of the minutes; the same command goes on where it was cut off."""
    started, bands = time.monotonic(), runs / "bands.pt"
    for name, (train, share) in TASKS.items():
        if not share:
            continue
        print(f"{name}: {minutes * share:.1f} minutes ({(time.monotonic() - started) / 60:.1f} used)", flush=True)
        train(data, folder, runs, minutes * share, start=bands if name == "single" else None, **more)
        if name == "metaphase":
            save_small(runs / name, bands)
