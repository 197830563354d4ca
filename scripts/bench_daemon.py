"""Runs the daemon against a real broker and measures it from outside; called by bench-daemon."""

import datetime
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import paho.mqtt.client as mqtt


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Listener:
    """Notes for every cell how long after the capture of its frame it arrived here."""

    def __init__(self, port):
        self.latencies, self.rejected = [], 0
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.on_message = self.take
        client.connect("127.0.0.1", port)
        client.subscribe("metaphased/#", 1)
        threading.Thread(target=client.loop_forever, daemon=True).start()

    def take(self, _client, _data, message):
        now = time.time()
        if message.topic.endswith("/cell"):
            captured = json.loads(message.payload)["captured"]["time"]
            # Nanoseconds are more than Python reads.
            captured = re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", captured).replace("Z", "+00:00")
            self.latencies.append(now - datetime.datetime.fromisoformat(captured).timestamp())
        elif message.topic.endswith("/rejected"):
            self.rejected += 1


def status(pid):
    """Peak memory in MB, processor seconds."""
    peak = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(peak[1]) / 1024, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counts(page):
    text = urllib.request.urlopen(f"{page}/metrics").read().decode()
    total = lambda name: sum(float(l.rsplit(" ", 1)[1]) for l in text.splitlines() if l.startswith(name + "{"))
    names = ["accepted", "stored", "merged", "rejected", "dropped"]
    return {n: int(total(f"metaphased_frames_{n}_total")) for n in names} | {"in_flight": int(total("metaphased_frames_in_flight"))}


def measure(binary, broker, source, seconds, engine):
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        port, web = free_port(), free_port()
        (work / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        serving = subprocess.Popen([broker, "-c", str(work / "mosquitto.conf")], stderr=subprocess.DEVNULL)
        time.sleep(1)
        listener = Listener(port)
        (work / "metaphased.toml").write_text(
            f'[source.scope]\n{source}\nmode = "lossless"\n[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\n'
            f'[web]\nlisten = "127.0.0.1:{web}"\n[log]\nlevel = "warn"\n')
        daemon = subprocess.Popen(
            [binary, "--config", str(work / "metaphased.toml"), "--engine", engine],
            env=os.environ | {"XDG_STATE_HOME": str(work)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        page, begun = f"http://127.0.0.1:{web}", None
        until = time.time() + 60
        while begun is None:
            try:
                counts(page)
                begun = time.time()
            except OSError:
                assert time.time() < until and daemon.poll() is None, "the daemon does not start"
                time.sleep(0.02)
        cpu_before = status(daemon.pid)[1]
        while True:
            time.sleep(0.05)
            seen = counts(page)
            spent = time.time() - begun
            state = json.load(urllib.request.urlopen(f"{page}/api/v1/sources"))["sources"][0]["state"]["activity"]
            if spent > seconds or (state == "finished" and seen["in_flight"] == 0):
                break
        peak, cpu = status(daemon.pid)
        time.sleep(1)
        cells = len(listener.latencies)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
        serving.kill()
        delays = sorted(listener.latencies)
        done = seen["accepted"] - seen["in_flight"]
        return [seen["accepted"], cells, f"{done / spent:.1f}", f"{1e3 * delays[len(delays) // 2]:.0f}" if delays else "-",
                f"{1e3 * delays[min(len(delays) - 1, int(0.99 * len(delays)))]:.0f}" if delays else "-",
                f"{(cpu - cpu_before) / max(1, done) * 1e3:.0f}", f"{peak:.0f}", json.dumps({k: v for k, v in seen.items() if v})]


def main():
    binary, broker, folder, seconds, engine = sys.argv[1:]
    rows = {
        f"files of {pathlib.Path(folder).name}": f'kind = "folder"\npath = {json.dumps(folder)}',
        "simulator 2048 x 1536": 'kind = "simulator"\nstage = "scan"\nsize = [2048, 1536]\num_per_px = 0.1',
    }
    print("| frames | accepted | cells | frames/s | capture to subscriber, ms: median | p99 | CPU ms a frame | peak MB | counts |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, source in rows.items():
        print(f"| {name} | " + " | ".join(map(str, measure(binary, broker, source, float(seconds), engine))) + " |", flush=True)


main()
