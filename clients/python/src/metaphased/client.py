"""The daemon over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx

from . import models
from ._base import Model
from .errors import Busy, Conflict, MetaphasedError, NotFound, Refused, Unreachable
from .events import Event, read_events

Change = (
    models.ClassChange
    | models.DamageChange
    | models.RejectDicentricChange
    | models.VerdictChange
    | models.DicentricChange
    | models.ConfirmChange
)
CellId = UUID | str | models.Cell
M = TypeVar("M", bound=Model)

API = "/api/v1/"
DEFAULT_URL = "http://127.0.0.1:8080"
# Cells that one request asks for.
PAGE = 200


class Client:
    """A connection to one daemon. Use it as a context manager, or call `close` at the end.

    `url` is the page's address, as the daemon prints it; without it the environment variable METAPHASED_URL, else
    http://127.0.0.1:8080. `token` is the text of the daemon's `web.token_file`, needed beyond loopback; without it
    METAPHASED_TOKEN is used. `timeout` in seconds holds for each request except `events`.

    Raises:
        Unreachable: by every method, when no daemon answers.
        Refused: by every method, when the daemon answers with a problem; `NotFound`, `Conflict` and `Busy` are kinds.
    """

    def __init__(self, url: str | None = None, token: str | None = None, timeout: float = 30.0) -> None:
        url = url or os.environ.get("METAPHASED_URL") or DEFAULT_URL
        token = token or os.environ.get("METAPHASED_TOKEN")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()

    # How the daemon is

    def status(self) -> models.StatusAnswer:
        """State with its reasons, counters, and facts about the daemon."""
        return self._read(models.StatusAnswer, "status")

    def sources(self) -> list[models.SourceView]:
        """The cameras and folders that frames come from."""
        return self._read(models.Sources, "sources").sources

    def ready(self) -> bool:
        """Whether frames can be taken now."""
        try:
            self._request("GET", "/readyz")
        except Busy:
            return False
        return True

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Returns once frames can be taken; raises `Unreachable` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if self.ready():
                    return
            except Unreachable:
                pass
            if time.monotonic() > deadline:
                raise Unreachable(f"{self._http.base_url} is not ready after {timeout:g} s")
            time.sleep(0.1)

    def frame(self, source: str) -> bytes:
        """The next live picture of a source, JPEG."""
        return self._bytes(f"sources/{_quoted(source)}/frame.jpg")

    def events(self, live: Iterable[str] = ()) -> Iterator[Event]:
        """What happens, as it happens: see `Event`. Ends with `Unreachable` when the daemon stops.

        `live` names sources whose `frame` and `boxes` events are wanted, too. A program that reads too slowly misses
        events; after a reconnect `status` and `cells` say what was missed.
        """
        parameters = {"live": ",".join(live)} if live else {}
        # The daemon sends counters every two seconds: a silence of half a minute is a dead connection.
        timeout = httpx.Timeout(30.0, connect=self._http.timeout.connect)
        try:
            with self._http.stream("GET", f"{API}events", params=parameters, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    _raise(answer)
                yield from read_events(answer.iter_lines())
        except httpx.TransportError as error:
            raise Unreachable(f"{self._http.base_url}: {error}") from error
        raise Unreachable(f"{self._http.base_url}: the daemon ended the stream of events")

    # Cells

    def cells(
        self,
        case: str | None = None,
        verdict: str | None = None,
        source: str | None = None,
        newest_first: bool = True,
        after: CellId | None = None,
    ) -> Iterator[models.Cell]:
        """All stored cells that fit, page by page. `verdict`: normal, abnormal or not_assessable."""
        query: dict[str, str] = {"limit": str(PAGE), "order": "newest" if newest_first else "oldest"}
        wanted = {"case": case, "verdict": verdict, "source": source, "after": _id(after) if after else None}
        query |= {key: value for key, value in wanted.items() if value is not None}
        while True:
            page = self._read(models.CellPage, "cells", query)
            yield from page.cells
            if page.next is None:
                return
            query["after"] = page.next

    def cell(self, cell: CellId) -> models.Cell:
        """One cell at its latest revision."""
        return self._read(models.Cell, f"cells/{_id(cell)}")

    def image(self, cell: CellId) -> bytes:
        """The frame of a cell, PNG of 8 bits. Where it was not kept: its chromosomes on plain background."""
        return self._bytes(f"cells/{_id(cell)}/image.png")

    def image_was_kept(self, cell: CellId) -> bool:
        """Whether `image` is the frame itself, not composed of the kept chromosomes."""
        try:
            answer = self._request("GET", f"{API}cells/{_id(cell)}/image.png")
        except NotFound:
            return False
        return bool(answer.headers.get("metaphased-picture") != "composed")

    def thumbnail(self, cell: CellId) -> bytes:
        """A small picture of a cell, JPEG."""
        return self._bytes(f"cells/{_id(cell)}/thumbnail.jpg")

    def karyogram(self, cell: CellId, straight: bool = False) -> bytes:
        """The chromosomes arranged by class, SVG; `straight`: straightened along their axis."""
        return self._bytes(f"cells/{_id(cell)}/karyogram.svg", {"straight": "true"} if straight else {})

    def chromosome(self, cell: CellId, index: int) -> bytes:
        """The picture of one chromosome, PNG."""
        return self._bytes(f"cells/{_id(cell)}/chromosomes/{index}.png")

    def review(self, cell: CellId, by: str, change: Change, revision: int | None = None) -> dict[str, Any]:
        """Corrects a cell in the name of a person. `Conflict` when it was changed since `revision`.

        A `Cell` as first argument brings its revision along.
        """
        if revision is None and isinstance(cell, models.Cell):
            revision = cell.revision
        body = {"by": by, "revision": revision, "change": change.document()}
        return self._post(f"cells/{_id(cell)}/review", body)

    # Cases

    def cases(self) -> list[models.CaseView]:
        """All cases."""
        return self._read(models.Cases, "cases").cases

    def case(self, case: str) -> models.CaseView:
        """One case with its latest state and dose."""
        return self._read(models.CaseView, f"cases/{_quoted(case)}")

    def report(self, case: str) -> str:
        """The case to read and print, HTML."""
        return self._bytes(f"cases/{_quoted(case)}/report.html").decode()

    def set_subject(self, case: str, by: str, subject: models.Subject | None) -> dict[str, Any]:
        """What the dose uses of a person; `None` removes it."""
        body = {"by": by, "subject": subject.document() if subject else None}
        return self._post(f"cases/{_quoted(case)}/subject", body)

    def close_case(self, case: str, by: str) -> dict[str, Any]:
        """No further cell is added to the case. `Conflict` while a source uses it."""
        return self._post(f"cases/{_quoted(case)}/close", {"by": by})

    def reopen_case(self, case: str, by: str) -> dict[str, Any]:
        """The case takes cells again."""
        return self._post(f"cases/{_quoted(case)}/reopen", {"by": by})

    def erase_case(self, case: str, by: str) -> dict[str, Any]:
        """Removes a case for good. `Conflict` while a source uses it."""
        return self._post(f"cases/{_quoted(case)}/erase", {"by": by})

    # Commands

    def command(self, name: str, **fields: Any) -> dict[str, Any]:
        """Any command by its name with its fields; the methods below are the common ones."""
        return self._post(f"commands/{_quoted(name)}", fields)

    def start(self, source: str | None = None) -> dict[str, Any]:
        """Resumes a source; without a name, all."""
        return self.command("start", **_given(source=source))

    def stop(self, source: str | None = None) -> dict[str, Any]:
        """Pauses a source; without a name, all."""
        return self.command("stop", **_given(source=source))

    def snapshot(self, source: str | None = None) -> dict[str, Any]:
        """Takes the next frame through all stages, whatever triage decides."""
        return self.command("snapshot", **_given(source=source))

    def begin_case(self, case: str, slide: str | None = None, colony: str | None = None) -> dict[str, Any]:
        """The cells from now on belong to this case (and slide, and colony)."""
        return self.command("case", case=case, **_given(slide=slide, colony=colony))

    def end_case(self) -> dict[str, Any]:
        """The cells from now on belong to no case."""
        return self.command("case")

    def acknowledge(self, case: str, by: str) -> dict[str, Any]:
        """A person has seen the alarm of a case."""
        return self.command("acknowledge", case=case, by=by)

    def trigger(
        self, trigger: str, source: str | None = None, stage_um: models.StagePosition | None = None
    ) -> dict[str, Any]:
        """A scanner stands at a field: capture it. The cell or the rejection carries `trigger`."""
        body = {"trigger": trigger} | _given(source=source, stage_um=stage_um.document() if stage_um else None)
        return self._post("trigger", body)

    def push(
        self,
        source: str,
        picture: bytes | Path,
        trigger: str | None = None,
        stage_um: models.StagePosition | None = None,
        um_per_px: float | None = None,
        patience: float = 60.0,
    ) -> dict[str, Any]:
        """Hands a picture (PNG, TIFF, JPEG, ...) to a source of kind `push`; returns when the daemon has it safely.

        While the daemon has to catch up it asks to wait; after `patience` seconds of that `Busy` is raised. `trigger`
        makes a repeated push harmless: a trigger has one answer.
        """
        content = picture.read_bytes() if isinstance(picture, Path) else picture
        query = _given(trigger=trigger, um_per_px=um_per_px)
        if stage_um is not None:
            query |= _given(x_um=stage_um.x, y_um=stage_um.y, z_um=stage_um.z)
        path = f"{API}sources/{_quoted(source)}/frames"
        headers = {"content-type": "application/octet-stream"}
        deadline = time.monotonic() + patience
        while True:
            try:
                answer = self._request("POST", path, params=query, content=content, headers=headers)
            except Busy as busy:
                if time.monotonic() + busy.retry_after > deadline:
                    raise
                time.sleep(busy.retry_after)
            else:
                return _object(answer)

    # Beneath

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            raise Unreachable(f"no metaphased answers at {self._http.base_url}: {error}") from error
        if answer.is_error:
            _raise(answer)
        return answer

    def _read(self, model: type[M], path: str, query: dict[str, str] | None = None) -> M:
        return model.model_validate_json(self._bytes(path, query or {}))

    def _bytes(self, path: str, query: dict[str, str] | None = None) -> bytes:
        return self._request("GET", API + path, params=query or {}).content

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _object(self._request("POST", API + path, json=body))


def _object(answer: httpx.Response) -> dict[str, Any]:
    value = answer.json() if answer.content else {}
    if not isinstance(value, dict):
        raise MetaphasedError(f"the daemon answered with {type(value).__name__}, not with an object")
    return value


def _id(cell: CellId) -> str:
    """The id of a cell for a path. Text that is no UUID is refused here, before it can name another route."""
    if isinstance(cell, models.Cell):
        return str(cell.cell)
    try:
        return str(UUID(str(cell)))
    except ValueError:
        raise ValueError(f"invalid cell '{cell}': expected a UUID") from None


def _quoted(name: str) -> str:
    """A name as one segment of a path: only the characters that the daemon leaves as they are stay."""
    quoted = quote(name, safe="")
    # "." and ".." would be taken for folders.
    return quoted.replace(".", "%2E") if set(quoted) == {"."} else quoted


def _given(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _raise(answer: httpx.Response) -> None:
    """The problem in an answer, as an exception."""
    try:
        problem = models.Problem.model_validate_json(answer.content)
        title, detail = problem.title, problem.detail or ""
    except ValueError:
        title, detail = answer.reason_phrase, answer.text[:500]
    status = answer.status_code
    if status in (429, 503):
        try:
            retry_after = float(answer.headers.get("retry-after", "1"))
        except ValueError:
            retry_after = 1.0
        raise Busy(status, title, detail, retry_after)
    kind = {404: NotFound, 409: Conflict}.get(status, Refused)
    raise kind(status, title, detail)
