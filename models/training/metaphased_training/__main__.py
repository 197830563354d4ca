"""One entry point: `python -m metaphased_training COMMAND`."""

import argparse
import json
from pathlib import Path

HERE = Path(__file__).resolve()
DATA = HERE.parents[4] / "shared" / "data"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="metaphased_training", description="Train, export and compare the networks of metaphased.")
    p.add_argument("--data", type=Path, default=DATA, help="folder with cil, pki3, bioimlab, mfish (or a pack); default %(default)s")
    p.add_argument("--cache", type=Path, default=Path("runs/cache"), help="decoded images; default %(default)s")
    p.add_argument("--runs", type=Path, default=Path("runs"), help="trainings; default %(default)s")
    p.add_argument("--threads", type=int, default=1, help="threads of PyTorch; default %(default)s")
    sub = p.add_subparsers(dest="command", required=True)
    sub.add_parser("splits", help="write splits/*.csv (done once; committed)")
    u = sub.add_parser("audit", help="write audit/SET.csv")
    u.add_argument("set", nargs="?", default="cil", choices=["cil", "pki3", "bioimlab"], help="default %(default)s")
    u.add_argument("--out-of-fold", type=Path, help="the csv of `cross-validate`: its disagreements too")
    u.add_argument("--networks", action="store_true", help="of cil, ask the networks of checkpoints/: list chromosomes that nobody boxed, and only those disagreements that they share")
    v = sub.add_parser("cross-validate", help="train on all parts of the cells but one and judge that one, in turn")
    v.add_argument("what", choices=["pki3", "bioimlab", "metaphase"])
    v.add_argument("--minutes", type=float, required=True, help="wall-clock budget of each training; the same command resumes")
    v.add_argument("--parts", type=int, default=5, choices=[2, 3, 4, 5], help="how many parts the five folds of the splits make up; default %(default)s")
    v.add_argument("--start", type=Path, help="weights to start from that know none of these cells: a file of checkpoints/")
    v.add_argument("--rate", type=float, help="peak learning rate")
    v.add_argument("--steps", type=int, help="stop each training after so many steps (tests)")
    sub.add_parser("cache", help="decode what the trainings read")
    o = sub.add_parser("offer", help="collect what a detector offers on the training cells, for `train metaphase`")
    o.add_argument("weights", type=Path, help="a file of checkpoints/")
    for name in ("train", "train-all"):
        t = sub.add_parser(name, help="one network" if name == "train" else "all three networks in one time budget")
        if name == "train":
            t.add_argument("what", choices=["detector", "metaphase", "single", "anatomy", "anatomy-solid"])
            t.add_argument("--start", type=Path, help="weights to start from: a file of checkpoints/")
            t.add_argument("--rate", type=float, help="peak learning rate; about half of a fresh run's does for --start")
        t.add_argument("--minutes", type=float, required=True, help="wall-clock budget; the same command resumes")
        t.add_argument("--device", default="cpu", help="cpu or cuda")
        t.add_argument("--workers", type=int, default=0, help="processes that augment; 0 (inline) is best on a CPU")
        t.add_argument("--seed", type=int, default=1)
        t.add_argument("--steps", type=int, help="stop after so many steps (tests)")
    x = sub.add_parser("context", help="train the network that judges the candidates of a cell together, and put it into the folder of the classifier")
    x.add_argument("files", type=Path, nargs="+", help="candidates of training cells, as `metaphased evaluate karyotype --candidates` writes them")
    x.add_argument("--validation", type=Path, required=True, help="the same of validation cells: their log loss is printed")
    x.add_argument("--steps", type=int, default=4500, help="batches of 16 cells; default %(default)s (some 14 epochs)")
    x.add_argument("--classifier", type=Path, default=HERE.parents[2] / "classifier-metaphase", help="folder of the classifier that it is made for; default %(default)s")
    x.add_argument("--seed", type=int, default=1, help="the mean of the networks of all seeds in the run's folder goes into the classifier's")
    f = sub.add_parser("outlines", help="figures of `anatomy`: masks, centromeres, way up")
    f.add_argument("--weights", type=Path, help="a file of checkpoints/; default: the run")
    f.add_argument("--split", default="validation", choices=["validation", "test"])
    f.add_argument("--cells", type=int, default=24, help="composed cells; default %(default)s")
    m = sub.add_parser("compose", help="write composed cells with their masks, laid out as `metaphased simulate` does")
    m.add_argument("out", type=Path)
    m.add_argument("--split", default="validation", choices=["train", "validation", "test"])
    m.add_argument("--cells", type=int, default=24)
    m.add_argument("--structural", action="store_true", help="instead: every normal cell with one chromosome shortened, lengthened, made an isochromosome, or cut and rejoined")
    b = sub.add_parser("slide-bands", help="write the table from which the virtual slide draws G-bands")
    b.add_argument("table", type=Path, nargs="?", default=HERE.parents[3] / "crates/slide/src/g_bands.txt", help="default %(default)s")
    b.add_argument("--simulated", type=Path, nargs="+", default=[], metavar="DIR", help="refine the table that is there with what `metaphased simulate` drew from it")
    c = sub.add_parser("compare", help="a network of the literature")
    c.add_argument("what", choices=["vgg19", "tiny-yolo", "yolov2-resnet50"])
    c.add_argument("--minutes", type=float, required=True)
    c.add_argument("--size", type=int)
    c.add_argument("--set", default="bioimlab", choices=["bioimlab", "pki3"])
    c.add_argument("--head", default="gap", choices=["none", "one-fc", "two-fc-dropout", "two-fc-bn", "conv-bn", "gap"])
    c.add_argument("--width", type=int, default=4096, help="size of the fully connected layers, 2048 to 6000 as published; default %(default)s")
    c.add_argument("--export", type=Path, metavar="DIR", help="write a model folder there afterwards")
    c.add_argument("--tune", default="whole", choices=["last", "whole"])
    c.add_argument("--weights", type=Path, help="torchvision state dict")
    c.add_argument("--steps", type=int)
    k = sub.add_parser("pack", help="what a training needs, in little")
    k.add_argument("out", type=Path)
    k.add_argument("--scale", type=float, default=0.7)
    k.add_argument("--quality", type=int, default=60)
    e = sub.add_parser("export", help="model folders from finished runs, thresholds frozen on validation")
    e.add_argument("what", nargs="+", choices=["detector", "metaphase", "single", "anatomy", "anatomy-solid"])
    e.add_argument("--models", type=Path, default=HERE.parents[2], help="where the model folders lie; default %(default)s")
    e.add_argument("--version", default="0.2.0")
    e.add_argument("--test", action="store_true", help="also measure the development test split (once, at the end)")
    e.add_argument("--int8", type=Path, metavar="DIR", help="copy the written folders to DIR with an int8 file more each, and measure what that costs")
    e.add_argument("--signed", action="store_true", help="with --int8: the form for TensorRT instead of the one for processors")
    return p


def main(argv=None):
    """Runs one command."""
    p = parser()
    a = p.parse_args(argv)
    if a.command == "audit" and a.networks and a.set != "cil":
        p.error(f"audit --networks looks at metaphases: it goes with cil, not with {a.set}")
    import cv2
    import torch
    torch.set_num_threads(a.threads), cv2.setNumThreads(1)
    from . import audit, banding, compare, context, pack, quantise, readers, recipes, release, splits
    if a.command == "splits":
        for name in ("cil", "pki3", "bioimlab", "mfish", "clusters"):
            print(splits.write(a.data, name))
    elif a.command == "audit":
        doubts = audit.out_of_fold(a.out_of_fold, a.set) if a.out_of_fold else []
        print(audit.write(a.set, a.data / a.set, recipes.second_opinion(a.data, a.cache, doubts) if a.networks else doubts))
    elif a.command == "cross-validate":
        more = dict(start=a.start, max_steps=a.steps) | (dict(rate=a.rate) if a.rate else {})
        print(json.dumps(recipes.cross_validate(a.what, a.data, a.cache, a.runs, a.minutes, a.parts, **more), indent=1))
    elif a.command == "cache":
        print(*recipes.caches(a.data, a.cache).values(), sep="\n")
    elif a.command == "offer":
        print(recipes.offer(a.data, a.cache, a.weights))
    elif a.command in ("train", "train-all"):
        more = dict(device=a.device, workers=a.workers, seed=a.seed, max_steps=a.steps) | (dict(start=a.start) if a.command == "train" else {})
        more |= dict(rate=a.rate) if getattr(a, "rate", None) else {}
        train = recipes.train_all if a.command == "train-all" else recipes.TASKS[a.what][0]
        train(a.data, a.cache, a.runs, a.minutes, **more)
    elif a.command == "context":
        context.train(a.files, a.validation, a.runs / "context", a.steps, a.seed)
        context.export(a.runs / "context", a.classifier)
    elif a.command == "outlines":
        print(json.dumps(recipes.outline_figures(a.data, a.cache, a.runs, a.split, a.cells, a.weights), indent=1))
    elif a.command == "compose":
        if a.structural:
            print(recipes.compose_structural(a.data, a.cache, a.out, a.split), "cells")
        else:
            recipes.compose(a.data, a.cache, a.out, a.split, a.cells)
    elif a.command == "slide-bands":
        banding.write(a.table, recipes.anatomy_paths(a.data, a.cache, "train")["cil-pieces"], a.simulated)
    elif a.command == "compare":
        run = a.runs / a.what
        if a.what == "vgg19":
            items = list(readers.singles(a.data / a.set, a.set))
            result = compare.train_vgg19(items, run, a.minutes, a.size or 64, a.head, a.tune, a.weights, a.width, a.set, max_steps=a.steps)
        else:
            result = compare.train_yolo(a.what, recipes.caches(a.data, a.cache)["coarse"], run, a.minutes, a.size or 416, a.weights, max_steps=a.steps)
        if a.export:
            compare.export(a.what, run, a.export / a.what)
        print(json.dumps({k: float(v) if hasattr(v, "item") else v for k, v in result.items()}, indent=1))
    elif a.command == "pack":
        pack.write(a.data, a.out, a.scale, a.quality)
    elif a.int8:
        places = recipes.anatomy_paths(a.data, a.cache, "validation") if a.what == ["anatomy"] else recipes.caches(a.data, a.cache)
        quantise.export(a.what, a.models, a.int8, places, a.data, a.signed)
    else:
        release.export(a.what, a.data, a.cache, a.runs, a.models, a.version, a.test)


if __name__ == "__main__":
    main()
