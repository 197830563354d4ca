-- Schema 4: triggers of scanners and frames that were pushed, each with its one answer; metaphases found in search
-- frames.
CREATE TABLE triggers (
    id       TEXT NOT NULL PRIMARY KEY,            -- the scanner's event id, or one that was made for it
    source   TEXT NOT NULL,                        -- source that it went to
    received TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    case_id  TEXT,                                 -- case in force then
    facts    TEXT NOT NULL,                        -- what the scanner says of the field (JSON)
    digest   TEXT,                                 -- SHA-256 of a pushed frame: the same id with another frame is refused
    file     TEXT,                                 -- a pushed frame below spool/, until it is answered
    bytes    INTEGER,                              -- its size
    answered TEXT,                                 -- when it was answered
    answer   TEXT                                  -- with what (JSON)
) STRICT;
CREATE INDEX triggers_waiting ON triggers (source) WHERE answered IS NULL;
CREATE INDEX triggers_answered ON triggers (answered) WHERE answered IS NOT NULL;
CREATE INDEX triggers_case ON triggers (case_id) WHERE case_id IS NOT NULL;

CREATE TABLE spreads (
    id       INTEGER PRIMARY KEY,                  -- order of commits
    slide    TEXT NOT NULL,
    case_id  TEXT,
    source   TEXT NOT NULL,
    document TEXT NOT NULL                         -- where it lies, how good it looks (JSON)
) STRICT;
CREATE INDEX spreads_slide ON spreads (slide, id);
CREATE INDEX spreads_case ON spreads (case_id) WHERE case_id IS NOT NULL;
