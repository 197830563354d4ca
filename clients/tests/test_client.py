from __future__ import annotations

import html
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import CASE
from daemon import Daemon
from metaphased import Busy, Client, Conflict, NotFound, Refused, Unreachable, models
from metaphased import client as implementation


def test_a_station_says_what_it_is_and_how_it_is(client: Client) -> None:
    status = client.status()
    assert status.birth.station == "test"
    assert status.state.level == "ok", status.state.reasons
    assert [source.name for source in client.sources()] == ["scope"]
    assert client.ready()


def test_all_cells_come_page_by_page(
    client: Client, cells: list[models.Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implementation, "PAGE", 2)
    ids = [cell.cell for cell in client.cells(newest_first=False)]
    assert ids[: len(cells)] == [cell.cell for cell in cells]
    assert len(ids) == len(set(ids))
    assert all(cell.case == CASE for cell in client.cells(case=CASE))
    assert not list(client.cells(case="nobody"))


def test_a_cell_reads_back_as_it_is_sent(client: Client, daemon: Daemon, cells: list[models.Cell]) -> None:
    sent = daemon.json(f"/api/v1/cells/{cells[0].cell}")
    assert client.cell(cells[0]).document() == sent
    assert {chromosome.class_ for chromosome in cells[0].chromosomes} & {"1", "2", "X"}


def test_fields_that_a_newer_daemon_adds_are_kept() -> None:
    quality = models.Quality.model_validate({"focus": 0.5, "metaphase": 0.9, "spread": 0.4, "sharpness": 3})
    assert quality.document()["sharpness"] == 3


def test_pictures_of_a_cell(client: Client, cells: list[models.Cell]) -> None:
    cell = cells[0]
    assert client.image(cell).startswith(b"\x89PNG")
    assert client.image_was_kept(cell)
    assert client.thumbnail(cell.cell).startswith(b"\xff\xd8")
    assert client.chromosome(cell, cell.chromosomes[0].index).startswith(b"\x89PNG")
    assert b"<svg" in client.karyogram(cell)
    assert client.karyogram(cell, straight=True) != client.karyogram(cell)
    assert client.frame("scope").startswith(b"\xff\xd8")


def test_a_person_corrects_a_cell(client: Client, cells: list[models.Cell]) -> None:
    before = client.cell(cells[1])
    change = models.ClassChange(action="class", index=before.chromosomes[0].index, class_="21")
    client.review(before, by="K. Berg", change=change)
    after = client.cell(before)
    assert after.revision == before.revision + 1
    assert after.chromosomes[0].class_ == "21"
    assert after.review is not None and after.review.by == "K. Berg"
    with pytest.raises(Conflict):
        client.review(before, by="K. Berg", change=change)
    with pytest.raises(Refused):
        client.review(after, by=" ", change=change)


def test_a_case_from_its_beginning_to_its_end(client: Client, cells: list[models.Cell]) -> None:
    view = client.case(CASE)
    assert view.state is not None and view.state.cells.seen >= len(cells)
    assert CASE in [view.case for view in client.cases()]
    assert "K 1/b" in html.unescape(client.report(CASE))
    client.begin_case("K-2", slide="7")
    try:
        with pytest.raises(Conflict):
            client.close_case("K-2", by="K. Berg")
    finally:
        client.begin_case(CASE)
    client.stop("scope")
    client.end_case()
    client.close_case(CASE, by="K. Berg")
    assert client.case(CASE).closed is not None
    client.reopen_case(CASE, by="K. Berg")
    client.begin_case(CASE)
    client.start("scope")
    assert client.case(CASE).closed is None


def test_what_is_not_there_is_said(client: Client) -> None:
    with pytest.raises(NotFound, match="nobody"):
        client.case("nobody")
    with pytest.raises(NotFound):
        client.cell(uuid.UUID(int=0))
    with pytest.raises(ValueError, match="expected a UUID"):
        client.cell("../cases")
    with pytest.raises(Refused, match="verdict"):
        list(client.cells(verdict="fine"))


def test_what_happens_is_said_as_it_happens(client: Client) -> None:
    seen: dict[str, Any] = {}
    for event in client.events(live=["scope"]):
        seen.setdefault(event.name, event.data)
        if {"state", "stats", "frame", "boxes", "cell"} <= seen.keys():
            break
    assert isinstance(seen["state"], models.State)
    assert isinstance(seen["stats"], models.Stats)
    assert isinstance(seen["cell"], models.Cell)
    assert isinstance(seen["frame"], models.FrameNote)
    assert seen["boxes"]["boxes"]
    with pytest.raises(NotFound):
        next(client.events(live=["nowhere"]))


def test_a_snapshot_is_taken(client: Client) -> None:
    client.snapshot("scope")
    with pytest.raises(Refused):
        client.snapshot("nowhere")


def test_a_source_that_takes_no_pushed_frames_refuses_them(client: Client, cells: list[models.Cell]) -> None:
    with pytest.raises(Refused):
        client.push("scope", client.image(cells[0]), trigger="t-1")


def test_a_push_waits_when_it_is_asked_to(tmp_path: Path) -> None:
    asked: list[httpx.URL] = []

    def daemon(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        if len(asked) < 3:
            problem = {"status": 429, "title": "Too Many Requests"}
            return httpx.Response(429, json=problem, headers={"retry-after": "0.01"})
        return httpx.Response(202, json={"trigger": "t-1"})

    file = tmp_path / "frame.png"
    file.write_bytes(b"\x89PNG")
    with Client("http://microscope") as client:
        client._http = httpx.Client(base_url="http://microscope", transport=httpx.MockTransport(daemon))
        where = models.StagePosition(x=1.5, y=2.0, z=0.0)
        assert client.push("scope", file, trigger="t-1", stage_um=where) == {"trigger": "t-1"}
        assert len(asked) == 3
        assert dict(asked[0].params) == {"trigger": "t-1", "x_um": "1.5", "y_um": "2.0", "z_um": "0.0"}
        asked.clear()
        with pytest.raises(Busy):
            client.push("scope", b"", patience=0.0)


def test_nobody_there_is_said() -> None:
    with Client("http://127.0.0.1:9", timeout=2.0) as client, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        client.status()


def test_a_token_opens_a_station(binary: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-enough-characters")
    token.chmod(0o600)
    with Daemon(binary, web=f'token_file = "{token}"') as daemon:
        with Client(daemon.url) as client, pytest.raises(Refused) as refusal:
            client.status()
        assert refusal.value.status == 401
        with Client(daemon.url, token=token.read_text()) as client:
            assert client.status().birth.station == "test"
