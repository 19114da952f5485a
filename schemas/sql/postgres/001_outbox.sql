-- The tables of an outbox, in a schema of their own. README.md of schemas/sql says how this is run; nothing is left half made.
-- Names are written out wherever they are looked up, so it does not matter what search_path says.

CREATE SCHEMA IF NOT EXISTS :"schema";

CREATE TABLE :"schema".outbox (
  seq        pg_catalog.int8 GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY, -- the order of arrival; no application chooses it
  id         pg_catalog.text NOT NULL DEFAULT pg_catalog.gen_random_uuid()::pg_catalog.text,
  name       pg_catalog.text NOT NULL,
  key        pg_catalog.text NOT NULL,
  payload    pg_catalog.json NOT NULL, -- json: checked when it is inserted, its bytes as they were written; jsonb changes them
  headers    pg_catalog.json,
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), -- now() would be the transaction's start
  arrived_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), -- no application chooses it
  slot       pg_catalog.int2 NOT NULL GENERATED ALWAYS AS
             ((pg_catalog.hashtextextended(key, 0) OPERATOR(pg_catalog.&) 255)::pg_catalog.int2) STORED
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- What follows is the relay's own. Names that end in _us are microseconds since 1970 UTC.

-- Whose it is, until when. token: of this claim alone; a number would be given again where the server lost the claim with
-- its last commits. changes: moved by each step that has to be durable, so that it is waited for whatever else it finds done.
CREATE TABLE :"schema".lane (
  lane        pg_catalog.int2 PRIMARY KEY,
  owner       pg_catalog.text,
  token       pg_catalog.text,
  epoch       pg_catalog.int8 NOT NULL DEFAULT 0,
  claimed_at  pg_catalog.timestamptz,
  lease_until pg_catalog.timestamptz NOT NULL DEFAULT '-infinity',
  changes     pg_catalog.int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

-- Workers that wait for it, by pid and host, and when they said so last.
CREATE TABLE :"schema".worker (
  worker pg_catalog.text PRIMARY KEY,
  seen   pg_catalog.timestamptz NOT NULL
) WITH (fillfactor = 20);

-- Lists of batches: written before Kafka is told, kept until they are settled.
CREATE TABLE :"schema".batch (
  lane    pg_catalog.int2 NOT NULL,
  n       pg_catalog.int8 NOT NULL,
  digest  pg_catalog.text NOT NULL,
  before  pg_catalog.text NOT NULL,
  nonce   pg_catalog.bytea NOT NULL,
  made_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  settled pg_catalog.bool NOT NULL DEFAULT false,
  entries pg_catalog.bytea NOT NULL,
  PRIMARY KEY (lane, n, digest)
);

-- Notes of rows that were refused. The application's table is never updated.
CREATE TABLE :"schema".attempt (
  seq             pg_catalog.int8 NOT NULL,
  id              pg_catalog.text NOT NULL,
  attempts        pg_catalog.int4 NOT NULL,
  last_error      pg_catalog.text,
  first_failed_us pg_catalog.int8,
  failed_us       pg_catalog.int8,
  since_us        pg_catalog.int8,
  PRIMARY KEY (seq, id)
);

-- Dead letters. seq is kept, so that one that is replayed has its place again; with the id, because after a failover a sequence
-- may give a number that it gave before.
CREATE TABLE :"schema".dead (
  LIKE :"schema".outbox,
  reason          pg_catalog.text NOT NULL,
  error           pg_catalog.text,
  error_code      pg_catalog.int4 NOT NULL,
  topic           pg_catalog.text,
  attempts        pg_catalog.int4 NOT NULL,
  first_failed_us pg_catalog.int8,
  failed_us       pg_catalog.int8,
  since_us        pg_catalog.int8,
  PRIMARY KEY (seq, id)
);
CREATE INDEX dead_id ON :"schema".dead (id);

-- Small texts by name: notes, selections, the list of what people changed. part: where it stands in the text. mark: of the
-- call that appended it, which may come twice.
CREATE TABLE :"schema".text (
  name  pg_catalog.text NOT NULL,
  part  pg_catalog.int8 NOT NULL,
  mark  pg_catalog.text,
  bytes pg_catalog.bytea NOT NULL,
  PRIMARY KEY (name, part)
);

-- Keys that Redis has yet to be told.
CREATE TABLE :"schema".due (
  n     pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id    pg_catalog.bytea NOT NULL,
  place pg_catalog.bytea NOT NULL
);
CREATE INDEX due_id ON :"schema".due (id);

-- migration: the number of the last of these scripts. id: of the outbox.
CREATE TABLE :"schema".state (
  name  pg_catalog.text PRIMARY KEY,
  value pg_catalog.text NOT NULL
);

INSERT INTO :"schema".lane (lane) VALUES (0);
-- The id is in every backup, whoever starts first: without it a restored outbox would be taken for a new one, and publish all again.
INSERT INTO :"schema".state (name, value) VALUES
  ('migration', '1'), ('id', pg_catalog.gen_random_uuid()::pg_catalog.text);
