-- An application inserts id, name, key, payload, and headers and created_at where it likes to.
-- seq is the order, since one transaction writes at a time; AUTOINCREMENT: no number is used again.
CREATE TABLE busbridge_outbox (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))) CHECK (length(id) <= 1000),
  name       TEXT NOT NULL,
  key        TEXT NOT NULL,
  payload    TEXT NOT NULL CHECK (json_valid(payload)),
  headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  arrived_ms INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
) STRICT;

-- What follows is the relay's own. Times are microseconds since 1970 UTC.

-- Lists of batches: written before Kafka is told, kept until they are settled.
CREATE TABLE busbridge_batch (
  n       INTEGER NOT NULL,
  digest  TEXT NOT NULL,
  before  TEXT NOT NULL,
  nonce   TEXT NOT NULL,
  made_us INTEGER NOT NULL,
  settled INTEGER NOT NULL DEFAULT 0,
  entries BLOB NOT NULL,
  PRIMARY KEY (n, digest)
) STRICT;

-- Notes of rows that were refused. The application's table is never updated.
CREATE TABLE busbridge_attempt (
  seq             INTEGER NOT NULL,
  id              TEXT NOT NULL,
  attempts        INTEGER NOT NULL,
  last_error      TEXT,
  first_failed_us INTEGER,
  failed_us       INTEGER,
  since_us        INTEGER NOT NULL,
  PRIMARY KEY (seq, id)
) STRICT;

-- Dead letters keep their seq, so that a replay keeps the place. Nothing is checked: bytes stay.
CREATE TABLE busbridge_dead (
  seq             INTEGER NOT NULL,
  id              TEXT NOT NULL,
  name            TEXT NOT NULL,
  key             TEXT NOT NULL,
  headers         TEXT,
  created_at      TEXT NOT NULL,
  arrived_ms      INTEGER NOT NULL,
  reason          TEXT NOT NULL,
  error           TEXT,
  error_code      INTEGER NOT NULL,
  topic           TEXT,
  attempts        INTEGER NOT NULL,
  first_failed_us INTEGER,
  failed_us       INTEGER,
  since_us        INTEGER NOT NULL,
  payload         ANY NOT NULL, -- text; a large one is a blob of the same bytes, copied in parts
  PRIMARY KEY (seq, id)
) STRICT;
CREATE INDEX busbridge_dead_id ON busbridge_dead (id);

-- Small texts by name: notes, selections, the list of what people changed.
CREATE TABLE busbridge_text (
  name  TEXT NOT NULL,
  part  INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (name, part)
) STRICT;

-- Keys that Redis has yet to be told.
CREATE TABLE busbridge_due (
  n     INTEGER PRIMARY KEY AUTOINCREMENT,
  id    BLOB NOT NULL,
  place BLOB NOT NULL
) STRICT;
CREATE INDEX busbridge_due_id ON busbridge_due (id);

-- migration (the number of the last script), id (of the outbox), owner (a token of each claim).
CREATE TABLE busbridge_state (
  name  TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

-- The id is in every backup, whoever starts first: without it a restored outbox would be taken for a new one, and publish all again.
INSERT INTO busbridge_state (name, value) VALUES ('id', lower(
  hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' ||
  hex(randomblob(6))));
