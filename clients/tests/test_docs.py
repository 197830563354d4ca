"""What the documentation gives to type is what the program takes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from conftest import ROOT
from daemon import Daemon
from metaphased import models

SECTIONS = "source|mqtt|web|store|inference|dose|dicentric|karyotype|triage|log"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def code(page: Path) -> list[str]:
    """Lines of code blocks, fenced and indented, with continued lines joined."""
    text = page.read_text()
    fenced = "\n".join(block for _, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    indented = "\n".join(re.findall(r"^    (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE))
    return re.sub(r"\\\n\s*", "", f"{fenced}\n{indented}").splitlines()


def commands() -> list[tuple[str, str]]:
    """Every call of the program in the documentation, with its page."""
    found = []
    for page in PAGES:
        for line in code(page):
            line = re.sub(r"^(\$ |sudo )+", "", line.strip())
            if re.match(r"(cargo run --release -- |metaphased )", line):
                found.append((page.name, line.replace("cargo run --release -- ", "metaphased ")))
    return found


@lru_cache
def helped(binary: Path, command: tuple[str, ...]) -> str:
    """The help of a command; empty where there is no such command."""
    done = subprocess.run([binary, *command, "--help"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def mistakes(binary: Path, line: str) -> list[str]:
    """What the program would not take."""
    try:
        words = shlex.split(line, comments=True)[1:]
    except ValueError as error:
        return [str(error)]
    cut = next((i for i, word in enumerate(words) if re.match(r"[|<>&;]|\d?>", word)), len(words))
    words, command = words[:cut], ()
    for word in words:
        # Commands come first, apart from global options and their values.
        _, _, below = helped(binary, command).partition("\nCommands:")
        if re.fullmatch(r"[a-z][a-z-]*", word) and re.search(rf"^  {word} ", below, re.MULTILINE):
            command = (*command, word)
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    text = helped(binary, command)
    wrong = [f"no option {option}" for option in options if not re.search(rf"{option}(?![\w-])", text)]
    first = next((word for word in words if re.fullmatch(r"[a-z-]+", word)), None)
    if not command and first and not options and first not in ("help",):
        wrong.append(f"no command {first}")
    return wrong


def test_every_command_of_the_documentation_is_known(binary: Path) -> None:
    assert len(commands()) > 20
    wrong = [f"{page}: {line}: {what}" for page, line in commands() for what in mistakes(binary, line)]
    assert not wrong, "\n".join(wrong)


def test_a_command_that_is_not_there_would_be_found(binary: Path) -> None:
    assert mistakes(binary, "metaphased dose fit --no-such-option x | jq .") == ["no option --no-such-option"]
    assert mistakes(binary, "metaphased frobnicate") == ["no command frobnicate"]
    assert not mistakes(binary, "metaphased --config config/scanner.toml doctor # all of it")


def test_requests_of_the_reference_are_answered(daemon: Daemon, cells: list[models.Cell]) -> None:
    requests = [line.removeprefix("$ ") for line in code(ROOT / "docs/reference/http.md") if line.startswith("$ curl")]
    assert len(requests) >= 4
    host = daemon.url.removeprefix("http://")
    for request in requests:
        # A scanner's requests need a source of kind push: tests/it/push.rs makes them.
        if "019a..." in request or "events" in request or "s2-f31" in request:
            continue
        line = request.replace("127.0.0.1:8080", host)
        if "| jq" in line and shutil.which("jq") is None:
            line = line.partition("| jq")[0]
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and "Not Found" not in done.stdout, f"{line}\n{done.stdout}{done.stderr}"


def blocks() -> list[tuple[str, str]]:
    """The TOML of the documentation that is configuration, with its page."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            if re.search(rf"^\[({SECTIONS})\b", block, re.MULTILINE):
                found.append((page.name, block))
    return found


@pytest.mark.parametrize("block", [pytest.param(block, id=f"{page}-{n}") for n, (page, block) in enumerate(blocks())])
def test_the_configurations_of_the_documentation_have_no_unknown_key(block: str, binary: Path, tmp_path: Path) -> None:
    file = tmp_path / "metaphased.toml"
    file.write_text(block)
    said = subprocess.run([binary, "check-config", file], capture_output=True, text=True).stderr
    # Files, secrets and servers that an example names are not on this machine; keys and values must be right.
    wrong = [line for line in said.splitlines() if re.search(r"(?<!service )not known|expected|unknown", line)]
    assert not wrong, said


def test_the_headings_of_troubleshooting_are_the_words_of_the_program() -> None:
    folders = ("src", "crates", "hardware")
    sources = [*(path for folder in folders for path in (ROOT / folder).rglob("*.rs")), *(ROOT / "src").rglob("*.js")]
    # As written to the person: continued lines joined. What differs is "..." in a heading, and looked at in pieces.
    text = re.sub(r"\\\n\s*", "", "\n".join(source.read_text() for source in sources))
    headings = re.findall(r"^### (.*)$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    assert len(headings) > 20
    pieces = [(heading, piece.strip(" '")) for heading in headings for piece in heading.split("...")]
    wrong = [heading for heading, piece in pieces if len(piece) > 2 and piece not in text]
    assert not wrong, wrong


def test_the_first_slide_is_drawn_and_looked_at(binary: Path, tmp_path: Path) -> None:
    lines = code(ROOT / "docs/guide/first-slide.md")
    shown = [line for line in lines if re.match(r"metaphased (simulate|analyze)", line)]
    assert len(shown) == 3
    (tmp_path / "metaphased").symlink_to(binary)
    for line in shown:
        command = re.sub("^metaphased", "./metaphased", line).replace("--cells 3", "--cells 1")
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert '"schema":"cell/1"' in (tmp_path / "cells.jsonl").read_text()
    assert list((tmp_path / "karyograms").glob("*.svg"))


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = SourceFileLoader("book", str(ROOT / "scripts/book"))
    book = module_from_spec(spec_from_loader("book", loader))
    loader.exec_module(book)
    assert book.broken_in_sources() == [] and book.left_out() == []
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# One thing\n[b](b.md) [c](#one-thing) [d](#two) ![e](e.png) `[f](f.md)`\n")
    (tmp_path / "docs/SUMMARY.md").write_text("# Summary\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    found = [line.split(": ", 1)[1] for line in book.broken_in_sources()]
    assert found == ["b.md is not there", "#two: no such heading", "e.png is not there"]
    assert book.left_out() == ["docs/SUMMARY.md leaves docs/a.md out"]
