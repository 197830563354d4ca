"""The daemon over MQTT (`pip install 'metaphased[mqtt]'`)."""

from __future__ import annotations

import base64
import json
import queue
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from . import models
from ._base import Model
from .errors import CommandFailed, MetaphasedError, Unreachable

KINDS: dict[str, type[Model]] = {
    "birth": models.Birth,
    "state": models.State,
    "stats": models.Stats,
    "cell": models.CellMessage,
    "rejected": models.RejectedMessage,
    "case": models.CaseMessage,
    "dose": models.DoseMessage,
    "alarm": models.AlarmMessage,
    "result": models.ResultMessage,
}
# Topics below the station's root that `messages` gives; results have a subscription of their own.
TOPICS = (
    "availability", "birth", "state", "stats", "cell", "rejected", "case/+", "slide/+", "dose/+", "alarm", "picture",
)
# How many messages may wait for a program that reads slowly. Then the client stops reading, and the broker waits.
WAITING = 1000
KEEPALIVE_S = 30


@dataclass(frozen=True)
class Message:
    """A message of the daemon.

    `name` is the first part of the topic below the station (`cell`, `case`, ...), `key` what follows it (the case of
    `case/<case>`, decoded), `data` the document: a model of `metaphased.models`, text for `availability`, JPEG for
    `picture`, None for a retained message that was removed.
    """

    name: str
    key: str
    data: Any
    retained: bool


class Station:
    """The messages of one station and its commands. Use it as a context manager.

    With a `client_id` of its own the broker keeps a session: `cell`, `rejected` and `alarm` that come while the program
    is away, or so slow that the broker ends the connection, are delivered on its return. Without one they are lost.
    A message may come twice; `cell` with `revision` identifies the copies.

    Raises:
        Unreachable: on entering, when the broker does not let us in within `timeout` seconds.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 1883,
        station: str = "lab-1",
        prefix: str = "metaphased",
        client_id: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._root = f"{prefix}/{station}/"
        self._address, self._timeout = (host, port), timeout
        self._messages: queue.Queue[Message | MetaphasedError] = queue.Queue(WAITING)
        self._results: dict[str, queue.Queue[models.ResultMessage]] = {}
        self._entered: queue.Queue[str] = queue.Queue()
        self._listening = False
        self._closing = False
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"metaphased-client-{uuid.uuid4().hex[:12]}",
            protocol=MQTTProtocolVersion.MQTTv311,
            clean_session=client_id is None,
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        if ca_file is not None:
            self._client.tls_set(ca_file)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def __enter__(self) -> Station:
        host, port = self._address
        try:
            self._client.connect(host, port, KEEPALIVE_S)
        except OSError as error:
            raise Unreachable(f"no broker answers at {host}:{port}: {error}") from error
        self._client.loop_start()
        try:
            refusal = self._entered.get(timeout=self._timeout)
        except queue.Empty:
            refusal = f"it has not answered within {self._timeout:g} s"
        if refusal:
            self.close()
            raise Unreachable(f"the broker at {host}:{port} does not let us in: {refusal}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._closing = True
        self._client.disconnect()
        self._client.loop_stop()

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """The station's messages as they come, the retained ones first; ends after `timeout` seconds of silence.

        Raises:
            MetaphasedError: a message is not what its schema says. The next call goes on behind it.
        """
        if not self._listening:
            self._listening = True
            self._subscribe(TOPICS)
        while True:
            try:
                message = self._messages.get(timeout=timeout)
            except queue.Empty:
                return
            if isinstance(message, MetaphasedError):
                raise message
            yield message

    def command(self, name: str, timeout: float = 10.0, **fields: Any) -> Any:
        """Sends a command and waits for its result; returns the result's data.

        Raises:
            CommandFailed: the daemon refused, with the reason.
            Unreachable: no result came within `timeout` seconds.
        """
        key = uuid.uuid4().hex
        answer: queue.Queue[models.ResultMessage] = queue.Queue()
        self._results[key] = answer
        try:
            self._client.publish(f"{self._root}command/{name}", json.dumps({"id": key, **fields}), qos=1)
            result = answer.get(timeout=timeout)
        except queue.Empty:
            raise Unreachable(f"no result of '{name}' within {timeout:g} s: does the station run?") from None
        finally:
            self._results.pop(key, None)
        if not result.ok:
            raise CommandFailed(result.error or f"'{name}' was refused without a reason")
        return result.data

    def _subscribe(self, topics: tuple[str, ...]) -> None:
        self._client.subscribe([(self._root + topic, 1) for topic in topics])

    # Called on paho's thread

    def _on_connect(
        self, _: paho.Client, __: Any, ___: paho.ConnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        if reason.is_failure:
            self._entered.put(str(reason))
        else:
            self._subscribe(("result/+", *TOPICS) if self._listening else ("result/+",))

    def _on_subscribe(
        self, _: paho.Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._entered.put(", ".join(refused))

    def _on_message(self, _: paho.Client, __: Any, raw: paho.MQTTMessage) -> None:
        name, ___, key = raw.topic.removeprefix(self._root).partition("/")
        message: Message | MetaphasedError
        try:
            message = Message(name, unquote(key), _read(name, bytes(raw.payload)), raw.retain)
        except ValueError as error:
            message = MetaphasedError(f"{raw.topic}: {error}")
        else:
            if isinstance(message.data, models.ResultMessage):
                waiting = self._results.get(str(message.data.id))
                if waiting is not None:
                    waiting.put(message.data)
                return
        # While the queue is full this thread takes nothing from the broker; only leaving breaks the wait.
        while not self._closing:
            try:
                return self._messages.put(message, timeout=0.5)
            except queue.Full:
                continue


def _read(name: str, payload: bytes) -> Any:
    """A message's document; `ValueError` when it is none. An empty payload is a retained message that was removed."""
    if not payload:
        return None
    if name == "availability":
        return payload.decode()
    if name == "picture":
        return base64.b64decode(payload, validate=True)
    model = KINDS.get(name)
    return model.model_validate_json(payload) if model else json.loads(payload)
