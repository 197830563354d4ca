"""A daemon for the tests: the virtual slide, its embedded broker, a folder of its own. Standard library only."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

CONFIGURATION = """
station = "{station}"
assay = "{assay}"

[source.scope]
kind = "simulator"
mode = "freshest"
stain = "{stain}"
um_per_px = 0.1
size = [800, 640]
case = "K 1/b"
{source}

[store]
path = "{folder}/store"
keep_images = "all"

[mqtt]
thumbnails = true
home_assistant = true
{mqtt}

[web]
{web}
"""


class Daemon:
    """Starts the binary and knows where its page and its broker are; ends it on leaving."""

    def __init__(
        self, binary: str | Path, station: str = "test", assay: str = "karyotype", source: str = "rate_hz = 4.0",
        mqtt: str = "", web: str = "",
    ) -> None:
        self.binary, self.station = Path(binary).resolve(), station
        self.folder = Path(tempfile.mkdtemp(prefix="metaphased-client-"))
        self.configuration = self.folder / "metaphased.toml"
        stain = "giemsa" if assay == "dicentric" else "g-band"
        self.configuration.write_text(CONFIGURATION.format(
            station=station, assay=assay, stain=stain, source=source, folder=self.folder, mqtt=mqtt, web=web,
        ))
        self.url = ""
        self.broker = ("", 0)

    def __enter__(self) -> Daemon:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("METAPHASED__")}
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "--config", self.configuration], stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + 60
        while not self.url:
            text = (self.folder / "log").read_text(errors="replace")
            page = re.search(r"page +(http://\S+)", text)
            broker = re.search(r"try +mosquitto_sub -h (\S+) -p (\d+)", text)
            if page and broker:
                self.url, self.broker = page[1], (broker[1], int(broker[2]))
            elif self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the daemon did not start:\n{text}")
            else:
                time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def text(self, path: str) -> str:
        """The answer to a GET."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def json(self, path: str) -> Any:
        """The answer to a GET, read as JSON."""
        return json.loads(self.text(path))
