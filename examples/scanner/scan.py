#!/usr/bin/env python3
"""A scanner that lets metaphased find the metaphases of a slide, drives back to each, focuses and takes it.

Without a microscope it scans the virtual slide, end to end:

    examples/scanner/scan.py --metaphased target/release/metaphased --cells 40

It starts a daemon in a folder of its own (or uses the one at --url), pushes the fields of a coarse pass (10x) to a
source that searches, reads the ranked places from `slides/<slide>`, takes a focus stack at each, which a source that
searches judges as well, and pushes the sharpest frame to the source that recognises. Then it compares with the truth.

Only the standard library is needed. Put your own stage and camera into the place of `VirtualMicroscope`: `snap(x, y, z,
objective)` is all that the scan asks for.
"""

import argparse
import json
import math
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

# Fields of the coarse pass overlap by more than a spread is wide, so that one of them holds it whole.
OVERLAP_UM = 110.0
# A metaphase that is found lies so close to a true one.
NEAR_UM = 20.0
# Within the depth of field of an oil objective of aperture 1.3, with some of the chromosomes' own height.
IN_FOCUS_UM = 0.6


class Metaphased:
    """The daemon, over HTTP."""

    def __init__(self, url, token=None):
        self.url = url.rstrip("/") + "/api/v1/"
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, path, body=None, kind="application/json"):
        """An answer of the API as an object."""
        request = urllib.request.Request(self.url + path, data=body, headers={**self.headers, "Content-Type": kind})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def command(self, name, **values):
        """Gives a command, such as `case`."""
        return self.ask(f"commands/{name}", json.dumps(values).encode())

    def push(self, source, picture, **said):
        """Pushes a frame; waits when the daemon asks for it."""
        query = urllib.parse.urlencode({name: value for name, value in said.items() if value is not None})
        while True:
            try:
                return self.ask(f"sources/{source}/frames?{query}", picture, "image/png")
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise RuntimeError(f"{error.code}: {error.read().decode()}") from error
                time.sleep(float(error.headers["Retry-After"]))

    def answer(self, trigger):
        """What came of a frame; waits until it is there."""
        while True:
            found = self.ask(f"triggers/{urllib.parse.quote(trigger, safe='')}?wait=30")
            if found["state"] != "waiting":
                return found

    def slide(self, name):
        """The ranked metaphases of a slide; its document is made once a second."""
        time.sleep(2.5)
        try:
            return self.ask(f"slides/{urllib.parse.quote(name, safe='')}")["metaphases"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise


class VirtualMicroscope:
    """Stage, objectives and camera over the virtual slide (`metaphased simulate --views`)."""

    def __init__(self, program, folder, cells, seed, size):
        self.picture = pathlib.Path(folder) / "view.png"
        self.process = subprocess.Popen(
            [program, "simulate", "--views", "--cells", str(cells), "--seed", str(seed), "--size", size],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        slide = json.loads(self.process.stdout.readline())
        self.extent_um, self.truth = slide["extent_um"], slide["metaphases"]
        working, search = slide["um_per_px"]
        self.um_per_px = {"working": working, "search": search}
        self.size = slide["size"]

    def snap(self, x, y, z, objective):
        """The picture at a place, as PNG, and how far it is out of focus, which no real microscope says."""
        wanted = {"x": x, "y": y, "z": z, "objective": objective, "out": str(self.picture)}
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        truth = json.loads(self.process.stdout.readline())
        return self.picture.read_bytes(), truth["defocus_um"]

    def close(self):
        """Ends the program."""
        self.process.stdin.close()
        self.process.wait()


class Scan:
    """A scan of one slide: coarse pass, focus, fine pass."""

    def __init__(self, daemon, microscope, slide):
        self.daemon, self.microscope, self.slide = daemon, microscope, slide
        self.frames = 0
        # Where the slide was in focus: x, y, z.
        self.known = []

    def take(self, source, x, y, z, objective, field):
        """Takes a frame and pushes it; its trigger and how far it is out of focus."""
        picture, defocus = self.microscope.snap(x, y, z, objective)
        self.frames += 1
        pushed = self.daemon.push(
            source, picture, trigger=f"{self.slide}/{field}/{self.frames}", field=field, x_um=x, y_um=y, z_um=z,
            um_per_px=self.microscope.um_per_px[objective], sequence=self.frames)
        return pushed["trigger"], defocus

    def coarse(self):
        """Every field of the slide through the search objective."""
        left, top, right, bottom = self.microscope.extent_um
        width, height = (side * self.microscope.um_per_px["search"] for side in self.microscope.size)

        def places(low, high, step):
            return [low + step * n for n in range(max(1, math.ceil((high - low) / step) + 1))]

        triggers = []
        for row, y in enumerate(places(top, bottom, height - OVERLAP_UM)):
            for column, x in enumerate(places(left, right, width - OVERLAP_UM)):
                triggers.append(self.take("coarse", x, y, 0.0, "search", f"coarse-{row}-{column}")[0])
        return [self.daemon.answer(trigger) for trigger in triggers]

    def height(self, x, y):
        """Where the slide should be in focus: the plane through the places that are known, or the nearest."""
        if len(self.known) < 4:
            return min(self.known, key=lambda k: math.hypot(k[0] - x, k[1] - y))[2] if self.known else 0.0
        # Least squares of z = a + b x + c y, by Cramer's rule about the mean.
        n = len(self.known)
        mean = [sum(k[i] for k in self.known) / n for i in range(3)]
        dx, dy, dz = ([k[i] - mean[i] for k in self.known] for i in range(3))

        def dot(a, b):
            return sum(p * q for p, q in zip(a, b, strict=True))

        det = dot(dx, dx) * dot(dy, dy) - dot(dx, dy) ** 2
        if det < 1e-6 * dot(dx, dx) * dot(dy, dy) + 1e-9:
            return mean[2]
        b = (dot(dx, dz) * dot(dy, dy) - dot(dy, dz) * dot(dx, dy)) / det
        c = (dot(dy, dz) * dot(dx, dx) - dot(dx, dz) * dot(dx, dy)) / det
        return mean[2] + b * (x - mean[0]) + c * (y - mean[1])

    def stack(self, x, y, heights, field):
        """Focus at each height: the score of triage, 0 where it sees no metaphase; and the place that it sees."""
        triggers = [(z, self.take("focus", x, y, z, "working", field)[0]) for z in heights]
        scores, place = [], None
        for z, trigger in triggers:
            found = self.daemon.answer(trigger)
            quality = found.get("quality") or {}
            score = quality.get("focus", 0.0) if quality.get("metaphase", 0.0) > 0 else 0.0
            if found["state"] == "found" and score > max((s for _, s in scores), default=0.0):
                seen = [metaphase["stage_um"] for metaphase in found["metaphases"]]
                place = min(seen, key=lambda at: math.hypot(at["x"] - x, at["y"] - y))
            scores.append((z, score))
        return scores, place

    def fine(self, x, y, field):
        """Focuses on a metaphase and takes it: what `take` gives, none where nothing is seen."""
        z = self.height(x, y)
        spans = [(3.0, 1.0), (10.0, 2.0)] if self.known else [(10.0, 2.0)]
        for span, step in spans:
            heights = [z + step * n for n in range(-round(span / step), round(span / step) + 1)]
            scores, place = self.stack(x, y, heights, field)
            best = max(score for _, score in scores)
            at = sharpest(scores)
            if best > 0 and heights[0] < at < heights[-1]:
                break
        if best == 0:
            return None
        if place:
            x, y = place["x"], place["y"]
        scores, _ = self.stack(x, y, [at + 0.4 * n for n in range(-3, 4)], field)
        at = sharpest(scores)
        self.known.append((x, y, at))
        return self.take("fine", x, y, at, "working", field)


def sharpest(scores):
    """The height of the best focus; of several that are as good the middle."""
    best = max(score for _, score in scores)
    good = [(z, score) for z, score in scores if score >= 0.97 * best]
    return sum(z * score for z, score in good) / max(sum(score for _, score in good), 1e-9)


def start(program, folder):
    """A daemon in a folder of its own; its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = pathlib.Path(folder) / "metaphased.toml"
    config.write_text("".join(f'[source.{name}]\nkind = "push"\nsearch = {str(name != "fine").lower()}\n'
                              for name in ("coarse", "focus", "fine"))
                      + f'[store]\npath = "{folder}/store"\n[web]\nlisten = "127.0.0.1:{port}"\n[mqtt]\nurl = "off"\n')
    process = subprocess.Popen([program, "--config", str(config)], stderr=(config.parent / "log").open("w"))
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(url + "/readyz", timeout=5).close()
            return process, url
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    sys.exit(f"the daemon does not start:\n{(config.parent / 'log').read_text()}")


def report(scan, places, taken, answers, seconds):
    """Prints what was found against the truth; the same as numbers."""
    truth = scan.microscope.truth

    def near(a, b):
        return math.hypot(a["x"] - b["x"], a["y"] - b["y"]) < NEAR_UM

    found = [t for t in truth if any(near(t, place["stage_um"]) for place in places)]
    foreign = [place for place in places if not any(near(t, place["stage_um"]) for t in truth)]
    sharp = [defocus for _, defocus in taken if abs(defocus) <= IN_FOCUS_UM]
    cells = [answer for answer in answers if answer["state"] == "cell"]
    print(f"metaphases on the slide   {len(truth)}")
    share, in_focus = len(found) / max(len(truth), 1), len(sharp) / max(len(taken), 1)
    print(f"found by the coarse pass  {len(found)} ({share:.3f}), {len(foreign)} places without one")
    print(f"taken by the fine pass    {len(taken)}, in focus (within {IN_FOCUS_UM} um) {len(sharp)} ({in_focus:.3f})")
    print(f"recognised                {len(cells)}")
    for answer in answers:
        if answer["state"] != "cell":
            print(f"  {answer['field']}: {answer['reason']}: {answer['text']}")
    print(f"frames                    {scan.frames} in {seconds:.0f} s")
    return {"truth": len(truth), "found": len(found), "foreign": len(foreign), "taken": len(taken),
            "in_focus": len(sharp), "cells": len(cells), "frames": scan.frames, "seconds": round(seconds, 1)}


def main():
    """Scans a slide from end to end."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--metaphased", default="metaphased", help="the program")
    options.add_argument("--url", help="a running daemon with push sources coarse, focus (both search = true) and fine")
    options.add_argument("--token", help="its token")
    options.add_argument("--slide", default=f"scan-{int(time.time())}", help="name of the slide")
    options.add_argument("--cells", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--size", default="1600x1200", help="of the camera, in pixels")
    options.add_argument("--coarse-only", action="store_true")
    options.add_argument("--json", action="store_true", help="print the figures as JSON, last")
    options = options.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        process, url = (None, options.url) if options.url else start(options.metaphased, folder)
        microscope = VirtualMicroscope(options.metaphased, folder, options.cells, options.seed, options.size)
        try:
            daemon = Metaphased(url, options.token)
            daemon.command("case", case=options.slide, slide=options.slide)
            scan = Scan(daemon, microscope, options.slide)
            scan.coarse()
            places = daemon.slide(options.slide)
            taken = []
            for place in [] if options.coarse_only else places:
                frame = scan.fine(place["stage_um"]["x"], place["stage_um"]["y"], f"metaphase-{place['rank']}")
                if frame:
                    taken.append(frame)
            answers = [daemon.answer(trigger) for trigger, _ in taken]
            figures = report(scan, places, taken, answers, time.monotonic() - began)
            if options.json:
                print(json.dumps(figures))
        finally:
            microscope.close()
            if process:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
