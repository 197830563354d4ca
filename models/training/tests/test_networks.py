"""Networks, losses, trainings of a few steps, export. Everything on synthetic pictures."""

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from metaphased_training import audit, augment, cache, candidates, classifier, compare, context, detector, evaluate as ev, export, folds, literature as lit, nets, quantise, readers
from metaphased_training.run import Run, save_small
from test_data import RNG, metaphase

SMALL = dict(widths=(8, 16, 16), depths=(1, 1, 1), stem=8, head=16)
TINY = dict(widths=(8, 16), depths=(0, 1), hidden=16)


@pytest.fixture
def cells(tmp_path):
    """A cache with training and validation metaphases of twelve bars."""
    made = []
    for i in range(6):
        grey, boxes, classes = metaphase(160, 160, 6)
        boxes = np.concatenate([boxes, boxes + [0, 70, 0, 70]])
        grey[70:] = np.minimum(grey[70:], grey[: 90])
        made.append(readers.Cell(str(i), f"g{i}", "validation" if i > 3 else "train", lambda grey=grey: grey, boxes.tolist(), (list(classes) * 2)))
    return cache.build(made, tmp_path / "cells", 1.0)


def test_assignment_serves_both_of_two_crossing_chromosomes():
    truth = torch.tensor([[8.0, 40, 120, 56], [56, 8, 72, 120]])
    centres = detector.grid(16, 16, 8, "cpu")
    pred = torch.cat([centres - 12, centres + 12], 1)
    pred[:128] = truth[1]
    pred[128:] = truth[0]
    owner, target, best, share = detector.assign(pred, torch.full((256,), 0.1), torch.full((256, 24), 1 / 24), centres, truth, torch.tensor([1, 2]))
    assert set(owner.tolist()) == {-1, 0, 1}
    assert (best > 0).sum() == 2 and target.max() <= 1.0 + 1e-6
    assert ((owner >= 0) == (target > 0)).all()
    assert share.max() == 1 and ((share > 0) == (target > 0)).all()


def test_a_chromosome_is_as_crowded_as_another_covers_it():
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 25, 10], [100, 100, 110, 110]])
    assert detector.crowding(boxes).tolist() == [0.5, 0.25, 0.0]
    assert detector.clumped(boxes.numpy()) == pytest.approx(2 / 3) and detector.clumped(np.zeros((0, 4))) == 0


def test_a_perfect_answer_costs_less_than_a_shifted_one():
    a = torch.tensor([[0.0, 0, 10, 20]])
    assert detector.eiou_loss(a, a) < 1e-5 < detector.eiou_loss(a + 2, a) < detector.eiou_loss(a + 5, a)


def test_decoding_is_the_inverse_of_the_grid():
    raw = torch.zeros(1, 30, 2, 3)
    raw[0, :4, 1, 2] = torch.log(torch.tensor([1.0, 2, 3, 4]))
    boxes, rest, centres = detector.decode(raw, 8)
    assert boxes[0, 5].tolist() == [20 - 8, 12 - 16, 20 + 24, 12 + 32] and rest.shape == (1, 6, 26)


def test_an_ignored_stump_costs_nothing():
    raw = torch.zeros(1, 30, 12, 12)
    empty = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    free = detector.losses(raw, [(*empty, torch.zeros(0, 4))], 8)["objectness"]
    hidden = detector.losses(raw, [(*empty, torch.tensor([[0.0, 0, 96, 96]]))], 8)["objectness"]
    assert hidden == 0 < free


def test_the_detector_learns_and_resumes(cells, tmp_path):
    folder = tmp_path / "run"
    first = detector.train(tmp_path / "cells", folder, 5, size=128, batch=2, max_steps=4, **SMALL)
    again = detector.train(tmp_path / "cells", folder, 5, size=128, batch=2, max_steps=6, **SMALL)
    assert again.step == 6 and again.before > 0 and first.step == 4
    assert (folder / "curves.csv").read_text().count("\n") >= 3 and (folder / "curves.png").exists()
    assert json.loads((folder / "config.json").read_text())["seed"] == 1


def test_losses_fall_on_one_batch(cells):
    torch.manual_seed(0)
    net = nets.Detector(**SMALL)
    rng = np.random.default_rng(0)
    made = [detector.sample(rng, cells, 0, 128) for _ in range(2)]
    x, truth = detector.to_input(np.stack([m[0] for m in made])), [m[1] for m in made]
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    values = []
    for _ in range(25):
        loss = sum(detector.losses(net(x), truth, 8).values())
        optimiser.zero_grad(), loss.backward(), optimiser.step()
        values.append(float(loss))
    assert values[-1] < 0.75 * values[0]


def test_what_the_audit_lists_teaches_nothing(cells, tmp_path, monkeypatch):
    """A doubted class becomes unknown, a place without its box is ignored by the detector and never cut for the classifier; validation stays as annotated."""
    text = lambda b: " ".join(f"{v:.0f}" for v in b)
    kept, lost = [cells[i].boxes for i in (0, 5)], np.array([100.0, 100, 140, 150])
    assert (cells[0].split, cells[5].split) == ("train", "validation")
    rows = [(n, text(kept[k][0]), "one box with two classes") for k, n in enumerate("05")] + [(n, text(lost), audit.NOT_BOXED) for n in "05"]
    (tmp_path / "cil.csv").write_text("\n".join([",".join(audit.HEADER), *(f"{n},g,s,{box},,{reason}" for n, box, reason in rows)]) + "\n")
    monkeypatch.setattr(audit, "AUDIT", tmp_path)
    audit.mark(tmp_path / "cells", 1.0)
    marked = cache.Cache(tmp_path / "cells")
    assert marked[0].classes[0] == -1 and (marked[0].classes[1:] == cells[0].classes[1:]).all() and (marked[0].ignored == [lost]).all()
    assert (marked[5].classes == cells[5].classes).all() and len(marked[5].ignored) == 0
    assert len(cache.Cache(tmp_path / "cells", audited=False)[0].ignored) == 0
    *_, hidden = augment.detector_sample(RNG, marked[0].pixels, marked[0].boxes, marked[0].classes, 640, marked[0].ignored, paste=0)
    assert any(h[2] - h[0] > 20 for h in hidden)
    data = classifier.Metaphases(marked, "train", other=0, offered=None)
    at = marked[0]
    at.boxes = np.stack([lost, lost])
    assert data.a_box(np.random.default_rng(0), at, at.boxes[:0], None) is None


def test_a_chromosome_without_a_box_is_listed(cells, tmp_path, monkeypatch):
    """The networks are stood in for: the detector sees every chromosome, the classifier is sure of all but the fifth."""
    short = cache.Cache(tmp_path / "cells")
    short.boxes[[2, 4]] = short.boxes[3]
    def every(net, pixels, score, limit):
        b = cells[0].boxes if np.array_equal(pixels, cells[0].pixels) else cells[0].boxes[:0]
        return b, np.full(len(b), 0.9), np.eye(24)[np.arange(len(b))], None
    monkeypatch.setattr(detector, "candidates", every)
    monkeypatch.setattr(classifier, "log_probabilities", lambda net, views, t: np.log(np.array([[0.01] * 6 + [0.95] + [0.01] * 18, [0.04] * 25]))[: len(views[0])])
    found = audit.unboxed(short, short, None, None, progress=lambda *_, **__: None)
    assert [(r["image"], r["box"], r["classes"]) for r in found] == [("0", " ".join(f"{v:.0f}" for v in cells[0].boxes[2]), "7")]


def test_the_classifier_trains_on_boxes_and_on_singles(cells, tmp_path):
    run = classifier.train(dict(cache=cells), tmp_path / "boxes", 5, batch=8, max_steps=3, **TINY)
    assert run.step == 3 and 0 <= run.rows[-1]["held_cil"] <= 1
    dark = lambda h: np.pad(np.full((h, 12), 90, np.uint8), 3, constant_values=200)
    items = [readers.Single(f"{i}", f"c{i % 4}", f"c{i % 4}", "train" if i < 30 else "validation", 0, i % 24, dark(20 + i)) for i in range(40)]
    run = classifier.train(dict(singles=dict(some=items), shares=dict(some=1.0)), tmp_path / "singles", 5, batch=8, max_steps=3, **TINY)
    assert run.step == 3 and "held_some" in run.rows[-1]


def test_singles_start_from_a_network_that_learned_boxes(tmp_path):
    boxes, rate = nets.Classifier(refine=5, **TINY), 1e-3
    began = Run(tmp_path / "boxes", dict(net=boxes.config, sets=["cil"]), boxes, torch.optim.AdamW(boxes.parameters()), 5, rate)
    began.epoch = 7.0
    began.save()
    save_small(tmp_path / "boxes", tmp_path / "boxes.pt")
    for sets, refine, epochs in ((["some"], False, 0.0), (["cil"], True, 7.0)):
        net = nets.Classifier(**TINY, **(dict(refine=5) if refine else {}))
        run = Run(tmp_path / f"from-{refine}", dict(net=net.config, sets=sets), net, torch.optim.AdamW(net.parameters()), 5, rate)
        run.start_from(tmp_path / "boxes.pt")
        assert run.epoch == epochs and torch.allclose(net.out.weight, boxes.out.weight, atol=1e-3)
    other = nets.Classifier(widths=(8, 24), depths=(0, 1), hidden=16)
    run = Run(tmp_path / "other", dict(net=other.config, sets=["some"]), other, torch.optim.AdamW(other.parameters()), 5, rate)
    with pytest.raises(ValueError, match="holds a network"):
        run.start_from(tmp_path / "boxes.pt")


def test_what_is_in_doubt_is_asked_again_in_other_orientations(cells):
    item = cells[0]
    views = classifier.box_views(item.pixels, item.boxes, classifier.median_diagonal(item.boxes))
    torch.manual_seed(3)
    net = nets.Classifier(**TINY).eval()
    ask = lambda v: ev.log_softmax(classifier.logits(net, *v))
    assert np.allclose(classifier.log_probabilities(net, views, 1.0, dict(below=0.0, turns=[4])), ask(views), atol=1e-5)
    mean = ev.log_softmax((ask(views) + ask(classifier.turned(views, 4))) / 2)
    assert np.allclose(classifier.log_probabilities(net, views, 1.0, dict(below=1.0, turns=[4])), mean, atol=1e-4)
    assert (classifier.turned(views, 4)[2][:, 1] == views[2][:, 2]).all()


def test_boxes_are_drawn_with_what_they_teach(cells):
    data = classifier.Metaphases(cells, "train", other=0.5)
    grey, masks, sizes, labels, edges = data.draw(RNG, 60)
    assert grey.shape == (60, 96, 96) and masks.max() == 1 and np.isfinite(sizes).all() and edges.shape == (60, 4)
    assert 0 < (labels == 24).sum() < 60
    known = (labels >= 0) & (labels < 24)
    assert np.isfinite(edges[known]).all() and np.abs(edges[known]).max() < 3.1


def test_a_box_teaches_its_chromosome_or_that_there_is_none_or_only_where_it_lies():
    truth = np.array([[0.0, 0, 10, 40], [50, 0, 60, 40]], np.float32)
    meet = lambda *b: classifier.meeting(np.array(b, np.float32), truth, np.array([4, -1]))
    assert meet(0, 0, 10, 30)[0] == 4 and np.allclose(meet(0, 0, 10, 30)[1], [0, 0, 0, 1 / 3])
    assert meet(50, 0, 60, 40)[0] == -1, "no known class"
    label, edges = meet(0, 28, 10, 40)
    assert label == 4 and np.allclose(edges, [0, -28 / 12, 0, 0]), "met at 0.3: it is drawn to it"
    label, edges = meet(0, 0, 60, 40)
    assert label == 24 and np.isnan(edges).all()


def test_a_box_teaches_the_class_of_what_it_is_drawn_to():
    edges = torch.tensor([[0.45, 0, 0, 0], [0.45, 0, 0, 0], [0.55, 0, 0, 0], [0.6, 0.3, 0, 0], [float("nan")] * 4])
    labels = torch.tensor([3, -1, 3, 3, 24])
    assert classifier.taught(labels, edges, None).tolist() == [3, -1, -1, 24, 24], "IoU 0.55, 0.45, 0.28 of the box itself"
    assert classifier.taught(labels, edges, torch.nan_to_num(edges)).tolist() == [3, -1, 3, 3, 24], "drawn to its chromosome each shows that"


def test_edges_turn_with_the_picture():
    boxes = np.array([[10, 20, 30, 60], [12, 15, 33, 66]], float)
    box, truth = boxes
    edges = (truth - box) / np.tile(box[2:] - box[:2], 2)
    from metaphased_training import augment
    for k in range(8):
        b, t = augment.dihedral_boxes(boxes, k, 100, 90)
        assert np.allclose(classifier.turned_edges(edges, k), (t - b) / np.tile(b[2:] - b[:2], 2), atol=1e-6), k
    assert np.allclose(classifier.moved(box[None], edges[None], 100, 90), truth[None], atol=1e-4)
    assert np.allclose(classifier.moved(box[None], np.full((1, 4), 9.0), 35, 70), [[22, 44, 35, 70]]), "no farther than its reach, and not out of the picture"


def test_a_network_learns_to_draw_edges(cells, tmp_path):
    from metaphased_training.candidates import Offered
    offered = Offered(cells.first, cells.boxes + np.float32(2.0))
    run = classifier.train(dict(cache=cells, offered=offered), tmp_path / "run", 5, batch=8, max_steps=3, **TINY)
    assert run.step == 3 and run.config["net"]["refine"]
    item = cells[0]
    views = classifier.box_views(item.pixels, item.boxes, classifier.median_diagonal(item.boxes))
    answers, more = classifier.refined(nets.Classifier(**run.config["net"]).eval(), views, 1.0)
    assert answers.shape[1] == 25 and more.shape == (len(item.boxes), 5)
    head, places = nets.Edges(8, 16, 32, 25, 24), torch.zeros(2, 4, 25)
    places[0, 0, 14] = places[0, 1:, 12] = 30.0  # the left edge lies 0.1 to the right, the others where they are
    said = torch.cat([torch.tensor([[9.0], [-9.0]]), places.flatten(1)], 1)
    edges = torch.tensor([[0.1, 0, 0, 0], [float("nan")] * 4])
    moves, loss = classifier.refinement(said, head, edges)
    assert torch.allclose(moves[0], edges[0], atol=1e-5) and loss < 0.01
    assert all(classifier.refinement(torch.cat([said[:, :1] * a, said[:, 1:] * b], 1), head, edges)[1] > 0.1 for a, b in ((-1, 1), (1, 0)))
    export.classifier(tmp_path / "run", tmp_path / "m", ["g-band"], {}, {}, "1", "x", False, {})
    assert tomllib.loads((tmp_path / "m/model.toml").read_text())["output"]["extra"] == ["found", "left", "top", "right", "bottom"]


def test_the_detectors_own_boxes_are_collected_on_training_cells_and_drawn(cells, tmp_path):
    from metaphased_training.run import save_small
    detector.train(tmp_path / "cells", tmp_path / "run", 5, size=128, batch=2, max_steps=2, **SMALL)
    save_small(tmp_path / "run", tmp_path / "small.pt")
    offered = candidates.collect(tmp_path / "small.pt", cells, cells, tmp_path / "offered.npz", floor=0.0, progress=lambda *a, **k: None)
    assert len(offered.of(0)) > 0 and len(offered.of(5)) == 0, "validation cells stay unseen"
    *_, labels, edges = classifier.Metaphases(cells, "train", other=0.0, offered=offered, share=1.0).draw(RNG, 40)
    assert len(labels) == len(edges) == 40


def test_an_int8_file_is_close_and_in_the_form_that_its_engine_runs(cells, tmp_path):
    classifier.train(dict(cache=cells), tmp_path / "run", 5, batch=8, max_steps=3, **TINY)
    export.classifier(tmp_path / "run", tmp_path / "m", ["g-band"], {}, {}, "1", "x", False, {})
    item = cells[0]
    views = classifier.box_views(item.pixels, item.boxes, classifier.median_diagonal(item.boxes))
    feed = dict(chromosome=classifier.to_input(*views[:2]).contiguous().numpy(), size=views[2])
    for signed in (False, True):
        quantise.to_int8(tmp_path / "m/model.onnx", tmp_path / "m/model.int8.onnx", [feed], signed)
        model = onnx.load(str(tmp_path / "m/model.int8.onnx"))
        kinds = {t.name: t.data_type for t in model.graph.initializer}
        pairs = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
        zero = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        kind = onnx.TensorProto.INT8 if signed else onnx.TensorProto.UINT8
        assert pairs and all(kinds[n.input[2]] == kind for n in pairs)
        assert not signed or not any(zero[n.input[2]].any() for n in pairs)
        biases = {t.data_type for t in model.graph.initializer if t.name.endswith("bias_quantized")}
        assert biases == (set() if signed else {onnx.TensorProto.INT32})
        # A ReLU behind whole numbers is part of the range of the layer before it, and costs no step of its own.
        whole_numbers = {x for n in model.graph.node if n.op_type == "DequantizeLinear" for x in n.output}
        assert signed or not any(n.op_type == "Relu" and n.input[0] in whole_numbers for n in model.graph.node)
        whole, small = (classifier.logits(quantise.Session(tmp_path / "m" / f), *views) for f in ("model.onnx", "model.int8.onnx"))
        assert np.abs(whole - small).max() < 0.1 * max(1.0, np.abs(whole).max())


def test_cross_validation_judges_every_chromosome_once_by_a_network_that_never_saw_its_cell(tmp_path):
    dark = lambda h: np.pad(np.full((h, 12), 90, np.uint8), 3, constant_values=200)
    items = [readers.Single(f"{i}", f"c{i % 4}", f"c{i % 4}", "test", i % 4 % 2, i % 24, dark(20 + i)) for i in range(48)]
    for part in (0, 1):
        sides = {s.cell: s.split for s in folds.singles_source(items, "some", part, 2)["singles"]["some"]}
        assert sides == {f"c{i}": "validation" if i % 2 == part else "train" for i in range(4)}
    result = folds.cross_validate(lambda p: folds.singles_source(items, "some", p, 2), tmp_path, 5, 2, batch=8, max_steps=2, **TINY)
    table = [r.split(",") for r in (tmp_path / "out-of-fold.csv").read_text().splitlines()]
    assert table[0] == folds.HEADER and sorted(r[3] for r in table[1:]) == sorted(str(i) for i in range(48))
    assert result["cross_validated_n"] == 48 and 0 <= result["cross_validated_accuracy"][0] <= 1


def test_a_label_is_doubted_where_the_network_is_sure_of_another(tmp_path):
    rows = ["0,c1,g1,1 2 3 4,4,5,0.001,0.99", "0,c1,g1,5 6 7 8,4,5,0.05,0.9", "0,c1,g1,9 9 9 9,4,4,0.99,0.99"]
    (tmp_path / "o.csv").write_text("\n".join([",".join(folds.HEADER), *rows]) + "\n")
    assert [r["item"] for r in folds.doubted(tmp_path / "o.csv")] == ["1 2 3 4"]


def test_only_shared_doubts_stay(cells, monkeypatch):
    """Of two doubts about the first cell's boxes the second label convinces the classifier, which is stood in for."""
    rows = [dict(image="0", box=" ".join(map(str, cells[0].boxes[k])), classes="21") for k in (0, 1)]
    answers = iter([0.001, 0.6])
    def says(net, views, t):
        p = np.full((1, 25), 0.01)
        p[0, 20] = next(answers)
        return np.log(p)
    monkeypatch.setattr(classifier, "log_probabilities", says)
    assert audit.shared(rows, cells, None) == rows[:1]


def test_doubted_singles_are_listed_by_their_file(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "AUDIT", tmp_path)
    (tmp_path / "o.csv").write_text("\n".join([",".join(folds.HEADER), "0,067,067,67/67 6a.bmp,6,7,0.001,0.98", "0,067,067,67/67 6b.bmp,6,7,0.2,0.7"]) + "\n")
    audit.write("bioimlab", tmp_path, audit.out_of_fold(tmp_path / "o.csv", "bioimlab"))
    assert audit.listed("bioimlab") == {"67/67 6a.bmp"} and audit.listed("pki3") == set()


@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_exported_graphs_agree_and_are_half_inside(kind, cells, tmp_path):
    if kind == "detector":
        detector.train(tmp_path / "cells", tmp_path / "run", 5, size=128, batch=2, max_steps=2, **SMALL)
        export.detector(tmp_path / "run", tmp_path / "m", ["g-band"], dict(score=0.4, use="objectness"), {}, dict(factor=0.66), dict(ap50=[0.9, 0.8, 1.0]), "1", {})
    else:
        classifier.train(dict(cache=cells), tmp_path / "run", 5, batch=4, max_steps=2, **TINY)
        export.classifier(tmp_path / "run", tmp_path / "m", ["g-band"], dict(temperature=1.1), {}, "1", "x", False, {})
    m = tomllib.loads((tmp_path / "m/model.toml").read_text())
    assert m["task"] == kind and len(m["file"]) == 2 and m["output"]["classes"][22:] == ["X", "Y"]
    half = onnx.load(str(tmp_path / "m/model.f16.onnx"))
    weights = [t for t in half.graph.initializer if len(t.dims) == 4]
    assert weights and all(t.data_type == onnx.TensorProto.FLOAT16 for t in weights)
    whole = onnx.load(str(tmp_path / "m/model.onnx"))
    assert any(t.data_type == onnx.TensorProto.FLOAT16 for t in whole.graph.initializer), "its weights are kept in half"
    assert not any(t.data_type == onnx.TensorProto.FLOAT16 for t in export.widened(whole).graph.initializer)
    assert all(v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for v in [*half.graph.input, *half.graph.output])
    import hashlib
    for f in m["file"]:
        assert hashlib.sha256((tmp_path / "m" / f["path"]).read_bytes()).hexdigest() == f["sha256"]


def test_vgg19_has_the_published_number_of_parameters():
    assert nets.parameters(lit.Vgg19(119, "none", size=224)) == 23_009_975
    assert nets.parameters(lit.Vgg19(24, "none", size=224)) == 23_009_975 - 95 * 25_089


@pytest.mark.parametrize("head", lit.HEADS)
def test_every_published_head_runs_and_last_layers_can_be_tuned_alone(head):
    net = lit.Vgg19(24, head, width=64, size=32).eval()
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 24)
    net.fine_tune("last")
    assert {n.split(".")[0] for n, p in net.named_parameters() if p.requires_grad} == {"head"}
    net.fine_tune("whole")
    assert all(p.requires_grad for p in net.parameters())


def test_anchors_are_the_sizes_that_occur():
    rng = np.random.default_rng(1)
    sizes = np.concatenate([rng.normal(m, 0.1, (50, 2)) for m in ((1, 1), (2, 1), (1, 2), (3, 3), (4, 2))])
    anchors = lit.dimension_clusters(sizes)
    assert len(anchors) == 5
    for mean in ((1, 1), (2, 1), (1, 2), (3, 3), (4, 2)):
        assert min(np.abs(np.subtract(mean, a)).max() for a in anchors) < 0.1, (mean, anchors)


@pytest.mark.parametrize("name", ["tiny-yolo", "yolov2-resnet50"])
def test_yolos_give_one_map_that_decodes(name):
    net = lit.NETWORKS[name]().eval()
    raw = net(torch.zeros(1, 3, 64, 96))
    assert raw.shape == (1, 5 * 29, 64 // net.stride, 96 // net.stride)
    boxes, confidence, classes = lit.decode_yolo(raw, net.stride, lit.ANCHORS)
    assert boxes.shape[1] == confidence.shape[1] == classes.shape[1] and torch.isfinite(boxes).all()
    truth = [(torch.tensor([[4.0, 4, 30, 40]]), torch.tensor([3]), torch.zeros(0, 4))]
    assert torch.isfinite(lit.yolo_loss(raw, truth, net.stride, lit.ANCHORS))


@pytest.mark.parametrize("name", ["tiny-yolo", "yolov2-resnet50"])
def test_an_exported_yolo_says_the_same_boxes_on_one_fine_map(name):
    torch.manual_seed(1)
    net = lit.NETWORKS[name]().eval()
    x = torch.rand(1, 3, 64, 96)
    whole = lit.YoloExport(net)
    raw = whole(x)
    assert raw.shape == (1, 29, 64 // whole.stride, 96 // whole.stride)
    flat, centres = raw.flatten(2)[0].T, detector.grid(*raw.shape[2:], whole.stride, "cpu")
    boxes = torch.cat([centres - flat[:, :2], centres + flat[:, 2:4]], 1)
    want, confidence, _ = (t[0] for t in lit.decode_yolo(net(x), net.stride, lit.ANCHORS))
    loud = flat[:, 4] > -15
    assert loud.sum() == len(want)
    by_place = lambda b, s: b[torch.argsort(s)]
    assert torch.allclose(by_place(boxes[loud], flat[loud, 4].sigmoid()), by_place(want, confidence), atol=1e-2)


def test_imagenet_weights_load_from_a_file_and_a_wrong_file_is_refused(tmp_path):
    net = lit.Vgg19(24, "gap", size=32)
    given = {"features.0.weight": torch.ones(64, 3, 3, 3), "features.0.bias": torch.full((64,), 2.0), "classifier.6.weight": torch.ones(3, 3)}
    torch.save(given, tmp_path / "w.pth")
    assert lit.load_imagenet(net, tmp_path / "w.pth") == 2 and net.features[0].bias[0] == 2
    grey = lit.Vgg19(24, "gap", size=32, colours=1)
    lit.load_imagenet(grey, tmp_path / "w.pth")
    assert torch.allclose(grey.features[0].weight, torch.full((64, 1, 3, 3), 3.0))
    torch.save({"nothing": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="no tensor fits"):
        lit.load_imagenet(net, tmp_path / "x.pth")


def test_the_literature_trains_for_a_step(cells, tmp_path):
    result = compare.train_yolo("tiny-yolo", tmp_path / "cells", tmp_path / "yolo", 5, size=64, batch=1, max_steps=1)
    assert 0 <= result["ap50"] <= 1
    folder = tmp_path / "models/tiny-yolo"
    compare.export("tiny-yolo", tmp_path / "yolo", folder)
    m = tomllib.loads((folder / "model.toml").read_text())
    assert m["output"]["strides"] == [8] and m["input"]["channels"] == 3 and len(m["file"]) == 1
    dark = lambda h: np.pad(np.full((h, 12), 90, np.uint8), 3, constant_values=200)
    items = [readers.Single(f"{i}", "c", "c", "train" if i < 10 else "validation", 0, i % 24, dark(20 + i)) for i in range(14)]
    compare.train_vgg19(items, tmp_path / "vgg", 5, size=32, head="two-fc-bn", width=32, batch=4, max_steps=1)
    compare.export("vgg19", tmp_path / "vgg", tmp_path / "models/vgg19")
    assert tomllib.loads((tmp_path / "models/vgg19/model.toml").read_text())["input"]["size"] == 32
    table = compare.scores(np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert table["accuracy"] == pytest.approx(2 / 3) and table["recall"] == pytest.approx(0.75)


def seen(truth, boxes, score, classes):
    p = np.full((len(boxes), 24), np.log(0.01))
    p[np.arange(len(boxes)), classes] = np.log(0.77)
    return ev.Seen("c", "g", truth, np.arange(len(truth)), boxes, np.array(score), np.array(score), p)


def test_temperature_recovers_the_scale_of_logits():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1.5, (4000, 24))
    p = np.exp(ev.log_softmax(z))
    y = np.array([rng.choice(24, p=row) for row in p])
    assert ev.temperature(3 * z, y) == pytest.approx(3.0, rel=0.1)
    assert ev.expected_calibration_error(p, y) < 0.03 < ev.expected_calibration_error(np.exp(ev.log_softmax(3 * z)), y)


def a_cell(rng, n=30):
    """A made-up cell of candidates: every second chromosome has a double."""
    truth = np.stack([np.arange(n) * 50.0, np.zeros(n), np.arange(n) * 50.0 + 30, np.full(n, 40.0)], 1)
    boxes = np.concatenate([truth + rng.normal(0, 1, truth.shape), truth[::2] + rng.normal(0, 3, truth[::2].shape)])
    m = len(boxes)
    logs = np.log(rng.dirichlet(np.full(25, 0.1), m) + 1e-6).astype(np.float32)
    draw = lambda low, high: rng.uniform(low, high, m).astype(np.float32)
    return dict(group="a", edited=False, truth=truth, classes=np.arange(n) % 24, boxes=boxes, score=draw(0.1, 0.9), single=draw(0.5, 1), found=draw(-2, 8), logs=logs)


def test_of_two_candidates_of_a_chromosome_the_surer_is_it():
    rng = np.random.default_rng(3)
    cell = a_cell(rng)
    sure = context.alone(cell)
    own = context.owned(cell["boxes"], cell["truth"], sure)
    assert sorted(own[own >= 0]) == list(range(30))
    for double in range(30, 45):
        first = 2 * (double - 30)
        if abs(sure[first] - sure[double]) > 3:
            assert own[first if sure[first] > sure[double] else double] == first


def test_the_order_of_candidates_changes_nothing_but_the_order():
    rng = np.random.default_rng(4)
    cell, turned = a_cell(rng), rng.permutation(45)
    other = cell | {k: cell[k][turned] for k in context.PER_CANDIDATE}
    torch.manual_seed(0)
    net = context.Context().eval()
    torch.nn.init.normal_(net.last[1].weight)

    def logits(c):
        f = context.features(c)
        with torch.no_grad():
            z = net(torch.from_numpy(f["candidates"])[None], torch.from_numpy(f["pairs"])[None])[1][0].numpy()
        out = np.empty(len(z))
        out[f["kept"]] = z
        return out
    np.testing.assert_allclose(logits(cell)[turned], logits(other), atol=1e-4)


def test_a_batch_filled_up_with_nothing_says_the_same():
    rng = np.random.default_rng(5)
    cells = [context.features(a_cell(rng, n)) for n in (20, 30)]
    torch.manual_seed(0)
    net = context.Context().eval()
    torch.nn.init.normal_(net.last[1].weight)
    b = context.batch(cells)
    with torch.no_grad():
        together = net(b["candidates"], b["pairs"], b["mask"])[1]
        for row, c in zip(together, cells):
            alone = net(torch.from_numpy(c["candidates"])[None], torch.from_numpy(c["pairs"])[None])[1][0]
            torch.testing.assert_close(row[:len(alone)], alone, atol=1e-4, rtol=1e-4)


def test_lost_chromosomes_take_their_candidates_with_them():
    rng = np.random.default_rng(6)
    cell = a_cell(rng)
    less = next(c for c in (context.without_some(rng, cell) for _ in range(50)) if len(c["truth"]) < 30)
    met = context.iou_matrix(less["boxes"], cell["truth"]).argmax(1)
    gone = [i for i, t in enumerate(cell["truth"]) if not (less["truth"] == t).all(1).any()]
    assert gone and not set(met) & set(gone)


def test_the_network_of_context_goes_into_the_classifiers_folder(tmp_path):
    torch.manual_seed(0)
    nets = [context.Context(), context.Context()]
    for seed, net in enumerate(nets):
        torch.nn.init.normal_(net.last[1].weight)
        kept = dict(state=net.state_dict(), trained=dict(epochs=1.0, steps=3, minutes=1, seed=seed), validation_log_loss=0.05)
        torch.save(kept, tmp_path / f"context-{seed}.pt")
    before = dict(task="classifier", name="x"), [], dict(output=dict(classes=["1"]), trained=dict(epochs=2.0))
    (tmp_path / "model.toml").write_text(export.manifest(*before))
    for _ in range(2):
        context.export(tmp_path, tmp_path)
        said = tomllib.loads((tmp_path / "model.toml").read_text())
        assert said["context"]["detector"] == "detector-metaphase" and said["trained"]["context"]["seeds"] == [0, 1] and said["trained"]["epochs"] == 2.0
        assert said["output"]["classes"] == ["1"]
    f = context.features(a_cell(np.random.default_rng(7)))
    session = onnxruntime.InferenceSession(tmp_path / said["context"]["file"]["path"])
    got = session.run(None, {k: f[k][None] for k in ("candidates", "pairs")})[0][0]
    with torch.no_grad():
        want = context.Exported(nets).eval()(*(torch.from_numpy(f[k])[None] for k in ("candidates", "pairs")))[0].numpy()
    np.testing.assert_allclose(got, want, atol=0.02)


EXAMPLE = Path(__file__).parents[3] / "crates/recognition/tests/data/context_example.json"


def test_features_are_those_that_the_daemon_is_held_to():
    """Write the file with `python -c "import test_networks; test_networks.write_example()"` when the features or the network that ships change."""
    kept = json.loads(EXAMPLE.read_text())
    columns = {k: np.array([c[k] for c in kept["candidates"]], np.float32) for k in ("score", "single", "found", "logs")}
    f = context.features(dict(boxes=context.corners([c["box"] for c in kept["candidates"]]), truth=np.zeros((0, 4)), classes=np.zeros(0, int), **columns))
    back = np.argsort(f["kept"])
    np.testing.assert_allclose(f["candidates"][back], kept["features"], atol=1e-4)
    np.testing.assert_allclose(f["pairs"][back][:, back][3], kept["pairs_of_the_fourth"], atol=1e-4)
    np.testing.assert_allclose(shipped_logits(f)[back], kept["logits"], atol=1e-3)


def shipped_logits(features):
    """What the network that ships says, by ONNX Runtime."""
    session = onnxruntime.InferenceSession(EXAMPLE.parents[4] / "models/classifier-metaphase/context.onnx")
    return session.run(None, {k: features[k][None] for k in ("candidates", "pairs")})[0][0]


def write_example():
    """Ten candidates, some of them doubles, their features, and what the network that ships says of them."""
    rng = np.random.default_rng(11)
    cell = a_cell(rng, 7)
    rows = [dict(box=[round(float(v), 2) for v in (*b[:2], *(b[2:] - b[:2]))], score=round(float(s), 4), single=round(float(p), 4), found=round(float(q), 3),
                 logs=[round(float(v), 3) for v in logs]) for b, s, p, q, logs in zip(*(cell[k] for k in context.PER_CANDIDATE))]
    columns = {k: np.array([c[k] for c in rows], np.float32) for k in ("score", "single", "found", "logs")}
    f = context.features(dict(boxes=context.corners([c["box"] for c in rows]), truth=np.zeros((0, 4)), classes=np.zeros(0, int), **columns))
    back = np.argsort(f["kept"])
    numbers = lambda a: [[round(float(v), 5) for v in row] for row in a]
    EXAMPLE.write_text(json.dumps(dict(candidates=rows, features=numbers(f["candidates"][back]), pairs_of_the_fourth=numbers(f["pairs"][back][:, back][3]),
                                       logits=[round(float(v), 4) for v in shipped_logits(f)[back]])) + "\n")
