from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from metaphased import Client, models
from metaphased.export import CATEGORIES, export


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
