"""A case as a FHIR R4 Observation.

    python observation.py K-17 > observation.json          # needs the client: pip install clients/python

One Observation for what the cells of a case say together: the consensus karyotype as its value, and as components the
numbers of cells, each clone, and the dose with its limits in the dicentric assay. It is `preliminary` always: this
program gives no diagnosis, and whoever signs a result makes it `final` in the laboratory's own system. A value that is
not there is absent with a reason, never a guess.

The code is LOINC 29770-5 where there is a karyotype; a dose has no code in LOINC, so it has a text. The subject is the
id of the case as an identifier; age, sex and dates of a person are not in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timezone
from typing import Any

from metaphased import Client, MetaphasedError, models

UCUM = "http://unitsofmeasure.org"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def text(words: str) -> dict[str, Any]:
    """A concept without a code."""
    return {"text": words}


def count(name: str, number: int) -> dict[str, Any]:
    """A component that counts."""
    return {"code": text(name), "valueInteger": number}


def gray(name: str, value: float | None) -> dict[str, Any]:
    """A component in Gy; without a value, why there is none."""
    if value is None:
        reason = {"system": ABSENT, "code": "not-applicable", "display": "Not Applicable"}
        why = {"coding": [reason], "text": "the counts or the curve give none"}
        return {"code": text(name), "dataAbsentReason": why}
    return {"code": text(name), "valueQuantity": {"value": value, "unit": "Gy", "system": UCUM, "code": "Gy"}}


def karyotype(state: models.CaseMessage) -> dict[str, Any]:
    """Code, value and components of a karyotyped case."""
    loinc = {
        "system": "http://loinc.org", "code": "29770-5", "display": "Karyotype [Identifier] in Blood or Tissue Nominal"
    }
    cells = state.cells
    components = [
        count("Cells found", cells.seen),
        count("Cells with a karyotype", cells.assessable),
        count("Cells not assessable", cells.not_assessable),
        count("Cells reviewed by a person", cells.reviewed),
        count("Cells still needed", state.cells_needed),
    ]
    components += [
        {"code": text("Clone, ISCN"), "valueString": f"{clone.iscn}[{clone.cells}]"} for clone in state.clones
    ]
    if state.excludes:
        components.append({"code": text("What the count excludes"), "valueString": state.excludes})
    found: dict[str, Any] = {"code": {"coding": [loinc], "text": "Karyotype, ISCN"}, "component": components}
    if state.iscn:
        found["valueString"] = state.iscn
    else:
        reason = {"system": ABSENT, "code": "unknown", "display": "Unknown"}
        found["dataAbsentReason"] = {"coding": [reason], "text": "no cell with a karyotype yet"}
    return found


def dose(document: models.DoseMessage) -> dict[str, Any]:
    """Code, value and components of a dose."""
    components = [
        count("Cells counted", sum(document.counts)),
        count("Dicentrics", document.dicentrics),
        count("Acentric fragments", document.fragments),
        count("Centric rings", document.rings),
    ]
    found: dict[str, Any] = {"code": text("Absorbed dose, dicentric assay"), "component": components}
    estimate = document.estimate
    if estimate is None:
        reason = {"system": ABSENT, "code": "unknown", "display": "Unknown"}
        return found | {"dataAbsentReason": {"coding": [reason], "text": "no cell has been counted yet"}}
    limits = estimate.dose_gy
    components += [gray("Dose, lower limit", limits.low), gray("Dose, upper limit", limits.high)]
    components.append({"code": text("Level of the limits"), "valueString": f"{limits.level:.0%} ({limits.method})"})
    curve = f"{estimate.curve.id}: {estimate.curve.radiation}"
    components.append({"code": text("Calibration curve"), "valueString": curve})
    components += [{"code": text("Warning"), "valueString": words} for words in [*estimate.warnings, *document.flags]]
    value = gray("Dose", limits.value)
    return found | {key: value[key] for key in ("valueQuantity", "dataAbsentReason") if key in value}


def observation(case: models.CaseView, birth: models.Birth, at: datetime) -> dict[str, Any]:
    """The Observation of a case, as the station `birth` knows it at that time.

    Raises:
        ValueError: the case has no document yet, or its notice is missing.
    """
    document = case.dose or case.state
    if document is None:
        raise ValueError(f"case '{case.case}' has neither karyotype nor dose yet")
    found = dose(case.dose) if case.dose else karyotype(case.state) if case.state else {}
    names = ", ".join(f"{model.name}@{model.sha256[:12]}" for model in birth.models)
    opened = datetime.fromisoformat(case.opened.replace("Z", "+00:00"))
    return {
        "resourceType": "Observation",
        "identifier": [{"system": f"urn:metaphased:{birth.station}:case", "value": case.case}],
        "status": "preliminary",
        "category": [{
            "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory",
                "display": "Laboratory",
            }]
        }],
        **found,
        "subject": {"identifier": {"system": f"urn:metaphased:{birth.station}:case", "value": case.case}},
        "effectiveDateTime": opened.isoformat(timespec="seconds"),
        "issued": at.isoformat(timespec="seconds"),
        "device": {"display": f"metaphased {birth.version}, station {birth.station}" + (f", {names}" if names else "")},
        "note": [{"text": document.notice}],
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", help="id of the case")
    parser.add_argument("--url", help="the daemon's page; else METAPHASED_URL, else http://127.0.0.1:8080")
    arguments = parser.parse_args()
    try:
        with Client(arguments.url) as client:
            found = observation(client.case(arguments.case), client.status().birth, datetime.now(timezone.utc))
    except (MetaphasedError, ValueError) as error:
        print(f"observation: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
