"""Figures of the network of outlines in pixels of the picture, as its users get them: masks of composed and of M-FISH cells, centromeres, way up."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from . import anatomy, anatomy_data as ad, augment, cache, crops, outlines, pieces as pc, scenes

#: Share of a composed cell's chromosomes that are laid across, beside or against another.
CROWDED = 0.45
#: Side of a composed cell in median box diagonals, and how many chromosomes it has.
SIDE, MANY = 7.0, 46
#: Least score of a centromere that is looked at when the least one told is chosen.
LOWEST = 0.1
#: A centromere is right within this share of the length.
NEAR = 0.05


def real_ground(grey: np.ndarray, side: int) -> np.ndarray:
    """The ground of a metaphase without its chromosomes: what is dark is filled from around it, with the grain of the rest."""
    clear = cv2.erode((grey > 205).astype(np.uint8), outlines.disc(5)).astype(np.float32)
    smooth = cv2.GaussianBlur(grey * clear, (0, 0), 25) / np.maximum(cv2.GaussianBlur(clear, (0, 0), 25), 1e-3)
    smooth = np.where(cv2.GaussianBlur(clear, (0, 0), 25) > 0.02, smooth, cache.BACKGROUND)
    grain = np.where(clear > 0, grey - smooth, 0)
    grain += np.where(clear > 0, 0, np.roll(grain, grain.shape[1] // 3, axis=1))
    out = np.clip(smooth + grain, 0, 255).astype(np.uint8)
    return cv2.resize(out, (side, side), interpolation=cv2.INTER_LINEAR)


def composed_cell(rng, field: scenes.Field) -> scenes.Scene:
    """A cell of the single chromosomes of one real cell, on its ground, as crowded as real ones are."""
    side = int(SIDE * field.median)
    made = scenes.Scene(real_ground(field.pixels, side), field.median, depth=np.zeros((side, side), np.uint8), group=field.group)
    for n in range(MANY):
        scenes.lay(rng, made, field.pieces[n % len(field.pieces)], 0.05, apart=rng.random() > CROWDED)
    return made


def composed_cells(fields, many: int, seed: int = 11) -> list[scenes.Scene]:
    """Composed cells of the fields that have the most single chromosomes."""
    rng = np.random.default_rng(seed)
    rich = [k for k in range(len(fields)) if len(fields[k].pieces) >= 12]
    step = max(1, len(rich) // many)
    return [composed_cell(rng, fields[k]) for k in rich[::step][:many]]


def in_picture(own: scenes.Target, shape) -> np.ndarray:
    """A target's mask in its scene."""
    return cv2.warpAffine(own.mask, own.to, shape[::-1], flags=cv2.INTER_LINEAR) > 127


def field_targets(field: scenes.Field) -> list[scenes.Target]:
    """The known chromosomes of a field where they lie."""
    return [scenes.target_of(p, np.array([[1.0, 0, p.corner[0]], [0, 1.0, p.corner[1]]])) for p in field.pieces]


def drawn(net, pixels: np.ndarray, boxes: np.ndarray, median: float):
    """For each box the logits and the matrix from the picture's pixels to those of the crop."""
    grey, inside, ways = [], [], []
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    for b in boxes:
        w, h = b[2] - b[0], b[3] - b[1]
        side = crops.square_side(w, h, median, crops.FIELD)
        grey.append(crops.cut(pixels, b, side)), inside.append(crops.mask(w, h, side)), ways.append(scenes.chained(half, crops.lattice(b, side)))
    return anatomy.answers(net, np.stack(grey), np.stack(inside)), ways


def level_of(least: float) -> float:
    """The logit of a probability."""
    return float(np.log(least / (1 - least)))


def mask_of(logit: np.ndarray, way: np.ndarray, shape, least: float = 0.5) -> np.ndarray:
    """A drawn mask in the picture: the logits between the crop's pixels, above that of the probability `least`; the largest connected piece."""
    logit = logit - level_of(least)
    full = cv2.warpAffine(logit, way, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT, borderValue=-9)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((full > 0).astype(np.uint8), connectivity=8)
    return labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax() if len(stats) > 1 else full > 0


@dataclass
class Asked:
    """What a network answers about a chromosome, and the truth, in the part of the picture that both lie in."""

    logits: np.ndarray
    way: np.ndarray
    mask: np.ndarray
    #: Where any other chromosome lies.
    others: np.ndarray


def asked(net, pixels, median, targets, rng, margin: float = 6 / 18.4, occupied: np.ndarray | None = None) -> list[Asked]:
    """The network asked about targets by boxes as a detector gives them."""
    masks = [in_picture(t, pixels.shape) for t in targets]
    total = np.sum(masks, axis=0)
    wide = pc.WIDTH * median
    boxes = np.stack([t.bounds + np.array([-1, -1, 1, 1]) * margin * wide for t in targets])
    boxes = boxes + rng.normal(0, 0.02, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    out = []
    for t, z, way, mask in zip(targets, *drawn(net, pixels, boxes, median), masks):
        square = scenes.moved(np.array([[-1, -1], [crops.SIZE, crops.SIZE]]), cv2.invertAffineTransform(way))
        x0, y0 = np.maximum(np.floor(np.minimum(square[0], t.bounds[:2])).astype(int) - 2, 0)
        x1, y1 = np.ceil(np.maximum(square[1], t.bounds[2:])).astype(int) + 3
        part = np.s_[y0:y1, x0:x1]
        others = (total[part] - mask[part]) > 0 if occupied is None else occupied[part] & ~mask[part]
        out.append(Asked(z[0], scenes.chained(way, np.array([[1.0, 0, x0], [0, 1, y0]])), mask[part], others))
    return out


def compared(a: Asked, inside: float = 0.5) -> dict:
    """How a target is drawn: iou, kept, foreign, touching."""
    got = mask_of(a.logits, a.way, a.mask.shape, inside)
    near = cv2.dilate(a.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return dict(iou=(got & a.mask).sum() / max((got | a.mask).sum(), 1), kept=(got & a.mask).sum() / max(a.mask.sum(), 1),
                foreign=(got & a.others & ~a.mask).sum() / max(got.sum(), 1), touching=bool((near & a.others).any()))


def with_interval(rows: list[dict], measure) -> list[float]:
    """A figure over rows with its 95 % interval over groups (patients), where there are some."""
    from .release import interval
    if len({r["group"] for r in rows}) < 3:
        return [round(float(measure(rows)), 4)]
    low, high = interval([r["group"] for r in rows], lambda i: measure([rows[k] for k in i]), 200)
    return [round(float(v), 4) for v in (measure(rows), low, high)]


def summary(rows: list[dict], prefix: str) -> dict:
    """Medians, tenth percentiles and means of compared masks; of all and of those that touch or cross."""
    out = {}
    for name, part in ((prefix, rows), (f"{prefix}_touching", [r for r in rows if r["touching"]])):
        if part:
            out |= {f"{name}_iou": with_interval(part, lambda v: np.median([r["iou"] for r in v])), f"{name}_p10": with_interval(part, lambda v: np.percentile([r["iou"] for r in v], 10)),
                    f"{name}_kept": with_interval(part, lambda v: np.mean([r["kept"] for r in v])), f"{name}_foreign": with_interval(part, lambda v: np.mean([r["foreign"] for r in v])), f"{name}_n": len(part)}
    return out


def cut_of(choice: dict, stain: str) -> float:
    """The probability from which a pixel is inside a mask, of a stain."""
    return choice.get("mask_of", {}).get(stain, choice["mask"])


def stain_of(folder: str) -> str:
    """The stain of a folder of virtual slides, by its name."""
    return folder.removesuffix("-held")


def answered(net, scenes_or_fields, seed: int = 3, margin: float = 6 / 18.4) -> list[tuple[str, Asked]]:
    """The chromosomes of composed cells or fields with their groups, the network asked about each."""
    rng, out = np.random.default_rng(seed), []
    for s in scenes_or_fields:
        made = isinstance(s, scenes.Scene)
        pixels, targets = (s.image, s.targets) if made else (s.pixels, field_targets(s))
        out += [(s.group, a) for a in asked(net, pixels, s.median, targets, rng, margin, None if made else s.occupied)]
    return out


def outline_rows(net, scenes_or_fields, seed: int = 3, margin: float = 6 / 18.4, inside: float = 0.5) -> list[dict]:
    """Masks of composed cells or of fields, compared."""
    return [compared(a, inside) | dict(group=group) for group, a in answered(net, scenes_or_fields, seed, margin)]


def middle_line(mask: np.ndarray) -> np.ndarray:
    """Middle line of a drawn mask in the crop; of one that bends too much the longest way through it."""
    line = outlines.axis(mask)
    if line is None:
        m = outlines.principal_turn(mask)
        ys, xs = np.nonzero(mask)
        along = (m @ np.stack([xs, ys, np.ones_like(xs)]))[1]
        line = (np.array([[0, along.min()], [0, along.max()]]) - m[:, 2]) @ m[:, :2]
        line = outlines.resampled(line.astype(np.float32), 24)
    return line


def nearest_share(line: np.ndarray, place) -> float:
    """Share of a line's length at the place on it that is nearest."""
    return float(((pc.along(line, np.linspace(0, 1, 201)) - np.asarray(place)) ** 2).sum(1).argmin() / 200)


def way_up(z: np.ndarray, spots: list) -> tuple[np.ndarray, float, float] | None:
    """Middle line of a drawn mask in the crop, and what says that it begins with the short arm (-1 to 1, wrong way round where negative): the fall of the
    third map along it, and the place of the best centromere if it is the only one, times its score."""
    mask = z[0] > 0
    if mask.sum() < 30:
        return None
    line = middle_line(mask)
    ys, xs = np.nonzero(mask)
    t = ((np.stack([xs, ys], 1)[:, None] - line[None]) ** 2).sum(2).argmin(1) / (len(line) - 1)
    tip = 1 / (1 + np.exp(-z[2][mask]))
    lean = -np.cov(tip, t)[0, 1] / max(t.var(), 1e-6) / 2
    arms = spots[0][2] * (1 - 2 * nearest_share(line, spots[0][:2])) if len(spots) == 1 else 0.0
    return line, float(np.clip(lean, -1, 1)), float(arms)


def landmark_rows(net, pixels, boxes, median, truths, choice: dict) -> list[dict]:
    """Centromeres and way up against the truth; `truths`: (line in the picture, upright, places of the centromeres [k,2])."""
    rows = []
    for z, way, (line, upright, spots) in zip(*drawn(net, pixels, boxes, median), truths):
        every = anatomy.peaks(z[1], z[0], LOWEST, anatomy.APART)
        row = dict(every=every, true=len(spots))
        line = None if line is None else scenes.moved(line, way)
        if line is not None and len(spots) == 1:
            row["error"] = abs(nearest_share(line, every[0][:2]) - nearest_share(line, scenes.moved(spots, way)[0])) if every else 1.0
        if upright and line is not None:
            told = way_up(z, chosen_spots(every, choice))
            turn = 1.0 if told and ((told[0][-1] - told[0][0]) * (line[-1] - line[0])).sum() > 0 else -1.0
            row["lean"], row["arms"] = (turn * told[1], turn * told[2]) if told else (-1.0, 0.0)
        rows.append(judged(row, choice))
    return rows


def chosen_spots(every: list, choice: dict) -> list:
    """Of all local maxima of the heat (by falling score) those that count as centromeres."""
    kept = []
    for f in every:
        if f[2] >= choice["centromere"] and all(np.hypot(f[0] - k[0], f[1] - k[1]) >= choice["centromere_apart"] for k in kept):
            kept.append(f)
    return kept


def judged(row: dict, choice: dict) -> dict:
    """A row with what a choice of thresholds makes of it."""
    spots = chosen_spots(row["every"], choice)
    out = row | dict(found=len(spots))
    if "error" in row:
        out["placed"] = bool(spots) and row["error"] <= NEAR
    if "lean" in row:
        out["up"] = row["lean"] + choice["way_centromere"] * row["arms"] > 0
    return out


def single_rows(net, library: pc.Pieces, indices, choice: dict) -> list[dict]:
    """Landmarks of cut chromosomes, each alone on ground."""
    rows = []
    for i in indices:
        p = library[i]
        if p.centromeres is None:
            continue
        pad = 8
        grey = np.pad(np.rint(p.clear * (cache.BACKGROUND / 255)).astype(np.uint8), pad, constant_values=cache.BACKGROUND)
        own = scenes.target_of(p, np.array([[1.0, 0, pad], [0, 1.0, pad]]))
        one = landmark_rows(net, grey, own.bounds[None], p.median, [(own.line, True, own.centromeres)], choice)[0]
        rows.append(one | dict(label=p.label, group=str(library.index["group"][i]), index=int(i)))
    return rows


def virtual_rows(net, fields, choice: dict) -> list[dict]:
    """Landmarks of virtual cells."""
    rows = []
    for f in fields:
        targets = field_targets(f)
        found = landmark_rows(net, f.pixels, np.stack([t.bounds for t in targets]), f.median, [(t.line, t.upright, t.centromeres) for t in targets], choice)
        rows += [r | dict(group=f.group) for r in found]
    return rows


def landmark_figures(rows: list[dict], prefix: str) -> dict:
    """Share of centromeres within NEAR of the length, of right counts and of right ways up."""
    placed, known = [r for r in rows if "placed" in r], [r for r in rows if "up" in r]
    out = {f"{prefix}_centromere": with_interval(placed, lambda v: np.mean([r["placed"] for r in v])), f"{prefix}_centromere_n": len(placed),
           f"{prefix}_count": with_interval(rows, lambda v: np.mean([r["found"] == r["true"] for r in v]))}
    for k in (0, 1, 2):
        part = [r["found"] for r in rows if r["true"] == k]
        if part and prefix == "virtual":
            out |= {f"{prefix}_count_of_{k}": [round(float(np.mean([f == k for f in part])), 4)], f"{prefix}_count_of_{k}_n": len(part)}
    if known:
        out |= {f"{prefix}_up": with_interval(known, lambda v: np.mean([r["up"] for r in v])), f"{prefix}_up_n": len(known)}
    return out


def held_slides(paths: dict) -> dict[str, list]:
    """The fields of the held virtual slides by stain."""
    return {stain_of(p.name): ad.virtual_fields(p) for p in sorted(paths["virtual"].glob("*-held"))}


def freeze(net, paths: dict, data: Path) -> dict:
    """Thresholds, chosen on the validation side.

    `centromere` and `centromere_apart`: by which most held virtual and pki3 chromosomes have their right number. `way_centromere`: the weight of the centromere's
    place in the way up, by which most pki3 chromosomes are turned right. `mask`: the probability from which a pixel is inside, by the mean IoU on composed cells (G-band);
    `mask_of`: the same for stains that have another, on M-FISH (DAPI) and the held virtual slides (Giemsa). Hands draw M-FISH's class maps tighter on some slides than on others,
    and validation has one slide: its cut is the best of the mean over the slides of training and validation, up to three cells of each."""
    start = dict(centromere=LOWEST, centromere_apart=anatomy.APART, way_centromere=0.0, mask=0.5)
    singles, held = pc.Pieces(paths["pki3"]), held_slides(paths)
    sets = [single_rows(net, singles, singles.select("validation"), start), virtual_rows(net, [f for v in held.values() for f in v], start)]
    right = lambda c: sum(np.mean([len(chosen_spots(r["every"], c)) == r["true"] for r in rows]) for rows in sets if rows)
    grid = [dict(centromere=round(float(v), 2), centromere_apart=a) for v in np.arange(LOWEST, 0.61, 0.05) for a in (3.0, 4.0, 5.0, 6.0, 8.0)]
    choice = start | max(grid, key=right) | dict(centromere_reach=anatomy.REACH)
    rows = single_rows(net, singles, singles.select("validation"), choice)
    weights = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
    choice["way_centromere"] = max(weights, key=lambda w: np.mean([judged(r, choice | dict(way_centromere=w))["up"] for r in rows if "lean" in r]))
    cells = composed_cells(anatomy.Fields(cache.Cache(paths["cil"]), pc.Pieces(paths["cil-pieces"]), "validation"), 8)
    choice["mask"] = best_cut(net, cells)
    of = {"giemsa": best_cut(net, held.get("giemsa", []), 0.1), "dapi": best_cut(net, few_of_each(ad.class_map_fields(data, "train", "validation")), 0.1)}
    choice["mask_of"] = {k: v for k, v in of.items() if v is not None and v != choice["mask"]}
    return choice


def freeze_solid(net, paths: dict, held: dict) -> dict:
    """Thresholds of the network of solid stains, chosen on held virtual slides and on the validation side's scenes (`held`, by kind): those of centromeres
    by which most examples have their right number, each kind as much as any other; the cut of the mask by the mean IoU on the virtual slides."""
    seen = {k: (anatomy.answers(net, *b[:2]), b) for k, b in held.items()}
    right = lambda least, apart: sum(np.mean(np.equal(*anatomy.counts(z, b[4], least, apart).T)) for z, b in seen.values())
    grid = [(round(float(v), 2), a) for v in np.arange(0.2, 0.71, 0.05) for a in (3.0, 4.0, 5.0, 6.0, 8.0)]
    least, apart = max(grid, key=lambda g: right(*g))
    return dict(centromere=least, centromere_apart=apart, way_centromere=0.7, mask=best_cut(net, held_slides(paths)["giemsa"]), centromere_reach=anatomy.REACH)


def lone(rng, source, kind: str):
    """A lone chromosome of a solid-stained slide as an example: `dicentric`, `rejoined` (cut and rejoined with one centromere) or `whole`; None where the parts do not serve."""
    name = str(rng.choice([k for k in ("giemsa", "cil", "pki3", "pki3") if k in source.libraries]))
    library, rows = source.libraries[name]
    a, b = (library[rng.choice(rows)] for _ in range(2))
    if any(p.line is None or not np.isfinite(p.centromere) for p in (a, b)):
        return None
    p = a if kind == "whole" else scenes.joined(rng, a, b, kind)
    if p is None:
        return None
    made = scenes.ground(rng, rng.uniform(60, 108), False)
    scenes.lay(rng, made, scenes.bowed(rng, p) if rng.random() < 0.35 else p, apart=True)
    if len(made.targets) != 1:
        return None
    made.image = augment.optics(rng, made.image, name != "giemsa")
    own = made.targets[0]
    return scenes.example(made, own, scenes.jittered(rng, own, pc.WIDTH * made.median), made.median)


def lone_figures(net, source, many: int = 30_000, joined: int = 3_000, seed: int = 9) -> dict:
    """How many lone dicentrics have a second centromere of a score that one whole chromosome in 1,000 (10,000) reaches, and one in 1,000 of those cut and rejoined."""
    rng, scores = np.random.default_rng(seed), {}
    for kind, wanted in (("whole", many), ("rejoined", joined), ("dicentric", joined)):
        found = []
        while len(found) < wanted:
            rows = [r for r in (lone(rng, source, kind) for _ in range(256)) if r is not None]
            z = anatomy.answers(net, np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows]))
            for one in z:
                spots = anatomy.peaks(one[1], one[0], 0.02, 8.0)
                found.append(spots[1][2] if len(spots) > 1 else 0.0)
        scores[kind] = np.sort(found)[::-1]
    above = lambda one_in: float((scores["dicentric"] > scores["whole"][len(scores["whole"]) // one_in]).mean())
    out = {"validation_lone_whole_n": len(scores["whole"]), "validation_lone_dicentric_n": len(scores["dicentric"])}
    out |= {f"validation_lone_two_at_1_in_{n}": round(above(n), 4) for n in (1_000, 10_000)}
    cut = scores["rejoined"][len(scores["rejoined"]) // 1000]
    return out | {"validation_lone_two_at_1_in_1000_rejoined": round(float((scores["dicentric"] > cut).mean()), 4)}


def solid_figures(net, source, paths: dict, held: dict, choice: dict) -> dict:
    """Masks and centromeres on the validation side's scenes; how many dicentrics have a second centromere where as few of the others do; held virtual slides."""
    out = {}
    for name, b in held.items():
        z = anatomy.answers(net, *b[:2])
        iou = anatomy.overlap(z, b[2])
        true, found = anatomy.counts(z, b[4], choice["centromere"], choice["centromere_apart"]).T
        out |= {f"validation_{name}_iou": round(float(np.median(iou)), 4), f"validation_{name}_p10": round(float(np.percentile(iou, 10)), 4), f"validation_{name}_n": len(iou)}
        out |= {f"validation_{name}_count": round(float((true == found).mean()), 4), f"validation_{name}_two": round(float((found[true == 2] == 2).mean()), 4), f"validation_{name}_two_n": int((true == 2).sum()),
                f"validation_{name}_false_two": round(float((found[true < 2] > 1).mean()), 4)}
    slides = held_slides(paths)["giemsa"]
    rows = virtual_rows(net, slides, choice)
    return out | lone_figures(net, source) | landmark_figures(rows, "virtual")


#: Cuts that are tried.
CUTS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


def few_of_each(fields: list, many: int = 3) -> list:
    """Of each slide's fields a few, spread over it."""
    groups = {}
    for f in fields:
        groups.setdefault(f.group, []).append(f)
    return [f for v in groups.values() for f in v[:: max(1, len(v) // many)][:many]]


def best_cut(net, fields, margin: float = 6 / 18.4) -> float | None:
    """The probability from which a pixel is inside a mask: by the mean IoU, each group (person, slide) as much as any other."""
    groups = {}
    for group, a in answered(net, fields, margin=margin):
        groups.setdefault(group, []).append([compared(a, p)["iou"] for p in CUTS])
    return CUTS[int(np.mean([np.mean(v, 0) for v in groups.values()], 0).argmax())] if groups else None


def figures(net, paths: dict, data: Path, split: str, choice: dict, many: int = 24) -> dict:
    """All figures of one split under thresholds; of virtual slides with validation."""
    fields = anatomy.Fields(cache.Cache(paths["cil"]), pc.Pieces(paths["cil-pieces"]), split)
    out = summary(outline_rows(net, composed_cells(fields, many), inside=choice["mask"]), f"{split}_composed")
    out |= summary(outline_rows(net, ad.class_map_fields(data, split), margin=0.1, inside=cut_of(choice, "dapi")), f"{split}_mfish")
    singles = pc.Pieces(paths["pki3"])
    out |= landmark_figures(single_rows(net, singles, singles.select(split), choice), f"{split}_pki3")
    held = held_slides(paths) if split == "validation" else {}
    for stain, slides in held.items():
        out |= summary(outline_rows(net, slides, margin=0.1, inside=cut_of(choice, stain)), f"virtual_{stain.replace('-', '_')}")
    if held:
        rows = {stain: virtual_rows(net, slides, choice) for stain, slides in held.items()}
        out |= landmark_figures([r for v in rows.values() for r in v], "virtual")
        out |= {f"virtual_{stain.replace('-', '_')}_centromere": with_interval([r for r in v if "placed" in r], lambda v: np.mean([r["placed"] for r in v])) for stain, v in rows.items()}
    return out


def write_composed(fields, folder: Path, many: int):
    """Composed cells as `metaphased simulate` writes its own: pictures, masks (index + 1, 65535 where chromosomes cross), truth.jsonl."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    lines = []
    for n, made in enumerate(composed_cells(fields, many)):
        masks = [in_picture(t, made.image.shape) for t in made.targets]
        labels = np.zeros(made.image.shape, np.uint16)
        for k, m in enumerate(masks):
            labels[m] = k + 1
        labels[np.sum(masks, axis=0) > 1] = 65535
        name = f"cell{n:05}.png"
        cv2.imwrite(str(folder / name), made.image), cv2.imwrite(str(folder / "masks" / name), labels)
        numbers = lambda v: [[round(float(x), 1) for x in p] for p in v]
        known = [dict(index=k, box=[round(float(v), 1) for v in (*t.bounds[:2], *(t.bounds[2:] - t.bounds[:2]))], cut=False) |
                 ({} if t.line is None else dict(axis=numbers(t.line + 0.5))) | ({} if t.centromeres is None else dict(centromeres=numbers(t.centromeres + 0.5)))
                 for k, t in enumerate(made.targets)]
        lines.append(json.dumps(dict(image=name, mask=f"masks/{name}", stain="g-band", size=list(made.image.shape[::-1]), cells=[dict(cell=0, group=made.group, chromosomes=known)])))
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n")
