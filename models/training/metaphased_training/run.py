"""What every training shares: seeds, the clock-bound schedule, averaged weights, checkpoints, curves."""

import csv
import json
import math
import os
import platform
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch

#: The small checkpoints that the repository keeps.
CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"


def seed_everything(seed: int) -> np.random.Generator:
    """Seeds Python, numpy and torch; returns the generator for augmentation."""
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    return np.random.default_rng(seed)


class _Endless(torch.utils.data.IterableDataset):
    """Batches without end; every worker process draws from a generator of its own."""

    def __init__(self, make, seed: int):
        self.make, self.seed = make, seed

    def __iter__(self):
        import cv2
        cv2.setNumThreads(1)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        while True:
            yield self.make(rng)


def batches(make, seed: int, workers: int = 0):
    """An endless stream of `make(rng)`: in this process, or from worker processes (worth it beside a GPU only)."""
    source = _Endless(make, seed)
    if workers == 0:
        return iter(source)
    return iter(torch.utils.data.DataLoader(source, batch_size=None, num_workers=workers, prefetch_factor=4, persistent_workers=True))


def environment() -> dict:
    """Versions and machine, kept beside every run."""
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "") if os.path.exists("/proc/cpuinfo") else platform.processor()
    return dict(python=sys.version.split()[0], torch=torch.__version__, numpy=np.__version__, cpu=cpu,
                gpu=torch.cuda.get_device_name(0) if torch.cuda.is_available() else "", threads=torch.get_num_threads())


class Average:
    """Exponential moving average of a network's weights and buffers."""

    def __init__(self, net, decay: float):
        self.decay, self.steps = decay, 0
        self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net):
        self.steps += 1
        d = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for k, v in net.state_dict().items():
            if v.dtype.is_floating_point:
                self.state[k].lerp_(v, 1 - d)
            else:
                self.state[k].copy_(v)


class Run:
    """A training's folder: config.json, environment.json, curves.csv, curves.png, checkpoint.pt.

    The learning rate follows the share of the time budget that is used up, so that a run always ends annealed;
    a resumed run goes on from the time it had used.
    """

    def __init__(self, folder: Path, config: dict, net, optimiser, minutes: float, rate: float, decay: float = 0.999):
        self.folder, self.config, self.net, self.optimiser = Path(folder), config, net, optimiser
        self.budget, self.rate = minutes * 60, rate
        self.average = Average(net, decay)
        self.step, self.epoch, self.before, self.rows = 0, 0.0, 0.0, []
        self.started = self.saved = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.json").write_text(json.dumps(config, indent=1, default=str))
        (self.folder / "environment.json").write_text(json.dumps(environment(), indent=1))
        if (self.folder / "checkpoint.pt").exists():
            self.load()

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, over all resumed parts."""
        return self.before + time.monotonic() - self.started

    @property
    def progress(self) -> float:
        """Share of the budget that is used up, 0..1."""
        return min(1.0, self.elapsed / self.budget)

    def set_rate(self, warmup_steps: int = 300):
        """Sets the learning rate for the next step: warm-up, then a cosine to 1 % of the peak."""
        p = self.progress
        r = self.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * p))) * min(1.0, (self.step + 1) / warmup_steps)
        for g in self.optimiser.param_groups:
            g["lr"] = r
        return r

    def stepped(self):
        """To be called after every optimiser step: averages, counts, saves every ten minutes."""
        self.step += 1
        self.average.update(self.net)
        if time.monotonic() - self.saved > 600:
            self.save()

    def save(self):
        """Writes the checkpoint beside the old one and then replaces it."""
        self.saved = time.monotonic()
        part = self.folder / "checkpoint.part"
        torch.save(dict(net=self.net.state_dict(), average=self.average.state, average_steps=self.average.steps, optimiser=self.optimiser.state_dict(),
                        step=self.step, epoch=self.epoch, elapsed=self.elapsed, rows=self.rows, config=self.config), part)
        part.replace(self.folder / "checkpoint.pt")

    def load(self):
        """Goes on from the folder's checkpoint."""
        c = torch.load(self.folder / "checkpoint.pt", map_location="cpu", weights_only=False)
        self.net.load_state_dict(c["net"])
        self.average.state, self.average.steps = c["average"], c["average_steps"]
        self.optimiser.load_state_dict(c["optimiser"])
        self.step, self.epoch, self.before, self.rows = c["step"], c["epoch"], c["elapsed"], c["rows"]
        print(f"resumed at step {self.step}, epoch {self.epoch:.2f}, {self.before / 60:.1f} min used", flush=True)

    def start_from(self, path: Path):
        """Takes the weights of a small checkpoint as a start (a fresh run only; a resumed one has its own).

        The two networks may differ in whether they refine boxes: that branch then begins anew or is left behind."""
        if self.step:
            return
        c = torch.load(path, map_location="cpu", weights_only=True)
        shape = lambda net: {k: v for k, v in net.items() if k != "refine"}
        wanted = self.config["net"]
        if shape(wanted) != shape(c["net"]):
            raise ValueError(f"{path} holds a network {c['net']}, this run trains {wanted}")
        state = {k: v.float() if v.is_floating_point() else v for k, v in c["state"].items()}
        self.net.load_state_dict(state, strict=wanted == c["net"])
        self.average = Average(self.net, self.average.decay)
        if c.get("sets", self.config.get("sets")) == self.config.get("sets"):
            self.epoch = c["epochs"]  # epochs over the same examples count on; steps begin anew, as the warm-up goes by them

    def record(self, **values):
        """Adds a row to the curves and writes them as CSV and PNG."""
        row = dict(minutes=round(self.elapsed / 60, 2), epoch=round(self.epoch, 3), step=self.step) | {k: round(float(v), 5) for k, v in values.items()}
        self.rows.append(row)
        print(" ".join(f"{k} {v:g}" for k, v in row.items()), flush=True)
        keys = list(dict.fromkeys(k for r in self.rows for k in r))
        with open(self.folder / "curves.csv", "w", newline="") as f:
            out = csv.DictWriter(f, keys, lineterminator="\n")
            out.writeheader(), out.writerows(self.rows)
        plot(self.rows, self.folder / "curves.png")


def save_small(run: Path, path: Path):
    """The averaged weights of a run in half precision with the network's shape: small enough for the repository."""
    c = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=False)
    state = {k: v.half() if v.is_floating_point() else v for k, v in c["average"].items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(net=c["config"]["net"], state=state, steps=c["step"], epochs=c["epoch"], sets=c["config"].get("sets")), path)


def read_small(kind, path: Path):
    """The network of a file that `save_small` wrote, ready to be asked."""
    c = torch.load(path, map_location="cpu", weights_only=True)
    net = kind(**c["net"])
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in c["state"].items()})
    return net.eval().to(memory_format=torch.channels_last)


def plot(rows: list[dict], path: Path):
    """One small panel for each column over the epochs."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    keys = [k for k in dict.fromkeys(k for r in rows for k in r) if k not in ("minutes", "epoch", "step")]
    cols = min(4, len(keys))
    figure, axes = plt.subplots(-(-len(keys) // cols), cols, figsize=(3 * cols, 2.3 * -(-len(keys) // cols)), squeeze=False)
    for ax, k in zip(axes.flat, keys):
        points = [(r["epoch"], r[k]) for r in rows if k in r]
        ax.plot(*zip(*points), lw=1)
        ax.set_title(k, fontsize=9), ax.tick_params(labelsize=7), ax.set_xlabel("epoch", fontsize=7)
    for ax in axes.flat[len(keys):]:
        ax.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
