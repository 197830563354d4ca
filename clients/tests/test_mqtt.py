from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from conftest import CASE
from daemon import Daemon
from metaphased import CommandFailed, Unreachable, models
from metaphased.mqtt import Station


@pytest.fixture(scope="module")
def station(daemon: Daemon) -> Iterator[Station]:
    host, port = daemon.broker
    with Station(host, port, station="test") as station:
        yield station


def test_messages_come_as_documents(station: Station) -> None:
    seen = {}
    for message in station.messages(timeout=60):
        seen.setdefault(message.name, message)
        if {"availability", "birth", "state", "stats", "cell", "case", "picture"} <= seen.keys():
            break
    assert seen["availability"].data == "online"
    assert isinstance(seen["birth"].data, models.Birth) and seen["birth"].retained
    assert seen["case"].key == CASE
    assert seen["picture"].data.startswith(b"\xff\xd8")
    cell = seen["cell"].data
    assert isinstance(cell, models.CellMessage)
    assert cell.thumbnail_jpeg is not None
    assert base64.b64decode(cell.thumbnail_jpeg).startswith(b"\xff\xd8")


def test_a_command_has_its_result(station: Station) -> None:
    station.command("snapshot", source="scope")
    with pytest.raises(CommandFailed, match="nowhere"):
        station.command("stop", source="nowhere")


def test_a_station_that_is_not_there_does_not_answer(daemon: Daemon) -> None:
    host, port = daemon.broker
    with Station(host, port, station="elsewhere") as station:
        assert not list(station.messages(timeout=0.5))
        with pytest.raises(Unreachable, match="does the station run"):
            station.command("start", timeout=0.5)


def test_a_broker_that_is_not_there_is_said() -> None:
    with pytest.raises(Unreachable, match="no broker answers"), Station(port=9):
        pass
