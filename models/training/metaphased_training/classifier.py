"""Training of the classifiers: boxes cut from a metaphase, and cleaned singles."""

import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from . import OTHER, augment, boxes as bx, crops
from .cache import BACKGROUND, Cache
from .candidates import Offered
from .detector import MEAN, STD, iou
from .nets import REACH, Classifier, Edges
from .run import Run, batches, seed_everything

WHITE = 255
#: Which answers on singles the daemon asks again and how it turns them (bits as in `augment.dihedral_image`): as they mostly come upright, only their
#: mirror image. In metaphases, where the cell's other chromosomes decide what is in doubt, a second look earns nothing.
SINGLE_DOUBT = dict(below=0.9, turns=[1])
#: A box, drawn to where the network sees its chromosome, has that one's class from this IoU on, and shows no single one under that; between them it teaches
#: no class.
SAME, NONE = 0.5, 0.4
#: A box is drawn to the chromosome that it meets from this IoU on.
MEETS = 0.25
#: Where each edge of a refined box may lie.
PLACES = 25


def to_input(grey: np.ndarray, masks: np.ndarray, device="cpu") -> torch.Tensor:
    """uint8 [N,S,S] and masks [N,S,S] -> float [N,2,S,S], channels last."""
    g = (torch.as_tensor(grey).to(device).float() / 255 - MEAN) / STD
    t = torch.stack([g, torch.as_tensor(masks).to(device).float()], 1)
    return t.contiguous(memory_format=torch.channels_last)


def median_diagonal(boxes: np.ndarray) -> float:
    """Median diagonal of the boxes of a cell."""
    return float(np.median(np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])))


class Metaphases:
    """Crops of a cache's boxes, jittered as a detector's are, of boxes that a detector offered, and of some deliberately wrong ones."""

    upright = False

    def __init__(self, cache: Cache, split: str, other: float = 0.12, offered: Offered | None = None, share: float = 0.5):
        self.cache, self.other, self.offered, self.share = cache, other, offered, share
        self.images = cache.select(split)
        self.count = int(sum(cache.first[i + 1] - cache.first[i] for i in self.images))

    def wrong_box(self, rng, boxes, w, h):
        """A box that is no single chromosome: a half, two in one, a shifted or an empty one (as far as it hits none: `meeting` labels it); None if it is too small."""
        b = boxes[rng.integers(len(boxes))].copy()
        size = b[2:] - b[:2]
        kind = rng.random()
        if kind < 0.35:  # part of one
            keep, axis, end = rng.uniform(0.3, 0.65), int(rng.integers(2) if rng.random() < 0.3 else size[1] > size[0]), rng.integers(2)
            b[axis + (2 if end else 0)] = b[axis] + size[axis] * (keep if end else 1 - keep)
        elif kind < 0.75:  # two in one
            centre = (boxes[:, :2] + boxes[:, 2:]) / 2
            near = np.argsort(np.abs(centre - (b[:2] + b[2:]) / 2).max(1))[1:4]
            o = boxes[rng.choice(near)]
            b = np.concatenate([np.minimum(b[:2], o[:2]), np.maximum(b[2:], o[2:])])
        elif kind < 0.9:  # beside one
            b += np.tile(rng.normal(0, 0.6, 2) * size, 2)
        else:  # anywhere
            b += np.tile(rng.uniform(0, [w, h]) - (b[:2] + b[2:]) / 2, 2)
        return None if (b[2:] - b[:2] < 8).any() else b

    def astray(self, rng, boxes, n):
        """The n-th box with its edges drawn part of the way to those of a neighbour, each by its own share: as a detector misplaces boxes in a clump."""
        b = boxes[n]
        near = np.argsort(np.abs((boxes[:, :2] + boxes[:, 2:] - b[:2] - b[2:]) / 2).max(1))[1:3]
        size = np.tile(b[2:] - b[:2], 2)
        return b + np.clip((boxes[rng.choice(near)] - b) * rng.uniform(0, 0.5, 4), -0.35 * size, 0.35 * size)

    def a_box(self, rng, item, offered, weights):
        """A box to look at: one that was offered, a wrong one, or an annotated one, jittered; None where it is no example of anything."""
        if len(offered) and rng.random() < self.share:
            b, jitter = offered[rng.choice(len(offered), p=weights)], 0.02
        elif rng.random() < self.other:
            b, jitter = self.wrong_box(rng, item.boxes, *item.pixels.shape[::-1]), 0.0
            if b is None:
                return None
        else:
            n = rng.integers(len(item.boxes))
            b, jitter = (item.boxes[n], 0.035) if rng.random() < 0.7 else (self.astray(rng, item.boxes, n), 0.06)
        b = b + rng.normal(0, jitter, 4) * np.tile(b[2:] - b[:2], 2)
        return None if (bx.iou_matrix(b[None], item.ignored) >= MEETS).any() else b

    def draw(self, rng, many: int):
        """`many` examples: grey, masks, sizes, labels (of the chromosome that the box meets), edges of that (NaN without one).

        All of one call come from few images, which keeps reading cheap."""
        made = []
        while len(made) < many:
            index = int(rng.choice(self.images))
            item = self.cache[index]
            if len(item.boxes) < 10:
                continue
            median, table = median_diagonal(item.boxes), augment.tone_table(rng)
            offered = self.offered.of(index) if self.offered else item.boxes[:0]
            weights = drawing(bx.iou_matrix(offered, item.boxes).max(1)) if len(offered) else None
            for _ in range(min(8, many - len(made))):
                b = self.a_box(rng, item, offered, weights)
                if b is None or (b[2:] - b[:2] < 4).any():
                    continue
                label, edges = meeting(b, item.boxes, item.classes)
                grey, *rest = self.view(rng, item.pixels, b, median * np.exp(rng.normal(0, 0.03)), edges)
                made.append((augment_crop(rng, table[grey]), *rest, label))
        grey, masks, sizes, edges, labels = zip(*made)
        return np.stack(grey), np.stack(masks), np.stack(sizes), np.array(labels), np.stack(edges)

    def view(self, rng, pixels, b, median, edges):
        """One crop in a random one of the eight orientations, a little stretched: grey, mask, sizes, edges."""
        stretch = np.exp(rng.normal(0, 0.03, 2))
        bw, bh = (b[2] - b[0]) * stretch[0], (b[3] - b[1]) * stretch[1]
        side = crops.square_side(bw, bh, median, crops.FIELD)
        g, m = crops.cut(pixels, b, side, BACKGROUND, stretch), crops.mask(bw, bh, side)
        k = int(rng.integers(8))
        if k & 4:
            bw, bh = bh, bw
        return augment.dihedral_image(g, k), augment.dihedral_image(m, k), crops.sizes(bw, bh, median), turned_edges(edges, k)


def drawing(overlap: np.ndarray) -> np.ndarray:
    """Probabilities of drawing offered boxes by their overlap with a chromosome: doubtful ones most often."""
    w = np.where(overlap < MEETS, 1.5, np.where(overlap < 0.7, 6.0, 1.0))
    return w / w.sum()


def meeting(b: np.ndarray, truth: np.ndarray, classes: np.ndarray) -> tuple[int, np.ndarray]:
    """What a box teaches: the class (-1 not known) and the edges of the chromosome that it meets best; OTHER and NaN without one."""
    overlap = bx.iou_matrix(b[None], truth)[0]
    at = int(overlap.argmax())
    if overlap[at] < MEETS:
        return OTHER, np.full(4, np.nan, np.float32)
    return int(classes[at]), ((truth[at] - b) / np.tile(b[2:] - b[:2], 2)).astype(np.float32)


def turned_edges(edges: np.ndarray, k: int) -> np.ndarray:
    """Distances of left, top, right, bottom after `augment.dihedral_image(_, k)`."""
    l, t, r, b = edges
    if k & 1:
        l, r = -r, -l
    if k & 2:
        t, b = -b, -t
    return np.array([t, l, b, r] if k & 4 else [l, t, r, b], np.float32)


def augment_crop(rng, grey: np.ndarray) -> np.ndarray:
    """Defocus and noise of one crop."""
    if rng.random() < 0.25:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.1))
    if rng.random() < 0.3:
        noise = np.empty(grey.shape, np.int16)
        cv2.randn(noise, 0, rng.uniform(1, 8))
        grey = np.clip(grey + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(grey)


def single_views(grey: np.ndarray, median: float):
    """Grey, mask and sizes of a single chromosome as the daemon cuts it (trimmed and stretched already)."""
    h, w = grey.shape
    side = crops.square_side(w, h, median, crops.SINGLE)
    return crops.cut(grey, (0, 0, w, h), side, WHITE), crops.mask(w, h, side), crops.sizes(w, h, median)


class Singles:
    """Cut chromosomes of several sets; each is drawn with the given share."""

    upright = True

    def __init__(self, sets: list[tuple[list, float]], other: float = 0.05, flip: float = 0.25):
        from .readers import trim
        self.trim, self.other, self.flip = trim, other, flip
        self.sets, self.shares = [], []
        for items, share in sets:
            by_cell = {}
            for s in items:
                by_cell.setdefault(s.cell, []).append(s)
            median = {c: float(np.median([np.hypot(*s.grey.shape) for s in v])) for c, v in by_cell.items()}
            self.sets.append([(crops.stretch_single(s.grey), median[s.cell], s.label) for s in items])
            self.shares.append(share)
        self.count = sum(len(s) for s in self.sets)

    def bend(self, rng, grey: np.ndarray) -> np.ndarray:
        """Turns, shears and bends a chromosome on white, and trims it again."""
        h, w = grey.shape
        pad = 12
        big = np.pad(grey, pad, constant_values=WHITE)
        a = np.deg2rad(np.clip(rng.normal(0, 8), -30, 30))
        scale = np.exp(rng.normal(0, 0.04, 2))
        m = np.array([[np.cos(a) * scale[0], -np.sin(a) + rng.normal(0, 0.04)], [np.sin(a), np.cos(a) * scale[1]]])
        centre = np.array([big.shape[1] / 2, big.shape[0] / 2])
        ow, oh = int(big.shape[1] + h * abs(np.sin(a))), int(big.shape[0] + w * abs(np.sin(a)))
        shift = np.array([ow / 2, oh / 2]) - m @ centre
        big = cv2.warpAffine(big, np.c_[m, shift], (ow, oh), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=WHITE)
        if rng.random() < 0.4:
            y = np.arange(oh, dtype=np.float32)
            bow = rng.normal(0, 0.05) * h * np.sin(np.pi * (y / oh) * rng.choice([1, 2])).astype(np.float32)
            xs = np.arange(ow, dtype=np.float32)[None] + bow[:, None]
            big = cv2.remap(big, xs, np.repeat(y[:, None], ow, 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=WHITE)
        return self.trim(big)

    def spoil(self, rng, grey: np.ndarray, other: np.ndarray) -> np.ndarray:
        """No single chromosome: a part of one, or two that cross or touch."""
        if rng.random() < 0.4:
            h = grey.shape[0]
            n = max(6, int(h * rng.uniform(0.25, 0.55)))
            return self.trim(grey[:n] if rng.random() < 0.5 else grey[-n:])
        if rng.random() < 0.5:
            other = other.T
        h, w = max(grey.shape[0], other.shape[0]), max(grey.shape[1], other.shape[1])
        out = np.full((2 * h, 2 * w), 255, np.float32)
        for g in (grey, other):
            y, x = int(rng.uniform(0, 2 * h - g.shape[0]) * 0.5 + 0.25 * h), int(rng.uniform(0, 2 * w - g.shape[1]) * 0.5 + 0.25 * w)
            y, x = min(y, 2 * h - g.shape[0]), min(x, 2 * w - g.shape[1])
            out[y : y + g.shape[0], x : x + g.shape[1]] *= g / np.float32(255)
        return self.trim(out.astype(np.uint8))

    def draw(self, rng, many: int):
        """`many` examples: grey, masks, sizes, labels, no edges."""
        grey, masks, sizes, labels = [], [], [], []
        for n in rng.choice(len(self.sets), many, p=self.shares):
            pool = self.sets[n]
            g, median, label = pool[rng.integers(len(pool))]
            if rng.random() < self.other:
                g, label = self.spoil(rng, g, pool[rng.integers(len(pool))][0]), OTHER
            g = self.bend(rng, g)
            k = (2 if rng.random() < self.flip else 0) + (1 if rng.random() < 0.5 else 0)
            g = np.ascontiguousarray(augment.dihedral_image(g, k))
            v, m, s = single_views(g, median * np.exp(rng.normal(0, 0.03)))
            gamma = np.exp(rng.normal(0, 0.2))
            table = (255 * (1 - (1 - np.arange(256) / 255) ** gamma)).astype(np.uint8)
            grey.append(augment_crop(rng, table[v])), masks.append(m), labels.append(label)
            sizes.append(s if rng.random() > 0.05 else np.zeros(3, np.float32))
        return np.stack(grey), np.stack(masks), np.stack(sizes), np.array(labels), np.full((many, 4), np.nan, np.float32)


@torch.no_grad()
def logits(net: Classifier, grey, masks, sizes, batch: int = 128) -> np.ndarray:
    """Logits [N,25] of stacked crops, [N,30] of a network that refines."""
    net.eval()
    device = next(net.parameters()).device
    out = []
    for i in range(0, len(grey), batch):
        part = slice(i, i + batch)
        with torch.autocast(device.type, torch.bfloat16):
            out.append(net(to_input(grey[part], masks[part], device), torch.from_numpy(sizes[part]).to(device)).float().cpu().numpy())
    return np.concatenate(out)


def turned(views: tuple, k: int) -> tuple:
    """Views (grey, masks, sizes) in the orientation of `augment.dihedral_image(_, k)`; width and height change places with a transposition."""
    grey, masks, sizes = views
    turn = lambda stack: np.ascontiguousarray(np.stack([augment.dihedral_image(v, k) for v in stack]))
    return turn(grey), turn(masks), sizes[:, [0, 2, 1]] if k & 4 else sizes


def log_probabilities(net: Classifier, views: tuple, temperature: float, doubt: dict | None = None) -> np.ndarray:
    """Log probabilities [N,25] as the daemon has them: what is in doubt is looked at again, turned, and the views are averaged."""
    return refined(net, views, temperature, doubt)[0]


def refined(net: Classifier, views: tuple, temperature: float, doubt: dict | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities [N,25] as the daemon has them and what the network says of the box, [N,5], from the first look."""
    def judge(z):
        return torch.log_softmax(torch.from_numpy(z[:, : OTHER + 1]) / temperature, 1).numpy()
    first = logits(net, *views)
    answers, more = judge(first), first[:, OTHER + 1 :]
    if doubt is None:
        return answers, more
    at = np.flatnonzero(answers.max(1) < np.log(doubt["below"]))
    if len(at):
        some = tuple(v[at] for v in views)
        mean = (answers[at] + sum(judge(logits(net, *turned(some, k))) for k in doubt["turns"])) / (1 + len(doubt["turns"]))
        answers[at] = torch.log_softmax(torch.from_numpy(mean), 1).numpy()
    return answers, more


def moved(boxes: np.ndarray, edges: np.ndarray, w: float, h: float) -> np.ndarray:
    """Boxes [n,4] with their edges drawn to where the classifier sees them, within a picture of w x h."""
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    out = boxes + np.clip(edges, -REACH, REACH) * size
    return np.clip(out, 0, [w, h, w, h]).astype(np.float32)


def box_views(pixels, boxes, median: float):
    """Crops of the boxes of one metaphase as the daemon cuts them."""
    grey, masks, sizes = [], [], []
    for b in boxes:
        w, h = b[2] - b[0], b[3] - b[1]
        side = crops.square_side(w, h, median, crops.FIELD)
        grey.append(crops.cut(pixels, b, side)), masks.append(crops.mask(w, h, side)), sizes.append(crops.sizes(w, h, median))
    return np.stack(grey), np.stack(masks), np.stack(sizes)


def held_out(source: dict) -> dict[str, tuple]:
    """Validation views per name, made once: (grey, masks, sizes, labels)."""
    held = {}
    if "cache" in source:
        cache, parts = source["cache"], []
        for i in cache.select("validation")[::3]:
            item = cache[i]
            parts.append((*box_views(item.pixels, item.boxes, median_diagonal(item.boxes)), item.classes))
        held["cil"] = tuple(np.concatenate(p) for p in zip(*parts))
    for name, items in source.get("singles", {}).items():
        held[name] = singles_views([s for s in items if s.split == "validation"])
    return held


def singles_views(items):
    """Views of singles with their cell's median diagonal: (grey, masks, sizes, labels)."""
    diagonals = {}
    for s in items:
        diagonals.setdefault(s.cell, []).append(np.hypot(*s.grey.shape))
    views = [single_views(crops.stretch_single(s.grey), float(np.median(diagonals[s.cell]))) for s in items]
    return (*(np.stack(v) for v in zip(*views)), np.array([s.label for s in items]))


def accuracy(z: np.ndarray, labels: np.ndarray) -> float:
    """Share of right classes among the 24, where the truth is known."""
    known = labels >= 0
    return float((z[known, :OTHER].argmax(1) == labels[known]).mean())


def train(source: dict, out: Path, minutes: float, batch: int = 64, rate: float = 2e-3, seed: int = 1, device: str = "cpu",
          max_steps: int | None = None, validate_minutes: float = 5.0, workers: int = 0, start: Path | None = None, **shape):
    """Trains on `source`: {"cache": Cache} for boxes of metaphases, with {"offered": Offered} of the detector's own boxes
    among them, or {"singles": {set: [Single]}, "shares": {set: share}}."""
    if "cache" in source:
        data = Metaphases(source["cache"], "train", offered=source.get("offered"))
    else:
        data = Singles([([s for s in v if s.split == "train"], source["shares"][k]) for k, v in source["singles"].items()])
    held = held_out(source)
    if source.get("offered") is not None:
        shape = dict(refine=PLACES) | shape
    net = Classifier(**shape).to(device, memory_format=torch.channels_last)
    config = dict(task="classifier", sets=list(held), batch=batch, rate=rate, seed=seed, minutes=minutes, crop=crops.SIZE, offered=source.get("offered") is not None, net=net.config, start=start and start.name)
    optimiser = torch.optim.AdamW([dict(params=[p for p in net.parameters() if p.ndim > 1], weight_decay=0.05),
                                   dict(params=[p for p in net.parameters() if p.ndim <= 1], weight_decay=0.0)], lr=rate)
    run = Run(out, config, net, optimiser, minutes, rate)
    if start:
        run.start_from(start)
    seed_everything(seed + run.step)
    stream = batches(lambda rng: data.draw(rng, batch), seed + run.step, workers)
    total, right, count, shown, checked = 0.0, 0.0, 0, time.monotonic(), time.monotonic()
    net.train()
    while run.progress < 1 and (max_steps is None or run.step < max_steps):
        grey, masks, sizes, labels, edges = next(stream)
        y = torch.as_tensor(labels).to(device)
        run.set_rate()
        refines = "refine" in net.config
        with torch.autocast(device, torch.bfloat16):
            z = net(to_input(grey, masks, device), torch.as_tensor(sizes).to(device), *[True][:refines])
        z, edges = z.float(), torch.as_tensor(edges).to(device)
        moves, loss = None, 0.0
        if refines:
            moves, loss = refinement(z[:, OTHER + 1 :], net.edges, edges)
        y = taught(y, edges, moves)
        loss = loss + F.cross_entropy(z[:, : OTHER + 1], y, label_smoothing=0.05, ignore_index=-1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        run.epoch += batch / data.count
        run.stepped()
        total, right, count = total + float(loss.detach()), right + float((z[:, : OTHER + 1].argmax(1) == y).float().mean()), count + 1
        now = time.monotonic()
        if now - shown > 60:
            run.record(rate=optimiser.param_groups[0]["lr"], loss=total / count, accuracy=right / count)
            total, right, count, shown = 0.0, 0.0, 0, now
        if now - checked > validate_minutes * 60:
            report(run, net, held)
            checked = time.monotonic()
    report(run, net, held)
    return run


UNIT = torch.tensor([0.0, 0.0, 1.0, 1.0])


def taught(labels: torch.Tensor, edges: torch.Tensor, moves: torch.Tensor | None) -> torch.Tensor:
    """The classes that examples teach: a box that meets a chromosome has its class as far as the refined box (`moves`; without, the box itself) hits it."""
    unit = UNIT.to(edges.device)
    got = unit if moves is None else moves.detach() + unit
    overlap = iou(got, torch.nan_to_num(edges) + unit)
    drawn = torch.where(overlap >= SAME, labels, torch.where(overlap < NONE, OTHER, -1))
    return torch.where(edges.isnan().any(1), labels, drawn)


def refinement(z: torch.Tensor, net: Edges, edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the logits of `Edges` the moves of the edges and the loss: 1 - IoU and the cross entropy of the places where there is a chromosome; and whether
    the refined box meets one (IoU >= 0.5)."""
    meets, unit = ~edges.isnan().any(1), UNIT.to(z.device)
    want, moves = torch.nan_to_num(edges), net.means(z[:, 1:])
    overlap = iou(moves + unit, want + unit) * meets
    at = (want.clamp(-REACH, REACH) + REACH) / (2 * REACH) * (net.places - 1)
    low = at.floor().clamp(max=net.places - 2)
    p = torch.log_softmax(z[:, 1:].reshape(-1, 4, net.places), 2)
    near = lambda k: p.gather(2, (low.long() + k)[..., None])[..., 0]
    spread = -((1 - (at - low)) * near(0) + (at - low) * near(1)).mean(1)
    box = (2 * (1 - overlap) + 0.3 * spread)[meets].sum() / len(z)
    return moves, box + 0.5 * F.binary_cross_entropy_with_logits(z[:, 0], (overlap.detach() >= 0.5).float())


def report(run: Run, net: Classifier, held: dict):
    """Validates the averaged weights, records the figures and saves."""
    averaged = Classifier(**net.config).to(next(net.parameters()).device)
    averaged.load_state_dict(run.average.state)
    averaged.to(memory_format=torch.channels_last)
    run.record(**{f"held_{k}": accuracy(logits(averaged, *v[:3]), v[3]) for k, v in held.items()})
    run.save()
