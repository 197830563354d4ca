"""Outlines, composed pictures, landmarks, the network that draws. Everything on synthetic chromosomes."""

import json
import tomllib

import cv2
import numpy as np
import pytest
import torch

from metaphased_training import anatomy, anatomy_data as ad, anatomy_figures as af, cache, classifier, crops, export, landmarks, nets, outlines, pieces as pc, readers, release, scenes, structural
from metaphased_training.run import Run, read_small, save_small

WIDTH = 18
TINY = dict(widths=(8, 8, 16, 16))


def bar(length: int = 80, angle: float = 0.0, waist: float = 0.35, pad: int = 16) -> np.ndarray:
    """A banded chromosome on ground 220, its constriction at `waist` of the length from the upper end; dark bands near that end only."""
    y = np.linspace(0, 1, length)[:, None]
    half = (WIDTH / 2) * (1 - 0.45 * np.exp(-(((y - waist) / 0.04) ** 2)))
    x = np.abs(np.arange(WIDTH + 6)[None] - (WIDTH + 5) / 2)
    tone = np.where(y < 0.5, 70 + 40 * np.sin(y * 40), 120)
    picture = np.where(x <= half, tone, 220).astype(np.uint8)
    side = length + 2 * pad
    big = np.full((side, side), 220, np.uint8)
    big[pad : pad + length, (side - WIDTH - 6) // 2 :][:, : WIDTH + 6] = picture
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
    return cv2.GaussianBlur(cv2.warpAffine(big, turn, (side, side), borderValue=220), (0, 0), 0.8)


def piece(length: int = 80, upright: bool = True) -> pc.Piece:
    """A piece cut out of `bar`."""
    grey = bar(length)
    own, level = outlines.outline(grey, WIDTH, (12, 12, grey.shape[1] - 12, grey.shape[0] - 12))
    return pc.Piece(np.rint(255 * np.minimum(grey / level, 1)).astype(np.uint8), own.astype(np.uint8) * 255, 3, 100.0, outlines.axis(own, pc.POINTS), upright, 0.35, (0, 0))


@pytest.fixture
def library(tmp_path):
    """Upright chromosomes of two classes that differ in where the constriction lies; some for validation."""
    rows = []
    for n in range(24):
        p = piece(60 + n)
        p.label, p.centromere = 3, np.nan
        rows.append((p, str(n), f"g{n % 6}", "validation" if n % 6 == 5 else "train", n // 6))
    return pc.write(rows, tmp_path / "library")


def test_an_outline_lies_half_way_up_the_edge_and_leaves_a_neighbour_out():
    grey = bar(80)
    grey[:, :12] = np.minimum(grey[:, :12], 90)
    own, level = outlines.outline(grey, WIDTH, (30, 14, 84, 98))
    wide = own[60:90].sum(1).mean()
    assert level == 220 and abs(wide - WIDTH) < 1.6 and not own[:, :20].any()
    assert outlines.clean(own, WIDTH, (42, 11, 70, 101), 5)
    assert not outlines.clean(own, WIDTH, (0, 0, 112, 112), 5)


def test_a_middle_line_goes_from_tip_to_tip_downwards():
    own, _ = outlines.outline(bar(90, 30), WIDTH, (5, 5, 117, 117))
    line = outlines.axis(own)
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    assert line[0, 1] < line[-1, 1] and abs(length - 90) < 5
    corner = np.zeros((80, 80), bool)
    corner[10:70, 10:26] = corner[54:70, 10:70] = True
    corner[10:26, 10:70] = True
    assert outlines.axis(corner) is None


def test_the_constriction_is_found_where_the_class_has_it():
    p = piece()
    wide, _ = outlines.profiles(p.clear, p.mask > 127, p.line, WIDTH)
    shape = (wide / np.median(wide))[None]
    near = landmarks.constrictions(shape, np.array([3]), np.full(24, 0.33))
    far = landmarks.constrictions(shape, np.array([3]), np.full(24, 0.7))
    assert abs(near[0] - 0.35) < 0.03 and abs(far[0] - 0.7) < 0.1


def test_the_way_up_is_told_by_the_likeness_of_the_class(library):
    shapes, _ = landmarks.measured(library)
    like = np.repeat(np.nanmean(shapes, 0)[None], 24, 0)
    over = np.arange(24) % 2 == 0
    line = library.index["line"].copy()
    line[over] = line[over][:, ::-1]
    library.say(np.zeros(24, bool), line, np.full(24, np.nan))
    landmarks.fit_unknown(library, like, np.full(24, 0.35))
    assert library.index["upright"].all()
    assert (library.index["line"][:, 0, 1] < library.index["line"][:, -1, 1]).all()
    assert np.abs(library.index["centromere"] - 0.35).max() < 0.05


@pytest.mark.parametrize("light", [False, True])
def test_absorbances_multiply_and_light_adds(light):
    rng = np.random.default_rng(1)
    scene = scenes.Scene(np.full((200, 200), 110, np.uint8), 100.0, light=light)
    half = np.full((20, 20), 128, np.uint8)
    scenes.over(rng, scene, half, np.array([[1.0, 0, 90], [0, 1, 90]]), np.array([90, 90, 110, 110]), 0.0)
    assert scene.image[100, 100] == pytest.approx(110 - 220 * (1 - 128 / 255) if light else 110 * 128 / 255, abs=1.5)
    assert scene.image[50, 50] == 110


def test_a_target_lies_where_its_picture_was_laid():
    rng = np.random.default_rng(2)
    for apart in (False, True):
        scene = scenes.Scene(np.full((340, 340), 220, np.uint8), 100.0, depth=np.zeros((340, 340), np.uint8))
        for _ in range(3):
            scenes.lay(rng, scene, scenes.bowed(rng, piece()), apart=apart)
        masks = [af.in_picture(t, scene.image.shape) for t in scene.targets]
        dark = scene.image < 175
        union = np.any(masks, axis=0)
        assert len(masks) == 3 and (dark & union).sum() / (dark | union).sum() > 0.9
        assert not apart or np.sum(masks, axis=0).max() == 1
        for t, m in zip(scene.targets, masks):
            ys, xs = np.nonzero(m)
            assert np.abs(t.bounds - [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).max() < 2
            spot = t.centromeres[0].round().astype(int)
            assert m[spot[1], spot[0]]


def test_truths_of_an_example_agree_with_its_crop_in_every_orientation():
    scene = scenes.Scene(np.full((200, 200), 220, np.uint8), 100.0)
    p = piece()
    to = np.array([[1.0, 0, 40], [0, 1, 40]])
    own = scenes.target_of(p, to)
    scenes.over(np.random.default_rng(0), scene, p.clear, to, own.bounds, 0.0)
    made = scenes.example(scene, own, own.bounds + np.array([-5, -5, 5, 5]), 100.0)
    for k in range(8):
        grey, box, cover, way, heat = anatomy.flipped(made, k)
        dark, inside = grey < 170, cover > 127
        assert (dark & inside).sum() / (dark | inside).sum() > 0.9 and box[inside].all()
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        assert inside[y, x]
        known = ~np.isnan(way)
        assert abs(float(way[y // 2, x // 2]) - 0.35) < 0.06 and known.sum() > 50
        # The dark bands lie in the short arm's half.
        small = grey.reshape(48, 2, 48, 2).mean((1, 3))
        assert small[known & (way < 0.45)].mean() < small[known & (way > 0.55)].mean() - 10
        assert [round(v) for f in anatomy.peaks(np.log(np.clip(heat, 1e-4, 0.999) / (1 - np.clip(heat, 1e-4, 0.999))), np.where(inside, 5.0, -5.0)) for v in f[:2]] == [x, y]


def test_joined_chromosomes_have_as_many_centromeres_as_centric_parts():
    rng = np.random.default_rng(4)
    for kind, many in (("dicentric", 2), ("rejoined", 1), ("fragment", 0)):
        made = [m for m in (scenes.joined(rng, piece(), piece(70), kind) for _ in range(12)) if m is not None]
        assert len(made) >= 5 and all(len(m.centromeres) == many and not m.upright for m in made)
        for m in made:
            assert cv2.connectedComponents((m.mask > 127).astype(np.uint8))[0] == 2
            assert all(m.mask[int(round(y)), int(round(x))] > 127 for x, y in m.centromeres)


def test_a_map_of_classes_gives_overlaps_to_both_and_leaves_touching_homologues_out():
    m = np.zeros((120, 120), np.uint8)
    m[20:28, 10:60], m[5:50, 30:38] = 1, 2
    m[20:28, 30:38] = 255
    m[80:90, 10:60], m[60:110, 90:100] = 1, 2
    m[110:118, 10:70] = 3
    found = {(v, int(mask.sum())) for mask, v in pc.class_map_masks(m)}
    assert (0, 50 * 8) in found and (1, 45 * 8) in found and not any(v == 2 for v, _ in found)


def test_losses_fall_on_one_batch_and_unknown_landmarks_cost_nothing(library):
    rng = np.random.default_rng(0)
    landmarks_of(library)
    source = anatomy.Source({}, dict(pki3=(library, library.select("train"))))
    batch = source.draw(rng, 24)
    x, cover, way, heat = anatomy.tensors(batch, "cpu")
    torch.manual_seed(0)
    net = nets.Anatomy(**TINY)
    blind = anatomy.losses(net(x), cover, torch.full_like(way, np.nan), torch.full_like(heat, np.nan))
    assert blind["heat"] == 0 and blind["way"] == 0
    optimiser, values = torch.optim.AdamW(net.parameters(), 5e-3), []
    for _ in range(30):
        loss = sum(anatomy.losses(net(x), cover, way, heat).values())
        optimiser.zero_grad(), loss.backward(), optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.7 * values[0]


def landmarks_of(library):
    """Gives the pieces of a library the landmarks that `bar` draws."""
    n = len(library)
    library.say(np.ones(n, bool), library.index["line"], np.full(n, 0.35))


def test_the_training_resumes_and_is_exported_as_its_card_says(library, tmp_path):
    landmarks_of(library)
    make = lambda split: anatomy.Source({}, dict(pki3=(library, library.select(split))))
    held = dict(ground=anatomy.held_out(make("validation"), 12))
    first = anatomy.train(make("train"), held, tmp_path / "anatomy", 5, batch=8, max_steps=2, **TINY, full=True)
    again = anatomy.train(make("train"), held, tmp_path / "anatomy", 5, batch=8, max_steps=4, **TINY, full=True)
    assert first.step == 2 and again.step == 4 and {"ground_iou", "ground_up"} <= set(again.rows[-1])
    thresholds = dict(mask=0.5, mask_of={"q-band": 0.4}, centromere=0.3, centromere_apart=3)
    export.anatomy(tmp_path / "anatomy", tmp_path / "model", ["g-band", "dapi"], thresholds, dict(a=[0.5]), "0.1.0", dict(data=["pki3"], licences={}))
    toml = tomllib.loads((tmp_path / "model/model.toml").read_text())
    assert toml["task"] == "anatomy" and toml["input"]["crop"] == dict(margin=1.3, floor=0.9, supersample=2) and toml["output"]["maps"][0] == "mask"
    assert toml["thresholds"] == thresholds
    import onnxruntime
    net, _ = export.load(nets.Anatomy, tmp_path / "anatomy")
    x = torch.randn(3, 2, crops.SIZE, crops.SIZE)
    got = onnxruntime.InferenceSession(str(tmp_path / "model/model.onnx"), providers=["CPUExecutionProvider"]).run(None, dict(chromosome=x.numpy()))[0]
    with torch.no_grad():
        want = net(x).numpy()
    assert got.shape == (3, 12, 48, 48)
    for k, y, c in ((0, 10, 33), (1, 47, 2), (2, 94, 95)):
        assert np.allclose(got[:, 4 * k + 2 * (y % 2) + c % 2, y // 2, c // 2], want[:, k, y, c], atol=2e-2)


def test_a_drawn_mask_comes_back_to_its_place_in_the_picture():
    """The network is stood in for: it answers with what is dark in the crop."""
    grey = np.full((300, 260), 220, np.uint8)
    grey[90:170, 100:118] = 90

    class Dark(torch.nn.Module):
        def forward(self, x):
            dark = -x[:, :1] * 4 - 2
            return torch.cat([dark, dark * 0 - 9, dark * 0], 1)
    logits, ways = af.drawn(Dark(), grey, np.array([[95.0, 85, 123, 175]]), 100.0)
    got = af.mask_of(logits[0, 0], ways[0], grey.shape)
    want = grey < 150
    assert af.mask_of(logits[0, 0], ways[0], grey.shape, 0.9).sum() < got.sum() < af.mask_of(logits[0, 0], ways[0], grey.shape, 0.1).sum()
    assert (got & want).sum() / (got | want).sum() > 0.93
    target = scenes.Target(want.astype(np.uint8) * 255, np.eye(2, 3), scenes.hull_of(want.astype(np.uint8) * 255), None, False, None)
    row = af.compared(af.asked(Dark(), grey, 100.0, [target], np.random.default_rng(0))[0])
    assert row["iou"] > 0.93 and row["foreign"] == 0 and not row["touching"]


def test_composed_cells_are_written_with_their_truth(library, tmp_path):
    landmarks_of(library)
    grey = np.full((500, 500), 220, np.uint8)
    own = [library[i] for i in range(14)]
    field = scenes.Field(grey, 100.0, np.zeros((0, 4), np.float32), own, group="g1")
    af.write_composed([field], tmp_path / "cells", 1)
    row = json.loads((tmp_path / "cells/truth.jsonl").read_text())
    labels = cv2.imread(str(tmp_path / "cells/masks/cell00000.png"), cv2.IMREAD_UNCHANGED)
    known = row["cells"][0]["chromosomes"]
    assert labels.dtype == np.uint16 and len(known) > 30 and set(np.unique(labels)) - {0, 65535} <= set(range(1, len(known) + 1))
    back = ad.virtual_chromosome(dict(known[0], ring=False, dicentric=False, fragment=False, **{"class": "1"}), labels, 100.0)
    assert np.allclose(ad.lengthened(np.array([[0, 0], [0, 10.0]], np.float32), 14)[[0, -1]], [[0, -2], [0, 12]])
    x, y, w, h = known[0]["box"]
    assert back is not None and abs(back.mask.shape[0] - h) < 9 and abs(back.mask.shape[1] - w) < 9


def test_what_the_audit_doubts_and_whose_colour_is_drawn_in_is_left_out(tmp_path, monkeypatch):
    from metaphased_training import audit
    rows = [dict(image="a", group="a", split="train", box="", classes="", reason="colour in the shipped file (arrows drawn in)")]
    (tmp_path / "cil.csv").write_text(",".join(audit.HEADER) + "\n" + "\n".join(",".join(r[k] for k in audit.HEADER) for r in rows) + "\n")
    monkeypatch.setattr(audit, "AUDIT", tmp_path)
    cells = [readers.Cell(n, n, s, lambda: bar(), [[10.0, 10, 90, 100]] * 12, [1] * 12) for n, s in (("a", "train"), ("b", "train"), ("c", "test"), ("d", "validation"))]
    monkeypatch.setattr(readers, "cil", lambda _: iter(cells))
    made = ad.cil_cells(tmp_path, tmp_path / "cache", "train", "validation")
    assert set(made.names) == {"b", "d"}


def test_the_mask_of_a_cut_chromosome_lies_half_way_up_its_edge():
    grey = cv2.GaussianBlur(np.where(bar(80)[14:98, 40:72] < 200, bar(80)[14:98, 40:72], 255).astype(np.uint8), (0, 0), 1.6)
    grey = np.pad(grey, 8, constant_values=255)
    wide = grey < 250
    own = pc.half_way(grey, wide, WIDTH)
    assert 0.75 * wide.sum() < own.sum() < 0.93 * wide.sum() and not (own & ~wide).any()
    assert (pc.half_way(np.where(wide, 240, 255).astype(np.uint8), wide, WIDTH) == wide).all()


def test_every_example_is_shown_twice_and_crowded_ones_more_often(monkeypatch):
    monkeypatch.setattr(anatomy, "WAITING", 2)
    halves = [tuple(np.full((3, 4, 4), n, np.float32) for _ in range(5)) for n in range(8)]
    seen = [b for b in anatomy.twice(iter(halves), np.random.default_rng(0))]
    assert len(seen) == 6 and all(b[0].shape == (6, 4, 4) for b in seen)
    new, old = [b[0][0, 0, 0] for b in seen], [b[4][-1, 0, 0] for b in seen]
    assert new == [2, 3, 4, 5, 6, 7] and len(set(old)) == 6
    box = lambda *b: scenes.Target(None, None, np.array([b[:2], b[2:]], np.float32), None, False, None)
    odds = anatomy.crowded([box(0, 0, 10, 10), box(5, 5, 15, 15), box(50, 50, 60, 60)])
    assert odds.sum() == pytest.approx(1) and odds[0] == odds[1] == pytest.approx(anatomy.CROWDED * odds[2])


def test_a_centromere_says_which_arm_is_short_and_a_stain_has_its_own_cut():
    mask = np.full((96, 96), -5.0)
    mask[20:76, 40:54] = 5
    tip = np.where(np.arange(96)[:, None] < 48, 0.5, -0.5) * np.ones((96, 96))
    line, lean, arms = af.way_up(np.stack([mask, mask, tip]), [(46.5, 62.0, 0.8)])
    assert line[0, 1] < line[-1, 1] and lean > 0.1 and arms == pytest.approx(0.8 * (1 - 2 * 42.5 / 56), abs=0.05)
    assert af.way_up(np.stack([mask, mask, tip]), [])[2] == 0
    row = dict(every=[(46.5, 62.0, 0.8), (46.5, 56.0, 0.5)], true=1, lean=lean, arms=arms)
    choice = dict(centromere=0.3, centromere_apart=3.0, way_centromere=0.0)
    assert af.judged(row, choice)["up"] and af.judged(row, choice)["found"] == 2
    assert not af.judged(row, choice | dict(way_centromere=2.0))["up"] and af.judged(row, choice | dict(centromere_apart=8.0))["found"] == 1
    fields = [scenes.Field(None, 1.0, None, [], group=g) for g in "aaaaaab"]
    assert [f.group for f in af.few_of_each(fields)] == ["a", "a", "a", "b"] and af.best_cut(None, []) is None
    assert af.cut_of(dict(mask=0.5, mask_of=dict(dapi=0.4)), "dapi") == 0.4 and af.cut_of(dict(mask=0.5), "dapi") == 0.5


@pytest.mark.parametrize("kind", structural.KINDS)
def test_a_changed_arm_is_as_long_as_the_change_makes_it(kind):
    rng, whole, lengths = np.random.default_rng(3), piece(120), []
    for _ in range(30):
        made = structural.changed(rng, whole, piece(100), kind)
        if made is None:
            continue
        rows = (made.mask > 127).any(1).sum()
        usual = (scenes.straight(whole)[1] > 127).any(1).sum()
        arm = (whole.centromere if made.arm == "p" else 1 - whole.centromere) * usual
        foretold = dict(deletion=usual - made.share * arm, addition=usual + made.share * arm, isochromosome=2 * arm, sham=usual)[kind]
        assert abs(rows - foretold) < 0.08 * usual, (made.arm, made.share, rows, foretold)
        lengths.append(rows)
    assert len(lengths) > 3


def test_an_edited_cell_differs_only_where_its_truth_says(tmp_path):
    field = scenes.Field(np.full((400, 400), 220, np.uint8), 100.0, np.zeros((0, 4), np.float32), [], group="g")
    for k in range(2):
        own, at = piece(100 - 10 * k), (40 + 180 * k, 100)
        h, w = own.mask.shape
        field.pixels[at[1] : at[1] + h, at[0] : at[0] + w] = np.minimum(220 * (own.clear / 255.0), 220)
        own.corner = at
        field.pieces.append(own)
    assert structural.write([("cell.png", field)], tmp_path, 4) >= 3
    for line in (tmp_path / "truth.jsonl").read_text().splitlines():
        row = json.loads(line)
        known = row["cells"][0]["chromosomes"][0]
        changed = np.abs(readers.read_grey(tmp_path / row["image"]).astype(int) - field.pixels) > 12
        ys, xs = np.nonzero(changed)
        near = min(field.pieces, key=lambda p: abs(p.corner[0] + p.mask.shape[1] / 2 - known["box"][0] - known["box"][2] / 2))
        reach = 12 + max(near.mask.shape + (known["box"][3], known["box"][2])) / 2
        assert known["kind"] == "sham" or len(xs)
        assert not len(xs) or abs(xs - near.corner[0] - near.mask.shape[1] / 2).max() < reach + near.mask.shape[1]


def test_parts_keep_their_centromere_and_end_at_a_broad_place():
    rng = np.random.default_rng(1)
    for centric in (True, False):
        clear, mask, spot = scenes.broken(rng, piece(120), centric)
        wide = (mask > 127).sum(1)
        assert (spot is not None) == centric and wide[-1] >= scenes.BROAD * np.median(wide) * 0.9
    both = scenes.joined(rng, piece(120), piece(110), "dicentric")
    bent = scenes.bowed(rng, both)
    assert bent.centromeres.shape == (2, 2) and bent.mask[tuple(np.rint(bent.centromeres[0][::-1]).astype(int))] > 127
