"""The network of context: a small transformer over the candidates of one cell. It says how probable each is a chromosome of its own,
given all the others; boxes, scores, classes and overlaps go in, no pixels.

Examples are candidates as the daemon writes them (`metaphased evaluate karyotype DATA --list SPLIT --only train --candidates FILE`,
once as the cells are and once with `--edited`). The features below are the contract with the daemon
(`crates/recognition/src/context.rs`): change both or neither.
"""

import copy
import datetime
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import CLASSES, export as ex
from .boxes import iou_matrix

#: Most candidates that are looked at together: those that are surest by themselves.
MOST = 100
#: How sure a candidate is by itself: weight of its score's logit, a constant, weights of ln P(single) and of its refined box's logit.
ALONE = (0.7332, 1.1738, 0.567, 0.2424)
#: Overlap with the chromosome a person boxed from which a candidate may be it.
MET = 0.5
#: How the daemon thins the boxes before the classifier looks at them and again where it has drawn them (`Merging` in
#: `crates/recognition/src/inference/manifest/mod.rs`). Chosen by how many chromosomes of validation cells keep a candidate among some sixty.
MERGING = dict(nms_iou=0.85, nms_same_class_iou=0.8, iou=0.85, same_class_iou=0.75, least=0.02, lend_iou=0.8)
WIDTH, LAYERS, HEADS, PAIR_HIDDEN = 64, 2, 4, 24
#: Shift and scale of the nine measures of a pair.
PAIR_MEAN = np.array([0.03, 0.05, 0.05, 0.1, 0.02, 0.1, 0, 0.02, 0.05], np.float32)
PAIR_SCALE = np.array([0.1, 0.15, 0.15, 0.25, 0.1, 0.1, 0.6, 0.1, 0.15], np.float32)
BATCH, RATE, AUXILIARY = 16, 2e-3, 0.1
PER_CANDIDATE = ("boxes", "score", "single", "found", "logs")


def corners(boxes) -> np.ndarray:
    """x, y, width, height to two corners."""
    b = np.array(boxes, float).reshape(-1, 4)
    return np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1)


def read(path: Path) -> list[dict]:
    """The cells of a candidates file: truth, its classes, and of every candidate box, score, P(single), logit and class logs."""
    cells = []
    with open(path) as lines:
        next(lines)
        for line in lines:
            cell = json.loads(line)
            seen = [c for c in cell["candidates"] if c[4]]
            if len(seen) < 5:
                continue
            columns = {k: np.array([c[i] for c in seen], np.float32) for i, k in ((1, "score"), (2, "single"), (3, "found"), (4, "logs"))}
            classes = np.array([CLASSES.index(b["class"]) if b.get("class") in CLASSES else -1 for b in cell["boxes"]], int)
            cells.append(dict(group=cell["patient"], edited=cell["edit"] is not None, truth=corners([b["box"] for b in cell["boxes"]]), classes=classes,
                              boxes=corners([c[0] for c in seen]), **columns))
    return cells


def alone(cell: dict) -> np.ndarray:
    """Logit of each candidate by itself."""
    s = np.clip(cell["score"], 1e-4, 1 - 1e-4)
    return ALONE[0] * np.log(s / (1 - s)) + ALONE[1] + ALONE[2] * np.log(np.clip(cell["single"], 1e-4, 1)) + ALONE[3] * np.clip(cell["found"], -10, 10)


def owned(boxes: np.ndarray, truth: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """The chromosome that each candidate is, one to one, or -1: the surest candidate that meets a chromosome is it, overlap settling ties."""
    own = np.full(len(boxes), -1)
    if not len(truth):
        return own
    met = iou_matrix(boxes, truth)
    worth = np.where(met >= MET, met + 0.1 * np.clip(sure, -12, 12)[:, None], -np.inf)
    while True:
        i, j = np.unravel_index(worth.argmax(), worth.shape)
        if not np.isfinite(worth[i, j]):
            return own
        own[i] = j
        worth[i], worth[:, j] = -np.inf, -np.inf


def features(cell: dict) -> dict:
    """What the network sees of a cell: `candidates` [n, 56], `pairs` [n, n, 9]; and what it should say: `own`, `label`."""
    sure = alone(cell)
    kept = np.argsort(-sure, kind="stable")[:MOST]
    sure, (boxes, score, single, found, logs) = sure[kept], (cell[k][kept] for k in PER_CANDIDATE)
    p = 1 / (1 + np.exp(-sure))
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    d = np.hypot(w, h)
    likely = p > 0.5
    median = float(np.median(d[likely] if likely.sum() > 5 else d))
    cl = logs[:, :24] - np.logaddexp.reduce(logs[:, :24], 1, keepdims=True)
    pc = np.exp(cl)
    same = pc @ pc.T
    score = np.clip(score, 1e-4, 1 - 1e-4)
    x = np.concatenate([
        np.log(score / (1 - score))[:, None] / 3, np.log(np.clip(single, 1e-4, 1))[:, None] / 2, np.clip(found, -10, 10)[:, None] / 3, sure[:, None] / 4,
        pc, np.clip(cl, -8, 0) / 4 + 1, np.log(np.stack([d, w, h], 1).clip(1) / median), (same @ p)[:, None] - 2], 1)
    area = w * h
    inner = np.prod(np.clip(np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2]), 0, None), -1)
    iou = inner / np.maximum(area[:, None] + area[None] - inner, 1e-6)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    apart = np.hypot(*(centre[:, None] - centre[None]).transpose(2, 0, 1)) / max(median, 1)
    pairs = np.stack([iou, inner / np.maximum(area[:, None], 1), inner / np.maximum(area[None], 1), same, np.where(iou > 0.1, same, 0), np.exp(-apart),
                      np.tanh((sure[None] - sure[:, None]) / 4), np.where(sure[None] > sure[:, None], iou, 0), np.sqrt(iou)], -1)
    own = owned(boxes, cell["truth"], sure)
    label = np.where(own >= 0, cell["classes"][np.maximum(own, 0)], -1) if len(cell["truth"]) else own
    return dict(candidates=x.astype(np.float32), pairs=pairs.astype(np.float32), own=(own >= 0).astype(np.float32), label=label, log_class=cl.astype(np.float32), kept=kept)


def without_some(rng, cell: dict) -> dict:
    """The cell with some chromosomes lost, their candidates with them: that there are 46 is not to be learned."""
    keep = rng.random(len(cell["truth"])) > rng.choice([0.02, 0.05, 0.1])
    met = iou_matrix(cell["boxes"], cell["truth"])
    stay = (met.max(1) <= 0.2) | keep[met.argmax(1)]
    if stay.sum() < 5 or not keep.any():
        return cell
    return cell | {k: cell[k][stay] for k in PER_CANDIDATE} | dict(truth=cell["truth"][keep], classes=cell["classes"][keep])


def unsure(rng, cell: dict) -> dict:
    """What the networks say, less surely: as of patients on whom they were not trained. Edges lie a little elsewhere, here and there a candidate is missing,
    and the picture is turned."""
    kept = rng.random(len(cell["score"])) > rng.choice([0, 0.03, 0.08])
    cell = cell | {k: cell[k][kept] for k in PER_CANDIDATE}
    n = len(cell["score"])
    sides = cell["boxes"][:, 2:] - cell["boxes"][:, :2]
    turn = [1, 0, 3, 2] if rng.random() < 0.5 else [0, 1, 2, 3]
    boxes = (cell["boxes"] + rng.normal(0, 0.02, (n, 4)) * np.tile(sides, 2))[:, turn]
    score = np.clip(cell["score"], 1e-4, 1 - 1e-4)
    logs = cell["logs"] * rng.uniform(0.8, 1) + rng.normal(0, 0.3, cell["logs"].shape)
    return cell | dict(
        boxes=boxes, truth=cell["truth"][:, turn],
        score=(1 / (1 + np.exp(-(np.log(score / (1 - score)) + rng.normal(0, 0.35, n))))).astype(np.float32),
        found=(cell["found"] * rng.uniform(0.75, 1) + rng.normal(0, 0.5, n)).astype(np.float32),
        single=1 - (1 - cell["single"]) ** rng.uniform(0.8, 1, n).astype(np.float32),
        logs=(logs - np.logaddexp.reduce(logs, 1, keepdims=True)).astype(np.float32))


class Layer(nn.Module):
    """Attention whose weights also follow what two boxes are to each other, and a sum of messages over all pairs."""

    def __init__(self):
        super().__init__()
        self.norm, self.query_key_value, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.pair = nn.Sequential(nn.Linear(9, PAIR_HIDDEN), nn.ReLU(), nn.Linear(PAIR_HIDDEN, 2 * HEADS))
        self.message = nn.Linear(HEADS, WIDTH)
        self.forward_part = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Dropout(0.1), nn.Linear(2 * WIDTH, WIDTH))
        self.drop = nn.Dropout(0.1)

    def forward(self, x, pairs, mask=None):
        def heads(t):
            return t.reshape(t.shape[0], -1, HEADS, WIDTH // HEADS).permute(0, 2, 1, 3)
        q, k, v = (heads(t) for t in self.query_key_value(self.norm(x)).split(WIDTH, 2))
        pair = self.pair(pairs).permute(0, 3, 1, 2)
        weights, messages = q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5 + pair[:, :HEADS], pair[:, HEADS:]
        if mask is not None:
            weights, messages = weights.masked_fill(~mask[:, None, None], -1e4), messages * mask[:, None, None]
        mixed = (weights.softmax(-1) @ v).permute(0, 2, 1, 3).reshape(x.shape[0], -1, WIDTH)
        x = x + self.drop(self.out(mixed) + self.message(messages.sum(-1).transpose(1, 2) / 50))
        return x + self.drop(self.forward_part(x))


class Context(nn.Module):
    """Candidates [b, n, 56] and pairs [b, n, n, 9] to logits [b, n, 25]: 24 that correct the class (they only help to learn), one that corrects
    how sure the candidate is by itself."""

    def __init__(self, mean=None, scale=None):
        super().__init__()
        self.register_buffer("mean", torch.zeros(56) if mean is None else torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(56) if scale is None else torch.as_tensor(scale, dtype=torch.float32))
        self.register_buffer("pair_mean", torch.from_numpy(PAIR_MEAN)), self.register_buffer("pair_scale", torch.from_numpy(PAIR_SCALE))
        self.first, self.layers = nn.Linear(56, WIDTH), nn.ModuleList(Layer() for _ in range(LAYERS))
        self.last = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 25))
        nn.init.zeros_(self.last[1].weight), nn.init.zeros_(self.last[1].bias)

    def forward(self, candidates, pairs, mask=None):
        x, pairs = self.first((candidates - self.mean) / self.scale), (pairs - self.pair_mean) / self.pair_scale
        for layer in self.layers:
            x = layer(x, pairs, mask)
        y = self.last(x)
        return y[..., :24], y[..., 24] + 4 * candidates[..., 3]


class Exported(nn.Module):
    """What the file holds: the logits of the candidates of one cell, the mean of the networks'."""

    def __init__(self, nets: list[Context]):
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, candidates, pairs):
        return sum(net(candidates, pairs)[1] for net in self.nets) / len(self.nets)


def batch(cells: list[dict]) -> dict:
    """Cells beside each other, filled up with nothing (`mask`)."""
    n = max(len(c["own"]) for c in cells)

    def filled(key, *tail, of=np.float32, fill=0):
        out = np.full((len(cells), n, *tail), fill, of)
        for row, c in zip(out, cells):
            row[tuple(slice(0, k) for k in c[key].shape)] = c[key]
        return torch.from_numpy(out)
    mask = torch.arange(n)[None] < torch.tensor([len(c["own"]) for c in cells])[:, None]
    return dict(candidates=filled("candidates", 56), pairs=filled("pairs", n, 9), own=filled("own"), label=filled("label", of=np.int64, fill=-1),
                log_class=filled("log_class", 24), mask=mask)


def loss_of(net: Context, b: dict) -> torch.Tensor:
    """Log loss of "a chromosome of its own", and a little of the class."""
    classes, logit = net(b["candidates"], b["pairs"], b["mask"])
    known = b["mask"] & (b["label"] >= 0)
    return (F.binary_cross_entropy_with_logits(logit[b["mask"]], b["own"][b["mask"]])
            + AUXILIARY * F.cross_entropy((b["log_class"] + classes)[known], b["label"][known]))


def log_loss(net: Context, cells: list[dict]) -> float:
    """Mean log loss of the candidates of cells (their `features`)."""
    net.eval()
    with torch.no_grad():
        logits = [net(*(torch.from_numpy(c[k])[None] for k in ("candidates", "pairs")))[1][0].numpy() for c in cells]
    own = np.concatenate([c["own"] for c in cells])
    return float(np.logaddexp(0, np.where(own > 0, -1, 1) * np.concatenate(logits)).mean())


def train(files: list[Path], validation: Path, run: Path, steps: int, seed: int = 1) -> Context:
    """Trains on the cells of `files`, prints the log loss on those of `validation` now and then, and writes `run`/context-`seed`.pt."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    cells = [c for f in files for c in read(f) if len(c["truth"]) >= 20]
    held = [features(c) for c in read(validation)]
    plain = [features(c) for c in cells]
    shown = np.concatenate([c["candidates"] for c in plain])
    net = Context(shown.mean(0), shown.std(0) + 1e-2)
    del shown
    average = copy.deepcopy(net).requires_grad_(False)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.05)
    run.mkdir(parents=True, exist_ok=True)
    begun, step = time.monotonic(), 0

    def example(i: int) -> dict:
        draw = rng.random()
        if draw < 0.25:
            return plain[i]
        return features(unsure(rng, cells[i] if draw < 0.6 else without_some(rng, cells[i])))
    while step < steps:
        # Sixteen batches of cells that have about as many candidates, so that little is filled up.
        chosen = sorted((example(i) for i in rng.integers(0, len(cells), 16 * BATCH)), key=lambda c: len(c["own"]))
        for at in rng.permutation(16) * BATCH:
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1, (step + 1) / 100) * (0.5 * (1 + np.cos(np.pi * step / steps)) + 0.005)
            net.train()
            optimiser.zero_grad()
            loss_of(net, batch(chosen[at:at + BATCH])).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            step += 1
            keep = min(0.998, step / (step + 50))
            with torch.no_grad():
                for a, p in zip(average.parameters(), net.parameters()):
                    a.lerp_(p, 1 - keep)
            if step % 400 == 0 or step == steps:
                print(f"{(time.monotonic() - begun) / 60:.1f} min, epoch {step * BATCH / len(cells):.1f}, step {step}, log loss on validation {log_loss(average, held):.4f}", flush=True)
            if step == steps:
                break
    trained = dict(epochs=round(step * BATCH / len(cells), 2), steps=step, minutes=round((time.monotonic() - begun) / 60, 1), seed=seed)
    torch.save(dict(state=average.state_dict(), trained=trained, validation_log_loss=log_loss(average, held)), run / f"context-{seed}.pt")
    return average.eval()


def load(path: Path) -> tuple[Context, dict]:
    """A trained network and what is known of its training."""
    kept = torch.load(path, map_location="cpu", weights_only=False)
    net = Context()
    net.load_state_dict(kept["state"])
    return net.eval(), kept


def export(run: Path, classifier: Path, detector: str = "detector-metaphase"):
    """Puts the mean of a run's networks into the folder of the classifier that they were made for, in place of what is there: context.onnx and `[context]` in
    model.toml."""
    nets, kept = zip(*(load(path) for path in sorted(run.glob("context-*.pt"))))
    torch.manual_seed(0)
    inputs = dict(candidates=torch.randn(1, 70, 56), pairs=torch.rand(1, 70, 70, 9))
    dynamic = {"candidates": {1: "n"}, "pairs": {1: "n", 2: "n"}, "logits": {1: "n"}}
    [file] = ex.write_files(Exported(list(nets)), inputs, "logits", dynamic, run, dict(f32=2e-3))
    shutil.copyfile(run / file["path"], classifier / "context.onnx")
    table = dict(file=file | dict(path="context.onnx"), detector=detector, calibration=dict(objectness=list(ALONE[:3]), found=ALONE[3]), merging=MERGING)
    every = lambda key: [k["trained"][key] for k in kept]
    trained = dict(date=datetime.date.today().isoformat(), commit=ex.commit(), networks=len(nets), epochs=every("epochs"), steps=every("steps"), seeds=every("seed"),
                   validation_log_loss=[round(k["validation_log_loss"], 4) for k in kept])
    text = re.sub(r"(?ms)^\[context\]$.*?^(?=\[)", "", re.sub(r"(?m)^context = .*\n", "", (classifier / "model.toml").read_text()))
    lines = ["[context]"] + [f"{k} = {ex.toml(v)}" for k, v in table.items()]
    text = text.replace("[trained]\n", "\n".join(lines) + f"\n\n[trained]\ncontext = {ex.toml(trained)}\n", 1)
    (classifier / "model.toml").write_text(text)
