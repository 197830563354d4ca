"""An int8 file beside f32 and f16: a scale a channel, quantise-dequantise pairs; its loss is measured.

Two forms, since no file is fast everywhere. Unsigned activations with 32-bit biases are what ONNX Runtime fuses
into whole-number arithmetic on x86: a third of the time of f32. Signed, symmetric activations and float biases are
what TensorRT takes; ONNX Runtime runs those hardly faster than f32. The last layers stay in float: a box's
distances are exponentials there, and a logit needs more than 256 steps.
"""

import copy
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from .export import widened

#: What is quantised; everything else runs in float between the pairs. With ReLU among them it takes no steps of its own: what
#: lies below zero, which it cuts off, then takes none of the 256 steps of the layer before it.
OPERATORS = ["Conv", "Gemm", "Add", "MaxPool", "Relu", "Resize"]
#: Stains on whose cells the ranges are taken and the loss is measured: elsewhere the file is not run.
STAINS = dict(detector=["g-band"])
#: What a model's card says of the file.
CARD_LINE = "`model.int8.onnx` is made from them by `export --int8`; its cost is in `docs/reference/accuracy.md`."


class Reader(CalibrationDataReader):
    """Hands out prepared inputs one after the other."""

    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def last_layers(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions and matrix products behind which no other follows."""
    kinds = ("Conv", "Gemm")
    by_input = {}
    for n in model.graph.node:
        for x in n.input:
            by_input.setdefault(x, []).append(n)

    def leads_on(node) -> bool:
        return any(n.op_type in kinds or leads_on(n) for x in node.output for n in by_input.get(x, []))
    return [n.name for n in model.graph.node if n.op_type in kinds and not leads_on(n)]


def to_int8(source: Path, path: Path, feeds: list[dict], signed: bool = False):
    """Quantises `source` with the ranges seen on `feeds` (inputs by name, real training cells); `signed` for TensorRT."""
    model = widened(onnx.load(str(source)))
    for i, n in enumerate(model.graph.node):
        n.name = n.name or f"{n.op_type}_{i}"
    path.parent.mkdir(parents=True, exist_ok=True)
    extra = dict(ActivationSymmetric=True, QuantizeBias=False, CalibTensorRangeSymmetric=True) if signed else {}
    quantize_static(copy.deepcopy(model), str(path), Reader(feeds), quant_format=QuantFormat.QDQ, op_types_to_quantize=OPERATORS, per_channel=True,
                    activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8,
                    nodes_to_exclude=last_layers(model), extra_options=dict(WeightSymmetric=True, **extra))
    onnx.checker.check_model(onnx.load(str(path)))


class Session:
    """An exported network in the place of a PyTorch one, so that the same evaluation runs on both."""

    def __init__(self, path: Path, stride: int = 8):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.names = [i.name for i in self.session.get_inputs()]
        self.stride = stride

    def eval(self):
        """As a PyTorch network; there is no other mode."""
        return self

    train = eval

    def parameters(self):
        yield torch.zeros(1)

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        out = self.session.run(None, {k: np.ascontiguousarray(v.float().numpy()) for k, v in zip(self.names, inputs)})[0]
        raw = torch.from_numpy(out)
        if raw.ndim == 4 and self.names == ["image"]:  # exported detectors give distances in pixels, the trainer's decoding takes logarithms of cells
            raw = torch.cat([torch.log(raw[:, :4] / self.stride), raw[:, 4:]], 1)
        return raw


def feeds_and_measure(what: str, places: dict[str, Path], data: Path, cells: int = 40, every: int = 2):
    """Inputs of real training cells for a model's ranges, and a function that measures a `Session` on validation."""
    from . import cache, classifier, detector, readers, release
    rows = lambda images, split, n: images.select(split)[:: max(1, len(images.select(split)) // n)][:n]
    if what == "anatomy":
        return anatomy_feeds_and_measure(places, data, cells)
    if what == "detector":
        coarse = cache.Cache(places["coarse"])
        feeds = [dict(image=detector.to_input(detector.pad_to(coarse[i].pixels)[None]).contiguous().numpy()) for i in rows(coarse, "train", cells)]
        return feeds, lambda net: detector.validate(net, coarse, coarse.select("validation")[::every])
    if what == "metaphase":
        native = cache.Cache(places["native"])
        given = [classifier.box_views(i.pixels, i.boxes, classifier.median_diagonal(i.boxes)) for i in (native[k] for k in rows(native, "train", cells))]
        views, _, _ = release.truth_boxes(native, native.select("validation")[::every])
    else:
        sets = [s for k in ("pki3", "bioimlab") for s in readers.singles(data / k, k)]
        train = [s for s in sets if s.split == "train"]
        given = [classifier.singles_views(train[i :: max(1, len(train) // 40)])[:3] for i in range(0, cells, 4)]
        views = classifier.singles_views([s for s in sets if s.split == "validation"])
    feeds = [dict(chromosome=classifier.to_input(g, m).contiguous().numpy(), size=s.astype(np.float32)) for g, m, s in given]
    return feeds, lambda net: dict(accuracy=classifier.accuracy(classifier.logits(net, *views[:3]), views[3]))


def anatomy_feeds_and_measure(places: dict[str, Path], data: Path, cells: int):
    """The same of the network of outlines, whose examples are composed."""
    from . import anatomy, anatomy_data, classifier
    made = anatomy_data.source(places, data, "train")
    rng = np.random.default_rng(7)
    feeds = [dict(chromosome=classifier.to_input(*made.draw(rng, 24)[:2]).contiguous().numpy()) for _ in range(cells)]
    held = anatomy_data.held_batches(places, data)

    def measure(net) -> dict:
        out = {}
        for name, batch in held.items():
            z = anatomy.answers(net, *batch[:2])
            iou, up = anatomy.overlap(z, batch[2]), anatomy.upward(z, batch[3])
            out |= {f"{name}_iou": np.median(iou), f"{name}_p10": np.percentile(iou, 10)} | ({f"{name}_up": np.mean(up[np.isfinite(up)] > 0)} if np.isfinite(up).any() else {})
        return out
    return feeds, measure


def export(what: list[str], models: Path, out: Path, places: dict[str, Path], data: Path, signed: bool = False) -> dict:
    """Copies the named model folders to `out` with an int8 file more each; prints and returns what that costs on validation."""
    import hashlib
    import json
    import shutil
    from .export import OPSET, toml
    from .release import FOLDERS
    losses = {}
    for name in what:
        source, folder = models / FOLDERS[name], out / FOLDERS[name]
        feeds, measure = feeds_and_measure(name, places, data)
        if folder.resolve() != source.resolve():
            shutil.copytree(source, folder, dirs_exist_ok=True)
        to_int8(folder / "model.onnx", folder / "model.int8.onnx", feeds, signed)
        figures = {p: measure(Session(folder / f)) for p, f in (("f32", "model.onnx"), ("int8", "model.int8.onnx"))}
        entry = dict(path="model.int8.onnx", precision="int8", sha256=hashlib.sha256((folder / "model.int8.onnx").read_bytes()).hexdigest(), opset=OPSET)
        entry |= dict(stains=STAINS[name]) if name in STAINS else {}
        text = re.sub(r'\[\[file\]\]\npath = "model.int8.onnx"\n(.+\n)+\n', "", (source / "model.toml").read_text())
        table = "\n".join(["[[file]]"] + [f"{k} = {toml(v)}" for k, v in entry.items()])
        (folder / "model.toml").write_text(text.replace("\n[input]", f"\n{table}\n\n[input]", 1))
        card = folder / "README.md"
        if card.exists() and CARD_LINE not in card.read_text():
            card.write_text(card.read_text().rstrip() + f"\n\n{CARD_LINE}\n")
        losses[name] = {p: {k: round(float(v), 4) for k, v in f.items()} for p, f in figures.items()}
        size = (folder / "model.int8.onnx").stat().st_size / 1e6
        print(f"{FOLDERS[name]}/model.int8.onnx: {size:.2f} MB, on validation {json.dumps(losses[name])}")
    return losses
