-- Schema 3: which file is being read, so that one that ends the process is not read for ever. A row goes when the
-- file has been read; one that stays was being read when the process ended.
CREATE TABLE attempts (
    source   TEXT    NOT NULL,                     -- source that reads the folder
    path     TEXT    NOT NULL,                     -- relative to the folder, with its page when it holds several
    bytes    INTEGER NOT NULL,                     -- size and
    mtime_ns INTEGER NOT NULL,                     -- modification time then: a changed file begins again
    number   INTEGER NOT NULL,                     -- attempts so far, the present one included
    began    TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (source, path)
) STRICT, WITHOUT ROWID;
