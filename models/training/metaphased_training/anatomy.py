"""Training of the network that draws a box's chromosome: its mask, its centromeres, its way up."""

import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from . import augment, crops, pieces as pc, scenes
from .cache import BACKGROUND, Cache
from .classifier import to_input
from .nets import Anatomy
from .pieces import Pieces
from .run import Run, batches, seed_everything

#: Which scenes examples come from, and how often.
SHARES = dict(cil=0.48, ground=0.28, mfish=0.11, virtual=0.08, light=0.05)
#: The same for the network of solid stains, whose scenes of cil and on plain ground lose their bands.
SOLID = dict(giemsa=0.36, ground=0.27, virtual=0.3, cil=0.07)
#: How often a chromosome is put together from parts: two centromeres, one, none.
BUILT, BUILT_SOLID = 0.14, 0.6
#: How often a chromosome is laid where nothing lies, in solid stains: most cells that are scored for dicentrics lie well spread.
APART_SOLID = 0.6


#: How steeply the probability of the short arm's half falls in the middle of a chromosome, a length.
STEEP = 12.0


class Fields:
    """Metaphases of one split in whose pictures some chromosomes' outlines are known, by place in a cache."""

    def __init__(self, cells: Cache, library: Pieces, *splits: str):
        self.cells, self.library = cells, library
        self.images = [i for i in cells.select(*splits) if len(library.of_image.get(int(i), ())) >= 3]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, k: int) -> scenes.Field:
        item = self.cells[self.images[k]]
        own = self.library.of_image[int(self.images[k])]
        return scenes.Field(item.pixels, float(self.library.index["median"][own[0]]), item.boxes, [self.library[i] for i in own], group=item.group)


#: How often more chromosomes of some classes are drawn (1 eight times, 13 to 15, 19, 20 and X twice), whose way up is the hardest to tell, where it is known.
OFTEN = {0: 8, 12: 2, 13: 2, 14: 2, 18: 2, 19: 2, 22: 2}


def emphasised(library: Pieces, rows: np.ndarray) -> np.ndarray:
    """Rows of a library, those of hard classes several times."""
    labels, upright = library.index["label"][rows], library.index["upright"][rows]
    times = np.where(upright, np.array([OFTEN.get(int(k), 1) for k in labels]), 1)
    return np.repeat(rows, times)


class Source:
    """All that examples of one split are made from. `fields` and `libraries` by name; a library is (Pieces, indices)."""

    def __init__(self, fields: dict, libraries: dict, shares: dict = SHARES, solid: bool = False):
        self.solid = solid
        self.fields, self.libraries = fields, {k: (v, emphasised(v, rows)) for k, (v, rows) in libraries.items()}
        have = {k: v for k, v in shares.items() if len(fields.get(k, ())) or (k == "ground" and ("cil" in libraries or "pki3" in libraries)) or (k == "light" and "light" in libraries)}
        total = sum(have.values())
        self.names, self.odds = list(have), [v / total for v in have.values()]
        self.count = sum(len(v[1]) for v in libraries.values())

    def piece(self, rng, name: str, near: list | None = None):
        """A piece of a library (or of `near`), sometimes bent, cut or joined."""
        library, rows = self.libraries[name]
        one = lambda: near[rng.integers(len(near))] if near and rng.random() < 0.5 else library[rng.choice(rows)]
        p = one()
        if rng.random() < (BUILT_SOLID if self.solid else BUILT):
            p = self.built(rng, one) or p
        return scenes.bowed(rng, p) if rng.random() < 0.35 else p

    def built(self, rng, one):
        """A chromosome put together from parts; None if the parts at hand do not serve."""
        for _ in range(4):
            a, b = one(), one()
            if all(p.line is not None and np.isfinite(p.centromere) for p in (a, b)):
                kind = rng.choice(["dicentric", "rejoined", "fragment"], p=[0.4, 0.4, 0.2])
                made = scenes.joined(rng, a, b, kind)
                if made is not None:
                    return made
        return None

    def scene(self, rng) -> scenes.Scene:
        """One scene with its optics."""
        kind = self.names[rng.choice(len(self.names), p=self.odds)]
        scale = rng.uniform(80, 108) if rng.random() < 0.5 else rng.uniform(45, 108)
        solid = False
        if kind in ("ground", "light"):
            name = "light" if kind == "light" else str(rng.choice([k for k in (("giemsa", "giemsa", "cil", "pki3") if self.solid else ("cil", "pki3", "pki3")) if k in self.libraries]))
            made = scenes.ground(rng, scale, kind == "light")
            many, near = int(rng.choice([1, 2, 4, 6, 8, 11])), None
            solid = name != "giemsa" and kind == "ground" and (self.solid or rng.random() < 0.12)
        else:
            source = self.fields[kind][rng.integers(len(self.fields[kind]))]
            made = scenes.window(rng, source, scale)
            name = dict(cil="cil", mfish="mfish", virtual="cil", giemsa="giemsa")[kind]
            near = source.pieces if kind in ("cil", "giemsa") else None
            many = dict(cil=int(rng.integers(2, 9)), giemsa=int(rng.integers(2, 9)), mfish=int(rng.integers(0, 3)), virtual=0)[kind]
            solid = kind == "cil" and (self.solid or rng.random() < 0.15)
            if kind == "cil" and rng.random() < 0.15 and "pki3" in self.libraries:
                name, near = "pki3", None
            if name not in self.libraries:
                many = 0
        for _ in range(many):
            p = self.piece(rng, name, near)
            if p is not None:
                scenes.lay(rng, made, p, apart=self.solid and rng.random() < APART_SOLID)
        made.image = augment.optics(rng, made.image, solid)
        return made

    def draw(self, rng, many: int, each: int = 9):
        """`many` examples: grey, box masks, covers, ways, heats. Of a scene at most `each`."""
        rows = []
        while len(rows) < many:
            made = self.scene(rng)
            median = made.median * np.exp(rng.normal(0, 0.08))
            order = rng.choice(len(made.targets), len(made.targets), replace=False, p=crowded(made.targets)) if made.targets else []
            order = order[: min(each, many - len(rows))]
            for k in order:
                own = made.targets[k]
                box = scenes.jittered(rng, own, pc.WIDTH * made.median)
                if (box[2:] - box[:2] < 5).any():
                    continue
                rows.append(flipped(scenes.example(made, own, box, median), int(rng.integers(8))))
        return tuple(np.stack(v) for v in zip(*rows))


#: How much likelier a chromosome whose box another's overlaps becomes an example than one that stands alone.
CROWDED = 3.0


def crowded(targets: list) -> np.ndarray:
    """Odds of a scene's chromosomes to become examples."""
    b = np.stack([t.bounds for t in targets])
    meet = np.minimum(b[:, None, 2:], b[None, :, 2:]) - np.maximum(b[:, None, :2], b[None, :, :2])
    both = (meet > 0).all(2)
    np.fill_diagonal(both, False)
    odds = np.where(both.any(1), CROWDED, 1.0)
    return odds / odds.sum()


def flipped(maps, k: int):
    """All maps of an example in one of eight orientations."""
    return tuple(np.ascontiguousarray(augment.dihedral_image(m, k)) for m in maps)


#: Weight of the overlap term beside the cross-entropy of the mask: with 1 masks came out 3 % (alone) to 8 % (touching) too large.
OVERLAP = 0.15


#: How many half batches wait for their second use.
WAITING = 48


def twice(stream, rng):
    """Batches of which one half is new and the other was shown before and is turned another way: every example is used twice, which halves the drawing."""
    waiting = []
    for new in stream:
        waiting.append(new)
        if len(waiting) <= WAITING:
            continue
        old = waiting.pop(int(rng.integers(WAITING)))
        rows = [flipped(row, int(rng.integers(8))) for row in zip(*old)]
        yield tuple(np.concatenate([a, np.stack(b)]) for a, b in zip(new, zip(*rows)))


def losses(z: torch.Tensor, cover: torch.Tensor, way: torch.Tensor, heat: torch.Tensor) -> dict:
    """Mask: cross-entropy and overlap; heat: cross-entropy by how wrong it is; way up: cross-entropy inside the chromosome."""
    t, p = cover, torch.sigmoid(z[:, 0])
    dice = 1 - (2 * (p * t).sum((1, 2)) + 20) / ((p + t).sum((1, 2)) + 20)
    mask = 4 * F.binary_cross_entropy_with_logits(z[:, 0], t) + OVERLAP * dice.mean()
    known = ~heat.isnan()
    h = torch.nan_to_num(heat)
    q = torch.sigmoid(z[:, 1])
    near = ((h - q).abs() ** 2 * F.binary_cross_entropy_with_logits(z[:, 1], h, reduction="none") * known).sum() / known.any(1).any(1).sum().clamp(min=1)
    inside = ~way.isnan()
    tip = F.avg_pool2d(z[:, 2:3], 2)[:, 0]
    half = torch.sigmoid(STEEP * (0.5 - torch.nan_to_num(way)))
    up = (F.binary_cross_entropy_with_logits(tip, half, reduction="none") * inside).sum() / inside.sum().clamp(min=1)
    return dict(mask=4 * mask, heat=0.08 * near, way=2 * up)


def tensors(batch, device: str):
    """A drawn batch as the network's input and its truths."""
    grey, boxes, cover, way, heat = batch
    f = lambda a: torch.as_tensor(a).to(device).float()
    return to_input(grey, boxes, device), f(cover) / 255, f(way), f(heat)


@torch.no_grad()
def answers(net: Anatomy, grey: np.ndarray, boxes: np.ndarray, many: int = 128) -> np.ndarray:
    """Logits [N,3,S,S] of crops, of a network or of its exported file."""
    net.eval()
    whole = lambda z: F.pixel_shuffle(z, 2) if z.shape[1] == 12 else z
    return np.concatenate([whole(net(to_input(grey[i : i + many], boxes[i : i + many]))).float().numpy() for i in range(0, len(grey), many)])


def overlap(z: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """IoU of the drawn masks, in pixels of the crops."""
    a, b = z[:, 0] > 0, cover > 127
    return (a & b).sum((1, 2)) / np.maximum((a | b).sum((1, 2)), 1)


def upward(z: np.ndarray, way: np.ndarray) -> np.ndarray:
    """How surely each chromosome is told to be the right way up (wrong where negative); NaN where nobody knows it."""
    out = np.full(len(z), np.nan)
    for i, (logit, t) in enumerate(zip(z[:, 2], way.astype(np.float32))):
        inside = ~np.isnan(t)
        if inside.sum() > 4:
            tip = 1 / (1 + np.exp(-logit.reshape(t.shape[0], 2, t.shape[1], 2).mean((1, 3))[inside]))
            out[i] = -np.cov(tip, t[inside])[0, 1] / max(t[inside].var(), 1e-6)
    return out


#: The place of a centromere is the middle of the squared heat of the pixels up to so many rows and columns away. On pki3 0.894 of the validation side lie within 5 % of the length, with
#: the plain heat of 2 (5 x 5 pixels) 0.865; of virtual slides as many as with that.
REACH = 6
#: Of two centromeres nearer than so many pixels of the crop the one with the lower score is none.
APART = 3.0


def peaks(heat: np.ndarray, mask: np.ndarray, least: float = 0.3, apart: float = APART, reach: int = REACH) -> list[tuple[float, float, float]]:
    """Centromeres of one answer (logits): x, y, score, by falling score; local maxima of the heat in 7 x 7 pixels inside the mask, placed by the squared heat around them."""
    q = 1 / (1 + np.exp(-heat.astype(np.float64)))
    top = cv2.dilate(q, np.ones((7, 7), np.uint8))
    inside = cv2.dilate((mask > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    ys, xs = np.nonzero((q >= top) & (q >= least) & inside)
    found = []
    for y, x in zip(ys, xs):
        y0, x0 = max(y - reach, 0), max(x - reach, 0)
        part = q[y0 : y + reach + 1, x0 : x + reach + 1] ** 2
        gy, gx = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
        found.append((float((gx * part).sum() / part.sum()), float((gy * part).sum() / part.sum()), float(q[y, x])))
    kept = []
    for f in sorted(found, key=lambda f: -f[2]):
        if all(np.hypot(f[0] - k[0], f[1] - k[1]) >= apart for k in kept):
            kept.append(f)
    return kept


def counts(z: np.ndarray, heat: np.ndarray, least: float = 0.3, apart: float = APART) -> np.ndarray:
    """How many centromeres there are and how many are found, [n,2], of the examples where it is known."""
    out = []
    for i in range(len(z)):
        h = heat[i].astype(np.float32)
        if not np.isnan(h).any():
            true = int(((h >= cv2.dilate(h, np.ones((7, 7), np.uint8))) & (h > 0.5)).sum())
            out.append((true, len(peaks(z[i, 1], z[i, 0], least, apart))))
    return np.array(out).reshape(-1, 2)


def held_out(source: Source, many: int = 384, seed: int = 5):
    """Examples of the validation side, drawn once."""
    return source.draw(np.random.default_rng(seed), many)


def report(run: Run, net: Anatomy, held: dict):
    """Validates the averaged weights, records the figures and saves."""
    averaged = Anatomy(**net.config)
    averaged.load_state_dict(run.average.state)
    averaged.to(memory_format=torch.channels_last)
    values = {}
    for name, batch in held.items():
        z = answers(averaged, *batch[:2])
        iou, up, (true, found) = overlap(z, batch[2]), upward(z, batch[3]), counts(z, batch[4]).T
        values |= {f"{name}_iou": np.median(iou), f"{name}_p10": np.percentile(iou, 10)}
        if np.isfinite(up).any():
            values[f"{name}_up"] = np.nanmean(np.where(np.isnan(up), np.nan, up > 0))
        for what, of, ok in (("count", true >= 0, true == found), ("two", true == 2, found >= 2), ("false_two", true < 2, found >= 2)):
            if of.any():
                values[f"{name}_{what}"] = ok[of].mean()
    run.record(**values)
    run.save()


def train(source: Source, held: dict, out: Path, minutes: float, batch: int = 64, rate: float = 3e-3, seed: int = 1, device: str = "cpu",
          max_steps: int | None = None, validate_minutes: float = 5.0, workers: int = 0, start: Path | None = None, **shape):
    """Trains on examples of `source`; `held` are batches by name."""
    net = Anatomy(**shape).to(device, memory_format=torch.channels_last)
    config = dict(task="anatomy", sets=sorted(source.libraries), batch=batch, rate=rate, seed=seed, minutes=minutes, crop=crops.SIZE, shares=SHARES, net=net.config, start=start and start.name)
    optimiser = torch.optim.AdamW([dict(params=[p for p in net.parameters() if p.ndim > 1], weight_decay=0.02),
                                   dict(params=[p for p in net.parameters() if p.ndim <= 1], weight_decay=0.0)], lr=rate)
    run = Run(out, config, net, optimiser, minutes, rate)
    if start:
        run.start_from(start)
    seed_everything(seed + run.step)
    stream = twice(batches(lambda rng: source.draw(rng, batch // 2), seed + run.step, workers), np.random.default_rng(seed + run.step))
    sums, count, shown, checked, made = {}, 0, time.monotonic(), time.monotonic(), 0.0
    net.train()
    while run.progress < 1 and (max_steps is None or run.step < max_steps):
        began = time.monotonic()
        x, *truth = tensors(next(stream), device)
        made += time.monotonic() - began
        run.set_rate()
        with torch.autocast(device, torch.bfloat16):
            z = net(x)
        parts = losses(z.float(), *truth)
        loss = sum(parts.values())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        run.epoch += batch / source.count
        run.stepped()
        for k, v in parts.items():
            sums[k] = sums.get(k, 0.0) + float(v.detach())
        count += 1
        now = time.monotonic()
        if now - shown > 60:
            run.record(rate=optimiser.param_groups[0]["lr"], **{f"loss_{k}": v / count for k, v in sums.items()}, drawing=made / (now - shown))
            sums, count, shown, made = {}, 0, now, 0.0
        if now - checked > validate_minutes * 60:
            report(run, net, held)
            net.train()
            checked = time.monotonic()
    report(run, net, held)
    return run
