-- Schema 2: messages that the broker does not take because they are too large. They leave the outbox, so that those
-- behind them go on, and return to it when the daemon starts again.
CREATE TABLE set_aside (
    id        INTEGER PRIMARY KEY,                 -- its place in the outbox
    topic     TEXT    NOT NULL,
    payload   TEXT    NOT NULL,
    qos       INTEGER NOT NULL CHECK (qos IN (0, 1)),
    retain    INTEGER NOT NULL CHECK (retain IN (0, 1)),
    droppable INTEGER NOT NULL CHECK (droppable IN (0, 1)),
    case_id   TEXT,                                -- goes with its case
    created   TEXT    NOT NULL,
    time      TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), -- when it was set aside
    reason    TEXT    NOT NULL                     -- in words
) STRICT;
