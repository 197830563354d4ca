"""Training of the detector: task-aligned assignment, losses, validation."""

import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from . import augment, boxes as bx
from .cache import BACKGROUND, Cache
from .nets import Detector
from .run import Run, batches, seed_everything

#: Grey levels enter as (v/255 - MEAN) / STD.
MEAN, STD = 0.78, 0.22
#: How much more the box of a chromosome counts that others cover wholly.
CROWDED = 2.0


def to_input(images: np.ndarray, device="cpu") -> torch.Tensor:
    """uint8 [N,H,W] -> float [N,1,H,W], channels last."""
    t = (torch.as_tensor(images).to(device)[:, None].float() / 255 - MEAN) / STD
    return t.contiguous(memory_format=torch.channels_last)


def grid(h: int, w: int, stride: int, device) -> torch.Tensor:
    """Centres of the cells, [h*w, 2] as x, y in input pixels."""
    ys, xs = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
    return (torch.stack([xs, ys], -1).reshape(-1, 2).float() + 0.5) * stride


def decode(raw: torch.Tensor, stride: int):
    """Raw map [N,C,h,w] -> boxes [N,A,4], remaining channels [N,A,C-4], centres [A,2]; float32."""
    n, c, h, w = raw.shape
    flat = raw.float().permute(0, 2, 3, 1).reshape(n, h * w, c)
    centres = grid(h, w, stride, raw.device)
    reach = torch.exp(flat[..., :4].clamp(-4, 4)) * stride
    return torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1), flat[..., 4:], centres


def iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """IoU of boxes that broadcast against each other."""
    inter = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area = lambda x: (x[..., 2:] - x[..., :2]).clamp(min=0).prod(-1)
    return inter / (area(a) + area(b) - inter + 1e-7)


def eiou_loss(p: torch.Tensor, t: torch.Tensor):
    """1 - IoU + the normalised squared errors of centre, width and height (Zhang et al. 2021)."""
    over = iou(p, t)
    hull = torch.maximum(p[..., 2:], t[..., 2:]) - torch.minimum(p[..., :2], t[..., :2])
    centre = ((p[..., :2] + p[..., 2:] - t[..., :2] - t[..., 2:]) / 2).square().sum(-1) / (hull.square().sum(-1) + 1e-7)
    size = (((p[..., 2:] - p[..., :2]) - (t[..., 2:] - t[..., :2])).square() / (hull.square() + 1e-7)).sum(-1)
    return 1 - over + centre + size


@torch.no_grad()
def assign(pred, objectness, class_prob, centres, truth, classes, top: int = 9):
    """Task-aligned assignment in one image: which truth each cell serves (-1 none), its soft target, the single best cell of each truth.

    Alignment = objectness^0.5 * (class probability + 0.05)^0.5 * IoU^4, over the cells whose centre lies in the box. Last, each cell's alignment as a
    share of the best of its truth.
    """
    a, g = len(centres), len(truth)
    owner = torch.full((a,), -1, dtype=torch.long, device=centres.device)
    target = torch.zeros(a, device=centres.device)
    best = torch.zeros(a, device=centres.device)
    if g == 0:
        return owner, target, best, target
    inside = (torch.cat([centres[None] - truth[:, None, :2], truth[:, None, 2:] - centres[None]], -1).amin(-1) > 1.0)
    rows, cells = inside.nonzero(as_tuple=True)
    overlap = iou(pred[cells], truth[rows])
    known = classes[rows].clamp(min=0)
    belief = torch.where(classes[rows] >= 0, class_prob[cells, known], torch.full_like(overlap, 0.5))
    metric = objectness[cells].sqrt() * (belief + 0.05).sqrt() * overlap**4 + 1e-9
    dense = torch.zeros(g, a, device=centres.device)
    dense[rows, cells] = metric
    dense_iou = torch.zeros(g, a, device=centres.device)
    dense_iou[rows, cells] = overlap
    value, index = dense.topk(min(top, a), 1)
    chosen = torch.zeros_like(dense).scatter_(1, index, (value > 0).float())
    contested = chosen * (dense_iou + 1e-6)
    score, who = contested.max(0)
    owner = torch.where(score > 0, who, owner)
    mine = F.one_hot(owner.clamp(min=0), g).T.bool() & (owner >= 0)[None]
    m = torch.where(mine, dense, torch.zeros_like(dense))
    q = torch.where(mine, dense_iou, torch.zeros_like(dense))
    peak, where = m.max(1)
    share = m / peak.clamp(min=1e-9)[:, None]
    target = (share * q.amax(1)[:, None]).amax(0)
    served = peak > 0
    best[where[served]] = q.amax(1)[served]
    return owner, target, best, share.amax(0)


def crowding(boxes: torch.Tensor) -> torch.Tensor:
    """For each box the largest share of it that another one covers, 0..1."""
    inter = (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(boxes[:, None, :2], boxes[None, :, :2])).clamp(min=0).prod(-1)
    inter.fill_diagonal_(0)
    return inter.amax(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1.0) if len(boxes) else inter.new_zeros(0)


def losses(raw, batch, stride: int):
    """Weighted losses of a batch; `batch` is a list of (boxes, classes, ignore regions) tensors."""
    pred, rest, centres = decode(raw, stride)
    obj, single, cls = rest[..., 0], rest[..., 25], rest[..., 1:25]
    with torch.no_grad():
        p_obj, p_cls = obj.sigmoid(), cls.softmax(-1)
    obj_t, single_t, weight = torch.zeros_like(obj), torch.zeros_like(obj), torch.ones_like(obj)
    where, want, kind, pull = [], [], [], []
    for n, (truth, classes, ignore) in enumerate(batch):
        owner, target, best, share = assign(pred[n].detach(), p_obj[n], p_cls[n], centres, truth, classes)
        obj_t[n], single_t[n] = target, best
        if len(ignore):
            hidden = ((centres[:, None] > ignore[None, :, :2]) & (centres[:, None] < ignore[None, :, 2:])).all(-1).any(1)
            weight[n] = torch.where(hidden & (owner < 0), 0.0, 1.0)
        k = (owner >= 0).nonzero()[:, 0]
        where.append(n * len(centres) + k), want.append(truth[owner[k]]), kind.append(classes[owner[k]])
        pull.append(share[k] * (1 + CROWDED * crowding(truth))[owner[k]])
    where, want, kind, pull = torch.cat(where), torch.cat(want), torch.cat(kind), torch.cat(pull)
    t = obj_t.flatten()[where]
    total = t.sum().clamp(min=1.0)
    bce = F.binary_cross_entropy_with_logits(obj, obj_t, weight=weight, reduction="sum") / total
    one = F.binary_cross_entropy_with_logits(single, single_t, weight=weight, reduction="sum") / single_t.sum().clamp(min=1.0)
    box = (eiou_loss(pred.reshape(-1, 4)[where], want) * pull).sum() / pull.sum().clamp(min=1.0)
    known = kind >= 0
    ce = F.cross_entropy(cls.reshape(-1, cls.shape[-1])[where[known]], kind[known], reduction="none", label_smoothing=0.02)
    category = (ce * t[known]).sum() / total
    return dict(objectness=bce, single=0.5 * one, box=2.0 * box, category=category)


def clumped(boxes: np.ndarray) -> float:
    """The share of a cell's boxes of which another covers a fifth or more."""
    return float((crowding(torch.as_tensor(np.asarray(boxes, np.float32))) > 0.2).float().mean()) if len(boxes) else 0.0


def sample(rng, cache: Cache, index: int, size: int):
    """One augmented training example."""
    item = cache[index]
    image, b, c, ignore = augment.detector_sample(rng, item.pixels, item.boxes, item.classes.astype(np.int64), size, item.ignored)
    return image, (torch.from_numpy(b), torch.from_numpy(c), torch.from_numpy(ignore))


def pad_to(pixels: np.ndarray, multiple: int = 32) -> np.ndarray:
    """Pads right and bottom with the background level."""
    h, w = pixels.shape
    return np.pad(pixels, ((0, -h % multiple), (0, -w % multiple)), constant_values=BACKGROUND)


@torch.no_grad()
def candidates(net: Detector, pixels: np.ndarray, floor: float = 0.001, use: str = "objectness", limit: int = 1000):
    """All cells of one image above `floor`: boxes [n,4], scores [n], class probabilities [n,24], both objectness values [n,2]."""
    device = next(net.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        raw = net(to_input(pad_to(pixels)[None], device))
    b, rest, _ = decode(raw, net.stride)
    b, rest = b[0].cpu(), rest[0].cpu()
    both = torch.stack([rest[:, 0], rest[:, 25]], 1).sigmoid()
    score = both[:, 0] if use == "objectness" else both[:, 1]
    keep = torch.argsort(-score)[:limit]
    keep = keep[score[keep] >= floor]
    h, w = pixels.shape
    b = b[keep].numpy()
    b = np.stack([b[:, 0].clip(0, w), b[:, 1].clip(0, h), b[:, 2].clip(0, w), b[:, 3].clip(0, h)], 1)
    return b, score[keep].numpy(), rest[keep, 1:25].softmax(-1).numpy(), both[keep].numpy()


def validate(net, cache, indices, blind=0.6, same=0.5, use="objectness", threshold=0.4):
    """AP50, mAP50 and the shares of perfect and of all-right cells, at one threshold, without the cell's joint selection."""
    net.eval()
    scores, hits, total, perfect, right = [], [], 0, 0, 0
    per_class = [([], [], 0) for _ in range(24)]
    for i in indices:
        item = cache[i]
        b, s, p, _ = candidates(net, item.pixels, use=use)
        c = p.argmax(1)
        keep = bx.suppress(b, s, c, blind, same)
        b, s, p, c = b[keep], s[keep], p[keep], c[keep]
        got = bx.match(b, item.boxes)
        scores.append(s), hits.append(got >= 0)
        total += len(item.boxes)
        full = s * p.max(1)
        for k in range(24):
            mine, truth = c == k, item.classes == k
            order = np.argsort(-full[mine])
            hit = bx.match(b[mine][order], item.boxes[truth]) >= 0
            sc, ht, n = per_class[k]
            sc.append(full[mine][order]), ht.append(hit)
            per_class[k] = (sc, ht, n + int(truth.sum()))
        over = s >= threshold
        ok = over.sum() == len(item.boxes) and (got[over] >= 0).all()
        perfect += ok
        right += ok and (c[over] == item.classes[got[over]]).all()
    net.train()
    maps = [bx.average_precision(np.concatenate(sc), np.concatenate(ht), n) for sc, ht, n in per_class]
    return dict(ap50=bx.average_precision(np.concatenate(scores), np.concatenate(hits), total), map50=np.nanmean(maps),
                perfect=perfect / len(indices), right=right / len(indices))


def train(cache_folder: Path, out: Path, minutes: float, size: int = 448, batch: int = 8, rate: float = 2e-3, seed: int = 1,
          validate_every: float = 2.0, extra: dict[str, float] | None = None, device: str = "cpu", max_steps: int | None = None, workers: int = 0, start: Path | None = None, **shape):
    """Trains until the time budget is used up; the same command resumes.

    `extra` names further caches and the share of the examples that each gives.
    """
    cache = Cache(cache_folder)
    others = [(Cache(Path(k)), share) for k, share in (extra or {}).items()]
    net = Detector(**shape).to(device, memory_format=torch.channels_last)
    config = dict(task="detector", cache=str(cache_folder), scale=cache.scale, size=size, batch=batch, rate=rate, seed=seed, minutes=minutes, extra=extra or {}, net=net.config)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([dict(params=decayed, weight_decay=0.05), dict(params=plain, weight_decay=0.0)], lr=rate)
    run = Run(out, config, net, optimiser, minutes, rate)
    if start:
        run.start_from(start)
    seed_everything(seed + run.step)
    pool, held = cache.select("train"), cache.select("validation")
    oftener = np.array([1.0 + clumped(cache.boxes[cache.first[i] : cache.first[i + 1]]) for i in pool])
    held = held[:: max(1, len(held) // 40)] if len(held) else pool[:2]

    def make(rng):
        chosen = rng.choice(pool, batch, replace=len(pool) < batch, p=oftener / oftener.sum())
        made = [sample(rng, *place(rng, cache, int(i), others), size) for i in chosen]
        return np.stack([m[0] for m in made]), [m[1] for m in made]

    stream = batches(make, seed + run.step, workers)
    checked, sums, count, shown = run.epoch, {}, 0, time.monotonic()
    net.train()
    while run.progress < 1 and (max_steps is None or run.step < max_steps):
        images, truth = next(stream)
        x = to_input(images, device)
        run.set_rate()
        with torch.autocast(device, torch.bfloat16):
            raw = net(x)
        parts = losses(raw, [tuple(t.to(device) for t in m) for m in truth], net.stride)
        loss = sum(parts.values())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        run.epoch += batch / len(pool)
        run.stepped()
        for k, v in parts.items():
            sums[k] = sums.get(k, 0.0) + float(v.detach())
        count += 1
        if time.monotonic() - shown > 60:
            run.record(rate=optimiser.param_groups[0]["lr"], **{k: v / count for k, v in sums.items()})
            sums, count, shown = {}, 0, time.monotonic()
        if run.epoch - checked >= validate_every:
            checked = run.epoch
            report(run, net, cache, held)
    report(run, net, cache, held)
    return run


def place(rng, cache: Cache, index: int, others) -> tuple[Cache, int]:
    """The given image, or with its share a training image of one of the other caches."""
    x = rng.random()
    for other, share in others:
        if x < share:
            return other, int(rng.choice(other.select("train")))
        x -= share
    return cache, index


def report(run, net, cache, held):
    """Validates the averaged weights, records the figures and saves."""
    averaged = Detector(**net.config).to(next(net.parameters()).device)
    averaged.load_state_dict(run.average.state)
    averaged.to(memory_format=torch.channels_last)
    run.record(**validate(averaged, cache, held))
    run.save()
