/* address.h - outbox.url of a PostgreSQL outbox: what libpq is told, server by server. Inside
 * bridge/outbox/postgres only. Pure but for libpq's own defaults, which it takes from the
 * environment. */
#ifndef BRIDGE_OUTBOX_POSTGRES_ADDRESS_H
#define BRIDGE_OUTBOX_POSTGRES_ADDRESS_H

#include "bridge/base/span.h"

#define PG_WORDS_MOST 64
#define PG_HOSTS_MOST 16

/* One server: the words that libpq is given, in pairs, the last one NULL. */
struct pg_host {
  const char *names[PG_WORDS_MOST + 1], *values[PG_WORDS_MOST + 1];
  const char *shown; /* by which people know it; no secret in it */
};
struct pg_address {
  struct pg_host hosts[PG_HOSTS_MOST];
  size_t count;
  char *schema; /* of the outbox's tables: "busbridge" */
  char *shown;  /* all of it without password and parameters */
  struct arena arena;
};
/* "//[user[:password]@][host[:port],...]/database[?name=value&...]": what stands behind the scheme.
 * Parameters are libpq's, and schema=NAME. Without words on it: sslmode is verify-full where the
 * server is not on this machine; channel_binding is prefer; target_session_attrs is read-write.
 * ST_INVALID: err says why, and shows no password. */
MUST_CHECK enum status pg_address_parse(const char *text, struct pg_address *out,
                                        struct error *err);
void pg_address_release(struct pg_address *a);

#endif
