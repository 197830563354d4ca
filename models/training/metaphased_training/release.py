"""From finished runs to model folders: thresholds and temperatures frozen on validation, figures, model cards."""

import datetime
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

from . import CLASSES, OTHER, cache, evaluate as ev, export as ex, readers, recipes
from .boxes import average_precision, iou_matrix, match
from .classifier import SINGLE_DOUBT, box_views, log_probabilities, logits, median_diagonal, singles_views, turned
from .nets import Anatomy, Classifier, Detector
from .run import CHECKPOINTS, save_small

FOLDERS = dict(detector="detector-metaphase", metaphase="classifier-metaphase", single="classifier-single", anatomy="anatomy", **{"anatomy-solid": "anatomy-giemsa"})
RUNS = dict(detector="detector", metaphase="metaphase", single="singles", anatomy="anatomy", **{"anatomy-solid": "anatomy-solid"})
#: Score from which a box is a candidate: the classifier looks at each.
CANDIDATE = 0.01
#: Chosen by the perfect cells that `metaphased evaluate pipeline` finds on validation: with 0.65 / 0.6 fewer chromosomes have a candidate, with 0.75 / 0.7
#: and more the selection takes doubles (`models/training/NOTES.md`).
SUPPRESSION = dict(nms_iou=0.7, nms_same_class_iou=0.6)
#: Every how many of cil's test images are measured here; `metaphased evaluate` takes all.
TEST_EVERY = 3
#: Median over isolated boxes of cil's training images of twice the largest inscribed radius of the Otsu mask, native pixels.
REFERENCE_WIDTH_PX = 18.4


def interval(groups: list[str], measure, rounds: int = 400, seed: int = 1) -> tuple[float, float]:
    """95 % bootstrap interval of `measure(indices)` with whole groups (patients) drawn."""
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    rows = {g: [i for i, x in enumerate(groups) if x == g] for g in names}
    values = [measure([i for g in rng.choice(names, len(names)) for i in rows[g]]) for _ in range(rounds)]
    return tuple(float(v) for v in np.nanpercentile(values, [2.5, 97.5]))


def runs_net(kind, runs: Path, what: str):
    """The averaged network of a run, or None when there is no such run."""
    folder = runs / RUNS[what]
    if not (folder / "checkpoint.pt").exists():
        return None
    net, _ = ex.load(kind, folder)
    return net.to(memory_format=torch.channels_last)


def freeze_detector(cells: list) -> tuple[dict, dict]:
    """What the detector tells and its temperature on validation cells: by most perfect cells, then the least miscount."""
    best = None
    kept = [ev.survivors(s, SUPPRESSION["nms_iou"], SUPPRESSION["nms_same_class_iou"], 0.1) for s in cells]
    for score, free, price in itertools.product((0.2, 0.25, 0.3, 0.35, 0.4, 0.45), (0.2, 0.3, 0.4), (3.0, 4.0, 5.0, 6.0, 8.0)):
        choice = SUPPRESSION | dict(score=score, overlap=dict(free=free, price=price))
        over = [ev.told(s, k, choice) for s, k in zip(cells, kept)]
        count = np.array([len(o) - len(s.truth) for s, o in zip(cells, over)])
        perfect = [c == 0 and ev.covered(s, o, s.boxes) for s, c, o in zip(cells, count, over)]
        key = (round(float(np.mean(perfect)), 4), -float(np.abs(count).mean()))
        if best is None or key > best[0]:
            best = key, choice
    print(f"told: {best[1]}, {best[0][0]} of the validation cells perfect, {-best[0][1]:.2f} miscounted in each")
    thresholds = best[1] | dict(candidate=CANDIDATE, use="objectness")
    z, y = matched(cells, thresholds, lambda s, k: s.detector[k])
    return thresholds, dict(class_temperature=round(ev.temperature(z, y), 3))


def freeze_lending(cells: list, thresholds: dict) -> dict:
    """Whether fallen boxes lend their classes, and from which overlap: by the accuracy of the detector's classes on validation."""
    blind, same, floor = thresholds["nms_iou"], thresholds["nms_same_class_iou"], thresholds["candidate"]
    z, y = matched(cells, thresholds, lambda s, k: s.detector[k])
    best, choice = (z.argmax(1) == y).mean(), {}
    for least in (0.6, 0.7, 0.8):
        lent = {id(s): ev.lend(s, blind, same, floor, least) for s in cells}
        z, y = matched(cells, thresholds, lambda s, k: lent[id(s)][k])
        if (accuracy := (z.argmax(1) == y).mean()) > best:
            best, choice = accuracy, dict(average_iou=least)
    print(f"lending classes: {choice or 'none'}, accuracy of the detector's classes {best:.4f} on validation")
    return choice


def matched(cells, thresholds: dict, values) -> tuple[np.ndarray, np.ndarray]:
    """`values(seen, kept)` of the boxes that match a truth of known class, and those classes."""
    zs, ys = [], []
    for s in cells:
        k = ev.survivors(s, thresholds["nms_iou"], thresholds["nms_same_class_iou"], thresholds["score"])
        got = match(s.places[k], s.truth)
        good = (got >= 0) & (s.labels[got] >= 0)
        if good.any():
            zs.append(values(s, k[good])), ys.append(s.labels[got[good]])
    return np.concatenate(zs), np.concatenate(ys)


def freeze_joint(cells: list, thresholds: dict) -> tuple[float, float]:
    """Weight of the detector's classes beside the classifier's and the temperature of the sum, on validation cells."""
    best = None
    for weight in (0.0, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0):
        z, y = matched(cells, thresholds, lambda s, k: ev.joined(s, k, weight))
        t = ev.temperature(z, y)
        nll = -ev.log_softmax(z / t)[np.arange(len(y)), y].mean()
        if best is None or nll < best[0]:
            best = nll, weight, t, float((z.argmax(1) == y).mean())
    print(f"joined classes: weight {best[1]}, temperature {best[2]:.3f}, accuracy {best[3]:.4f} on validation")
    return best[1], round(best[2], 3)


def freeze_other(cells: list, thresholds: dict) -> tuple[float, dict]:
    """How much the classifier's opinion of a box counts, on validation cells.

    First the power w of (1 - p(other)) beside the detector's calibrated objectness that makes the matches of the
    candidates most likely. Then the calibration of a candidate as the daemon's selection takes it: slope, intercept and weights of
    ln(1 - p(other)) and of the refined box's logit, likeliest beside the overlap with a better candidate, which the selection prices
    itself."""
    x, other, found, over, hit = [], [], [], [], []
    for s in cells:
        k = ev.survivors(s, thresholds["nms_iou"], thresholds["nms_same_class_iou"], thresholds["candidate"])
        score = np.clip(s.score[k], 1e-4, 1 - 1e-4)
        x.append(np.log(score / (1 - score))), other.append(np.maximum(ev.other_log(s, k), np.log(1e-4))), found.append(np.clip(ev.found_logit(s, k), -10, 10))
        hit.append(match(s.places[k], s.truth) >= 0)
        overlap = np.tril(iou_matrix(s.places[k], s.places[k]), -1) * (score >= 0.3)
        over.append(overlap.max(1) if len(k) else np.zeros(0))
    x, other, found, over, hit = (np.concatenate(v) for v in (x, other, found, over, hit))

    def cost(line, w):
        p = np.clip(np.exp(w * other) / (1 + np.exp(-line[0] * x - line[1])), 1e-6, 1 - 1e-6)
        return -np.where(hit, np.log(p), np.log(1 - p)).mean()
    fits = {w: minimize(cost, (2.0, 1.0), (w,), method="Nelder-Mead") for w in (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)}
    best = min(fits, key=lambda w: fits[w].fun)
    print(f"other: weight {best}, log loss {fits[best].fun:.4f} (without {fits[0.0].fun:.4f})")

    def joint(line):
        z = line[0] * x + line[1] + line[2] * other + line[3] * found + line[4] * over
        return np.logaddexp(0, np.where(hit, -z, z)).mean()
    line = minimize(joint, (2.0, 2.0, 0.5, 0.3 * found.any(), -4.0), method="BFGS").x
    print(f"objectness: {line.round(2).tolist()} (slope, intercept, single, found, overlap), log loss {joint(line):.4f} on validation")
    weights = [round(max(float(w), 0.0), 3) for w in line[2:4]]
    return best, dict(objectness=[round(float(v), 3) for v in line[:2]] + weights[:1], found=weights[1])


def map50(cells: list, weight: float, blind: float, same: float) -> float:
    """Mean AP50 over the classes: one class a box, score = objectness times its probability."""
    per = {c: ([], [], 0) for c in range(24)}
    for s in cells:
        k = ev.survivors(s, blind, same, 0.001)
        p = np.exp(ev.joined(s, k, weight))
        c, score = p.argmax(1), s.score[k] * p.max(1)
        for n in range(24):
            rows, truth = np.flatnonzero(c == n), s.labels == n
            rows = rows[np.argsort(-score[rows])]
            a, b, m = per[n]
            a.append(score[rows]), b.append(match(s.places[k[rows]], s.truth[truth]) >= 0)
            per[n] = (a, b, m + int(truth.sum()))
    return float(np.nanmean([average_precision(np.concatenate(a), np.concatenate(b), m) for a, b, m in per.values() if m]))


def detector_figures(cells: list, thresholds: dict, weight: float, prefix: str) -> dict:
    """Figures of the detector alone, and the mean AP50 of its boxes after the classifier, with intervals over patients."""
    blind, same = thresholds["nms_iou"], thresholds["nms_same_class_iou"]
    groups, f = [s.group for s in cells], {}
    alone = ev.alone(cells, thresholds, weight)
    for name in ("ap50", "perfect", "right", "count_mae"):
        f[f"{prefix}_{name}"] = [alone.figures()[name], *interval(groups, lambda i: alone.figures(i)[name], 200)]
    f[f"{prefix}_covered"] = [float(np.mean([ev.covered(s, ev.survivors(s, blind, same, CANDIDATE)) for s in cells]))]
    f[f"{prefix}_map50"] = [map50(cells, weight, blind, same)]
    f[f"{prefix}_n"] = len(cells)
    return {k: [round(float(x), 4) for x in v] if isinstance(v, list) else v for k, v in f.items()}


def classifier_figures(z: np.ndarray, y: np.ndarray, cells: list[str], groups: list[str], t: float, prefix: str) -> dict:
    """Accuracy alone and assigned, with intervals over patients, and the calibration error."""
    hit = (z[:, :OTHER].argmax(1) == y).astype(float)
    lo, hi = interval(groups, lambda i: hit[i].mean())
    p = np.exp(ev.log_softmax(z[:, :OTHER] / t))
    return {f"{prefix}_accuracy": [round(float(hit.mean()), 4), round(lo, 4), round(hi, 4)],
            f"{prefix}_assigned": round(ev.assigned(z, y, cells), 4), f"{prefix}_ece": round(ev.expected_calibration_error(p, y), 4), f"{prefix}_n": len(y)}


def truth_boxes(native: cache.Cache, indices):
    """Views of the annotated boxes of metaphases: views, cell names, groups."""
    parts, cells, groups = [], [], []
    for i in indices:
        item = native[i]
        known = item.classes >= 0
        parts.append((*box_views(item.pixels, item.boxes[known], median_diagonal(item.boxes)), item.classes[known].astype(int)))
        cells += [item.name] * int(known.sum())
        groups += [item.group] * int(known.sum())
    return tuple(np.concatenate(p) for p in zip(*parts)), cells, groups


def chosen(images: cache.Cache, split: str) -> np.ndarray:
    """The cells that are measured: all of validation, every third of the test split."""
    return images.select(split)[:: TEST_EVERY if split == "test" else 1]


def box_temperature(net, native: cache.Cache) -> float:
    """Temperature of the classifier of boxes, on the annotated boxes of validation."""
    return temperature_of(net, truth_boxes(native, native.select("validation"))[0])


def temperature_of(net, views: tuple) -> float:
    """Temperature of a classifier on labelled views."""
    return round(ev.temperature(logits(net, *views[:3])[:, : OTHER + 1], views[3]), 3)


def export(what: list[str], data: Path, cache_folder: Path, runs: Path, models: Path, version: str, test: bool):
    """Writes the model folders of the named networks."""
    torch.manual_seed(0)
    if "anatomy" in what:
        export_anatomy(data, cache_folder, runs, models, version, test)
    if "anatomy-solid" in what:
        export_anatomy_solid(data, cache_folder, runs, models, version)
    what = [w for w in what if not w.startswith("anatomy")]
    if not what:
        return
    detector = runs_net(Detector, runs, "detector")
    boxes_net = runs_net(Classifier, runs, "metaphase")
    places = recipes.caches(data, cache_folder)
    coarse, native = cache.Cache(places["coarse"]), cache.Cache(places["native"])
    splits = ["validation"] + (["test"] if test else [])
    if "metaphase" in what:
        figures, t = {}, 1.0
        for split in splits:
            views, cells, groups = truth_boxes(native, chosen(native, split))
            if split == "validation":
                t = temperature_of(boxes_net, views)
            figures |= classifier_figures(log_probabilities(boxes_net, views[:3], t), views[3], cells, groups, 1.0, f"{split}_boxes")
        folder = models / FOLDERS["metaphase"]
        ex.classifier(runs / RUNS["metaphase"], folder, ["g-band"], dict(temperature=t), figures, version,
                      "Class of a chromosome in its box in a metaphase; orientation unknown, neighbours may intrude", False,
                      dict(data=["cil"], licences=ex.licences(["cil"])))
        card(folder, CARDS["metaphase"], figures, runs / RUNS["metaphase"])
    if "detector" in what:
        boxes_t = box_temperature(boxes_net, native) if boxes_net is not None else 1.0
        cells = {s: ev.look(detector, boxes_net, coarse, native, chosen(coarse, s), temperature=boxes_t) for s in splits}
        thresholds, calibration = freeze_detector(cells["validation"])
        # From here on as the daemon joins them: temperature of each network first, then lending, then the weighted sum.
        every = list(itertools.chain(*cells.values()))
        for s in every:
            s.detector = ev.log_softmax(s.detector / calibration["class_temperature"])
        thresholds |= freeze_lending(cells["validation"], thresholds)
        for s in every:
            if "average_iou" in thresholds:
                s.detector = ev.lend(s, thresholds["nms_iou"], thresholds["nms_same_class_iou"], thresholds["candidate"], thresholds["average_iou"])
        weight = 1.0
        if boxes_net is not None:
            weight, joined = freeze_joint(cells["validation"], thresholds)
            calibration["combined_temperature"] = joined
            thresholds["other_weight"], candidate = freeze_other(cells["validation"], thresholds)
            calibration |= candidate
        thresholds["class_weight"] = weight
        figures = {}
        for split in splits:
            figures |= detector_figures(cells[split], thresholds, weight, split)
        folder = models / FOLDERS["detector"]
        ex.detector(runs / RUNS["detector"], folder, ["g-band"], thresholds, calibration,
                    dict(factor=recipes.DETECTOR_SCALE, reference_width_px=REFERENCE_WIDTH_PX), figures, version,
                    dict(data=["cil", "mfish"], licences=ex.licences(["cil", "mfish"])))
        card(folder, CARDS["detector"], figures, runs / RUNS["detector"])
    if "single" in what:
        net, figures, seen = runs_net(Classifier, runs, "single"), {}, {}
        for name, split in itertools.product(("pki3", "bioimlab"), splits):
            items = [s for s in readers.singles(data / name, name) if s.split == split]
            views = singles_views(items)
            seen[name, split] = items, views
        pooled = [(logits(net, *v[:3]), v[3]) for (_, split), (_, v) in seen.items() if split == "validation"]
        t = round(ev.temperature(*(np.concatenate(x) for x in zip(*pooled))), 3)
        for (name, split), (items, views) in seen.items():
            z, upside = (log_probabilities(net, v, t, SINGLE_DOUBT) for v in (views[:3], turned(views[:3], 3)))
            figures |= classifier_figures(z, views[3], [s.cell for s in items], [s.group for s in items], 1.0, f"{split}_{name}")
            mixed = np.where(np.random.default_rng(1).random(len(z))[:, None] < 0.5, z, upside)
            figures[f"{split}_{name}_flipped"] = round(float((mixed[:, :OTHER].argmax(1) == views[3]).mean()), 4)
        folder = models / FOLDERS["single"]
        ex.classifier(runs / RUNS["single"], folder, ["g-band", "q-band"], dict(temperature=t), figures, version,
                      "Class of a cleaned single chromosome, G-banded or Q-banded (inverted before)", True,
                      dict(data=["cil", "pki3", "bioimlab"], licences=ex.licences(["cil", "pki3", "bioimlab"])), SINGLE_DOUBT)
        card(folder, CARDS["single"], figures, runs / RUNS["single"])


def export_anatomy(data: Path, cache_folder: Path, runs: Path, models: Path, version: str, test: bool):
    """Writes the model folder of the network of outlines."""
    from . import anatomy_data, anatomy_figures
    net = runs_net(Anatomy, runs, "anatomy")
    paths = anatomy_data.build(data, cache_folder)
    thresholds = anatomy_figures.freeze(net, paths, data)
    figures = anatomy_figures.figures(net, paths, data, "validation", thresholds)
    if test:
        figures |= anatomy_figures.figures(net, anatomy_data.build_test(data, cache_folder), data, "test", thresholds)
    folder, sets = models / FOLDERS["anatomy"], ["cil", "pki3", "bioimlab", "mfish"]
    ex.anatomy(runs / RUNS["anatomy"], folder, ["g-band", "dapi", "q-band"], thresholds, figures, version, dict(data=sets + ["virtual slides"], licences=ex.licences(sets)))
    card(folder, CARDS["anatomy"], figures, runs / RUNS["anatomy"], ANATOMY_MEASURED, ANATOMY_SCORING)


def export_anatomy_solid(data: Path, cache_folder: Path, runs: Path, models: Path, version: str):
    """Writes the model folder of the network of outlines of solid stains."""
    from . import anatomy_data, anatomy_figures
    net = runs_net(Anatomy, runs, "anatomy-solid")
    paths = anatomy_data.build(data, cache_folder)
    held = anatomy_data.held_batches(paths, data, 640, anatomy_data.solid_source)
    thresholds = anatomy_figures.freeze_solid(net, paths, held)
    figures = anatomy_figures.solid_figures(net, anatomy_data.solid_source(paths, data, "validation", "-held"), paths, held, thresholds)
    folder, sets = models / FOLDERS["anatomy-solid"], ["giemsa", "cil", "pki3"]
    ex.anatomy(runs / RUNS["anatomy-solid"], folder, ["giemsa"], thresholds, figures, version, dict(data=sets + ["virtual slides"], licences=ex.licences(sets)))
    card(folder, CARDS["anatomy-solid"], figures, runs / RUNS["anatomy-solid"], SOLID_MEASURED, SOLID_SCORING)


ANATOMY_DRAWS = """Draws the chromosome that a box of a metaphase is about: its mask (pixels where chromosomes cross belong to both), its centromeres, its short arm. Outlines, lengths,
karyograms and structural candidates rest on it where chromosomes touch or cross.

## Input
Tensor `chromosome`, f32 [N,2,96,96], exactly what `classifier-metaphase` is given (but for the sizes, which this network does not take): a cell's crops can be cut once for both.

- Frame: 8-bit grey, dark chromosomes on bright ground (fluorescence inverted: 255 - v), then scaled so that its background level (the smallest grey that 90 % of the pixels do not exceed) becomes 220, clipped at 255.
- Crop: a square around the middle of the box, not turned, no aspect changed; side = max(1.3 x the longer side of the box, 0.9 x the median diagonal of the cell's boxes), in pixels of the frame. Sampled
  bilinearly at 192 x 192 places (place (i, j) lies at middle + (i + 0.5 - 96) x side / 192, in coordinates in which a pixel's middle is at a half), averaged two by two. Outside of the frame: 220.
- Channel 0: (v / 255 - 0.78) / 0.22. Channel 1: 1 where a crop pixel's middle lies in the box, else 0.
- Boxes: as the detector gives them, with up to half a chromosome's width around it.

## Output
Tensor `anatomy`, f32 [N,12,48,48], logits: three maps of 96 x 96 over the same square. Value of map k at row y, column x of the crop: channel 4 k + 2 (y mod 2) + (x mod 2), row y div 2, column x div 2.

- Map 0, mask: inside where the probability (sigmoid) is above `thresholds.mask`, or that of `thresholds.mask_of` where it names the stain. For the mask in the frame interpolate the logits bilinearly between the middles of crop pixels and cut at the logit of that
  probability (p = 0.6: 0.405), keep the largest connected piece (eight neighbours).
- Map 1, centromere: heat (sigmoid), a spot of standard deviation 2 crop pixels at each. A centromere is a largest value of 7 x 7 pixels, inside the mask (logit above 0) or a pixel from it, with a score of `thresholds.centromere` or more;
  its place is the middle of the squared heat of the pixels up to `thresholds.centromere_reach` rows and columns away. Of two nearer than `thresholds.centromere_apart` crop pixels the higher one counts. None, one, two or more.
- Map 2, short arm: probability that a pixel of the mask lies in that half of the length which ends with the short arm's tip. Way up: take the middle line of the mask; if the probability falls along it (covariance with the
  share of the length over the pixels of the mask is negative) it begins with the short arm. Minus that covariance over the variance of the share, halved, says how sure (-1 to 1). Where there is one centromere and no
  other, at a share c of the line and with the score q, `thresholds.way_centromere` x q x (1 - 2 c) is added. Means nothing outside of the mask."""

CARDS = dict(
    detector=("Detector for metaphases", """Finds every chromosome of a metaphase as a box with an objectness and probabilities of the 24
classes. Anchor-free, one map at stride 8.

- Input: grey, dark chromosomes on a bright background (fluorescence is inverted), background
  brought to level 220, scaled by 0.66 for frames whose chromosomes are 18.4 pixels wide. The width
  is twice the largest inscribed radius of a chromosome's Otsu mask, median over isolated
  chromosomes.
- Output `stride8`: distances left, top, right, bottom in input pixels, objectness logit, 24 class
  logits, and the logit of a second objectness (`single`) trained to fire at one place per
  chromosome.
- Trained on cil (G-band), with one example in twenty from the DAPI planes of M-FISH and one in
  seventeen with its bands drowned as a solid stain would (its classes are then not learned).
- Serves G-bands. On other stains `detector-other-stains` runs, an earlier state of the same
  training on which the dicentric scorer was fitted.""",
              """Trained on one hospital's camera, one scale, one stain. The annotated boxes of cil leave 5 to 8
pixels around a chromosome, and so do these. Where two boxes overlap more than the limit of the
suppression, one is lost."""),
    metaphase=("Classifier for boxes of a metaphase", """Class of the chromosome in a box: 1 to 22, X, Y, or no single chromosome; and where its edges lie,
with the probability that one is there (`extra` in model.toml). The crop is a square around the box
(`crop` in model.toml), the second channel marks the box, and three sizes relative to the cell are a
second input. Orientation is not assumed. Its log probabilities are added to the detector's
(`class_weight` in the detector's model.toml).""",
               """Trained on one hospital's images. "Other" and the edges were learned from halves, pairs, shifted and
empty boxes, and from what the detector offers on training cells. A rearranged chromosome gets the
class that it looks most like."""),
    single=("Classifier for cleaned single chromosomes", """Class of a chromosome that has been cut out and cleaned: G-banded (pki3) or Q-banded (BioImLab,
inverted before). Upright (short arm up) works best; three quarters of the training examples were
upright. The training began with the weights of the classifier of boxes, so what it knows of bands
comes from cil too.""",
            """Not for boxes of a metaphase: neighbours were never seen. BioImLab names no patients, so its split
is by cell. BioImLab's 119 cells are what the literature's "119 classes" are; the classes of this
model are the 24 kinds. The first measurement on the test split showed a fault in trimming, which
was then found and corrected on training cells. A chromosome in doubt is classified a second time,
mirrored."""),
    anatomy=("Anatomy of the chromosome in a box", ANATOMY_DRAWS, """Truth of the masks is a threshold half way up the edge (cil, pki3, BioImLab), on M-FISH the hand-drawn class map, which is wider. Crowding of real spreads was imitated: whole chromosomes laid over each other and over
real metaphases. Centromeres of real chromosomes are fitted to the likeness of the class; so is the way up on cil and on those three in ten of M-FISH that leave no doubt, while pki3 and BioImLab have the published one. Solid stain was imitated
or virtual. Dicentrics and fragments were put together from parts or are virtual.
Not to be relied on for the way up without a look at how sure it is: chromosome 1 is turned the wrong way in one of two (pki3 validation), of the others 0.88 (Y) to 1.00 are right; where it is sure by more than 0.5 (three in four) 0.999 are.
Of the short chromosomes (13 to 15, 18 to 22, Y) a sixth to a half of the centromeres lie farther than 5 % of the length from the fitted place, which is itself unsure by a pixel; of the others 0.90 (12) to 1.00 lie nearer. On
virtual slides a third of the G-banded centromeres are missed: what is drawn there as a constriction is hardly narrower than pale bands are. M-FISH's class maps are drawn tightly on some slides and widely on others (best cut of single slides: 0.15 to 0.6), so `thresholds.mask_of` is a mean."""),
    **{"anatomy-solid": ("Anatomy of the chromosome in a box, solid Giemsa", ANATOMY_DRAWS, """Made from `anatomy` for slides without bands, on which dicentrics are counted: a fifth of what it was shown has two centromeres. Those are put together from chromosomes that broke where real ones do, of real solid-Giemsa
frames (212 chromosomes of 11 frames; cut out where a network of outlines was sure, so its errors are in their truth), of G-banded sets whose bands were drowned, and of virtual slides. Four frames of two slides and two frames of cultures were kept apart.
The four irradiated cells of `dicentric` took no part in training; their misses led to this network. Real frames are few and of two laboratories: whoever scores doses with it calibrates with it (docs/guide/radiation.md). The way up means little without bands.""")})


#: What the cards say of their figures.
MEASURED = """(2 cores of an EPYC with AVX-512), 95 % intervals by bootstrap over patients; what
`metaphased evaluate` prints is what the daemon does. Prefix `validation`: thresholds and temperatures were chosen on these cells. Prefix `test`: the development test split. It is not fresh:
earlier versions of these weights were measured on it too (`models/training/NOTES.md` says when and why), and nothing was chosen on it."""
SOLID_MEASURED = """(2 cores of an EPYC with AVX-512). Prefix `validation`: scenes of the frames, persons and slides kept apart (`giemsa`: real frames with pieces laid into them, `ground`: pieces on plain ground, `cil`: G-banded cells with their bands drowned, `virtual`: held virtual slides),
on which the thresholds were chosen; crowded on purpose. `iou` is the median, `p10` the tenth percentile, `count` the share with the right number of centromeres, `two` that of the dicentrics with two, `false_two` that of the others with two or more: scores of single pieces
come from the scorer, which sees more than this (docs/reference/dose.md). Prefix `virtual_`: whole held virtual slides at 3.5 Gy."""
ANATOMY_MEASURED = """(an EPYC with AVX-512), 95 % intervals by bootstrap over patients (cells, of virtual slides; none where there are fewer than three). Prefix `validation`: the thresholds were
chosen on these cells (`dapi`: on three of each training slide besides). Prefix `test`: the development test split, looked at twice with these weights: the first look showed that the cut of DAPI, then chosen on the one slide of validation, does not suit others.
Nothing else was changed. Prefixes `virtual`, `virtual_STAIN`: held virtual slides, G-banded and solid Giemsa at 3.5 Gy. `composed`: cells put together from one real cell's single chromosomes,
46 to a cell, on its own ground, 45 % laid across, against or beside another; `touching`: those that meet another. `mfish`: truth is the class map. Boxes are the truth's with a margin and 2 % of noise. `iou` is the median, `p10` the
tenth percentile, `kept` the mean share of a chromosome's pixels inside its mask, `foreign` the mean share of a mask that is another's alone; `centromere` the share whose best answer lies within 5 % of the length,
`count` the share with the right number, `up` the share turned right (pki3: alone, upright as published)."""


#: What the scorer of dicentrics makes of these weights (`metaphased evaluate dicentric`): measured by the daemon, not by the export.
SOLID_SCORING = """
## Scoring dicentrics

The scorer `axis-2` rests on this network: a piece is called a dicentric where its score reaches `[dicentric] strictness`. Operating curve over every piece of whole pictures, 30 November 2026, version 0.1.0, ONNX Runtime,
`metaphased evaluate dicentric SET --engine onnxruntime --stain giemsa`. Virtual slides: `simulate --assay dicentric --dose-gy 3 --cells 100 --seed 9003` (67 dicentrics) and `--dose-gy 0 --cells 60 --seed 9001`; real:
four irradiated cells (7 dicentrics, 186 others). False: called pieces that are no dicentric, a 1,000 cells (of the real ones their number).

| strictness | virtual, 3 Gy: found | virtual, 3 Gy: false | virtual, 0 Gy: false | real: found of 7 | real: false |
|---|---|---|---|---|---|
| 0.3 | 0.48 | 980 | 1,500 | 7 | 4 |
| 0.5 | 0.45 | 690 | 1,333 | 7 | 3 |
| 0.7 | 0.42 | 470 | 983 | 7 | 2 |
| 0.9 | 0.36 | 340 | 600 | 7 | 1 |
| 0.95 | 0.31 | 240 | 517 | 7 | 1 |
| **0.99** (default) | 0.25 | 100 | 183 | 6 | 0 |
| 0.995 | 0.19 | 60 | 117 | 4 | 0 |

The real cells were not trained on, but were looked at while the default was chosen; four cells show little. What lies between `doubt` and the strictness is shown to a person. How the default was chosen, what is false and
missed, and the doses that follow: docs/reference/dose.md. After an export of other weights measure this table again.
"""
ANATOMY_SCORING = """
## Scoring dicentrics

The scorer `axis-3` rests on this network in banded cells: a piece is called a dicentric where its score reaches `[dicentric] strictness`. False dicentrics a 1,000 whole G-banded cells of unirradiated persons, 30 November 2026,
version 0.1.0, ONNX Runtime, `metaphased evaluate dicentric DATA/cil --list models/training/splits/cil.csv --only validation --stain g-band --engine onnxruntime` (167 cells of 49 patients; every called piece counted).

| strictness | 0.3 | 0.5 | 0.7 | 0.9 | 0.95 | **0.99** (default) | 0.995 |
|---|---|---|---|---|---|---|---|
| false | 1,281 | 479 | 132 | 24 | 6 | 6 | 0 |

At the default 11.6 on test patients (518 cells, `--only test`, touched once). Of dicentrics composed of real banded chromosomes (1,194, validation and test patients) 0.038 are called at the default, 0.14 where 1 in 1,000 whole
chromosomes is called, 0.018 where 1 in 10,000 is: dicentrics in bands are for a person to find. No banded cell with a real dicentric has been measured. More: docs/reference/dose.md. After an export of other weights measure this table again.
"""


def card(folder: Path, text: tuple[str, str, str], figures: dict, run: Path, measured: str = MEASURED, scoring: str = ""):
    """The model card; the curves of the training go beside it."""
    title, what, limits = text
    save_small(run, CHECKPOINTS / f"{run.name}.pt")
    rows = []
    for k, v in figures.items():
        if isinstance(v, list):
            rows.append(f"| {k} | {v[0]} | {f'{v[1]} to {v[2]}' if len(v) == 3 else ''} |")
        elif isinstance(v, (int, float)):
            rows.append(f"| {k} | {v} | |")
    config = json.loads((run / "config.json").read_text())
    curves = (run / "curves.csv").read_text()
    (folder / "curves.csv").write_text(curves)
    sha = [line.split('"')[1][:12] for line in (folder / "model.toml").read_text().splitlines() if line.startswith("sha256")]
    (folder / "README.md").write_text(f"""# {title}

{what}

For research use only; no diagnosis may rest on it.

## Data and split

The image sets and what is known of their licences are in `model.toml` under `[trained]`; no
pretrained weights from elsewhere were used. Patients (cells, for BioImLab) are split by
`models/training/splits/*.csv`. `models/training/audit/cil.csv` lists doubtful annotations; boxes
with two classes take no part in learning classes.

## Figures
Measured with PyTorch by `python -m metaphased_training export` on {datetime.date.today().isoformat()} {measured}

| figure | value | 95 % interval |
|---|---|---|
{chr(10).join(rows)}
{scoring}
## Limits

{limits}

## Training

{config["minutes"]} minutes on a shared machine, the last of the trainings whose epochs `model.toml` adds up;
curves in `curves.csv`; `config` of the run:

```json
{json.dumps({k: v for k, v in config.items() if k not in ("cache", "extra")})}
```

Files: {", ".join(f"sha256 {s}..." for s in sha)} (`model.onnx`: f32 with its
weights kept in half precision; `model.f16.onnx`: typed f16).
""")
