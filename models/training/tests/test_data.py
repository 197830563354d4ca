"""Splits, readers, crops and augmentation, on small synthetic pictures."""

import csv

import cv2
import numpy as np
import pytest

from metaphased_training import CLASSES, augment, boxes as bx, cache, crops, layouts, pack, readers, splits

RNG = np.random.default_rng(3)


def metaphase(w=120, h=100, n=6):
    """A bright field with dark bars, their boxes and classes."""
    grey = np.full((h, w), 210, np.uint8)
    found = []
    for i in range(n):
        x, y = 8 + (i % 3) * 38, 8 + (i // 3) * 45
        grey[y : y + 30, x : x + 10] = 60
        found.append([x - 2, y - 2, x + 12, y + 32])
    return grey, np.array(found, np.float32), np.arange(n)


def test_a_group_never_lies_on_two_sides_and_the_committed_splits_hold_every_kind():
    for name in ("cil", "pki3", "bioimlab", "mfish", "clusters"):
        side = {}
        for row in splits.read(name).values():
            assert side.setdefault(row["group"], row["split"]) == row["split"], row
        assert set(side.values()) == {"train", "validation", "test"}


def test_the_split_depends_on_the_group_alone():
    groups = {f"g{i}" for i in range(100)}
    a, b = splits.assign("some", groups), splits.assign("some", set(reversed(sorted(groups))))
    assert a == b and list(a.values()).count("test") == 12 and list(a.values()).count("validation") == 4


def test_mixed_groups_stay_on_the_training_side():
    assert splits.read("cil")["unknow001.webp"]["split"] == "train" if "unknow001.webp" in splits.read("cil") else True
    assert splits.assign("cil", {"unknown", "a", "b"}, test=1.0)["unknown"] == "train"


@pytest.mark.parametrize("name,label", [("A1", 0), ("C12", 11), ("X", 22), ("y", 23), ("24", 23), ("chr7", 6), ("07", 6), ("dust", -1), ("25", -1)])
def test_class_names_of_all_sets_are_understood(name, label):
    assert readers.class_index(name) == label


def test_one_box_with_two_classes_becomes_one_of_unknown_class():
    boxes, classes = readers.merge_doubles([[0, 0, 5, 5], [0, 0, 5, 5], [1, 1, 4, 4]], [3, 4, 2])
    assert boxes == [[0, 0, 5, 5], [1, 1, 4, 4]] and classes == [readers.UNKNOWN, 2]


def test_cil_is_read_with_its_committed_split(tmp_path):
    name = next(n for n, r in splits.read("cil").items() if r["split"] == "train")
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / name), metaphase()[0])
    (tmp_path / "annotations.csv").write_text(f"image,class,xmin,ymin,xmax,ymax\n{name},A1,0,0,10,20\n{name},X,5,5,121,30\n")
    (tmp_path / "cells.csv").write_text(f"image,width,height,group\n{name},120,100,g\n")
    (cell,) = readers.cil(tmp_path)
    assert cell.split == "train" and cell.classes == [0, 22]
    assert cell.boxes[1] == [5, 5, 120, 30], "a box that leaves the picture is clipped"
    assert cell.grey().shape == (100, 120)


def test_voc_lists_what_is_wrong_and_goes_on(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), metaphase()[0])
    box = "<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>{}</xmax><ymax>30</ymax></bndbox>"
    (tmp_path / "a.xml").write_text("<annotation><path>C:\\x\\a.jpg</path>" + "".join(f"<object><name>{n}</name>{box.format(*b)}</object>" for n, b in
                                    [("B4", (1, 20)), ("B5", (9, 9)), ("nucleus", (3, 30))]) + "</annotation>")
    (tmp_path / "b.xml").write_text("<annotation>")
    (tmp_path / "c.xml").write_text("<annotation></annotation>")
    cv2.imwrite(str(tmp_path / "b.png"), metaphase()[0])
    said = []
    (cell,) = layouts.voc(tmp_path, said.append)
    assert cell.classes == [3, -1]
    assert len(said) == 3 and any("no area" in s for s in said) and any("b.xml" in s for s in said) and any("no image" in s for s in said)


def test_yolo_text_is_relative_to_the_image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), metaphase()[0])
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.1 0.2\nnonsense\n0 0.5 0.5 0 0\n")
    said = []
    (cell,) = layouts.yolo(tmp_path, ["X", "Y"], said.append)
    assert np.allclose(cell.boxes, [[54, 40, 66, 60]]) and cell.classes == [23] and len(said) == 2


def test_yolo_polygons_give_their_boxes_and_other_lines_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), metaphase()[0])
    (tmp_path / "a.txt").write_text("1 0.45 0.4 0.55 0.4 0.55 0.6 0.45 0.6\n1 0.5 0.5 0.1 0.2 0.9\n0 0.1 0.2 2 0.3 0.4 2\n")
    said = []
    (cell,) = layouts.yolo(tmp_path, ["X", "Y"], said.append)
    assert np.allclose(cell.boxes, [[54, 40, 66, 60]]) and cell.classes == [23] and len(said) == 2


def test_simulated_cells_take_their_group_from_the_truth(tmp_path):
    cv2.imwrite(str(tmp_path / "cell1.png"), metaphase()[0])
    (tmp_path / "cell1.xml").write_text("<annotation><object><name>1</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>")
    (tmp_path / "truth.jsonl").write_text('{"image": "cell1.png", "slide": "s7"}\n')
    (cell,) = layouts.simulated(tmp_path)
    assert cell.group == "s7" and cell.classes == [0]


def test_single_chromosomes_are_read_from_both_published_layouts(tmp_path):
    dark = np.zeros((40, 30), np.uint8)
    dark[5:30, 10:20] = 180
    (tmp_path / "q/2").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "q/2/2 10a.bmp"), dark)
    cv2.imwrite(str(tmp_path / "q/2/readme.bmp"), dark)
    said = []
    (one,) = layouts.bioimlab_folders(tmp_path / "q", said.append)
    assert one.label == 9 and one.grey.shape == (25, 10) and one.grey.min() == 75 and len(said) == 1
    (tmp_path / "g/clase23").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "g/clase23/clase23_0_97002023.12.tiff"), 255 - dark)
    (two,) = layouts.class_folders(tmp_path / "g")
    assert two.label == 22 and two.group == "97002023"


def test_faint_specks_do_not_keep_the_padding():
    grey = np.full((60, 40), 255, np.uint8)
    grey[20:40, 15:25] = 90
    grey[55, 3] = grey[2, 30] = 240
    assert readers.trim(grey).shape == (20, 10)
    assert readers.trim(np.full((5, 5), 255, np.uint8)).shape == (5, 5)


def test_pieces_of_a_class_map_join_through_overlaps():
    m = np.zeros((40, 60), np.uint8)
    m[18:22, 5:25] = 1
    m[18:22, 25:30] = 255  # chromosome 2 lies across
    m[18:22, 30:50] = 1
    m[5:35, 25:30] = np.where(m[5:35, 25:30] == 255, 255, 2)
    boxes, classes = readers.class_map_boxes(m)
    assert classes == [0, 1] and boxes[0] == [5, 18, 50, 22] and boxes[1] == [25, 5, 30, 35]


def test_the_ground_is_brought_to_its_level():
    grey, *_ = metaphase()
    level = cache.normalise_background(grey)
    assert level[0, 0] == cache.BACKGROUND and level.min() == round(60 * 220 / 210)


def test_a_cache_gives_back_what_was_put_in(tmp_path):
    grey, boxes, classes = metaphase()
    cells = [readers.Cell(f"{i}", "g", "train", lambda: grey, boxes.tolist(), classes.tolist()) for i in range(3)]
    c = cache.build(cells, tmp_path / "c", 0.5)
    assert len(c) == 3 and c[2].pixels.shape == (50, 60) and np.allclose(c[1].boxes, boxes / 2)
    d = cache.build(cells, tmp_path / "d", 1.0, diagonal=40.0)
    assert abs(np.median(np.hypot(*(d[0].boxes[:, 2:] - d[0].boxes[:, :2]).T)) - 40) < 0.01


def test_boxes_turn_with_their_picture():
    grey, boxes, _ = metaphase()
    marks = np.zeros_like(grey)
    x0, y0, x1, y1 = boxes[1].astype(int)
    marks[y0:y1, x0:x1] = 255
    for k in range(8):
        turned = augment.dihedral_image(marks, k)
        ys, xs = np.nonzero(turned)
        want = augment.dihedral_boxes(boxes[1:2], k, grey.shape[1], grey.shape[0])[0]
        assert np.allclose(want, [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]), k


def test_training_crops_hold_their_boxes_and_pasted_copies():
    grey, boxes, classes = metaphase()
    for _ in range(40):
        image, b, c, ignore = augment.detector_sample(RNG, grey, boxes, classes, 96, paste=0.5)
        assert image.shape == (96, 96) and image.dtype == np.uint8 and len(b) == len(c)
        assert (b >= 0).all() and (b <= 96).all() and (ignore >= 0).all()
    image, b, c = augment.paste_chromosomes(RNG, grey, boxes, classes, 5)
    assert len(b) == len(c) > len(boxes) and image.sum() < grey.sum()


def test_a_solid_stain_has_no_class_to_learn():
    grey, boxes, classes = metaphase()
    _, b, c, _ = augment.detector_sample(RNG, grey, boxes, classes, 128, paste=0, solid=1.0)
    assert len(b) and (c == -1).all()


def test_a_crop_is_centred_and_its_mask_is_the_box():
    grey = np.full((200, 200), 220, np.uint8)
    grey[60:140, 90:110] = 20
    box = (90, 60, 110, 140)
    side = crops.square_side(20, 80, 100, crops.SINGLE)
    assert side == pytest.approx(89.6) and crops.square_side(20, 80, 100, crops.FIELD) == pytest.approx(104)
    view, mask = crops.cut(grey, box, side), crops.mask(20, 80, side)
    assert abs((view < 120).astype(int) - mask).mean() < 0.02
    assert np.allclose(view, view[:, ::-1], atol=3) and np.allclose(view, view[::-1], atol=3)
    assert np.allclose(crops.sizes(30, 40, 50), np.log([1, 0.6, 0.8]))


def test_stretching_puts_the_dark_end_at_its_level_and_keeps_white():
    grey = np.full((20, 20), 255, np.uint8)
    grey[5:15, 5:15] = 120
    out = crops.stretch_single(grey)
    assert out.min() == crops.DARK and out.max() == 255
    assert crops.stretch_single(np.full((4, 4), 255, np.uint8)).min() >= crops.DARK


def test_suppression_keeps_crossing_ones_of_two_classes():
    b = np.array([[0, 0, 10, 10], [3, 0, 13, 10], [0, 0.5, 10, 10.5]], float)
    assert list(bx.suppress(b, np.array([0.9, 0.8, 0.7]), np.array([1, 2, 3]), 0.6, 0.5)) == [0, 1]
    assert list(bx.suppress(b, np.array([0.9, 0.8, 0.7]), np.array([1, 1, 3]), 0.6, 0.5)) == [0]


def test_the_likeliest_set_of_boxes_is_told():
    told = lambda rows, price: list(bx.told(np.array([[x, 0, x + w, 10] for x, w, _ in rows], float).reshape(-1, 4), np.array([s for *_, s in rows]), 0.3, 0.3, price))
    assert told([(0, 10, 0.95), (3, 10, 0.5)], 5.0) == [0]  # IoU 0.54 costs 1.7
    assert told([(0, 10, 0.95), (3, 10, 0.9)], 5.0) == [0, 1]
    assert told([(0, 20, 0.93), (0, 10.5, 0.9), (9.5, 10.5, 0.9)], 30.0) == [1, 2]
    assert told([(0, 10, 0.3), (30, 10, 0.29)], 5.0) == [0] and told([], 5.0) == []


def test_average_precision_is_exact_on_a_small_case():
    # Hits at ranks 1 and 3 of three answers, four truths: 1/4 * 1 + 1/4 * 2/3.
    assert bx.average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 4) == pytest.approx(0.25 + 0.25 * 2 / 3)
    got = bx.match(np.array([[0, 0, 10, 10], [1, 0, 10, 10]], float), np.array([[0, 0, 10, 10]], float))
    assert list(got) == [0, -1]


def test_a_pack_without_its_limit_is_refused_and_tests_stay_at_home(tmp_path, monkeypatch):
    side = splits.read("cil")
    names = [next(n for n, r in side.items() if r["split"] == s) for s in ("train", "test")]
    data = tmp_path / "data/cil"
    (data / "images").mkdir(parents=True)
    for n in names:
        cv2.imwrite(str(data / "images" / n), metaphase()[0])
    (data / "annotations.csv").write_text("image,class,xmin,ymin,xmax,ymax\n" + "".join(f"{n},A1,0,0,10,20\n" for n in names))
    (data / "cells.csv").write_text("image,width,height,group\n" + "".join(f"{n},120,100,{side[n]['group']}\n" for n in names))
    pack.pack_cil(data, tmp_path / "out", 0.5, 60, lambda text: None)
    kept = list(csv.DictReader(open(tmp_path / "out/cells.csv")))
    assert [r["image"] for r in kept] == names[:1] and kept[0]["width"] == "60"
    (cell,) = readers.cil(tmp_path / "out")
    assert cell.grey().shape == (50, 60) and cell.boxes == [[0, 0, 5, 10]]


def test_twenty_four_classes():
    assert CLASSES[0] == "1" and CLASSES[22:] == ["X", "Y"] and len(CLASSES) == 24


def test_bands_are_brought_over_each_other_and_tips_are_flat():
    from metaphased_training import banding
    u = np.linspace(0, 1, banding.STEPS)
    like = 1 + 0.5 * np.sin(20 * u), np.full(banding.STEPS, 16.0)
    moved = np.stack([1 + 0.5 * np.sin(20 * (u - d * u * (1 - u))) for d in (-0.15, 0.1)])
    by = banding.brought_over(moved, np.full(moved.shape, 16.0), like)
    before, after = np.abs(moved - like[0]).max(), np.abs(banding.shifted(moved, by) - like[0])[:, 8:-8].max()
    assert before > 0.3 and after < 0.12, (before, after)
    row = banding.flat_tips(np.arange(128.0), 3.5, 1.0)
    assert row[0] == row[2] == 3 and row[-1] == 124
