PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
, counted INTEGER CHECK (counted IN (0, 1)), to_review INTEGER CHECK (to_review IN (0, 1))) STRICT;
INSERT INTO cells VALUES(1,'0192b0d0-0000-7000-8000-000000000001',1,'2026-11-22T16:00:00Z','2026-11-30T23:50:06.226Z','lab-1','scope',1,'000001.png','K-17',NULL,'abnormal','46,XX',46,0,0,NULL,NULL,NULL,NULL,'{"schema":"cell/1","station":"lab-1","source":"scope","cell":"0192b0d0-0000-7000-8000-000000000001","revision":1,"case":"K-17","slide":null,"captured":{"time":"2026-11-22T16:00:00Z","frame":1,"trigger":null,"stage_um":null,"um_per_px":0.1,"size":[1280,1024],"file":"000001.png"},"region":[10.0,20.0,1000.0,900.0],"quality":{"focus":0.9,"metaphase":0.95,"spread":0.8},"frame_edge":{"outline":0.0,"cut":0,"pieces":0},"doubts":[],"chromosomes":[{"index":0,"box":[0.0,40.0,18.0,64.5],"class":"1","score":0.97,"alternatives":[{"class":"1","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":1,"box":[20.0,40.0,18.0,64.5],"class":"1","score":0.97,"alternatives":[{"class":"1","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":2,"box":[40.0,40.0,18.0,64.5],"class":"2","score":0.97,"alternatives":[{"class":"2","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":3,"box":[60.0,40.0,18.0,64.5],"class":"2","score":0.97,"alternatives":[{"class":"2","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":4,"box":[80.0,40.0,18.0,64.5],"class":"3","score":0.97,"alternatives":[{"class":"3","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":5,"box":[100.0,40.0,18.0,64.5],"class":"3","score":0.97,"alternatives":[{"class":"3","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":6,"box":[120.0,40.0,18.0,64.5],"class":"4","score":0.97,"alternatives":[{"class":"4","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":7,"box":[140.0,40.0,18.0,64.5],"class":"4","score":0.97,"alternatives":[{"class":"4","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":8,"box":[160.0,40.0,18.0,64.5],"class":"5","score":0.97,"alternatives":[{"class":"5","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":9,"box":[180.0,40.0,18.0,64.5],"class":"5","score":0.97,"alternatives":[{"class":"5","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":10,"box":[200.0,40.0,18.0,64.5],"class":"6","score":0.97,"alternatives":[{"class":"6","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":11,"box":[220.0,40.0,18.0,64.5],"class":"6","score":0.97,"alternatives":[{"class":"6","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":12,"box":[240.0,40.0,18.0,64.5],"class":"7","score":0.97,"alternatives":[{"class":"7","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":13,"box":[260.0,40.0,18.0,64.5],"class":"7","score":0.97,"alternatives":[{"class":"7","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":14,"box":[280.0,40.0,18.0,64.5],"class":"8","score":0.97,"alternatives":[{"class":"8","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":15,"box":[300.0,40.0,18.0,64.5],"class":"8","score":0.97,"alternatives":[{"class":"8","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":16,"box":[320.0,40.0,18.0,64.5],"class":"9","score":0.97,"alternatives":[{"class":"9","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":17,"box":[340.0,40.0,18.0,64.5],"class":"9","score":0.97,"alternatives":[{"class":"9","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":18,"box":[360.0,40.0,18.0,64.5],"class":"10","score":0.97,"alternatives":[{"class":"10","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":19,"box":[380.0,40.0,18.0,64.5],"class":"10","score":0.97,"alternatives":[{"class":"10","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":20,"box":[400.0,40.0,18.0,64.5],"class":"11","score":0.97,"alternatives":[{"class":"11","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":21,"box":[420.0,40.0,18.0,64.5],"class":"11","score":0.97,"alternatives":[{"class":"11","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":22,"box":[440.0,40.0,18.0,64.5],"class":"12","score":0.97,"alternatives":[{"class":"12","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":23,"box":[460.0,40.0,18.0,64.5],"class":"12","score":0.97,"alternatives":[{"class":"12","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":24,"box":[480.0,40.0,18.0,64.5],"class":"13","score":0.97,"alternatives":[{"class":"13","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":25,"box":[500.0,40.0,18.0,64.5],"class":"13","score":0.97,"alternatives":[{"class":"13","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":26,"box":[520.0,40.0,18.0,64.5],"class":"14","score":0.97,"alternatives":[{"class":"14","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":27,"box":[540.0,40.0,18.0,64.5],"class":"14","score":0.97,"alternatives":[{"class":"14","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":28,"box":[560.0,40.0,18.0,64.5],"class":"15","score":0.97,"alternatives":[{"class":"15","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":29,"box":[580.0,40.0,18.0,64.5],"class":"15","score":0.97,"alternatives":[{"class":"15","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":30,"box":[600.0,40.0,18.0,64.5],"class":"16","score":0.97,"alternatives":[{"class":"16","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":31,"box":[620.0,40.0,18.0,64.5],"class":"16","score":0.97,"alternatives":[{"class":"16","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":32,"box":[640.0,40.0,18.0,64.5],"class":"17","score":0.97,"alternatives":[{"class":"17","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":33,"box":[660.0,40.0,18.0,64.5],"class":"17","score":0.97,"alternatives":[{"class":"17","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":34,"box":[680.0,40.0,18.0,64.5],"class":"18","score":0.97,"alternatives":[{"class":"18","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":35,"box":[700.0,40.0,18.0,64.5],"class":"18","score":0.97,"alternatives":[{"class":"18","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":36,"box":[720.0,40.0,18.0,64.5],"class":"19","score":0.97,"alternatives":[{"class":"19","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":37,"box":[740.0,40.0,18.0,64.5],"class":"19","score":0.97,"alternatives":[{"class":"19","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":38,"box":[760.0,40.0,18.0,64.5],"class":"20","score":0.97,"alternatives":[{"class":"20","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":39,"box":[780.0,40.0,18.0,64.5],"class":"20","score":0.97,"alternatives":[{"class":"20","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":40,"box":[800.0,40.0,18.0,64.5],"class":"21","score":0.97,"alternatives":[{"class":"21","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":41,"box":[820.0,40.0,18.0,64.5],"class":"21","score":0.97,"alternatives":[{"class":"21","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":42,"box":[840.0,40.0,18.0,64.5],"class":"22","score":0.97,"alternatives":[{"class":"22","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":43,"box":[860.0,40.0,18.0,64.5],"class":"22","score":0.97,"alternatives":[{"class":"22","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":44,"box":[880.0,40.0,18.0,64.5],"class":"X","score":0.97,"alternatives":[{"class":"X","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":45,"box":[900.0,40.0,18.0,64.5],"class":"X","score":0.97,"alternatives":[{"class":"X","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99}],"counts":{"detected":46,"normal":46,"abnormal":0,"damaged":0,"undamaged":46,"unclear":0},"karyotype":{"iscn":"46,XX","posterior":0.9,"verdict":"abnormal","reason":"every class twice","findings":[]},"dicentric":null,"models":{"classifier":"bands@0123456789ab"},"timing_ms":{"detect":7.5},"replayed":true,"notice":"Research use only; not a diagnosis."}',NULL,NULL);
CREATE TABLE crops (
    cell       INTEGER NOT NULL REFERENCES cells (seq) ON DELETE CASCADE,
    chromosome INTEGER NOT NULL,                   -- `index` of the chromosome in the cell's document
    png        BLOB    NOT NULL,
    PRIMARY KEY (cell, chromosome)
) STRICT;
INSERT INTO crops VALUES(1,0,X'0707070707070707070707070707070707070707');
CREATE TABLE thumbnails (
    cell INTEGER PRIMARY KEY REFERENCES cells (seq) ON DELETE CASCADE,
    jpeg BLOB    NOT NULL
) STRICT;
INSERT INTO thumbnails VALUES(1,X'010203');
CREATE TABLE images (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    path   TEXT    NOT NULL UNIQUE,                -- relative to the store's images folder
    bytes  INTEGER NOT NULL,                       -- size of the file
    stored TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE TABLE cases (
    id      TEXT PRIMARY KEY,
    opened  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    closed  TEXT,                                  -- when it was closed; a closed case takes no further cells from sources
    erasing INTEGER NOT NULL DEFAULT 0,            -- 1 only inside the transaction that erases it
    subject TEXT CHECK (subject IS NULL OR json_valid(subject)), -- age, exposure and sampling dates, earlier exposure
    state   TEXT CHECK (state IS NULL OR json_valid(state)),     -- latest `case/1` document
    dose    TEXT CHECK (dose IS NULL OR json_valid(dose))        -- latest `dose/1` document
) STRICT, WITHOUT ROWID;
INSERT INTO cases VALUES('K-17','2026-11-30T23:50:06.226Z',NULL,0,NULL,NULL,NULL);
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
CREATE TABLE erasures (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    time        TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    by          TEXT    NOT NULL,                  -- who asked for it
    case_sha256 TEXT    NOT NULL,                  -- SHA-256 of the case's id, in hex
    cells       INTEGER NOT NULL,                  -- rows that went
    images      INTEGER NOT NULL
) STRICT;
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
INSERT INTO file_marks VALUES('scope','000001.png',1001,1,'cells',NULL,'2026-11-30T23:50:06.225Z');
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
INSERT INTO outbox VALUES(1,'cell','{"schema":"cell/1","station":"lab-1","source":"scope","cell":"0192b0d0-0000-7000-8000-000000000001","revision":1,"case":"K-17","slide":null,"captured":{"time":"2026-11-22T16:00:00Z","frame":1,"trigger":null,"stage_um":null,"um_per_px":0.1,"size":[1280,1024],"file":"000001.png"},"region":[10.0,20.0,1000.0,900.0],"quality":{"focus":0.9,"metaphase":0.95,"spread":0.8},"frame_edge":{"outline":0.0,"cut":0,"pieces":0},"doubts":[],"chromosomes":[{"index":0,"box":[0.0,40.0,18.0,64.5],"class":"1","score":0.97,"alternatives":[{"class":"1","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":1,"box":[20.0,40.0,18.0,64.5],"class":"1","score":0.97,"alternatives":[{"class":"1","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":2,"box":[40.0,40.0,18.0,64.5],"class":"2","score":0.97,"alternatives":[{"class":"2","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":3,"box":[60.0,40.0,18.0,64.5],"class":"2","score":0.97,"alternatives":[{"class":"2","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":4,"box":[80.0,40.0,18.0,64.5],"class":"3","score":0.97,"alternatives":[{"class":"3","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":5,"box":[100.0,40.0,18.0,64.5],"class":"3","score":0.97,"alternatives":[{"class":"3","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":6,"box":[120.0,40.0,18.0,64.5],"class":"4","score":0.97,"alternatives":[{"class":"4","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":7,"box":[140.0,40.0,18.0,64.5],"class":"4","score":0.97,"alternatives":[{"class":"4","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":8,"box":[160.0,40.0,18.0,64.5],"class":"5","score":0.97,"alternatives":[{"class":"5","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":9,"box":[180.0,40.0,18.0,64.5],"class":"5","score":0.97,"alternatives":[{"class":"5","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":10,"box":[200.0,40.0,18.0,64.5],"class":"6","score":0.97,"alternatives":[{"class":"6","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":11,"box":[220.0,40.0,18.0,64.5],"class":"6","score":0.97,"alternatives":[{"class":"6","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":12,"box":[240.0,40.0,18.0,64.5],"class":"7","score":0.97,"alternatives":[{"class":"7","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":13,"box":[260.0,40.0,18.0,64.5],"class":"7","score":0.97,"alternatives":[{"class":"7","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":14,"box":[280.0,40.0,18.0,64.5],"class":"8","score":0.97,"alternatives":[{"class":"8","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":15,"box":[300.0,40.0,18.0,64.5],"class":"8","score":0.97,"alternatives":[{"class":"8","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":16,"box":[320.0,40.0,18.0,64.5],"class":"9","score":0.97,"alternatives":[{"class":"9","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":17,"box":[340.0,40.0,18.0,64.5],"class":"9","score":0.97,"alternatives":[{"class":"9","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":18,"box":[360.0,40.0,18.0,64.5],"class":"10","score":0.97,"alternatives":[{"class":"10","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":19,"box":[380.0,40.0,18.0,64.5],"class":"10","score":0.97,"alternatives":[{"class":"10","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":20,"box":[400.0,40.0,18.0,64.5],"class":"11","score":0.97,"alternatives":[{"class":"11","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":21,"box":[420.0,40.0,18.0,64.5],"class":"11","score":0.97,"alternatives":[{"class":"11","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":22,"box":[440.0,40.0,18.0,64.5],"class":"12","score":0.97,"alternatives":[{"class":"12","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":23,"box":[460.0,40.0,18.0,64.5],"class":"12","score":0.97,"alternatives":[{"class":"12","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":24,"box":[480.0,40.0,18.0,64.5],"class":"13","score":0.97,"alternatives":[{"class":"13","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":25,"box":[500.0,40.0,18.0,64.5],"class":"13","score":0.97,"alternatives":[{"class":"13","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":26,"box":[520.0,40.0,18.0,64.5],"class":"14","score":0.97,"alternatives":[{"class":"14","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":27,"box":[540.0,40.0,18.0,64.5],"class":"14","score":0.97,"alternatives":[{"class":"14","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":28,"box":[560.0,40.0,18.0,64.5],"class":"15","score":0.97,"alternatives":[{"class":"15","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":29,"box":[580.0,40.0,18.0,64.5],"class":"15","score":0.97,"alternatives":[{"class":"15","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":30,"box":[600.0,40.0,18.0,64.5],"class":"16","score":0.97,"alternatives":[{"class":"16","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":31,"box":[620.0,40.0,18.0,64.5],"class":"16","score":0.97,"alternatives":[{"class":"16","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":32,"box":[640.0,40.0,18.0,64.5],"class":"17","score":0.97,"alternatives":[{"class":"17","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":33,"box":[660.0,40.0,18.0,64.5],"class":"17","score":0.97,"alternatives":[{"class":"17","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":34,"box":[680.0,40.0,18.0,64.5],"class":"18","score":0.97,"alternatives":[{"class":"18","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":35,"box":[700.0,40.0,18.0,64.5],"class":"18","score":0.97,"alternatives":[{"class":"18","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":36,"box":[720.0,40.0,18.0,64.5],"class":"19","score":0.97,"alternatives":[{"class":"19","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":37,"box":[740.0,40.0,18.0,64.5],"class":"19","score":0.97,"alternatives":[{"class":"19","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":38,"box":[760.0,40.0,18.0,64.5],"class":"20","score":0.97,"alternatives":[{"class":"20","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":39,"box":[780.0,40.0,18.0,64.5],"class":"20","score":0.97,"alternatives":[{"class":"20","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":40,"box":[800.0,40.0,18.0,64.5],"class":"21","score":0.97,"alternatives":[{"class":"21","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":41,"box":[820.0,40.0,18.0,64.5],"class":"21","score":0.97,"alternatives":[{"class":"21","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":42,"box":[840.0,40.0,18.0,64.5],"class":"22","score":0.97,"alternatives":[{"class":"22","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":43,"box":[860.0,40.0,18.0,64.5],"class":"22","score":0.97,"alternatives":[{"class":"22","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":44,"box":[880.0,40.0,18.0,64.5],"class":"X","score":0.97,"alternatives":[{"class":"X","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99},{"index":45,"box":[900.0,40.0,18.0,64.5],"class":"X","score":0.97,"alternatives":[{"class":"X","score":0.95}],"status":"single","length_um":4.2,"relative_length":3.1,"centromere_index":0.4,"upright_angle":12.0,"damage":"none","objectness":0.99}],"counts":{"detected":46,"normal":46,"abnormal":0,"damaged":0,"undamaged":46,"unclear":0},"karyotype":{"iscn":"46,XX","posterior":0.9,"verdict":"abnormal","reason":"every class twice","findings":[]},"dicentric":null,"models":{"classifier":"bands@0123456789ab"},"timing_ms":{"detect":7.5},"replayed":true,"notice":"Research use only; not a diagnosis."}',1,0,0,'K-17','2026-11-30T23:50:06.226Z');
CREATE TABLE latest (
    topic   TEXT    PRIMARY KEY,                   -- below the station's root
    payload TEXT,                                  -- none: the topic is to be cleared at the broker
    case_id TEXT,
    change  INTEGER NOT NULL                       -- counts up over all rows: what is above it has not been sent yet
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
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
CREATE TABLE attempts (
    source   TEXT    NOT NULL,                     -- source that reads the folder
    path     TEXT    NOT NULL,                     -- relative to the folder, with its page when it holds several
    bytes    INTEGER NOT NULL,                     -- size and
    mtime_ns INTEGER NOT NULL,                     -- modification time then: a changed file begins again
    number   INTEGER NOT NULL,                     -- attempts so far, the present one included
    began    TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (source, path)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE spreads (
    id       INTEGER PRIMARY KEY,                  -- order of commits
    slide    TEXT NOT NULL,
    case_id  TEXT,
    source   TEXT NOT NULL,
    document TEXT NOT NULL                         -- where it lies, how good it looks (JSON)
) STRICT;
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('cells',1);
INSERT INTO sqlite_sequence VALUES('outbox',1);
CREATE INDEX cells_by_case ON cells (case_id, seq);
CREATE INDEX cells_by_verdict ON cells (verdict, seq);
CREATE INDEX cells_by_slide ON cells (slide, seq) WHERE slide IS NOT NULL;
CREATE INDEX cells_by_image ON cells (image) WHERE image IS NOT NULL;
CREATE INDEX reviews_by_cell ON reviews (cell);
CREATE INDEX reviews_by_case ON reviews (case_id);
CREATE TRIGGER reviews_never_change BEFORE UPDATE ON reviews BEGIN
    SELECT raise(ABORT, 'reviews are append-only');
END;
CREATE TRIGGER reviews_go_with_their_case BEFORE DELETE ON reviews
    WHEN NOT EXISTS (SELECT 1 FROM cases WHERE id = OLD.case_id AND erasing = 1) BEGIN
    SELECT raise(ABORT, 'reviews are append-only');
END;
CREATE UNIQUE INDEX latest_by_change ON latest (change);
CREATE INDEX triggers_waiting ON triggers (source) WHERE answered IS NULL;
CREATE INDEX triggers_answered ON triggers (answered) WHERE answered IS NOT NULL;
CREATE INDEX triggers_case ON triggers (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX spreads_slide ON spreads (slide, id);
CREATE INDEX spreads_case ON spreads (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX cells_by_quality ON cells (
    document ->> '$.quality.focus' * (document ->> '$.quality.metaphase') * (document ->> '$.quality.spread') DESC
);
CREATE INDEX cells_by_doubt ON cells (
    document ->> '$.excluded' IS NOT NULL,
    document ->> '$.review' IS NOT NULL,
    coalesce(document ->> '$.karyotype.posterior', 0)
);
CREATE INDEX cells_with_dicentrics ON cells (seq) WHERE dicentrics > 0;
CREATE INDEX cells_to_review ON cells (seq) WHERE to_review = 1;
CREATE INDEX cells_not_counted ON cells (seq) WHERE counted = 0;
CREATE INDEX outbox_retained ON outbox (topic) WHERE retain = 1;
CREATE INDEX outbox_droppable ON outbox (id) WHERE droppable = 1;
CREATE INDEX outbox_by_case ON outbox (case_id);
CREATE INDEX cells_by_file ON cells (source, file) WHERE file IS NOT NULL;
CREATE INDEX marks_rejected ON file_marks (marked DESC, source, path) WHERE outcome = 'rejected';
COMMIT;
PRAGMA user_version = 7; PRAGMA application_id = 1836081523;
