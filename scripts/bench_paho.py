"""Messages a second with paho-mqtt at QoS 1: `bench_paho.py PORT MESSAGES BYTES [--store]`.

With --store every message goes through an SQLite outbox first (WAL, synchronous FULL, a hundred in a transaction) and
leaves it after its PUBACK, as the daemon does it.
"""

import json
import os
import sqlite3
import sys
import tempfile
import threading
import time

import paho.mqtt.client as mqtt

port, messages, size = (int(argument) for argument in sys.argv[1:4])
durable = "--store" in sys.argv
payload = b"x" * size
acknowledged = []
done = threading.Event()
ready = threading.Event()


def on_publish(_client, _data, mid, _reason, _properties):
    acknowledged.append(mid)
    if len(acknowledged) == messages:
        done.set()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.max_inflight_messages_set(256)
client.max_queued_messages_set(0)
client.on_publish = on_publish
client.on_connect = lambda *_: ready.set()
client.connect("127.0.0.1", port)
client.loop_start()
ready.wait()

with tempfile.TemporaryDirectory() as folder:
    database = sqlite3.connect(os.path.join(folder, "outbox.db"), isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB)"
    )
    rows = {}
    removed = 0

    def remove():
        """Rows that were acknowledged leave the outbox."""
        global removed
        count = len(acknowledged)
        if count > removed:
            gone = [(rows.pop(mid),) for mid in acknowledged[removed:count] if mid in rows]
            database.execute("BEGIN")
            database.executemany("DELETE FROM outbox WHERE id = ?", gone)
            database.execute("COMMIT")
            removed = count

    started = time.perf_counter()
    for first in range(0, messages, 100):
        group = min(100, messages - first)
        if durable:
            database.execute("BEGIN")
            ids = [
                database.execute("INSERT INTO outbox (topic, payload) VALUES (?, ?)", ("cell", payload)).lastrowid
                for _ in range(group)
            ]
            database.execute("COMMIT")
            for row in ids:
                rows[client.publish("metaphased/bench/cell", payload, qos=1).mid] = row
            remove()
        else:
            for _ in range(group):
                client.publish("metaphased/bench/cell", payload, qos=1)
    done.wait()
    seconds = time.perf_counter() - started
    database.close()

client.loop_stop()
print(
    json.dumps(
        {"messages": messages, "bytes": size, "seconds": round(seconds, 3), "per_s": round(messages / seconds)}
    )
)
