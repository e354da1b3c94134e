"""The tables of a site's database, as a list of migrations that only ever grows."""

from __future__ import annotations

from client.store.schema_first import FIRST

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
    rdp_order REAL NOT NULL,          -- fixed when it is opened: a filter has a single order
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
    mechanism TEXT NOT NULL CHECK (mechanism IN (
        'dp-sgd', 'dp-sgd-swap', 'gaussian', 'public', 'restored')),
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

_SEVENTH = """
CREATE TABLE purged_work (            -- what purged cases leave behind: sums, of nobody
    study TEXT NOT NULL REFERENCES studies (identity),
    cycle INTEGER NOT NULL,
    readings INTEGER NOT NULL,        -- that they cost: what was spent stays spent
    audit INTEGER NOT NULL,           -- of those, of audit cases
    seconds REAL NOT NULL,
    positions INTEGER NOT NULL,       -- places in the reading order that none may have again
    PRIMARY KEY (study, cycle)
);
"""

MIGRATIONS: tuple[str, ...] = (
    *FIRST,
    _FIFTH,
    _SIXTH,
    _SEVENTH,
)
