from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from daemon import Daemon
from metaphased import models

README = ROOT / "clients/python/README.md"
EXAMPLES = re.findall(r"## ([^\n]+)\n\n```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", [code for _, code in EXAMPLES], ids=[title for title, _ in EXAMPLES])
def test_the_examples_run(example: str, daemon: Daemon, cells: list[models.Cell], tmp_path: Path) -> None:
    _, port = daemon.broker
    code = example.replace("1883", str(port)).replace("lab-1", daemon.station)
    environment = os.environ | {"METAPHASED_URL": daemon.url}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
