"""The networks that ship: an anchor-free detector and a residual classifier.

Only plain operators are used (Conv, ReLU, Add, Concat, nearest Resize, pooling, Gemm), so that every engine of
the daemon can run the exported graphs.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from .crops import SIZE

#: No edge of a box moves farther than this share of the box's side.
REACH = 0.6


def conv_bn(cin: int, cout: int, k: int = 3, s: int = 1, act: bool = True, p: int | None = None) -> nn.Sequential:
    """Convolution, batch norm and (if `act`) ReLU."""
    layers = [nn.Conv2d(cin, cout, k, s, k // 2 if p is None else p, bias=False), nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if act else nn.Sequential(*layers)


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, c: int):
        super().__init__()
        self.a = conv_bn(c, c)
        self.b = conv_bn(c, c, act=False)
        nn.init.zeros_(self.b[1].weight)

    def forward(self, x):
        return F.relu(x + self.b(self.a(x)))


class Detector(nn.Module):
    """Residual stages at strides 8, 16 and 32, a top-down path, one head at stride 8.

    Input [N,1,H,W] with H and W multiples of 32. Raw output [N, 4+1+classes+1, H/8, W/8]: logarithms of the
    distances left, top, right, bottom in units of the stride, objectness logit, class logits, and the logit of a
    second objectness that is trained to fire at one cell a chromosome (one-to-one assignment).
    """

    stride = 8

    def __init__(self, widths=(64, 128, 256), depths=(1, 2, 2), stem: int = 32, head: int = 96, classes: int = 24):
        super().__init__()
        c8, c16, c32 = widths
        self.config = dict(widths=list(widths), depths=list(depths), stem=stem, head=head, classes=classes)
        self.stem = conv_bn(1, stem, 8, 4, p=2)
        self.s8 = nn.Sequential(conv_bn(stem, c8, 3, 2), *[Block(c8) for _ in range(depths[0])])
        self.s16 = nn.Sequential(conv_bn(c8, c16, 3, 2), *[Block(c16) for _ in range(depths[1])])
        self.s32 = nn.Sequential(conv_bn(c16, c32, 3, 2), *[Block(c32) for _ in range(depths[2])])
        self.lat32 = conv_bn(c32, c16, 1, act=False)
        self.mix16 = conv_bn(c16, c16)
        self.lat16 = conv_bn(c16, head, 1, act=False)
        self.lat8 = conv_bn(c8, head, 1, act=False)
        self.mix8 = conv_bn(head, head)
        self.head = conv_bn(head, head)
        self.out = nn.Conv2d(head, 5 + classes, 1)
        self.single = nn.Sequential(conv_bn(head, 32), nn.Conv2d(32, 1, 1))
        with torch.no_grad():
            self.out.bias.zero_()
            self.out.bias[:4] = math.log(3.0)  # a small chromosome reaches three cells to each side
            self.out.bias[4] = -4.0
            self.single[1].bias.fill_(-5.0)

    def forward(self, x):
        x8 = self.s8(self.stem(x))
        x16 = self.s16(x8)
        x32 = self.s32(x16)
        y16 = self.mix16(F.relu(x16 + F.interpolate(self.lat32(x32), scale_factor=2.0, mode="nearest")))
        y8 = F.relu(self.lat8(x8) + F.interpolate(self.lat16(y16), scale_factor=2.0, mode="nearest"))
        y8 = self.head(self.mix8(y8))
        return torch.cat([self.out(y8), self.single(y8)], 1)


class DetectorExport(nn.Module):
    """The detector as shipped: distances in input pixels, then the logits unchanged."""

    def __init__(self, net: Detector):
        super().__init__()
        self.net = net

    def forward(self, image):
        raw = self.net(image)
        return torch.cat([torch.exp(raw[:, :4].clamp(-4.0, 4.0)) * self.net.stride, raw[:, 4:]], 1)


class Edges(nn.Module):
    """Where the chromosome lies that a box shows, from the maps of strides 8 and 16, which keep places.

    Output [N,5]: the logit that the box drawn to it is a chromosome's, and how far its left, top, right and bottom lie from those of the given box, in
    widths and heights of that. Each edge is the mean of a distribution over `places` from -`REACH` to `REACH`, so that in doubt between two chromosomes it
    can settle on one. With `whole`, [N, 1 + 4 * places]: the logits of the places in the stead of their means.
    """

    def __init__(self, fine: int, coarse: int, sizes: int, places: int, side: int, width: int = 48, kept: int = 16, hidden: int = 192):
        super().__init__()
        self.places = places
        self.fine, self.coarse = conv_bn(fine, width, 1, act=False), conv_bn(coarse, width, 1, act=False)
        self.mix = nn.Sequential(conv_bn(width, width), conv_bn(width, kept, 1), nn.Flatten())
        self.out = nn.Sequential(nn.Linear(kept * side * side + sizes, hidden), nn.ReLU(), nn.Linear(hidden, 1 + 4 * places))
        self.register_buffer("at", torch.linspace(-REACH, REACH, places)[:, None], persistent=False)
        with torch.no_grad():
            self.out[2].weight.mul_(0.1)
            self.out[2].bias.zero_()

    def forward(self, fine, coarse, size, whole: bool = False):
        x = F.relu(self.fine(fine) + F.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest"))
        z = self.out(torch.cat([self.mix(x), size], 1))
        return z if whole else torch.cat([z[:, :1], self.means(z[:, 1:])], 1)

    def means(self, z):
        """Logits of the places of four edges [N, 4 * places] -> their mean places [N,4]."""
        return (torch.softmax(z.reshape(-1, 4, self.places), 2) @ self.at.to(z.dtype)).flatten(1)


class Classifier(nn.Module):
    """A residual network over one crop, joined by the chromosome's relative sizes before the last layers.

    Inputs: `chromosome` [N,2,S,S] (grey, mask) and `size` [N,K]. Output: logits [N, classes + 1], last = other; with
    `refine` (how many places an edge may have, 0 for none) five more, those of `Edges`.
    """

    def __init__(self, widths=(32, 96, 176), depths=(0, 2, 2), sizes: int = 3, classes: int = 24, hidden: int = 192, refine: int = 0):
        super().__init__()
        self.config = dict(widths=list(widths), depths=list(depths), sizes=sizes, classes=classes, hidden=hidden)
        if refine:
            self.config["refine"] = refine
        stages, cin = [conv_bn(2, widths[0], 8, 4, p=2)], widths[0]
        for i, (w, d) in enumerate(zip(widths, depths)):
            if i:
                stages.append(conv_bn(cin, w, 3, 2))
            stages += [Block(w) for _ in range(d)]
            cin = w
        self.body = nn.Sequential(*stages)
        self.size = nn.Sequential(nn.Linear(sizes, 32), nn.ReLU())
        self.mix = nn.Sequential(nn.Dropout(0.2), nn.Linear(cin * 2 + 32, hidden), nn.ReLU(), nn.Dropout(0.2))
        self.out = nn.Linear(hidden, classes + 1)
        self.last = 1 + depths[-1]  # layers of the last stage
        if refine:
            self.edges = Edges(widths[-2], cin, 32, refine, SIZE // 4 // 2 ** (len(widths) - 2))

    def forward(self, chromosome, size, whole: bool = False):
        fine = self.body[: -self.last](chromosome)
        x, size = self.body[-self.last :](fine), self.size(size)
        logits = self.out(self.mix(torch.cat([x.mean((2, 3)), x.amax((2, 3)), size], 1)))
        if not hasattr(self, "edges"):
            return logits
        return torch.cat([logits, self.edges(fine, x, size, whole)], 1)


def flops(net: nn.Module, *inputs) -> float:
    """Floating-point operations (two per multiply-add) of the convolutions and linear layers."""
    total, hooks = [0.0], []

    def count(m, i, o):
        if isinstance(m, nn.Conv2d):
            total[0] += 2 * o.numel() / o.shape[0] * m.in_channels // m.groups * m.kernel_size[0] * m.kernel_size[1]
        elif isinstance(m, nn.Linear):
            total[0] += 2 * m.in_features * m.out_features
    for m in net.modules():
        hooks.append(m.register_forward_hook(count))
    net.eval()
    with torch.no_grad():
        net(*inputs)
    for h in hooks:
        h.remove()
    return total[0]


def parameters(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in net.parameters())


class Anatomy(nn.Module):
    """A small encoder and decoder over the classifier's crop: draws the chromosome of the box in the middle.

    Input `chromosome` [N,2,S,S] (grey, box). Output [N,3,S,S], logits: the chromosome's mask; heat of its centromeres; and, inside the mask, that a
    pixel lies in the half of the length that ends with the short arm's tip.
    """

    def __init__(self, widths=(16, 32, 48, 96), deep: int = 1, blocks: int = 1, wide: bool = False, full: bool = False):
        super().__init__()
        self.config = dict(widths=list(widths), deep=deep, blocks=blocks, wide=wide)
        if full:
            self.config["full"] = True
        a, b, c, d = widths
        self.s2 = conv_bn(2, a, 4, 2, p=1)
        self.s4 = conv_bn(a, b, 3, 2)
        self.s8 = nn.Sequential(conv_bn(b, c, 3, 2), *[conv_bn(c, c) for _ in range(blocks)])
        self.s16 = nn.Sequential(conv_bn(c, d, 3, 2), *[Block(d) for _ in range(deep)])
        self.lat8 = conv_bn(d, c, 1, act=False)
        self.mix8 = conv_bn(c, c) if wide else nn.Identity()
        self.lat4 = conv_bn(c, b, 1, act=False)
        self.mix4 = conv_bn(b, b)
        self.lat2 = conv_bn(b, a, 1, act=False)
        self.mix2 = conv_bn(a, a) if full else nn.Sequential(nn.Conv2d(a, a, 3, 1, 1, groups=a, bias=False), nn.BatchNorm2d(a), nn.ReLU(inplace=True), conv_bn(a, a, 1))
        self.out = nn.Conv2d(a, 12, 1)
        with torch.no_grad():
            self.out.bias[4:8] = -4.0

    def forward(self, chromosome):
        return F.pixel_shuffle(self.maps(chromosome), 2)

    def maps(self, chromosome):
        """The same with the pixels of each two by two as channels: [N,12,S/2,S/2], channel 4 k + 2 (row) + column of map k."""
        up = lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest")
        x2 = self.s2(chromosome)
        x4 = self.s4(x2)
        x8 = self.s8(x4)
        y8 = self.mix8(F.relu(x8 + up(self.lat8(self.s16(x8)))))
        y4 = self.mix4(F.relu(x4 + up(self.lat4(y8))))
        y2 = self.mix2(F.relu(x2 + up(self.lat2(y4))))
        return self.out(y2)


class AnatomyExport(nn.Module):
    """The network as shipped: four channels a map, which spares engines the reordering."""

    def __init__(self, net: Anatomy):
        super().__init__()
        self.net = net

    def forward(self, chromosome):
        return self.net.maps(chromosome)
