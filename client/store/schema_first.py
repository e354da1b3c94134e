"""The first four migrations of a site's database; they stand as they are."""

from __future__ import annotations

_FIRST = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE patients (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    number REAL NOT NULL CHECK (number >= 0 AND number < 1),
    excluded INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE cases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- a purged case's id never comes back to another
    key TEXT NOT NULL UNIQUE,
    patient INTEGER NOT NULL REFERENCES patients (id),
    split TEXT NOT NULL CHECK (split IN ('pool', 'locked')),
    row INTEGER NOT NULL
);
CREATE INDEX cases_of_patient ON cases (patient);
CREATE TABLE locked (
    "case" INTEGER PRIMARY KEY REFERENCES cases (id),
    value TEXT NOT NULL
);
CREATE TABLE studies (
    identity TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    weights TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE grants (
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (study, cycle, sequence)
);
CREATE TABLE openings (
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    position INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('query', 'explore', 'audit')),
    probs TEXT,
    PRIMARY KEY (study, cycle, position),
    UNIQUE (study, cycle, "case")
);
CREATE TABLE readings (
    id INTEGER PRIMARY KEY,
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('query', 'explore', 'audit')),
    reader TEXT NOT NULL,
    at TEXT NOT NULL,
    seconds REAL NOT NULL CHECK (seconds >= 0),
    answer TEXT NOT NULL CHECK (answer IN ('answered', 'unsure', 'unreadable')),
    value TEXT NOT NULL
);
CREATE INDEX readings_of_case ON readings (study, "case");
CREATE TABLE purging ("case" INTEGER PRIMARY KEY);
CREATE TABLE tombstones (key TEXT PRIMARY KEY, at TEXT NOT NULL);
CREATE TRIGGER readings_are_never_changed BEFORE UPDATE ON readings
BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TRIGGER readings_are_never_replaced BEFORE INSERT ON readings
WHEN EXISTS (SELECT 1 FROM readings WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TRIGGER readings_leave_only_by_a_purge BEFORE DELETE ON readings
WHEN NOT EXISTS (SELECT 1 FROM purging WHERE "case" = OLD."case")
BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TABLE labels (
    study TEXT NOT NULL REFERENCES studies (identity),
    "case" INTEGER NOT NULL REFERENCES cases (id),
    target TEXT NOT NULL,
    readings INTEGER NOT NULL,
    PRIMARY KEY (study, "case")
);
CREATE TABLE steps (
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    step TEXT NOT NULL,
    round INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    payload TEXT NOT NULL,
    reply BLOB,
    at TEXT NOT NULL,
    PRIMARY KEY (study, cycle, step, round, sequence)
);
"""

_SECOND = """
ALTER TABLE studies ADD COLUMN standing TEXT NOT NULL DEFAULT 'approved'
    CHECK (standing IN ('approved', 'paused', 'withdrawn'));
CREATE TABLE offers (                 -- studies that asked to run here
    identity TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    weights TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    sites INTEGER NOT NULL,
    parameters INTEGER NOT NULL,
    version TEXT NOT NULL,
    received TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'refused', 'withdrawn')),
    decided TEXT NOT NULL DEFAULT ''  -- when, ISO 8601
);
CREATE TABLE closings (               -- cycles whose grant takes no further reading
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (study, cycle)
);
CREATE TABLE audit (                  -- one line for every record that left or was kept back
    line INTEGER PRIMARY KEY,         -- from 1, without gaps
    at TEXT NOT NULL,
    plane TEXT NOT NULL CHECK (plane IN ('model', 'coordination', 'site')),
    event TEXT NOT NULL,              -- 'left', 'refused', 'approved', 'withdrawn', 'restored', ...
    record TEXT NOT NULL,             -- kind of the record, '' where the event is about none
    study TEXT NOT NULL,
    cycle INTEGER NOT NULL,
    step TEXT NOT NULL,
    round INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    size INTEGER NOT NULL,            -- bytes
    digest TEXT NOT NULL,             -- of the record, hex
    words TEXT NOT NULL,
    previous TEXT NOT NULL,           -- hash of the line before, 64 zeros for the first
    hash TEXT NOT NULL
);
CREATE INDEX audit_of_cycle ON audit (study, cycle); -- the gate adds up what has left
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE line = NEW.line)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE countersigned (          -- what the server signed of this log
    branch INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at TEXT NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (branch, lines)
);
"""

_THIRD = """
CREATE TABLE readers (                -- accounts of the reading room
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('reader', 'adjudicator', 'admin')),
    password TEXT NOT NULL,           -- scrypt, with its salt
    added TEXT NOT NULL,
    removed TEXT NOT NULL DEFAULT ''  -- when, ISO 8601; a name stays with its readings
);
ALTER TABLE readings ADD COLUMN adjudicating INTEGER NOT NULL DEFAULT 0;
ALTER TABLE readings ADD COLUMN submission TEXT; -- made by the page: an answer sent twice is one
ALTER TABLE readings ADD COLUMN replaces INTEGER REFERENCES readings (id); -- a withdrawn one
ALTER TABLE readings ADD COLUMN confidence INTEGER CHECK (confidence BETWEEN 1 AND 5);
ALTER TABLE readings ADD COLUMN reason TEXT NOT NULL DEFAULT ''; -- why it could not be read
ALTER TABLE readings ADD COLUMN comment TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX readings_by_submission ON readings (submission) WHERE submission IS NOT NULL;
CREATE TRIGGER submissions_are_never_replaced BEFORE INSERT ON readings
WHEN EXISTS (SELECT 1 FROM readings WHERE submission = NEW.submission)
BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TABLE withdrawals (            -- answers that their reader took back; they stay, and spend
    reading INTEGER PRIMARY KEY REFERENCES readings (id),
    "case" INTEGER NOT NULL REFERENCES cases (id),
    at TEXT NOT NULL
);
CREATE TRIGGER withdrawals_are_never_changed BEFORE UPDATE ON withdrawals
BEGIN SELECT RAISE(ABORT, 'withdrawals are append-only'); END;
CREATE TRIGGER withdrawals_are_never_replaced BEFORE INSERT ON withdrawals
WHEN EXISTS (SELECT 1 FROM withdrawals WHERE reading = NEW.reading)
BEGIN SELECT RAISE(ABORT, 'withdrawals are append-only'); END;
CREATE TRIGGER withdrawals_leave_only_by_a_purge BEFORE DELETE ON withdrawals
WHEN NOT EXISTS (SELECT 1 FROM purging WHERE "case" = OLD."case")
BEGIN SELECT RAISE(ABORT, 'withdrawals are append-only'); END;
CREATE VIEW standing AS               -- the readings that count
    SELECT * FROM readings WHERE id NOT IN (SELECT reading FROM withdrawals);
CREATE TABLE leases (                 -- who has which case on the screen
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    reader TEXT NOT NULL UNIQUE,
    since REAL NOT NULL,              -- seconds since 1970, as until
    until REAL NOT NULL,
    PRIMARY KEY (study, cycle, "case")
);
CREATE TABLE shown (                  -- who was shown more than the image, and when first
    study TEXT NOT NULL REFERENCES studies (identity),
    "case" INTEGER NOT NULL REFERENCES cases (id),
    reader TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('readings', 'model')),
    at TEXT NOT NULL,
    PRIMARY KEY (study, "case", reader, what)
);
"""

_FOURTH = """
CREATE TABLE locators (               -- where the pixels of an imported case are
    "case" INTEGER PRIMARY KEY REFERENCES cases (id),
    sealed BLOB NOT NULL,             -- paths may hold names: encrypted, see client/sources/seal.py
    instances TEXT NOT NULL,          -- HMAC over the exact list of what the case consists of
    facts TEXT NOT NULL,              -- JSON: modality, sex, age band, ... in closed words
    trouble TEXT NOT NULL DEFAULT '', -- why it could not be read; cleared by the next import
    imported TEXT NOT NULL
);
CREATE INDEX cases_by_row ON cases (row);
"""

FIRST: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH)
