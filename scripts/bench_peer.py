"""The peer of scripts/bench-peer: a metaphase pipeline as one would write it in Python, and the bench that drives both.

    bench_peer.py peer --frames FOLDER --count N --port P [--rate HZ] [--processes K]    reads, recognises, publishes
    bench_peer.py bare --frames FOLDER --count N [--processes K]                         the networks alone, on prepared inputs
    bench_peer.py drive ...                                                              what scripts/bench-peer calls

The peer is written to be fast: frames are decoded and prepared on a thread of their own (OpenCV and ONNX Runtime let go of
Python's lock), the crops of a cell go through the networks in one batch, paho-mqtt has its network thread. Two forms of it: one
process whose networks have all cores, and a process a core whose networks have one each, with the frames dealt out between them.
It runs the same networks as the daemon: detector, classifier, and outlines of the boxes that it publishes (`--no-outlines` leaves
those away). It does less than the daemon: no triage, no joint selection, no karyotype, no measures, no store, and the order of
frames is not kept between processes.
"""

import argparse
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import uuid
from datetime import datetime, timezone

MODELS = pathlib.Path(__file__).resolve().parent.parent / "models"


def frames_of(folder, count):
    """The first frames of a folder, by name."""
    return sorted(p for p in pathlib.Path(folder).iterdir() if p.suffix in {".webp", ".png", ".jpg", ".tif"})[:count]


class Recogniser:
    """The shipped networks, after their model.toml, on so many threads."""

    def __init__(self, threads, outlines):
        import onnxruntime

        self.detector = tomllib.loads((MODELS / "detector-metaphase/model.toml").read_text())
        self.classifier = tomllib.loads((MODELS / "classifier-metaphase/model.toml").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # As the daemon sets it: spinning threads would take the cores from decoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The file that the daemon takes with this library: int8 where there is one and the processor multiplies bytes.
        flags = pathlib.Path("/proc/cpuinfo").read_text()
        wanted = ["int8", "f32"] if "avx512_vnni" in flags or "avx_vnni" in flags else ["f32"]

        def session(manifest):
            paths = {f["precision"]: f["path"] for f in manifest["file"]}
            path = next(paths[precision] for precision in wanted if precision in paths)
            return onnxruntime.InferenceSession(MODELS / manifest["name"] / path, options, ["CPUExecutionProvider"])

        self.detect, self.classify = session(self.detector), session(self.classifier)
        self.anatomy = tomllib.loads((MODELS / "anatomy/model.toml").read_text()) if outlines else None
        self.draw = session(self.anatomy) if outlines else None

    def prepare(self, grey):
        """Ground to its level, resized and padded: the grey picture and the detector's input."""
        import cv2
        import numpy as np

        spec = self.detector["input"]
        histogram = np.cumsum(cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel())
        ground = max(int(np.searchsorted(histogram, spec["background"]["percentile"] * grey.size)), 1)
        table = np.clip(np.rint(np.arange(256) * (spec["background"]["level"] / ground)), 0, 255).astype(np.uint8)
        grey = cv2.LUT(grey, table)
        scale = spec["scale"]["factor"]
        width, height = round(grey.shape[1] * scale), round(grey.shape[0] * scale)
        stride = spec["stride"]
        padded = np.full((-(-height // stride) * stride, -(-width // stride) * stride), spec["pad"], np.uint8)
        cv2.resize(grey, (width, height), dst=padded[:height, :width], interpolation=cv2.INTER_AREA)
        level = ((np.arange(256, dtype=np.float32) / 255 - spec["mean"]) / spec["std"]).astype(np.float32)
        return grey, cv2.LUT(padded, level)[None, None], (grey.shape[1] / width, grey.shape[0] / height)

    def boxes(self, output, back, shape):
        """Boxes [n, 4] as corners, scores [n] and class logits [n, 24] after suppression, best first."""
        import numpy as np

        t = self.detector["thresholds"]
        flat = output[0].reshape(output.shape[1], -1)
        floor = np.log(t["candidate"] / (1 - t["candidate"]))
        cells = np.flatnonzero(flat[4] >= floor)
        cells = cells[np.argsort(-flat[4, cells], kind="stable")][:1000]
        columns = output.shape[3]
        x, y = (cells % columns + 0.5) * 8, (cells // columns + 0.5) * 8
        corners = np.stack([x - flat[0, cells], y - flat[1, cells], x + flat[2, cells], y + flat[3, cells]], 1)
        corners *= np.array([back[0], back[1], back[0], back[1]])
        np.clip(corners, 0, [shape[1], shape[0], shape[1], shape[0]], out=corners)
        scores, logits = 1 / (1 + np.exp(-flat[4, cells])), flat[5:29, cells].T
        classes = logits.argmax(1)
        low = np.maximum(corners[:, None, :2], corners[None, :, :2])
        high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
        shared = np.prod(np.clip(high - low, 0, None), 2)
        area = np.prod(corners[:, 2:] - corners[:, :2], 1)
        overlap = shared / np.maximum(area[:, None] + area[None] - shared, 1e-9)

        def survivors(limits, among):
            beats = overlap > np.where(classes[:, None] == classes[None], limits["nms_same_class_iou"], limits["nms_iou"])
            kept, open_ = [], np.ones(len(cells), bool)
            for i in among:
                if open_[i]:
                    kept.append(i)
                    open_ &= ~beats[i]
            return kept

        # The classifier looks at as many boxes as the daemon's; doubles among them are not published.
        kept = survivors(self.classifier.get("context", {}).get("merging", t), range(len(cells)))
        doubles = np.setdiff1d(kept, survivors(t, kept))
        scores[doubles] = np.minimum(scores[doubles], t["score"] - 1e-6)
        return corners[kept], scores[kept], logits[kept]

    def crops(self, grey, corners, scores):
        """The classifier's batch: crops [n, 2, 96, 96] and relative sizes [n, 3]."""
        import cv2
        import numpy as np

        spec = self.classifier["input"]
        side, n = spec["size"], spec["crop"]["supersample"]
        width, height = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
        diagonal = np.hypot(width, height)
        certain = diagonal[scores >= self.detector["thresholds"]["score"]]
        median = max(float(np.median(certain)) if len(certain) else 1.0, 1.0)
        square = np.maximum(spec["crop"]["margin"] * np.maximum(width, height), spec["crop"]["floor"] * median)
        batch = np.empty((len(corners), 2, side, side), np.float32)
        middle = np.abs((np.arange(side) + 0.5) / side - 0.5)
        for i, box in enumerate(corners):
            step = square[i] / (side * n)
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            move = np.float64([[step, 0, x - square[i] / 2 + step / 2 - 0.5], [0, step, y - square[i] / 2 + step / 2 - 0.5]])
            fine = cv2.warpAffine(grey, move, (side * n, side * n), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                  borderMode=cv2.BORDER_CONSTANT, borderValue=spec["pad"])
            batch[i, 0] = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
            batch[i, 1] = np.outer(middle * square[i] <= height[i] / 2, middle * square[i] <= width[i] / 2)
        batch[:, 0] = (batch[:, 0] / 255 - spec["mean"]) / spec["std"]
        sizes = np.log(np.maximum(np.stack([diagonal, width, height], 1), 0.1) / median).astype(np.float32)
        return batch, sizes, square

    def chosen(self, scores):
        """Which boxes are published, and drawn."""
        import numpy as np

        return np.flatnonzero(scores >= self.detector["thresholds"]["score"])

    def outlines(self, corners, square, batch):
        """The outline of each box, from the crops of the classifier: closed lines in pixels of the frame."""
        import cv2
        import numpy as np

        maps = self.draw.run(None, {"chromosome": batch})[0]
        n, side = len(batch), self.anatomy["input"]["size"]
        masks = maps[:, :4].reshape(n, 2, 2, side // 2, side // 2).transpose(0, 3, 1, 4, 2).reshape(n, side, side) > 0
        lines = []
        for mask, box, whole in zip(masks.astype(np.uint8), corners, square):
            found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            if not found:
                lines.append([])
                continue
            line = max(found, key=cv2.contourArea)[:, 0].astype(np.float64) + 0.5
            middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
            lines.append(np.round(middle + (line / side - 0.5) * whole, 1).tolist())
        return lines

    def message(self, corners, scores, detected, logits, lines):
        """The fields of a cell message that a consumer reads."""
        import numpy as np

        def log_softmax(values, temperature):
            values = values / temperature
            values = values - values.max(1, keepdims=True)
            return values - np.log(np.exp(values).sum(1, keepdims=True))

        ours = log_softmax(logits[:, :25], self.classifier["calibration"]["temperature"])
        theirs = log_softmax(detected, self.detector["calibration"]["class_temperature"])
        joint = ours[:, :24] + self.detector["thresholds"]["class_weight"] * theirs
        p = np.exp(log_softmax(joint, self.detector["calibration"]["combined_temperature"]))
        names = self.detector["output"]["classes"]
        chromosomes = []
        for number, i in enumerate(self.chosen(scores)):
            order = np.argsort(-p[i])[:3]
            b = corners[i]
            chromosomes.append({
                "index": len(chromosomes), "box": [round(float(v), 1) for v in (b[0], b[1], b[2] - b[0], b[3] - b[1])],
                "class": names[order[0]], "score": round(float(p[i, order[0]]), 4),
                "alternatives": [{"class": names[k], "score": round(float(p[i, k]), 4)} for k in order[1:]],
            })
            if lines is not None:
                chromosomes[-1]["outline"] = lines[number]
        return {"schema": "cell/1", "cell": str(uuid.uuid4()), "chromosomes": chromosomes}


def now():
    return datetime.now(timezone.utc).isoformat()


def in_processes(work, arguments):
    """One process with all cores, or several with one each; what each answers."""
    if arguments.processes == 1:
        return [work(arguments, 0, os.cpu_count())]
    import concurrent.futures
    import multiprocessing

    # Fresh processes, as one starts several scripts; the pool ends them, so that their time counts.
    with concurrent.futures.ProcessPoolExecutor(arguments.processes, multiprocessing.get_context("spawn")) as pool:
        done = [pool.submit(work, arguments, number, 1) for number in range(arguments.processes)]
        return [one.result() for one in done]


def peer(arguments, number, threads):
    import cv2
    import paho.mqtt.client as mqtt

    cv2.setNumThreads(threads)
    recogniser = Recogniser(threads, arguments.outlines)
    ready, told = threading.Event(), threading.Semaphore(0)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(256)
    client.on_connect = lambda *_: ready.set()
    client.on_publish = lambda *_: told.release()
    client.connect("127.0.0.1", arguments.port)
    client.loop_start()
    ready.wait()
    waiting = queue.Queue(4)

    def read():
        begun = time.monotonic()
        for n, path in enumerate(frames_of(arguments.frames, arguments.count)):
            if n % arguments.processes != number:
                continue
            if arguments.rate:
                time.sleep(max(begun + n / arguments.rate - time.monotonic(), 0))
            grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            waiting.put((now(), path.name, *recogniser.prepare(grey)))
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    sent = 0
    while (job := waiting.get()) is not None:
        captured, name, grey, image, back = job
        output = recogniser.detect.run(None, {"image": image})[0]
        corners, scores, detected = recogniser.boxes(output, back, grey.shape)
        if len(corners) == 0:
            continue
        batch, sizes, square = recogniser.crops(grey, corners, scores)
        logits = recogniser.classify.run(None, {"chromosome": batch, "size": sizes})[0]
        lines, chosen = None, recogniser.chosen(scores)
        if arguments.outlines and len(chosen):
            lines = recogniser.outlines(corners[chosen], square[chosen], batch[chosen])
        message = recogniser.message(corners, scores, detected, logits, lines)
        message["captured"] = {"time": captured, "file": name}
        client.publish("metaphased/peer/cell", json.dumps(message), qos=1)
        sent += 1
    for _ in range(sent):
        told.acquire()
    client.loop_stop()


def bare(arguments, number, threads):
    import cv2

    recogniser = Recogniser(threads, arguments.outlines)
    inputs = []
    for n, path in enumerate(frames_of(arguments.frames, arguments.count)):
        if n % arguments.processes != number:
            continue
        grey, image, back = recogniser.prepare(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        corners, scores, _ = recogniser.boxes(recogniser.detect.run(None, {"image": image})[0], back, grey.shape)
        if len(corners):
            batch, sizes, _ = recogniser.crops(grey, corners, scores)
            inputs.append((image, batch, sizes, batch[recogniser.chosen(scores)]))
    # All at the same time, once the slowest is ready.
    begun = pathlib.Path(arguments.ready) / str(number)
    begun.touch()
    while len(list(begun.parent.iterdir())) < arguments.processes:
        time.sleep(0.001)
    started, spent = time.monotonic(), time.process_time()
    for image, batch, sizes, drawn in inputs:
        recogniser.detect.run(None, {"image": image})
        recogniser.classify.run(None, {"chromosome": batch, "size": sizes})
        if recogniser.draw and len(drawn):
            recogniser.draw.run(None, {"chromosome": drawn})
    return {"cells": len(inputs), "wall": time.monotonic() - started, "cpu": time.process_time() - spent,
            "crops": sum(len(batch) for _, batch, _, _ in inputs)}


class Watch:
    """Counts what arrives at a subscriber, with the time since each frame was captured."""

    def __init__(self, port):
        import paho.mqtt.client as mqtt

        self.arrivals, self.rejected, self.lock = [], 0, threading.Lock()
        ready = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_message = self.take
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([("metaphased/+/cell", 1), ("metaphased/+/rejected", 1)])
        ready.wait()

    def take(self, _client, _data, message):
        at = time.time()
        with self.lock:
            if message.topic.endswith("/rejected"):
                self.rejected += 1
                return
            captured = json.loads(message.payload)["captured"]
            since = datetime.fromisoformat(captured["time"].replace("Z", "+00:00")).timestamp()
            self.arrivals.append((at, at - since, captured["file"]))

    def fresh(self):
        with self.lock:
            self.arrivals, self.rejected = [], 0

    def frames(self):
        with self.lock:
            return len({file for _, _, file in self.arrivals}) + self.rejected


CONFIG = """station = "peer"
[source.scope]
kind = "folder"
path = "{folder}"
repeat = "once"
stain = "g-band"
{rate}
[inference]
engine = "onnxruntime"
[store]
path = "{store}"
keep_images = "none"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
[web]
listen = "off"
[log]
level = "error"
"""


# The forms of the peer, and their processes.
FORMS = {"Python": 1, "Python, a process a core": os.cpu_count()}


def run_once(who, arguments, watch, count, rate, port):
    """One run of one of the two: arrivals and rusage."""
    watch.fresh()
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work, "frames")
        folder.mkdir()
        for path in frames_of(arguments.frames, count):
            # Links out of its folder are refused by the daemon.
            shutil.copyfile(path, folder / path.name)
        if who == "metaphased":
            config = pathlib.Path(work, "metaphased.toml")
            text = CONFIG.format(folder=folder, store=pathlib.Path(work, "store"), port=port,
                                 rate=f"rate_hz = {float(rate)}" if rate else "")
            config.write_text(text)
            command = [arguments.metaphased, "--config", config, "--models", MODELS, "run"]
        else:
            command = [sys.executable, __file__, "peer", "--frames", folder, "--count", str(count), "--port", str(port)]
            command += ["--rate", str(rate)] if rate else []
            command += ["--processes", str(FORMS[who])] + ([] if arguments.outlines else ["--no-outlines"])
        said = open(pathlib.Path(work, "said"), "w+")
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=said)
        until = time.monotonic() + 60 + 2 * count
        while watch.frames() < count and time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
        if who == "metaphased":
            process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            sys.exit(f"{who} ended with {process.returncode}: {said.read()}")
    time.sleep(0.3)
    with watch.lock:
        return list(watch.arrivals), watch.rejected, usage


def drive(arguments):
    # A free one: what listens on a fixed one may be another broker.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as work:
        conf = pathlib.Path(work, "conf")
        conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n")
        broker = subprocess.Popen([arguments.broker, "-c", conf], stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            table(arguments, Watch(port), port)
        finally:
            broker.terminate()
            broker.wait()


def networks_alone(arguments, processes):
    """Cells a second and CPU seconds a cell of the networks on prepared inputs."""
    with tempfile.TemporaryDirectory() as ready:
        command = [sys.executable, __file__, "bare", "--frames", arguments.frames, "--count", str(arguments.count),
                   "--processes", str(processes), "--ready", ready] + ([] if arguments.outlines else ["--no-outlines"])
        done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    cells = sum(one["cells"] for one in done)
    return {"rate": sum(one["cells"] / one["wall"] for one in done), "cpu": sum(one["cpu"] for one in done) / cells,
            "crops": sum(one["crops"] for one in done) / cells}


def table(arguments, watch, port):
    all_of = ["metaphased", *FORMS]
    # What a start costs, to be taken off.
    idle = {who: run_once(who, arguments, watch, max(FORMS.get(who, 1), 1), None, port)[2] for who in all_of}
    figures = {who: {"rate": [], "cpu": [], "peak": [], "latency": [], "cells": 0, "rejected": 0} for who in all_of}
    networks = {processes: [] for processes in sorted(set(FORMS.values()))}
    for _ in range(arguments.rounds):
        for processes, runs in networks.items():
            runs.append(networks_alone(arguments, processes))
        for who in all_of:
            arrivals, rejected, usage = run_once(who, arguments, watch, arguments.count, None, port)
            at = sorted(time for time, _, _ in arrivals)
            mine = figures[who]
            mine["cells"], mine["rejected"] = len(at), rejected
            # The first of each process comes when its networks are loaded.
            first = FORMS.get(who, 1) - 1
            mine["rate"].append((len(at) - 1 - first) / (at[-1] - at[first]) if len(at) > 1 + first else float("nan"))
            spent = usage.ru_utime + usage.ru_stime - idle[who].ru_utime - idle[who].ru_stime
            mine["cpu"].append(spent / max(len(at) - 1 - first, 1))
            mine["peak"].append(usage.ru_maxrss / 1024)
    for who in all_of:
        arrivals, _, _ = run_once(who, arguments, watch, min(arguments.count, 40), arguments.rate, port)
        # The first frames pay for what is loaded late.
        figures[who]["latency"] = sorted(latency for _, latency, _ in arrivals[FORMS.get(who, 1):])
    middle = statistics.median
    print(f"{arguments.count} frames, {arguments.rounds} rounds in turn; outlines: {'yes' if arguments.outlines else 'no'}")
    for processes, runs in networks.items():
        print(f"networks alone on prepared inputs, {processes} process(es) of {os.cpu_count() // processes} thread(s): "
              f"{middle(r['rate'] for r in runs):.2f} cells/s, {middle(r['cpu'] for r in runs):.3f} CPU s a cell, "
              f"{runs[0]['crops']:.0f} crops a cell")
    best = max(middle(r["rate"] for r in runs) for runs in networks.values())
    least = min(middle(r["cpu"] for r in runs) for runs in networks.values())
    print(f"| | cells | rejected | cells/s | CPU s a cell | outside the networks | peak MB (a process) | latency median, p95 at {arguments.rate} Hz, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for who in all_of:
        mine = figures[who]
        cpu, ms = middle(mine["cpu"]), [1e3 * value for value in mine["latency"]]
        late = f"{middle(ms):.0f}, {ms[int(0.95 * (len(ms) - 1))]:.0f}" if ms else "-"
        print(f"| {who} | {mine['cells']} | {mine['rejected']} | {middle(mine['rate']):.2f} | {cpu:.3f} | "
              f"{cpu - least:.3f} | {max(mine['peak']):.0f} | {late} |")
    ours = figures["metaphased"]
    for who in FORMS:
        theirs = figures[who]
        print(f"against {who}: cells/s {middle(ours['rate']) / middle(theirs['rate']):.2f} x; CPU a cell "
              f"{middle(ours['cpu']) / middle(theirs['cpu']):.2f} x, outside the networks "
              f"{(middle(ours['cpu']) - least) / (middle(theirs['cpu']) - least):.2f} x; latency "
              f"{middle(ours['latency']) / middle(theirs['latency']):.2f} x")
    print(f"of the networks alone in their best arrangement: {middle(ours['rate']) / best:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["peer", "bare", "drive"])
    parser.add_argument("--frames", required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=None)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--outlines", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--ready")
    parser.add_argument("--port", type=int)
    parser.add_argument("--metaphased")
    parser.add_argument("--broker")
    arguments = parser.parse_args()
    if arguments.what == "drive":
        arguments.rate = arguments.rate or 4.0
        drive(arguments)
    elif arguments.what == "peer":
        in_processes(peer, arguments)
    else:
        print(json.dumps(in_processes(bare, arguments)))


if __name__ == "__main__":
    main()
