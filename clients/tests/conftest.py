"""One daemon for all tests of the client: METAPHASED_BINARY names it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import Daemon
from metaphased import Client, models

ROOT = Path(__file__).resolve().parents[2]
CASE = "K 1/b"


@pytest.fixture(scope="session")
def binary() -> Path:
    """The daemon to test against."""
    named = os.environ.get("METAPHASED_BINARY")
    if not named:
        pytest.fail("METAPHASED_BINARY names no daemon; scripts/test-clients sets it")
    return Path(named)


@pytest.fixture(scope="session")
def daemon(binary: Path) -> Iterator[Daemon]:
    """A station that looks at the virtual slide."""
    with Daemon(binary) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def client(daemon: Daemon) -> Iterator[Client]:
    """A client of it."""
    with Client(daemon.url) as client:
        client.wait_until_ready()
        yield client


@pytest.fixture(scope="session")
def cells(client: Client) -> list[models.Cell]:
    """The first cells that it found."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = list(client.cells(newest_first=False))
        if len(found) >= 3:
            return found
        time.sleep(0.2)
    pytest.fail(f"three cells did not come within two minutes: {client.status().document()}")
