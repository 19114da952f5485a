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
  slot       pg_catalog.int2 NOT NULL GENERATED ALWAYS AS
             ((pg_catalog.hashtextextended(key, 0) OPERATOR(pg_catalog.&) 255)::pg_catalog.int2) STORED
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- One row for each lane: whose it is, until when. token: of this claim alone. A number would be given again where the
-- server lost the claim with its last commits.
CREATE TABLE :"schema".lane (
  lane        pg_catalog.int2 PRIMARY KEY,
  owner       pg_catalog.text,
  token       pg_catalog.text,
  epoch       pg_catalog.int8 NOT NULL DEFAULT 0,
  lease_until pg_catalog.timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 20);

CREATE TABLE :"schema".worker (
  worker  pg_catalog.text PRIMARY KEY,
  host    pg_catalog.text,
  version pg_catalog.text,
  seen    pg_catalog.timestamptz NOT NULL
) WITH (fillfactor = 20);

-- Manifests. entries: binary, for each row its seq (less that of the one before), id, topic's number, and whether it is a duplicate.
CREATE TABLE :"schema".batch (
  lane    pg_catalog.int2,
  n       pg_catalog.int8,
  digest  pg_catalog.bytea NOT NULL,
  before  pg_catalog.bytea NOT NULL,
  epoch   pg_catalog.int8 NOT NULL,
  made_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  settled pg_catalog.bool NOT NULL DEFAULT false,
  entries pg_catalog.bytea NOT NULL,
  PRIMARY KEY (lane, n)
);

-- What failed and is tried again: the rows of the application are never updated.
CREATE TABLE :"schema".attempt (
  seq             pg_catalog.int8 PRIMARY KEY,
  id              pg_catalog.text NOT NULL,
  attempts        pg_catalog.int4 NOT NULL,
  last_error      pg_catalog.text,
  first_failed_at pg_catalog.timestamptz,
  failed_at       pg_catalog.timestamptz
);

-- Dead letters. seq is kept, so that one that is replayed has its place again; with the id, because after a failover a sequence
-- may give a number that it gave before.
CREATE TABLE :"schema".dead (
  LIKE :"schema".outbox,
  reason          pg_catalog.text NOT NULL,
  error           pg_catalog.text,
  error_code      pg_catalog.int4,
  topic           pg_catalog.text,
  attempts        pg_catalog.int4,
  first_failed_at pg_catalog.timestamptz,
  failed_at       pg_catalog.timestamptz NOT NULL,
  PRIMARY KEY (seq, id)
);

-- Small texts by name: the outbox's id, Kafka's cluster, the pause; and 'migration', the number of the last of these files.
CREATE TABLE :"schema".state (
  name  pg_catalog.text PRIMARY KEY,
  value pg_catalog.text NOT NULL
);

INSERT INTO :"schema".lane (lane) VALUES (0);
INSERT INTO :"schema".state (name, value) VALUES ('migration', '1');
