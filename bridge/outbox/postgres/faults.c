/* PostgreSQL's error codes, sorted into what they mean here.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/postgres/faults.h"

#include <errno.h>

/* A code, or the class that it begins with; those that come first decide. */
static const struct {
  const char *begins;
  enum pg_fault fault;
} codes[] = {{"08", PG_AWAY},
             {"57P01", PG_ENDING},
             {"57P02", PG_ENDING},
             {"57P03", PG_ENDING},
             {"57P04", PG_NO_DATABASE},
             {"57P05", PG_AWAY},
             {"57014", PG_REPEAT},
             {"55P03", PG_REPEAT},
             {"40003", PG_AWAY},
             {"40", PG_REPEAT},
             {"53300", PG_CROWDED},
             {"53100", PG_DISK_FULL},
             {"53", PG_OUT_OF_MEMORY},
             {"25006", PG_READ_ONLY},
             {"25P03", PG_AWAY},
             {"28", PG_LOGIN},
             {"3D000", PG_NO_DATABASE},
             {"42501", PG_NO_RIGHT},
             {"42P01", PG_NOT_MIGRATED},
             {"42703", PG_NOT_MIGRATED},
             {"3F000", PG_NOT_MIGRATED},
             {"23505", PG_TWICE},
             {"22012", PG_KEPT},
             {"0A000", PG_RULED},
             {"22", PG_BAD_DATA},
             {"23001", PG_REFUSED},
             {"23503", PG_REFUSED},
             {"23", PG_BAD_DATA},
             {"27", PG_REFUSED},
             {"P0", PG_REFUSED},
             {"XX001", PG_DAMAGED},
             {"XX002", PG_DAMAGED}};

enum pg_fault pg_fault_of(struct span code) {
  if (!code.len) return PG_AWAY;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (span_starts(code, codes[i].begins)) return codes[i].fault;
  return PG_OTHER;
}

enum pg_fault pg_fault_in(struct span code, const char *context) {
  enum pg_fault fault = pg_fault_of(code);
  switch (fault) {
  case PG_NO_RIGHT:
  case PG_NOT_MIGRATED:
  case PG_TWICE:
  case PG_BAD_DATA:
  case PG_KEPT:
  case PG_RULED:
  case PG_OTHER:
    return context && strstr(context, " function ") && !strstr(context, "inline_code_block")
               ? PG_REFUSED
               : fault;
  default: return fault;
  }
}

static const struct {
  enum status status;
  const char *remedy;
} meanings[] = {
    [PG_NO_FAULT] = {ST_OK, ""},
    [PG_AWAY] = {ST_UNAVAILABLE, ""},
    [PG_ENDING] = {ST_UNAVAILABLE, ""},
    [PG_CROWDED] = {ST_UNAVAILABLE,
                    "raise max_connections of the server, or let pgbouncer stand before it"},
    [PG_REPEAT] = {ST_UNAVAILABLE, ""},
    [PG_READ_ONLY] = {ST_UNAVAILABLE,
                      "name all servers in outbox.url, so that the one that may write is found"},
    [PG_DISK_FULL] = {ST_NO_SPACE, "free space on the disk of the database"},
    [PG_OUT_OF_MEMORY] = {ST_UNAVAILABLE, ""},
    [PG_LOGIN] = {ST_DENIED, "see role and password of outbox.url, and pg_hba.conf of the server"},
    [PG_NO_DATABASE] = {ST_INVALID, "see the name of the database in outbox.url"},
    [PG_NO_RIGHT] = {ST_DENIED,
                     "the owner of the tables runs schemas/sql/postgres/roles.sql for that role"},
    [PG_NOT_MIGRATED] = {ST_INVALID, "run busbridge outbox migrate as the owner of the tables"},
    [PG_TWICE] = {ST_IO, ""},
    [PG_BAD_DATA] = {ST_INVALID, ""},
    [PG_REFUSED] = {ST_INVALID, "see triggers and foreign keys of the application's on the outbox"},
    [PG_KEPT] = {ST_INVALID, "see triggers, rules and policies of the application's on the outbox"},
    [PG_RULED] = {ST_INVALID, "drop the rules (DROP RULE) on the tables of the outbox"},
    [PG_DAMAGED] = {ST_IO, "restore the table, or REINDEX it; the server's log names it"},
    [PG_OTHER] = {ST_IO, ""}};
_Static_assert(sizeof meanings / sizeof *meanings == PG_OTHER + 1, "a meaning for each fault");

enum status pg_fault_status(enum pg_fault fault) {
  return meanings[fault].status;
}

int pg_fault_sys(enum pg_fault fault) {
  if (fault == PG_REFUSED || fault == PG_KEPT) return EPERM;
  if (fault == PG_LOGIN) return EHOSTUNREACH; /* a password or a rule of the server may change */
  switch (pg_fault_status(fault)) {
  case ST_OK: return 0;
  case ST_UNAVAILABLE: return EHOSTUNREACH;
  case ST_NO_SPACE: return ENOSPC;
  case ST_DENIED: return EACCES;
  default: return EIO;
  }
}

const char *pg_fault_remedy(enum pg_fault fault) {
  return meanings[fault].remedy;
}

bool pg_fault_parts(enum pg_fault fault) {
  return fault == PG_AWAY || fault == PG_ENDING || fault == PG_READ_ONLY;
}
