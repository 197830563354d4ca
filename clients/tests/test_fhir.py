from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fhir.resources.R4B.observation import Observation
from pydantic import ValidationError

from conftest import CASE, ROOT
from daemon import Daemon
from metaphased import Client, models

EXAMPLE = ROOT / "examples/fhir/observation.py"


def written(daemon: Daemon, case: str) -> dict[str, object]:
    """What the example prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, case], env=os.environ | {"METAPHASED_URL": daemon.url}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_karyotyped_case_is_a_valid_observation(daemon: Daemon, client: Client, cells: list[models.Cell]) -> None:
    found = written(daemon, CASE)
    assert Observation.model_validate(found).status == "preliminary"
    state = client.case(CASE).state
    assert state is not None
    assert ("valueString" in found) == (state.iscn is not None)
    assert ("dataAbsentReason" in found) == (state.iscn is None)
    assert found["subject"]["identifier"]["value"] == CASE


def test_a_dose_is_a_valid_observation_with_its_limits(binary: Path) -> None:
    station = Daemon(binary, assay="dicentric", source="rate_hz = 4.0\ndose_gy = 3.0")
    with station as daemon, Client(daemon.url) as client:
        deadline = time.monotonic() + 90
        while not client.cases() or client.cases()[0].dose is None or client.cases()[0].dose.estimate is None:
            assert time.monotonic() < deadline, client.status().document()
            time.sleep(0.3)
        found = written(daemon, CASE)
    Observation.model_validate(found)
    assert found["valueQuantity"]["unit"] == "Gy"
    names = [component["code"]["text"] for component in found["component"]]
    assert {"Dicentrics", "Dose, lower limit", "Dose, upper limit", "Calibration curve"} <= set(names)


def test_the_check_can_fail() -> None:
    with pytest.raises(ValidationError):
        Observation.model_validate({"resourceType": "Observation", "status": "preliminary"})
    with pytest.raises(ValidationError):
        Observation.model_validate({"resourceType": "Observation", "status": "final", "code": {}, "valueText": "46,XX"})


def test_a_case_that_is_not_there_is_said(daemon: Daemon) -> None:
    environment = os.environ | {"METAPHASED_URL": daemon.url}
    done = subprocess.run([sys.executable, EXAMPLE, "nobody"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "nobody" in done.stderr and not done.stdout
