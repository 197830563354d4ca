"""Writes the three tiny networks that the tests run: random but for a detector that answers to dark pixels and a drawer that marks those in the box.

python make_tiny_models.py; needs numpy and onnx. The results are committed; run it again only to change them.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
CLASSES = [str(n) for n in range(1, 23)] + ["X", "Y"]


def save(name, nodes, inputs, outputs, weights, manifest):
    """Writes NAME/model.onnx and NAME/model.toml."""
    f32 = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(n, f32, s) for n, s in inputs],
        [helper.make_tensor_value_info(n, f32, s) for n, s in outputs],
        [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    (folder / "model.toml").write_text(manifest.replace("SHA256", hashlib.sha256(data).hexdigest()))


rng = np.random.default_rng(11)
names = ", ".join(f'"{c}"' for c in CLASSES)

# One convolution over cells of 8 x 8 pixels: the box reaches 10 pixels to each side, the objectness falls with the
# mean grey value, the classes are random.
kernel = rng.normal(0, 0.05, (30, 1, 8, 8))
kernel[:4] = 0
kernel[4] = kernel[29] = -6 / 64
bias = np.concatenate([np.full(4, 10.0), [-3.0], np.zeros(24), [-3.0]])
save(
    "tiny-detector",
    [helper.make_node("Conv", ["image", "kernel", "bias"], ["stride8"], kernel_shape=[8, 8], strides=[8, 8])],
    [("image", ["n", 1, "h", "w"])], [("stride8", ["n", 30, "gh", "gw"])], {"kernel": kernel, "bias": bias},
    f"""task = "detector"
name = "tiny-detector"
version = "1"
description = "A single convolution for tests: dark pixels are chromosomes"

[[file]]
path = "model.onnx"
precision = "f32"
sha256 = "SHA256"
opset = 17

[input]
tensor = "image"
channels = 1
stride = 8
mean = 0.78
std = 0.22
polarity = "dark-on-bright"
pad = 220
stains = ["g-band", "giemsa"]
background = {{ percentile = 0.90, level = 220 }}
scale = {{ factor = 1.0 }}

[output]
decoding = "ltrb-grid"
strides = [8]
classes = [{names}]
extra = ["single"]
""",
)

save(
    "tiny-classifier",
    [
        helper.make_node("GlobalAveragePool", ["chromosome"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Concat", ["flat", "size"], ["joined"], axis=1),
        helper.make_node("Gemm", ["joined", "weight", "offset"], ["logits"], transB=1),
    ],
    [("chromosome", ["n", 2, 32, 32]), ("size", ["n", 3])], [("logits", ["n", 25])],
    {"weight": rng.normal(0, 1, (25, 5)), "offset": rng.normal(0, 1, 25)},
    f"""task = "classifier"
name = "tiny-classifier"
version = "1"
description = "A pooled linear layer for tests"

[[file]]
path = "model.onnx"
precision = "f32"
sha256 = "SHA256"
opset = 17

[input]
tensor = "chromosome"
channels = 2
size = 32
mean = 0.78
std = 0.22
polarity = "dark-on-bright"
pad = 220
stains = ["g-band", "giemsa"]
background = {{ percentile = 0.90, level = 220 }}
crop = {{ margin = 1.12, floor = 0.75 }}
mask = "box"
size_tensor = "size"
sizes = ["diagonal", "width", "height"]

[output]
decoding = "logits"
tensor = "logits"
classes = [{names}]
other = true
""",
)

# Each pixel of a map is that of the crop: dark ones in the box are the chromosome, whose short arm nobody knows.
kernel = np.zeros((12, 2, 2, 2))
for k in range(4):
    kernel[k, 0, k // 2, k % 2], kernel[k, 1, k // 2, k % 2] = -4, 6
save(
    "tiny-anatomy",
    [helper.make_node("Conv", ["chromosome", "kernel", "bias"], ["anatomy"], kernel_shape=[2, 2], strides=[2, 2])],
    [("chromosome", ["n", 2, 32, 32])], [("anatomy", ["n", 12, 16, 16])],
    {"kernel": kernel, "bias": np.concatenate([np.full(4, -10.0), np.full(4, -3.0), np.zeros(4)])},
    """task = "anatomy"
name = "tiny-anatomy"
version = "1"
description = "A single convolution for tests: dark pixels in the box are the chromosome"

[[file]]
path = "model.onnx"
precision = "f32"
sha256 = "SHA256"
opset = 17

[input]
tensor = "chromosome"
channels = 2
size = 32
mean = 0.78
std = 0.22
polarity = "dark-on-bright"
pad = 220
stains = ["g-band", "giemsa"]
background = { percentile = 0.90, level = 220 }
crop = { margin = 1.12, floor = 0.75 }
mask = "box"

[output]
decoding = "maps"
tensor = "anatomy"
maps = ["mask", "centromere", "short-arm"]
subpixel = 2

[thresholds]
mask = 0.6
centromere = 0.35
centromere_apart = 3.0
mask_of = { dapi = 0.5 }
""",
)
