-- Schema 1: cells with their crops and pictures, cases, reviews, file marks, the outbox of messages.
-- Times are RFC 3339 in UTC. The indexed columns of `cells` repeat what the document says; the document decides.

-- One row a finished cell, at its latest revision.
CREATE TABLE cells (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- order in which cells were committed; never used twice
    id          TEXT    NOT NULL UNIQUE,           -- the cell's UUID (version 7)
    revision    INTEGER NOT NULL,                  -- counts up with each correction
    time        TEXT    NOT NULL,                  -- when its frame was taken
    stored      TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), -- when it was committed
    station     TEXT    NOT NULL,                  -- station that produced it
    source      TEXT    NOT NULL,                  -- source (camera) of its frame
    frame       INTEGER NOT NULL,                  -- number of the frame within its source
    file        TEXT,                              -- file of the frame, relative to the source's folder
    case_id     TEXT    REFERENCES cases (id),     -- case it belongs to
    slide       TEXT,                              -- slide it lies on
    verdict     TEXT    NOT NULL CHECK (verdict IN ('normal', 'abnormal', 'not_assessable')),
    iscn        TEXT,                              -- karyotype of the cell, where one can be given
    detected    INTEGER NOT NULL,                  -- chromosomes found
    abnormal    INTEGER NOT NULL,                  -- chromosomes that are part of a finding
    damaged     INTEGER NOT NULL,                  -- chromosomes with a damage candidate
    centromeres INTEGER,                           -- dicentric assay: sum of centromeres
    dicentrics  INTEGER,                           -- dicentric assay: dicentric equivalents
    complete    INTEGER CHECK (complete IN (0, 1)),-- dicentric assay: the cell counts
    image       INTEGER REFERENCES images (id) ON DELETE SET NULL, -- picture of its frame, while it is kept
    document    TEXT    NOT NULL CHECK (json_valid(document)) -- the whole record: the `cell/1` message
) STRICT;
CREATE INDEX cells_by_case ON cells (case_id, seq);
CREATE INDEX cells_by_verdict ON cells (verdict, seq);
CREATE INDEX cells_by_slide ON cells (slide, seq) WHERE slide IS NOT NULL;
CREATE INDEX cells_by_image ON cells (image) WHERE image IS NOT NULL;

-- One row a chromosome: its picture as PNG.
CREATE TABLE crops (
    cell       INTEGER NOT NULL REFERENCES cells (seq) ON DELETE CASCADE,
    chromosome INTEGER NOT NULL,                   -- `index` of the chromosome in the cell's document
    png        BLOB    NOT NULL,
    PRIMARY KEY (cell, chromosome)
) STRICT;

-- One row a cell: a small picture for the page.
CREATE TABLE thumbnails (
    cell INTEGER PRIMARY KEY REFERENCES cells (seq) ON DELETE CASCADE,
    jpeg BLOB    NOT NULL
) STRICT;

-- Pictures of whole frames, files under images/; several cells of one frame share one.
CREATE TABLE images (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    path   TEXT    NOT NULL UNIQUE,                -- relative to the store's images folder
    bytes  INTEGER NOT NULL,                       -- size of the file
    stored TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- One row a case. Subject data are kept to what a dose needs, and go with the case.
CREATE TABLE cases (
    id      TEXT PRIMARY KEY,
    opened  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    closed  TEXT,                                  -- when it was closed; a closed case takes no further cells from sources
    erasing INTEGER NOT NULL DEFAULT 0,            -- 1 only inside the transaction that erases it
    subject TEXT CHECK (subject IS NULL OR json_valid(subject)), -- age, exposure and sampling dates, earlier exposure
    state   TEXT CHECK (state IS NULL OR json_valid(state)),     -- latest `case/1` document
    dose    TEXT CHECK (dose IS NULL OR json_valid(dose))        -- latest `dose/1` document
) STRICT, WITHOUT ROWID;

-- Append-only audit: what a person changed. A row goes only when its case is erased.
CREATE TABLE reviews (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    time     TEXT NOT NULL,
    by       TEXT NOT NULL,                        -- who
    cell     TEXT,                                 -- UUID of the cell, none when a whole case was judged
    case_id  TEXT,
    revision INTEGER,                              -- revision of the cell that this review made
    change   TEXT NOT NULL,                        -- in words
    old      TEXT CHECK (old IS NULL OR json_valid(old)), -- what was there before
    new      TEXT CHECK (new IS NULL OR json_valid(new)), -- what is there now
    model    TEXT,                                 -- models that made the old value, `task: name@hash12`
    curve    TEXT,                                 -- dose curve in use
    settings TEXT CHECK (settings IS NULL OR json_valid(settings)) -- other settings that the result rests on
) STRICT;
CREATE INDEX reviews_by_cell ON reviews (cell);
CREATE INDEX reviews_by_case ON reviews (case_id);
CREATE TRIGGER reviews_never_change BEFORE UPDATE ON reviews BEGIN
    SELECT raise(ABORT, 'reviews are append-only');
END;
CREATE TRIGGER reviews_go_with_their_case BEFORE DELETE ON reviews
    WHEN NOT EXISTS (SELECT 1 FROM cases WHERE id = OLD.case_id AND erasing = 1) BEGIN
    SELECT raise(ABORT, 'reviews are append-only');
END;

-- That a case was erased, without saying which in clear.
CREATE TABLE erasures (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    time        TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    by          TEXT    NOT NULL,                  -- who asked for it
    case_sha256 TEXT    NOT NULL,                  -- SHA-256 of the case's id, in hex
    cells       INTEGER NOT NULL,                  -- rows that went
    images      INTEGER NOT NULL
) STRICT;

-- Files that have been processed, so that none is read twice and none is forgotten.
CREATE TABLE file_marks (
    source   TEXT    NOT NULL,                     -- source that reads the folder
    path     TEXT    NOT NULL,                     -- relative to the folder, with its page when it holds several
    bytes    INTEGER NOT NULL,                     -- size and
    mtime_ns INTEGER NOT NULL,                     -- modification time then: a changed file is read again
    outcome  TEXT    NOT NULL CHECK (outcome IN ('cells', 'empty', 'rejected')),
    reason   TEXT,                                 -- why it was rejected
    marked   TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (source, path)
) STRICT, WITHOUT ROWID;

-- Messages that the broker has not acknowledged yet, in order. A row goes with its PUBACK.
CREATE TABLE outbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,   -- order; never used twice
    topic     TEXT    NOT NULL,                    -- below the station's root: cell, rejected, alarm
    payload   TEXT    NOT NULL,
    qos       INTEGER NOT NULL DEFAULT 1 CHECK (qos IN (0, 1)),
    retain    INTEGER NOT NULL DEFAULT 0 CHECK (retain IN (0, 1)),
    droppable INTEGER NOT NULL DEFAULT 0 CHECK (droppable IN (0, 1)), -- may go unsent when the outbox is full
    case_id   TEXT,                                -- case it speaks of, so that an erased case leaves no message behind
    created   TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- Latest value of every retained topic that outlives a run: case/*, dose/*, alarm.
CREATE TABLE latest (
    topic   TEXT    PRIMARY KEY,                   -- below the station's root
    payload TEXT,                                  -- none: the topic is to be cleared at the broker
    case_id TEXT,
    change  INTEGER NOT NULL                       -- counts up over all rows: what is above it has not been sent yet
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX latest_by_change ON latest (change);

-- Single values, each under its name.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
