-- The two roles of an outbox, with no right that they do not need. By psql, as the owner of the tables, after the numbered files
-- and again after each new one: psql -v schema=busbridge -v application=shop -v relay=busbridge -f roles.sql
-- A role that is not there is made, without a password: nobody can log in with one until it is given.

SELECT pg_catalog.format('CREATE ROLE %I LOGIN', wanted)
  FROM (VALUES (:'application'), (:'relay')) AS roles (wanted)
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) wanted) \gexec

REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC, :"application", :"relay";
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM PUBLIC, :"application", :"relay";
GRANT USAGE ON SCHEMA :"schema" TO :"application", :"relay";

-- The application says what happened, and no more: it reads, changes and removes nothing, and does not choose its place.
GRANT INSERT (id, name, key, payload, headers, created_at) ON :"schema".outbox TO :"application";

-- The relay changes no row of the application: it reads it, takes it out, and puts a dead letter back. One that is imported takes a number.
GRANT SELECT, DELETE, INSERT ON :"schema".outbox TO :"relay";
GRANT USAGE ON SEQUENCE :"schema".outbox_seq_seq TO :"relay";
GRANT SELECT, INSERT, UPDATE, DELETE
   ON :"schema".lane, :"schema".worker, :"schema".batch, :"schema".attempt, :"schema".dead, :"schema".text, :"schema".due, :"schema".state TO :"relay";
