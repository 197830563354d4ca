"""Server-sent events of the daemon."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import models
from ._base import Model


@dataclass(frozen=True)
class Event:
    """Something that happened.

    `name` is `state`, `stats`, `cell`, `case`, `dose`, `alarm`, `frame` or `boxes`; `data` is the document of that
    kind (`State`, `Stats`, `Cell`, `CaseMessage`, `DoseMessage`, `AlarmMessage`, `FrameNote`), a plain object for
    `boxes` and for kinds that a newer daemon adds.
    """

    name: str
    data: Any


KINDS: dict[str, type[Model]] = {
    "state": models.State,
    "stats": models.Stats,
    "cell": models.Cell,
    "case": models.CaseMessage,
    "dose": models.DoseMessage,
    "alarm": models.AlarmMessage,
    "frame": models.FrameNote,
}


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Events from the lines of a stream (WHATWG HTML, "server-sent events")."""
    name, data = "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield _event(name, "\n".join(data))
            name, data = "message", []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)


def _event(name: str, text: str) -> Event:
    model = KINDS.get(name)
    return Event(name, model.model_validate_json(text) if model else json.loads(text))
