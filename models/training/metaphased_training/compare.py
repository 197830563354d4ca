"""Training of the literature's networks at a stated size, with the figures that the results table needs."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from . import CLASSES, boxes as bx, crops, export as ex, literature as lit, readers
from .cache import BACKGROUND, BACKGROUND_PERCENTILE, Cache
from .classifier import Singles, singles_views
from .detector import pad_to, sample
from .run import Run, batches, seed_everything


#: Every how many of the validation metaphases a YOLO is measured here; `metaphased evaluate` on its export takes all.
VALIDATED = 4


def three(grey: np.ndarray, size: int) -> torch.Tensor:
    """Grey crops [N,S,S] as three equal channels of `size` x `size`."""
    x = torch.as_tensor(grey)[:, None].float() / 255 - 0.5
    if x.shape[-1] != size:
        x = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    return x.expand(-1, 3, -1, -1)


def scores(labels: np.ndarray, found: np.ndarray, classes: int = 24) -> dict:
    """Accuracy and macro-averaged precision, recall and F1."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (labels, found), 1)
    hit, said, true = table.diagonal(), table.sum(0), table.sum(1)
    precision, recall = hit / np.maximum(said, 1), hit / np.maximum(true, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    seen = true > 0
    return dict(accuracy=hit.sum() / table.sum(), precision=precision[seen].mean(), recall=recall[seen].mean(), f1=f1[seen].mean())


def export(name: str, run: Path, folder: Path):
    """Writes a model folder of a finished comparison, so that the daemon's engines and `metaphased evaluate` run it."""
    c = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=False)
    config, size = c["config"], c["config"]["size"]
    common = dict(layout="nchw", channels=3, mean=0.5, std=1.0, polarity="dark-on-bright")
    notes, tolerance = dict(data=config["data"], licences=ex.licences(config["data"])), dict(f32=1e-3)
    top = dict(name=name, version="0.1.0", description=f"{name} of the literature, for comparison only")
    torch.manual_seed(0)
    if name == "vgg19":
        net = lit.Vgg19(24, config["head"], config["width"], size)
        net.load_state_dict(c["average"])
        files = ex.write_files(net, dict(image=torch.randn(2, 3, size, size)), "logits", {"image": {0: "n"}, "logits": {0: "n"}}, folder, tolerance)
        top, table = dict(task="classifier", **top), dict(
            tensor="image", **common, size=size, pad=255, stains=["g-band", "q-band"], mask="none", view="single",
            crop=dict(**crops.SINGLE, supersample=2), trim=readers.BLANK, stretch=dict(percentile=crops.DARK_PERCENTILE, level=crops.DARK))
        output = dict(decoding="logits", tensor="logits", classes=CLASSES, other=False)
        more = dict(calibration=dict(temperature=1.0))
    else:
        net = lit.NETWORKS[name]()
        net.load_state_dict(c["average"])
        whole = lit.YoloExport(net.eval(), c["config"]["anchors"])
        out = f"stride{whole.stride}"
        tolerance = dict(f32=1e-2)  # distances are in pixels, up to hundreds
        files = ex.write_files(whole, dict(image=torch.randn(1, 3, 128, 160)), out, {"image": {0: "n", 2: "h", 3: "w"}, out: {0: "n", 2: "rows", 3: "columns"}}, folder, tolerance)
        top, table = dict(task="detector", **top), dict(
            tensor="image", **common, stride=32, max_side=2048, pad=BACKGROUND, stains=["g-band"],
            background=dict(percentile=BACKGROUND_PERCENTILE, level=BACKGROUND), scale=dict(factor=c["config"]["scale"]))
        output = dict(decoding="ltrb-grid", strides=[whole.stride], classes=CLASSES)
        more = dict(thresholds=dict(score=0.4, candidate=0.02, nms_iou=0.6, nms_same_class_iou=0.5))
    (folder / "model.toml").write_text(ex.manifest(top, files, dict(input=table, output=output, **more, trained=ex.trained(c, notes))))


def train_vgg19(items: list, out: Path, minutes: float, size: int = 64, head: str = "gap", tune: str = "whole", weights: Path | None = None,
                width: int = 4096, data_name: str = "bioimlab", batch: int = 16, seed: int = 1, max_steps: int | None = None) -> dict:
    """VGG19 on singles; writes `result.json` with scores on the validation cells, minutes and milliseconds a chromosome."""
    net = lit.Vgg19(24, head, width, size)
    if weights:
        lit.load_imagenet(net, weights)
    net.fine_tune(tune)
    data = Singles([([s for s in items if s.split == "train"], 1.0)], other=0.0)
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=3e-4, weight_decay=0.02)
    run = Run(out, dict(task="vgg19", data=[data_name], size=size, head=head, width=width, tune=tune, seed=seed, minutes=minutes, net={}), net, optimiser, minutes, 3e-4)
    seed_everything(seed + run.step)
    stream = batches(lambda rng: data.draw(rng, batch), seed + run.step)
    while run.progress < 1 and (max_steps is None or run.step < max_steps):
        grey, _, _, labels, _ = next(stream)
        run.set_rate()
        with torch.autocast("cpu", torch.bfloat16):
            z = net(three(grey, size))
        loss = F.cross_entropy(z.float(), torch.as_tensor(labels))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        run.epoch += batch / data.count
        run.stepped()
        if run.step % 50 == 0:
            run.record(loss=loss)
    run.save()
    net.load_state_dict(run.average.state)
    net.eval()
    grey, _, _, labels = singles_views([s for s in items if s.split == "validation"] or items)
    started = time.perf_counter()
    with torch.no_grad():
        found = np.concatenate([net(three(grey[i : i + 64], size)).argmax(1).numpy() for i in range(0, len(grey), 64)])
    result = dict(scores(labels, found), minutes=run.elapsed / 60, ms_per_chromosome=1e3 * (time.perf_counter() - started) / len(grey), size=size, head=head, tune=tune)
    (out / "result.json").write_text(json.dumps({k: float(v) if isinstance(v, np.floating) else v for k, v in result.items()}, indent=1))
    return result


def train_yolo(name: str, cache_folder: Path, out: Path, minutes: float, size: int = 416, weights: Path | None = None, batch: int = 4, seed: int = 1, max_steps: int | None = None) -> dict:
    """Tiny YOLO or YOLOv2-ResNet50 on metaphases; writes `result.json` with AP50 on validation images."""
    cache = Cache(cache_folder)
    net = lit.NETWORKS[name]()
    if weights:
        lit.load_imagenet(net, weights)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.02)
    pool = cache.select("train")
    anchors = lit.dimension_clusters(np.concatenate([cache[i].boxes[:, 2:] - cache[i].boxes[:, :2] for i in pool[:500]]) / net.stride)
    facts = dict(task=name, data=["cil"], scale=cache.scale, size=size, anchors=anchors, seed=seed, minutes=minutes, net={})
    run = Run(out, facts, net, optimiser, minutes, 1e-3)
    seed_everything(seed + run.step)

    def make(rng):
        made = [sample(rng, cache, int(i), size) for i in rng.choice(pool, batch)]
        return np.stack([m[0] for m in made]), [m[1] for m in made]

    stream = batches(make, seed + run.step)
    while run.progress < 1 and (max_steps is None or run.step < max_steps):
        images, truth = next(stream)
        run.set_rate()
        with torch.autocast("cpu", torch.bfloat16):
            raw = net(three(images, size))
        loss = lit.yolo_loss(raw, truth, net.stride, anchors)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        run.epoch += batch / len(pool)
        run.stepped()
        if run.step % 50 == 0:
            run.record(loss=loss)
    run.save()
    net.load_state_dict(run.average.state)
    net.eval()
    found, hits, total, seconds = [], [], 0, []
    held = cache.select("validation")
    for i in held[::VALIDATED] if len(held) else pool[:2]:
        item = cache[i]
        grey = pad_to(item.pixels)
        started = time.perf_counter()
        with torch.no_grad():
            x = (torch.from_numpy(grey)[None, None].float() / 255 - 0.5).expand(-1, 3, -1, -1)
            b, s, p = (t[0].numpy() for t in lit.decode_yolo(net(x), net.stride, anchors))
        top = np.argsort(-s)[:300]
        keep = top[bx.suppress(b[top], s[top], p[top].argmax(1), 0.6, 0.5)]
        seconds.append(time.perf_counter() - started)
        found.append(s[keep]), hits.append(bx.match(b[keep], item.boxes) >= 0)
        total += len(item.boxes)
    result = dict(ap50=bx.average_precision(np.concatenate(found), np.concatenate(hits), total), minutes=run.elapsed / 60, ms_per_cell=1e3 * float(np.median(seconds)), size=size)
    (out / "result.json").write_text(json.dumps(result, indent=1))
    return result
