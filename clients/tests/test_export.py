from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from metaphased import Client, models
from metaphased.export import CATEGORIES, export, mask


def test_reviewed_cells_become_training_data(client: Client, cells: list[models.Cell], tmp_path: Path) -> None:
    reviewed, other = client.cell(cells[0]), client.cell(cells[2])
    right = models.ClassChange(action="class", index=reviewed.chromosomes[2].index, class_="Y")
    client.review(reviewed, by="K. Berg", change=right)
    reviewed = client.cell(reviewed)
    done = export(client, [reviewed, other], tmp_path / "set")
    assert done.written == 1
    with (tmp_path / "set/left_out.csv").open() as file:
        assert list(csv.reader(file))[1:] == [[str(other.cell), "no person has reviewed it"]]

    coco = json.loads((tmp_path / "set/coco.json").read_text())
    image = Image.open(io.BytesIO((tmp_path / "set/images" / coco["images"][0]["file_name"]).read_bytes()))
    assert image.size == (coco["images"][0]["width"], coco["images"][0]["height"]) == tuple(reviewed.captured.size)
    assert len(coco["annotations"]) == len(reviewed.chromosomes)
    assert coco["annotations"][2]["category_id"] == CATEGORIES["Y"]
    for row in coco["annotations"]:
        x, y, w, h = row["bbox"]
        assert w > 0 and h > 0 and x + w <= image.width + 0.01 and y + h <= image.height + 0.01

    voc = ElementTree.parse(tmp_path / "set/voc" / f"{reviewed.cell}.xml").getroot()
    names = [item.findtext("name") for item in voc.iter("object")]
    assert names == [chromosome.class_ or "unclassed" for chromosome in reviewed.chromosomes]
    with pytest.raises(FileExistsError):
        export(client, [reviewed], tmp_path / "set")


def test_a_cell_without_its_frame_is_left_out(client: Client, cells: list[models.Cell], tmp_path: Path) -> None:
    gone = cells[0].model_copy(update={"cell": "01a22be1-5ab7-7805-b4ea-4611fb3003cd"})
    done = export(client, [gone], tmp_path / "set", reviewed_only=False)
    assert done.left_out == [(str(gone.cell), "its frame was not kept (store.keep_images)")]


def outlined(cell: models.Cell, *outlines: list[list[list[float]]]) -> models.Cell:
    """The cell with as many of its chromosomes as there are outlines."""
    document = cell.document()
    document["captured"]["size"] = [12, 10]
    document["chromosomes"] = document["chromosomes"][: len(outlines)]
    for index, rings in enumerate(outlines):
        document["chromosomes"][index] |= {"index": index, "box": [0, 0, 12, 10]}
        document["chromosomes"][index]["outline"] = {"source": "network", "score": 0.9, "rings": rings}
    return models.Cell.model_validate(document)


def test_a_mask_holds_every_chromosome_its_holes_and_where_two_cross(cells: list[models.Cell]) -> None:
    around, hole = [[1, 1], [7, 1], [7, 7], [1, 7]], [[3, 3], [5, 3], [5, 5], [3, 5]]
    crossing = [[6, 0], [10, 0], [10, 4], [6, 4]]
    rows = mask(outlined(cells[0], [around, hole], [crossing]))
    assert (rows[0][0], rows[1][1], rows[6][6], rows[7][7]) == (0, 1, 1, 0)
    assert (rows[3][3], rows[4][4], rows[2][2]) == (0, 0, 1), "a hole is no part of it"
    assert (rows[0][6], rows[2][6], rows[2][7], rows[3][9]) == (2, 65535, 2, 2)
    assert sum(value == 1 for row in rows for value in row) == 36 - 4 - 3


def test_outlines_are_exported_as_polygons_and_masks(client: Client, cells: list[models.Cell], tmp_path: Path) -> None:
    cell = outlined(cells[0], [[[1, 1], [7, 1], [7, 7]]])
    export(client, [cell], tmp_path / "set", reviewed_only=False)
    coco = json.loads((tmp_path / "set/coco.json").read_text())
    assert coco["annotations"][0]["segmentation"] == [[1, 1, 7, 1, 7, 7]]
    with Image.open(tmp_path / f"set/masks/{cell.cell}.png") as image:
        assert image.mode.startswith("I;16") and image.size == (12, 10)
        assert [image.getpixel((x, 2)) for x in range(8)] == [list(row) for row in mask(cell)][2][:8]
