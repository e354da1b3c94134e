"""The tables of the server's registry, as a list of migrations that only ever grows."""

from __future__ import annotations

_FIRST = """
CREATE TABLE sites (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
    node_key TEXT NOT NULL,           -- public, OpenSSH format
    node INTEGER,                     -- Flower's id; NULL until the keeper has registered the key
    serial TEXT NOT NULL,             -- of the client certificate, hex
    not_after TEXT NOT NULL,          -- of the client certificate, UTC, ISO 8601
    added TEXT NOT NULL
);
CREATE TABLE burned (                 -- keys and certificates that must not come back
    serial TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    node_key TEXT NOT NULL,
    node INTEGER,
    at TEXT NOT NULL,
    until TEXT NOT NULL               -- when the certificate would have expired
);
CREATE TABLE presence (
    site TEXT PRIMARY KEY REFERENCES sites (name),
    online INTEGER NOT NULL,
    since TEXT NOT NULL,
    heard TEXT NOT NULL,              -- last message of the stream
    skew REAL,                        -- seconds that the site's clock is ahead
    versions TEXT NOT NULL,           -- JSON
    node_online INTEGER,              -- what Flower says of the SuperNode; NULL: not asked yet
    node_since TEXT                   -- since when it says so
);
CREATE TABLE standings (
    site TEXT NOT NULL REFERENCES sites (name),
    study TEXT NOT NULL,
    state TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (site, study)
);
CREATE TABLE progress (
    site TEXT NOT NULL REFERENCES sites (name),
    study TEXT NOT NULL,
    cycle INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    minutes REAL NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (site, study, cycle)
);
CREATE TABLE outbox (
    site TEXT NOT NULL REFERENCES sites (name),
    sequence INTEGER NOT NULL,        -- from 1, without gaps, for each site
    kind TEXT NOT NULL,               -- field of FromServer: 'offer' or 'order'
    payload BLOB NOT NULL,            -- that field's message, serialized
    at TEXT NOT NULL,
    PRIMARY KEY (site, sequence)
);
CREATE TABLE acknowledged (
    site TEXT PRIMARY KEY REFERENCES sites (name),
    sequence INTEGER NOT NULL
);
CREATE TABLE heads (
    site TEXT NOT NULL REFERENCES sites (name),
    branch INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at TEXT NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (site, branch, lines)
);
CREATE TABLE studies (
    identity TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,             -- under studies/ of the home
    weights TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    sites TEXT NOT NULL,              -- JSON list of names, in site order
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'stopped', 'ended', 'failed')),
    run INTEGER,                      -- Flower's id of the newest run
    submitted TEXT NOT NULL,
    changed TEXT NOT NULL
);
CREATE TABLE alarms (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    site TEXT NOT NULL,               -- '' for the server itself
    kind TEXT NOT NULL,               -- 'log-restored', 'node-deaf', 'clock-skew', ...
    words TEXT NOT NULL,
    cleared TEXT
);
"""

_SECOND = """
CREATE TABLE certificates (           -- every one ever signed: a site's are taken back together
    serial TEXT PRIMARY KEY,          -- hex
    site TEXT NOT NULL,
    key TEXT NOT NULL,                -- SHA-256 of its public key, hex
    not_after TEXT NOT NULL,          -- UTC, ISO 8601
    pem TEXT NOT NULL
);
"""

_THIRD = """
CREATE TABLE pauses (                 -- of studies: no deadline runs meanwhile
    study TEXT NOT NULL REFERENCES studies (identity),
    began TEXT NOT NULL,              -- UTC, ISO 8601
    ended TEXT                        -- NULL: still paused
);
CREATE INDEX pauses_of ON pauses (study);
ALTER TABLE studies ADD COLUMN lost TEXT NOT NULL DEFAULT '';  -- why its last run had no quorum
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD)
