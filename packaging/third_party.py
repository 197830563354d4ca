"""Lists the crates that the binary contains, with their licences and notices, on stdout.

Reads `cargo metadata` for the machine it runs on, so it needs the sources that a build has fetched and no network. Tests
and build scripts leave nothing in the binary and are left out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

NOTICES = re.compile(r"^(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


def main() -> int:
    """The command line."""
    host = re.search(r"^host: (.*)$", subprocess.run(["rustc", "-vV"], capture_output=True, text=True).stdout, re.M)
    if host is None:
        raise SystemExit("third_party: no rustc")
    command = ["cargo", "metadata", "--format-version", "1", "--filter-platform", host[1]]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    reached: set[str] = set()
    waiting = [id for id, package in packages.items() if package["name"] == "metaphased"]
    while waiting:
        id = waiting.pop()
        if id not in reached:
            reached.add(id)
            kinds = ((needed["pkg"], kind["kind"]) for needed in nodes[id]["deps"] for kind in needed["dep_kinds"])
            waiting += [needed for needed, kind in kinds if kind is None]
    others = sorted((packages[id] for id in reached if packages[id]["source"]), key=lambda package: package["name"])
    texts: dict[str, list[str]] = defaultdict(list)
    print("metaphased contains these crates:\n")
    for package in others:
        name = f"{package['name']} {package['version']}"
        print(f"  {name}: {package['license'] or 'see its licence file'} ({package['repository'] or 'crates.io'})")
        folder = Path(package["manifest_path"]).parent
        for file in sorted(folder.iterdir()):
            if file.is_file() and NOTICES.match(file.name):
                texts[file.read_text(errors="replace").strip()].append(name)
    for text, names in texts.items():
        print(f"\n{'=' * 100}\n{', '.join(names)}\n{'-' * 100}\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
