"""The tables of a site's database, as a list of migrations that only ever grows."""

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

_FIFTH = """
ALTER TABLE readings ADD COLUMN stage TEXT NOT NULL DEFAULT 'blind'
    CHECK (stage IN ('blind', 'repeat', 'after-ai'));
DROP VIEW standing;
CREATE VIEW standing AS               -- the readings that count: first answers, not taken back
    SELECT * FROM readings
    WHERE stage = 'blind' AND id NOT IN (SELECT reading FROM withdrawals);
CREATE VIEW changed AS                -- minds that were changed on seeing the model's opinion
    SELECT * FROM readings
    WHERE stage = 'after-ai' AND id NOT IN (SELECT reading FROM withdrawals);
CREATE VIEW repeated AS               -- answers to cases that came back unmarked
    SELECT * FROM readings
    WHERE stage = 'repeat' AND id NOT IN (SELECT reading FROM withdrawals);
CREATE VIEW reconsidered AS           -- first answers, or the changed ones in their place
    SELECT * FROM standing s WHERE NOT EXISTS (
        SELECT 1 FROM changed c
        WHERE c.study = s.study AND c."case" = s."case" AND c.reader = s.reader)
    UNION ALL SELECT * FROM changed;
CREATE TABLE opinions (               -- what the model said of an opened case; blind until answered
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    probs TEXT NOT NULL,              -- JSON, (classes,)
    why TEXT NOT NULL,                -- why the case was asked for, in words
    saliency BLOB NOT NULL,           -- rows x columns of 0 to 255, or empty
    rows INTEGER NOT NULL,
    PRIMARY KEY (study, cycle, "case")
);
CREATE TABLE practice (               -- cases with a known answer; their patients are in no pool
    "case" INTEGER PRIMARY KEY REFERENCES cases (id),
    value TEXT NOT NULL,              -- JSON, 0 or 1 by class name
    words TEXT NOT NULL DEFAULT ''    -- shown with the answer
);
CREATE TABLE practised (              -- answers to practice cases; nothing is trained on them
    study TEXT NOT NULL REFERENCES studies (identity),
    reader TEXT NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    at TEXT NOT NULL,
    answer TEXT NOT NULL CHECK (answer IN ('answered', 'unsure', 'unreadable')),
    value TEXT NOT NULL,
    PRIMARY KEY (study, reader, "case")
);
CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('reader', 'adjudicator', 'admin', 'auditor')),
    password TEXT NOT NULL,           -- argon2id, with its salt
    added TEXT NOT NULL,
    removed TEXT NOT NULL DEFAULT ''  -- when, ISO 8601; a name stays with its readings
);
INSERT INTO accounts SELECT * FROM readers;
DROP TABLE readers;
ALTER TABLE accounts RENAME TO readers;
ALTER TABLE audit ADD COLUMN reader TEXT NOT NULL DEFAULT ''; -- whose act it was
ALTER TABLE audit ADD COLUMN case_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN salt TEXT NOT NULL DEFAULT ''; -- hides what is about people
CREATE TABLE drafts (                 -- chosen on the page and not sent yet: no answer
    reader TEXT PRIMARY KEY,
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    content TEXT NOT NULL             -- JSON: value, confidence, comment
);
CREATE INDEX readings_of_reader ON readings (reader, at);
CREATE INDEX readings_of_cycle ON readings (study, cycle);
CREATE INDEX readings_replaced ON readings (replaces) WHERE replaces IS NOT NULL;
ALTER TABLE patients ADD COLUMN practising INTEGER NOT NULL DEFAULT 0; -- in no pool or audit
DROP TABLE leases;
CREATE TABLE leases (                 -- who has which case on the screen
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    reader TEXT NOT NULL UNIQUE,
    since REAL NOT NULL,              -- seconds since 1970, as until
    until REAL NOT NULL,
    stage TEXT NOT NULL DEFAULT 'blind' CHECK (stage IN ('blind', 'repeat'))
);
CREATE UNIQUE INDEX leases_of_one_reader ON leases (study, cycle, "case") WHERE stage = 'blind';
INSERT INTO facts VALUES ('lots', hex(randomblob(32))); -- which cases come back: no one can foresee
"""

_SIXTH = """
CREATE TABLE privacy_accounts (       -- what a study may spend of the patients' privacy here
    study TEXT PRIMARY KEY REFERENCES studies (identity),
    epsilon REAL NOT NULL,
    delta REAL NOT NULL,              -- the smallest that was ever due
    rdp_order REAL NOT NULL,          -- fixed when it is opened: the filter is one of a single order
    opened TEXT NOT NULL
);
CREATE TABLE privacy_charges (        -- written before a step looks at anything
    id INTEGER PRIMARY KEY,
    study TEXT NOT NULL REFERENCES privacy_accounts (study),
    scope TEXT NOT NULL CHECK (scope IN ('training', 'audit', 'locked')), -- whose patients
    cycle INTEGER NOT NULL,
    step TEXT NOT NULL,
    round INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    what TEXT NOT NULL,
    mechanism TEXT NOT NULL CHECK (mechanism IN ('dp-sgd', 'gaussian', 'public', 'restored')),
    noise REAL NOT NULL,              -- multiplier of the most that one patient changes
    share REAL NOT NULL,              -- of the patients, in each step's sample
    steps INTEGER NOT NULL,
    rdp REAL NOT NULL,                -- nats at the account's order
    at TEXT NOT NULL,
    released TEXT NOT NULL DEFAULT '',-- digest of what left for it; "" while nothing has
    UNIQUE (study, scope, cycle, step, round, sequence, what)
);
CREATE TRIGGER charges_are_never_deleted BEFORE DELETE ON privacy_charges
BEGIN SELECT RAISE(ABORT, 'charges are append-only'); END;
CREATE TRIGGER charges_are_never_replaced BEFORE INSERT ON privacy_charges
WHEN EXISTS (SELECT 1 FROM privacy_charges WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'charges are append-only'); END;
CREATE TRIGGER charges_are_never_changed BEFORE UPDATE ON privacy_charges
WHEN OLD.released != '' OR (NEW.study, NEW.scope, NEW.cycle, NEW.step, NEW.round, NEW.sequence,
    NEW.what, NEW.mechanism, NEW.noise, NEW.share, NEW.steps, NEW.rdp, NEW.at) IS NOT
    (OLD.study, OLD.scope, OLD.cycle, OLD.step, OLD.round, OLD.sequence,
    OLD.what, OLD.mechanism, OLD.noise, OLD.share, OLD.steps, OLD.rdp, OLD.at)
BEGIN SELECT RAISE(ABORT, 'charges are append-only'); END;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH)
