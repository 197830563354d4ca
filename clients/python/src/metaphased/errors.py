"""What can go wrong between a program and the daemon."""

from __future__ import annotations


class MetaphasedError(Exception):
    """Every error of this package."""


class Unreachable(MetaphasedError):
    """No daemon answers, or the connection ended in the middle of an answer."""


class Refused(MetaphasedError):
    """The daemon answered and refused (RFC 9457): `status` is the HTTP status, `detail` says why in words."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail or title)
        self.status, self.title, self.detail = status, title, detail


class NotFound(Refused):
    """There is no such cell, case, source or picture (404)."""


class Conflict(Refused):
    """Not now, or the record was changed meanwhile (409): read it again."""


class Busy(Refused):
    """The daemon takes no more for the moment (429, 503): ask again after `retry_after` seconds."""

    def __init__(self, status: int, title: str, detail: str, retry_after: float) -> None:
        super().__init__(status, title, detail)
        self.retry_after = retry_after


class CommandFailed(MetaphasedError):
    """A command over MQTT was refused; the text says why."""
