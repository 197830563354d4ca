"""Export of trained networks: ONNX in f32 and typed f16, checked against PyTorch, with model.toml and model card."""

import copy
import datetime
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from . import CLASSES, cache, crops, readers
from .detector import MEAN, STD
from .nets import REACH, Anatomy, AnatomyExport, Classifier, Detector, DetectorExport

OPSET = 17
#: Tensors of at least so many values are kept in half precision.
KEPT_IN_HALF = 256


def fold_batch_norm(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode in which every convolution has swallowed the batch norm behind it."""
    net = copy.deepcopy(net).eval()
    for m in net.modules():
        if isinstance(m, nn.Sequential):
            for i in range(len(m) - 1):
                if isinstance(m[i], nn.Conv2d) and isinstance(m[i + 1], nn.BatchNorm2d):
                    m[i], m[i + 1] = fuse_conv_bn_eval(m[i], m[i + 1]), nn.Identity()
    return net


def to_onnx(net: nn.Module, inputs: dict[str, torch.Tensor], output: str, dynamic: dict, path: Path):
    """Writes a checked ONNX graph with plain operators."""
    torch.onnx.export(net.float(), tuple(inputs.values()), str(path), input_names=list(inputs), output_names=[output],
                      dynamic_axes=dynamic, opset_version=OPSET, dynamo=False, do_constant_folding=True)
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, str(path))


def to_half(source: Path, path: Path):
    """Turns every float tensor of a graph into f16; inputs and outputs stay f32 behind casts."""
    model = onnx.load(str(source))
    graph = model.graph
    # Resize keeps its scales in f32, whatever the data is.
    kept = {name for n in graph.node if n.op_type == "Resize" for name in n.input[1:3] if name}
    half = lambda t: numpy_helper.from_array(np.clip(numpy_helper.to_array(t), -65504, 65504).astype(np.float16), t.name)
    for i, t in enumerate(graph.initializer):
        if t.data_type == TensorProto.FLOAT and t.name not in kept:
            graph.initializer[i].CopyFrom(half(t))
    for n in graph.node:
        if n.op_type == "Constant" and n.output[0] not in kept:
            for a in n.attribute:
                if a.name == "value" and a.t.data_type == TensorProto.FLOAT:
                    a.t.CopyFrom(half(a.t))
        if n.op_type == "Cast":
            for a in n.attribute:
                if a.name == "to" and a.i == TensorProto.FLOAT:
                    a.i = TensorProto.FLOAT16
    before, after = [], []
    for v in graph.input:
        inner = v.name + "_f16"
        for n in graph.node:
            n.input[:] = [inner if x == v.name else x for x in n.input]
        before.append(onnx.helper.make_node("Cast", [v.name], [inner], to=TensorProto.FLOAT16))
    for v in graph.output:
        inner = v.name + "_f16"
        for n in graph.node:
            n.output[:] = [inner if x == v.name else x for x in n.output]
            n.input[:] = [inner if x == v.name else x for x in n.input]
        after.append(onnx.helper.make_node("Cast", [inner], [v.name], to=TensorProto.FLOAT))
    nodes = before + list(graph.node) + after
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def keep_in_half(path: Path):
    """Stores the weights of a graph in f16 and widens them by casts, which engines fold when they load it: half the file, the same arithmetic."""
    model = onnx.load(str(path))
    graph, casts = model.graph, []
    for t in graph.initializer:
        if t.data_type == TensorProto.FLOAT and np.prod(t.dims) >= KEPT_IN_HALF:
            name = t.name
            t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float16), name + "_f16"))
            casts.append(onnx.helper.make_node("Cast", [name + "_f16"], [name], to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its weights in f32 again."""
    halves = {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = [n for n in model.graph.node if n.op_type == "Cast" and n.input[0] in halves]
    for n in casts:
        t = halves[n.input[0]]
        t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float32), n.output[0]))
        model.graph.node.remove(n)
    return model


def parity(path: Path, net: nn.Module, inputs: dict[str, torch.Tensor]) -> float:
    """Largest difference of the exported graph from PyTorch, relative to the larger of 1 and the value."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    got = session.run(None, {k: v.numpy() for k, v in inputs.items()})[0]
    with torch.no_grad():
        want = net(*inputs.values()).numpy()
    if got.shape != want.shape or not np.isfinite(got).all():
        raise ValueError(f"{path}: exported graph gives {got.shape}, PyTorch {want.shape}, or values that are not finite")
    return float((np.abs(got - want) / np.maximum(np.abs(want), 1)).max())


def commit() -> str:
    """The commit the export was made from, or an empty string outside a repository."""
    done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return done.stdout.strip()


def toml(value) -> str:
    """A value as inline TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def manifest(top: dict, files: list[dict], sections: dict[str, dict]) -> str:
    """The text of model.toml."""
    lines = [f"{k} = {toml(v)}" for k, v in top.items()]
    for f in files:
        lines += ["", "[[file]]"] + [f"{k} = {toml(v)}" for k, v in f.items()]
    for name, table in sections.items():
        lines += ["", f"[{name}]"] + [f"{k} = {toml(v)}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def write_files(net: nn.Module, inputs: dict, output: str, dynamic: dict, folder: Path, tolerance: dict) -> list[dict]:
    """model.onnx and, where a tolerance is given for f16, model.f16.onnx, each within it of PyTorch; their [[file]] tables."""
    folder.mkdir(parents=True, exist_ok=True)
    net = fold_batch_norm(net)
    with torch.no_grad():
        for p in net.parameters():  # as the file holds them
            if p.numel() >= KEPT_IN_HALF:
                p.copy_(p.half().float())
    to_onnx(net, inputs, output, dynamic, folder / "model.onnx")
    if "f16" in tolerance:
        to_half(folder / "model.onnx", folder / "model.f16.onnx")
    keep_in_half(folder / "model.onnx")
    files = []
    for name, precision in (("model.onnx", "f32"), ("model.f16.onnx", "f16")):
        if precision not in tolerance:
            continue
        error = parity(folder / name, net, inputs)
        if error > tolerance[precision]:
            raise ValueError(f"{folder / name}: differs from PyTorch by {error:.4g}, at most {tolerance[precision]} is allowed")
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        files.append(dict(path=name, precision=precision, sha256=digest, opset=OPSET))
        print(f"{folder.name}/{name}: {(folder / name).stat().st_size / 1e6:.2f} MB, parity {error:.2g}")
    return files


COMMON = dict(layout="nchw", channels=1, mean=MEAN, std=STD, polarity="dark-on-bright")


def licences(sets: list[str]) -> dict:
    """What the sets say about their licences."""
    return {k: v for k, v in dict(
        cil="CIL:54816, Tseng et al. 2023; none stated at the source used, CC BY 4.0 second hand",
        pki3="none stated", bioimlab="none stated; public for download by the authors' paper (2012)",
        giemsa="adci: none stated; ddx11: MIT",
        mfish="ADIR: use and distribution free of charge with its notice").items() if k in sets}


def load(kind, run: Path):
    """The averaged network of a run and its configuration."""
    c = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=False)
    net = kind(**c["config"]["net"])
    net.load_state_dict(c["average"])
    return net.eval(), c


def detector(run: Path, folder: Path, stains: list[str], thresholds: dict, calibration: dict, scale: dict, figures: dict, version: str, notes: dict):
    """Writes a detector's model folder (without its card)."""
    net, c = load(Detector, run)
    torch.manual_seed(0)
    inputs = dict(image=torch.randn(2, 1, 160, 224))
    files = write_files(DetectorExport(net), inputs, "stride8", {"image": {0: "n", 2: "h", 3: "w"}, "stride8": {0: "n", 2: "rows", 3: "columns"}},
                        folder, dict(f32=2e-4, f16=0.06))
    (folder / "model.toml").write_text(manifest(
        dict(task="detector", name=folder.name, version=version, description="Every chromosome of a metaphase as a box with objectness and 24 classes"), files,
        dict(input=dict(tensor="image", **COMMON, stride=32, max_side=2048, pad=cache.BACKGROUND, stains=stains,
                        background=dict(percentile=cache.BACKGROUND_PERCENTILE, level=cache.BACKGROUND), scale=scale),
             output=dict(decoding="ltrb-grid", strides=[8], classes=CLASSES, extra=["single"],
                         activation="distances are in input pixels; sigmoid of the objectness logits, soft maximum of the class logits"),
             thresholds=thresholds, calibration=calibration, trained=trained(c, notes), figures=figures)))


def classifier(run: Path, folder: Path, stains: list[str], calibration: dict, figures: dict, version: str, description: str, single: bool, notes: dict, doubt: dict | None = None):
    """Writes a classifier's model folder (without its card); `doubt` says which answers the daemon asks again."""
    net, c = load(Classifier, run)
    torch.manual_seed(0)
    s = crops.SIZE
    inputs = dict(chromosome=torch.randn(5, 2, s, s), size=torch.randn(5, 3) * 0.4)
    files = write_files(net, inputs, "logits", {"chromosome": {0: "n"}, "size": {0: "n"}, "logits": {0: "n"}}, folder, dict(f32=2e-4, f16=0.06))
    table = dict(tensor="chromosome", **{**COMMON, "channels": 2}, size=s, pad=255 if single else cache.BACKGROUND, stains=stains,
                 crop=dict(**(crops.SINGLE if single else crops.FIELD), supersample=2), mask="box",
                 size_tensor="size", sizes=["diagonal", "width", "height"], sizes_over="median-diagonal", view="single" if single else "field")
    if single:
        table |= dict(trim=readers.BLANK, stretch=dict(percentile=crops.DARK_PERCENTILE, level=crops.DARK))
    else:
        table |= dict(background=dict(percentile=cache.BACKGROUND_PERCENTILE, level=cache.BACKGROUND))
    if doubt:
        table |= dict(doubt=doubt)
    (folder / "model.toml").write_text(manifest(
        dict(task="classifier", name=folder.name, version=version, description=description), files,
        dict(input=table, output=dict(decoding="logits", tensor="logits", classes=CLASSES, other=True, activation="soft maximum over the first 25 logits", **refinement(net)),
             calibration=calibration, trained=trained(c, notes), figures=figures)))


def anatomy(run: Path, folder: Path, stains: list[str], thresholds: dict, figures: dict, version: str, notes: dict):
    """Writes the model folder of a network of outlines (without its card)."""
    net, c = load(Anatomy, run)
    torch.manual_seed(0)
    inputs = dict(chromosome=torch.randn(5, 2, crops.SIZE, crops.SIZE))
    files = write_files(AnatomyExport(net), inputs, "anatomy", {"chromosome": {0: "n"}, "anatomy": {0: "n"}}, folder, dict(f32=2e-4, f16=0.06))
    table = dict(tensor="chromosome", **{**COMMON, "channels": 2}, size=crops.SIZE, pad=cache.BACKGROUND, stains=stains,
                 crop=dict(**crops.FIELD, supersample=2), mask="box", view="field", background=dict(percentile=cache.BACKGROUND_PERCENTILE, level=cache.BACKGROUND))
    (folder / "model.toml").write_text(manifest(
        dict(task="anatomy", name=folder.name, version=version, description="Mask, centromeres and way up of the chromosome in a box of a metaphase"), files,
        dict(input=table, output=dict(decoding="maps", tensor="anatomy", maps=["mask", "centromere", "short-arm"], subpixel=2, activation="sigmoid of each"),
             thresholds=thresholds, trained=trained(c, notes), figures=figures)))


def refinement(net: Classifier) -> dict:
    """What the daemon is told of a classifier that refines boxes."""
    return dict(extra=["found", "left", "top", "right", "bottom"], reach=REACH) if net.config.get("refine") else {}


def trained(c: dict, notes: dict) -> dict:
    """The [trained] table of a checkpoint."""
    return dict(date=datetime.date.today().isoformat(), commit=commit(), epochs=round(c["epoch"], 2), steps=c["step"], minutes=round(c["elapsed"] / 60, 1),
                seed=c["config"]["seed"], split="models/training/splits, by person", **notes)
