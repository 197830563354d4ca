#!/usr/bin/env python3
"""A bridge from Micro-Manager (pymmcore-plus) to metaphased.

Every frame of an acquisition is pushed to a source of kind `push`, with the stage position and the pixel size that
Micro-Manager reports; when metaphased finds a metaphase, `found` is emitted with its place, and the stage goes there.

    pip install pymmcore-plus mm-test-adapters      # the demo devices; your own come with Micro-Manager
    examples/pymmcore/bridge.py --url http://127.0.0.1:8080 --source coarse --slide S-2

The demo camera shows no slide. With `--virtual target/release/metaphased` the pixels are those of the virtual slide at
the place where Micro-Manager's stage stands (the demo camera is exposed all the same).
"""

import argparse
import datetime
import pathlib
import queue
import sys
import tempfile
import threading

import useq
from psygnal import Signal
from pymmcore_plus import CMMCorePlus

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "scanner"))
from scan import Metaphased, VirtualMicroscope


class Bridge:
    """Pushes the frames of `core`'s acquisitions to a source of metaphased."""

    found = Signal(dict)
    """A metaphase of a frame: `stage_um`, `score`, `quality`."""
    answered = Signal(dict)
    """What came of a frame: a cell, places, or why there is none."""

    def __init__(self, core, daemon, source, picture=None):
        self.core, self.daemon, self.source = core, daemon, source
        # In the place of the camera's pixels: a function of x, y and z that gives a PNG.
        self.picture = picture
        self.frames, self.sent, self.problems = queue.Queue(maxsize=8), 0, []
        self.run = datetime.datetime.now().strftime("%Y%m%d-%H%M%S.%f")
        core.mda.events.frameReady.connect(self._frame)
        self.thread = threading.Thread(target=self._push, daemon=True)
        self.thread.start()

    def _frame(self, image, event, meta):
        # Called on the acquisition's thread: a full queue makes it wait, and loses nothing.
        place = meta["position"]
        said = {"x_um": place.get("x"), "y_um": place.get("y"), "z_um": place.get("z"),
                "um_per_px": meta["pixel_size_um"] or None,
                "time": datetime.datetime.now(datetime.timezone.utc).isoformat()}
        if self.picture:
            body = self.picture(place["x"], place["y"], place["z"])
        else:
            height, width = image.shape[:2]
            deep = image.dtype.itemsize == 2
            body = image.astype("<u2" if deep else "u1").tobytes()
            said |= {"format": "mono16" if deep else "mono8", "width": width, "height": height,
                     "bits": max(9, self.core.getImageBitDepth()) if deep else None}
        self.sent += 1
        self.frames.put((f"{self.run}/{self.sent}", body, said))

    def _push(self):
        while True:
            trigger, body, said = self.frames.get()
            try:
                self.daemon.push(self.source, body, trigger=trigger, **said)
                answer = self.daemon.answer(trigger)
                for metaphase in answer.get("metaphases", []):
                    self.found.emit(metaphase)
                self.answered.emit(answer)
            # What one frame meets must not end the others.
            except Exception as error:
                self.problems.append(f"{trigger}: {error}")
            finally:
                self.frames.task_done()

    def finish(self):
        """Waits until every frame is answered."""
        self.frames.join()


def demo_core():
    """The demo devices of the wheel mm-test-adapters."""
    import mm_test_adapters

    folder = mm_test_adapters.device_adapter_path()
    core = CMMCorePlus(mm_path=folder)
    core.loadSystemConfiguration(f"{folder}/MMConfig_demo.cfg")
    return core


def grid(extent, step):
    """Places of the stage that cover an extent."""
    left, top, right, bottom = extent
    rows = [top + step[1] * n for n in range(int((bottom - top) / step[1]) + 2)]
    columns = [left + step[0] * n for n in range(int((right - left) / step[0]) + 2)]
    return [(x, y, 0.0) for y in rows for x in columns]


def main():
    """Acquires the slide, and drives to the best metaphases."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--url", default="http://127.0.0.1:8080")
    options.add_argument("--token")
    options.add_argument("--source", default="coarse", help="source of kind push, with search = true")
    options.add_argument("--slide", default="pymmcore")
    options.add_argument("--virtual", metavar="METAPHASED",
                         help="show the virtual slide in the place of the demo camera")
    options.add_argument("--cells", type=int, default=8)
    options.add_argument("--visit", type=int, default=3, help="metaphases to drive back to")
    options = options.parse_args()

    daemon = Metaphased(options.url, options.token)
    daemon.command("case", case=options.slide, slide=options.slide)
    core = demo_core()
    with tempfile.TemporaryDirectory() as folder:
        microscope = picture = None
        extent, step = (0.0, 0.0, 400.0, 400.0), (400.0, 400.0)
        if options.virtual:
            microscope = VirtualMicroscope(options.virtual, folder, options.cells, 1, "1600x1200")
            um = microscope.um_per_px["search"]
            extent, step = microscope.extent_um, [side * um - 110.0 for side in microscope.size]

            def picture(x, y, z):
                return microscope.snap(x, y, z, "search")[0]

            # The demo's objectives have pixel sizes of their own.
            for name in core.getAvailablePixelSizeConfigs():
                core.deletePixelSizeConfig(name)
            core.definePixelSizeConfig("search")
            core.setPixelSizeUm("search", um)
        bridge = Bridge(core, daemon, options.source, picture)
        answers, places = [], []
        bridge.answered.connect(answers.append)
        bridge.found.connect(places.append)
        core.mda.run(useq.MDASequence(stage_positions=grid(extent, step)))
        bridge.finish()
        states = [answer["state"] + (f" ({answer['reason']})" if "reason" in answer else "") for answer in answers]
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        print(f"{bridge.sent} frames, {len(answers)} answered: {counts}")
        for problem in bridge.problems:
            print("problem:", problem)
        for place in daemon.slide(options.slide)[: options.visit]:
            x, y = place["stage_um"]["x"], place["stage_um"]["y"]
            core.setXYPosition(x, y)
            core.waitForDevice(core.getXYStageDevice())
            at = f"{core.getXPosition():.1f}, {core.getYPosition():.1f} um"
            print(f"rank {place['rank']}, score {place['score']:.2f}: stage at {at}")
        if microscope:
            stages = [place["stage_um"] for place in places]
            hits = [any(abs(t["x"] - s["x"]) + abs(t["y"] - s["y"]) < 25 for s in stages) for t in microscope.truth]
            print(f"{sum(hits)} of {len(microscope.truth)} metaphases of the slide were found")
            microscope.close()


if __name__ == "__main__":
    main()
