"""The networks of the literature, kept for comparison: VGG19 classifiers, Tiny YOLO, YOLOv2 on ResNet-50 features.

They are defined, trained and exported with the same commands as ours, and never shipped. ImageNet weights are
torchvision's state dicts, read from a file when one is given.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

#: The published set has 119 cells; the "119 classes" of the literature are those cells, not kinds of chromosomes.
CELLS_OF_BIOIMLAB = 119
VGG19 = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512, "M")


def vgg_features(colours: int = 3) -> nn.Sequential:
    """The 16 convolutions of VGG19 (Simonyan and Zisserman 2015); indices as in torchvision's `vgg19().features`."""
    layers, cin = [], colours
    for step in VGG19:
        if step == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(cin, step, 3, padding=1), nn.ReLU(inplace=True)]
            cin = step
    return nn.Sequential(*layers)


HEADS = ("none", "one-fc", "two-fc-dropout", "two-fc-bn", "conv-bn", "gap")


def vgg_head(kind: str, outputs: int, width: int, side: int) -> nn.Sequential:
    """What follows the features: the published variants. `width` is the size of the fully connected layers (2048 to 6000)."""
    flat = 512 * side * side
    if kind == "none":
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, outputs))
    if kind == "one-fc":
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Linear(width, outputs))
    if kind == "two-fc-dropout":
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5),
                             nn.Linear(width, outputs))
    if kind == "two-fc-bn":
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(),
                             nn.Linear(width, outputs))
    if kind == "conv-bn":
        return nn.Sequential(nn.Conv2d(512, 512, 3, padding=1), nn.BatchNorm2d(512), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, outputs))
    if kind == "gap":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, outputs))
    raise ValueError(f"no head is named {kind!r}; known: {', '.join(HEADS)}")


class Vgg19(nn.Module):
    """VGG19 with one of the published heads. With head "none" and 119 outputs on 224 x 224 x 3 it has 23,009,975 parameters."""

    def __init__(self, outputs: int = 24, head: str = "none", width: int = 4096, size: int = 224, colours: int = 3):
        super().__init__()
        if size % 32:
            raise ValueError(f"VGG19 halves its input five times: the side must be a multiple of 32, not {size}")
        self.features = vgg_features(colours)
        self.head = vgg_head(head, outputs, width, size // 32)
        for m in self.modules():  # sixteen layers without batch norm learn nothing from smaller weights (He et al. 2015)
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
                nn.init.zeros_(m.bias)

    def forward(self, image):
        return self.head(self.features(image))

    def fine_tune(self, what: str):
        """`last` trains the head alone, `whole` everything: the two published ways."""
        if what not in ("last", "whole"):
            raise ValueError(f"fine-tuning is `last` or `whole`, not {what!r}")
        for p in self.features.parameters():
            p.requires_grad_(what == "whole")


def load_imagenet(net: nn.Module, path: Path, prefix: str = "") -> int:
    """Copies the tensors of a torchvision state dict whose names and shapes fit; returns how many.

    Three-colour first layers are summed to grey where the network takes one channel.
    """
    given = torch.load(path, map_location="cpu", weights_only=True)
    own, copied = net.state_dict(), 0
    for name, tensor in given.items():
        target = own.get(prefix + name)
        if target is None:
            continue
        if target.ndim == 4 and target.shape[1] == 1 and tensor.ndim == 4 and tensor.shape[1] == 3:
            tensor = tensor.sum(1, keepdim=True)
        if target.shape == tensor.shape:
            target.copy_(tensor)
            copied += 1
    if copied == 0:
        raise ValueError(f"{path}: no tensor fits the network; expected a torchvision state dict")
    return copied


def leaky(cin: int, cout: int, k: int = 3) -> nn.Sequential:
    """Darknet's convolution: batch norm and a leaky ReLU of slope 0.1."""
    return nn.Sequential(nn.Conv2d(cin, cout, k, padding=k // 2, bias=False), nn.BatchNorm2d(cout), nn.LeakyReLU(0.1, inplace=True))


class YoloV2Head(nn.Module):
    """Anchors, confidence and classes of YOLOv2 (Redmon and Farhadi 2017) as one map [N, anchors * (5 + classes), h, w]."""

    def __init__(self, cin: int, anchors: int, classes: int):
        super().__init__()
        self.anchors, self.classes = anchors, classes
        self.out = nn.Conv2d(cin, anchors * (5 + classes), 1)

    def forward(self, x):
        return self.out(x)


def dimension_clusters(sizes: np.ndarray, anchors: int = 5, rounds: int = 50) -> tuple:
    """Anchors for boxes of these `sizes` [N,2], smallest first: k-means by overlap of centred boxes, as YOLOv2 chooses them (section 2)."""
    sizes = np.asarray(sizes, float)

    def overlap(means):
        shared = np.minimum(sizes[:, None], means[None]).prod(-1)
        return shared / (sizes.prod(1)[:, None] + means.prod(1)[None] - shared)

    # Begins with the size that is least like the middle one and, in turn, the one that those so far fit least.
    means = sizes[overlap(np.median(sizes, 0)[None]).argmin(0)]
    for _ in range(anchors - 1):
        means = np.concatenate([means, sizes[overlap(means).max(1).argmin()][None]])
    for _ in range(rounds):
        nearest = overlap(means).argmax(1)
        means = np.array([sizes[nearest == k].mean(0) if (nearest == k).any() else means[k] for k in range(anchors)])
    return tuple(tuple(round(float(v), 3) for v in m) for m in means[np.argsort(means.prod(1))])


#: Anchor sizes in cells of 32 input pixels (Tiny YOLO v2 for VOC), where none were chosen for the data.
ANCHORS = ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))


class TinyYolo(nn.Module):
    """Tiny YOLO v2: nine convolutions, stride 32."""

    stride = 32

    def __init__(self, classes: int = 24, colours: int = 3, anchors=ANCHORS):
        super().__init__()
        layers, cin = [], colours
        for i, c in enumerate((16, 32, 64, 128, 256, 512)):
            layers += [leaky(cin, c), nn.MaxPool2d(2, 2) if i < 5 else nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1))]
            cin = c
        layers += [leaky(512, 1024), leaky(1024, 1024)]
        self.body = nn.Sequential(*layers)
        self.head = YoloV2Head(1024, len(anchors), classes)

    def forward(self, image):
        return self.head(self.body(image))


class Bottleneck(nn.Module):
    """The residual block of ResNet-50 (He et al. 2016); parameter names as in torchvision."""

    def __init__(self, cin: int, mid: int, stride: int):
        super().__init__()
        cout = mid * 4
        self.conv1, self.bn1 = nn.Conv2d(cin, mid, 1, bias=False), nn.BatchNorm2d(mid)
        self.conv2, self.bn2 = nn.Conv2d(mid, mid, 3, stride, 1, bias=False), nn.BatchNorm2d(mid)
        self.conv3, self.bn3 = nn.Conv2d(mid, cout, 1, bias=False), nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout)) if stride > 1 or cin != cout else None

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


class YoloV2ResNet50(nn.Module):
    """YOLOv2 on ResNet-50 features up to stride 16 (`layer3`, as the published system cuts it) with its head."""

    stride = 16

    def __init__(self, classes: int = 24, colours: int = 3, anchors=ANCHORS):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(colours, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        stage = lambda cin, mid, n, s: nn.Sequential(Bottleneck(cin, mid, s), *[Bottleneck(mid * 4, mid, 1) for _ in range(n - 1)])
        self.layer1, self.layer2, self.layer3 = stage(64, 64, 3, 1), stage(256, 128, 4, 2), stage(512, 256, 6, 2)
        self.detect = nn.Sequential(leaky(1024, 1024), leaky(1024, 1024))
        self.head = YoloV2Head(1024, len(anchors), classes)

    def forward(self, image):
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        return self.head(self.detect(self.layer3(self.layer2(self.layer1(x)))))


def yolo_loss(raw: torch.Tensor, batch, stride: int, anchors, classes: int = 24) -> torch.Tensor:
    """The YOLOv2 loss: each truth goes to its cell and the anchor of its shape; squared errors of box and confidence, cross entropy of the class."""
    n, _, h, w = raw.shape
    a = torch.tensor(anchors, device=raw.device)
    raw = raw.float().reshape(n, len(a), 5 + classes, h, w)
    want = torch.zeros(n, len(a), h, w, device=raw.device)
    loss = raw.new_zeros(())
    for i, (boxes, labels, _) in enumerate(batch):
        size = (boxes[:, 2:] - boxes[:, :2]) / stride
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2 / stride
        shared = torch.minimum(size[:, None], a[None]).prod(-1)
        k = (shared / (size.prod(-1)[:, None] + a.prod(-1)[None] - shared)).argmax(1)
        cx, cy = centre[:, 0].long().clamp(0, w - 1), centre[:, 1].long().clamp(0, h - 1)
        p = raw[i, k, :, cy, cx]
        loss = loss + 5 * (p[:, :2].sigmoid() - (centre - torch.stack([cx, cy], 1))).square().sum()
        loss = loss + 5 * (p[:, 2:4] - torch.log(size / a[k] + 1e-6)).square().sum()
        known = labels >= 0
        loss = loss + nn.functional.cross_entropy(p[known, 5:], labels[known], reduction="sum") if known.any() else loss
        want[i, k, cy, cx] = 1
    confidence = raw[:, :, 4].sigmoid()
    weight = torch.where(want > 0, 5.0, 0.5)
    return (loss + (weight * (confidence - want).square()).sum()) / n


def decode_yolo(raw: torch.Tensor, stride: int, anchors, classes: int = 24):
    """YOLOv2 map -> boxes [N,A,4], confidences [N,A], class probabilities [N,A,classes]."""
    n, _, h, w = raw.shape
    raw = raw.float().reshape(n, len(anchors), 5 + classes, h, w).permute(0, 1, 3, 4, 2)
    ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    centre = (raw[..., :2].sigmoid() + torch.stack([xs, ys], -1).to(raw.device)) * stride
    size = raw[..., 2:4].clamp(max=math.log(1e3)).exp() * torch.tensor(anchors, device=raw.device)[:, None, None] * stride
    box = torch.cat([centre - size / 2, centre + size / 2], -1)
    return box.reshape(n, -1, 4), raw[..., 4].sigmoid().reshape(n, -1), raw[..., 5:].softmax(-1).reshape(n, -1, classes)


class YoloExport(nn.Module):
    """A YOLOv2 network as the daemon reads detectors: distances, confidence logit and class logits on one fine map.

    Each cell of the network answers for five anchors. They are laid out as neighbouring cells of a map four times
    finer (five of sixteen places, the rest silent), with distances counted from the middle of the place they got.
    """

    fine = 4

    def __init__(self, net: nn.Module, anchors=ANCHORS):
        super().__init__()
        self.net, self.anchors = net, anchors
        self.stride = net.stride // self.fine
        self.channels = 5 + net.head.classes

    def forward(self, image):
        raw, places = self.net(image), []
        for k in range(self.fine**2):
            if k >= len(self.anchors):
                places.append(torch.cat([raw[:, :4] * 0 + 1, raw[:, :1] * 0 - 20, raw[:, : self.channels - 5] * 0], 1))
                continue
            y, x = divmod(k, self.fine)
            one = raw[:, k * self.channels : (k + 1) * self.channels]
            middle = self.net.stride * torch.sigmoid(one[:, :2])
            half = torch.exp(one[:, 2:4].clamp(max=math.log(1e3))) * (torch.tensor(self.anchors[k]).reshape(1, 2, 1, 1) * self.net.stride / 2)
            place = torch.tensor([x + 0.5, y + 0.5]).reshape(1, 2, 1, 1) * self.stride
            places.append(torch.cat([place - middle + half, middle - place + half, one[:, 4:]], 1))
        # Channel c of place k to channel 16 c + k, as the shuffle wants it.
        order = torch.arange(self.fine**2 * self.channels).reshape(self.fine**2, self.channels).T.reshape(-1)
        return nn.functional.pixel_shuffle(torch.cat(places, 1)[:, order], self.fine)


NETWORKS = {"vgg19": Vgg19, "tiny-yolo": TinyYolo, "yolov2-resnet50": YoloV2ResNet50}
