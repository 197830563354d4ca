"""Writes `src/metaphased/models.py` from what a daemon says about itself.

    python generate.py target/release/metaphased            # writes the file
    python generate.py target/release/metaphased --check    # exit 1 when the file is not up to date

Two descriptions are joined: `GET /api/v1/openapi.json` (HTTP) and `metaphased schema` (messages). The generator is
datamodel-code-generator with pydantic 2: it keeps descriptions, unions and enumerations of the schemas, and pydantic
says where a document differs from them. (msgspec would be faster, but forgets fields that a newer daemon adds.)
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TARGET = HERE / "src" / "metaphased" / "models.py"
sys.path.insert(0, str(HERE.parent / "tests"))

# Names that two schemas use for different things, or that say too little in one module: (document, old) -> new.
RENAMED = {
    ("openapi", "Rejected"): "SeenInstead",
    ("openapi", "Status"): "StatusAnswer",
    ("openapi", "Status2"): "ChromosomeStatus",
    ("openapi", "Trigger"): "TriggerRequest",
    ("cell", "Status"): "ChromosomeStatus",
    ("command", "Rejected"): "SeenInstead",
    ("case", "CaseState"): "CaseMessage",
    ("dose", "CaseDose"): "DoseMessage",
    ("rejected", "Rejected"): "RejectedMessage",
    ("result", "CommandResult"): "ResultMessage",
}
# What the HTTP description leaves open and the messages' schemas know.
NARROWED = {("CaseView", "state"): "CaseMessage", ("CaseView", "dose"): "DoseMessage"}
# The messages that the client reads; `configuration` is no message, `command` is what it writes.
MESSAGES = ("alarm", "case", "cell", "dose", "rejected", "result")
COMMENTS = ("description", "title", "$schema")


def bare(schema: Any) -> Any:
    """The schema without comments, to compare two."""
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in sorted(schema.items()) if key not in COMMENTS}
    if isinstance(schema, list):
        return [bare(value) for value in schema]
    return schema


def moved(schema: Any, document: str) -> Any:
    """The schema with references to `components/schemas`, renamed."""
    if isinstance(schema, dict):
        schema = {key: moved(value, document) for key, value in schema.items()}
        if reference := schema.get("$ref"):
            name = reference.rsplit("/", 1)[1]
            schema["$ref"] = f"#/components/schemas/{RENAMED.get((document, name), name)}"
        return schema
    if isinstance(schema, list):
        return [moved(value, document) for value in schema]
    return schema


def joined(openapi: dict[str, Any], messages: dict[str, Any]) -> dict[str, Any]:
    """One document with every schema once. Two different schemas of one name are an error."""
    schemas: dict[str, Any] = {}

    def add(document: str, name: str, schema: dict[str, Any]) -> None:
        name = RENAMED.get((document, name), name)
        schema = {key: value for key, value in schema.items() if key not in ("$defs", "$schema", "title")}
        schema = moved(schema, document)
        if name in schemas and bare(schemas[name]) != bare(schema):
            raise SystemExit(f"two schemas are named {name}, the second in {document}: give one a name in RENAMED")
        schemas.setdefault(name, schema)

    for name, schema in openapi["components"]["schemas"].items():
        add("openapi", name, schema)
    for message in MESSAGES:
        schema = messages[message]
        for name, definition in schema.get("$defs", {}).items():
            add(message, name, definition)
        add(message, schema["title"], schema)
    for (model, field), name in NARROWED.items():
        old = schemas[model]["properties"][field]
        reference = {"$ref": f"#/components/schemas/{name}"}
        schemas[model]["properties"][field] = {
            "description": old["description"], "anyOf": [reference, {"type": "null"}]
        }
    tidy(schemas)
    del schemas["ChromosomeClass"]  # now `str` wherever it was used
    ordered = dict(sorted(schemas.items()))
    return {"openapi": "3.1.0", "info": openapi["info"], "paths": {}, "components": {"schemas": ordered}}


def tidy(schema: Any) -> None:
    """Gives each alternative of a tagged union a name, and lets classes and numbers be `str` and `int`."""
    if isinstance(schema, list):
        for value in schema:
            tidy(value)
    elif isinstance(schema, dict):
        if schema.get("$ref", "").endswith("/ChromosomeClass"):
            schema["type"] = "string"
            del schema["$ref"]
        if schema.get("type") in ("integer", "number", ["integer", "null"], ["number", "null"]):
            for key in ("format", "minimum", "maximum"):
                schema.pop(key, None)
        if isinstance(rows := schema.get("items"), dict):
            rows.pop("minItems", None)
            rows.pop("maxItems", None)
        for variant in schema.get("oneOf", []):
            tag = variant.get("properties", {}).get("action", {}).get("const")
            if tag:
                variant["title"] = "".join(part.capitalize() for part in tag.split("_")) + "Change"
        for value in schema.values():
            tidy(value)


def generated(document: dict[str, Any]) -> str:
    """The text of `models.py`."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "joined.json"), Path(folder, "models.py")
        source.write_text(json.dumps(document))
        subprocess.run(
            [
                sys.executable, "-m", "datamodel_code_generator",
                "--input", str(source), "--input-file-type", "openapi", "--output", str(target),
                "--output-model-type", "pydantic_v2.BaseModel", "--base-class", "metaphased._base.Model",
                "--target-python-version", "3.10", "--use-annotated", "--use-union-operator", "--strict-nullable",
                "--use-standard-collections", "--use-schema-description", "--use-field-description",
                "--use-title-as-name", "--collapse-root-models", "--field-constraints",
                "--enum-field-as-literal", "all", "--formatters", "black", "isort",
                "--disable-timestamp", "--disable-warnings", "--custom-file-header", HEADER,
            ],
            check=True,
        )
        # Docstrings of one line on one line; every second piece between quotes is a docstring.
        pieces = target.read_text().split('"""')
        pieces[1::2] = [re.sub(r"^\n +([^\n]+)\n +$", r"\1", text) for text in pieces[1::2]]
        return '"""'.join(pieces)


HEADER = '"""The documents of a metaphased daemon. Written by generate.py from its schemas; do not edit."""'


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("daemon", type=Path, help="the metaphased binary")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    from daemon import Daemon

    messages = json.loads(subprocess.run([arguments.daemon, "schema"], check=True, capture_output=True).stdout)
    with Daemon(arguments.daemon) as daemon:
        openapi = daemon.json("/api/v1/openapi.json")
    text = generated(joined(openapi, messages))
    old = TARGET.read_text() if TARGET.exists() else ""
    if not arguments.check:
        TARGET.write_text(text)
        return 0
    names = ("models.py", "the daemon")
    changes = list(difflib.unified_diff(old.splitlines(), text.splitlines(), *names, lineterm="", n=1))
    if changes:
        print("\n".join(changes[:60]))
        print("models.py is not what the daemon describes: run generate.py")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
