"""Client of metaphased, the daemon that finds metaphases and classifies chromosomes.

`Client` speaks HTTP, `metaphased.mqtt.Station` MQTT, `metaphased.export` writes cells as training data,
`metaphased.models` holds the documents. Research use only; not a diagnosis.
"""

from . import models
from .client import Client
from .errors import Busy, CommandFailed, Conflict, MetaphasedError, NotFound, Refused, Unreachable
from .events import Event

__all__ = [
    "Busy",
    "Client",
    "CommandFailed",
    "Conflict",
    "Event",
    "MetaphasedError",
    "NotFound",
    "Refused",
    "Unreachable",
    "models",
]
