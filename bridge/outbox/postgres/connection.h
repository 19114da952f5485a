/* connection.h - a connection to PostgreSQL that comes back, and statements over it. Inside
 * bridge/outbox/postgres only.
 *
 * A statement is one round trip and its own transaction. It leaves nothing in the session, no name,
 * no setting, no lock, so that pgbouncer may give each to another server process; and it says of
 * everything whose it is (pg_catalog too, operators too), so that search_path means nothing.
 *
 * Each call waits at most connect_ms for each server and answer_ms for an answer. A connection that
 * failed is not tried again before a back-off has passed, so a server that is away costs next to
 * nothing and is not stormed. An error says in `cause` which enum pg_fault it is. ST_UNAVAILABLE:
 * it may be done or not (PG_AWAY, PG_ENDING), so each statement is one that may be sent twice.
 * Resolving a host name is the one wait that no time bounds.
 *
 * Any thread: calls are serialised by a lock inside.
 */
#ifndef BRIDGE_OUTBOX_POSTGRES_CONNECTION_H
#define BRIDGE_OUTBOX_POSTGRES_CONNECTION_H

#include "bridge/base/backoff.h"
#include "bridge/outbox/postgres/address.h"
#include "bridge/outbox/postgres/faults.h"
#include "bridge/outbox/postgres/values.h"

struct pg_connection;
struct pg_config {
  const struct pg_address *address; /* outlives the connection */
  const struct clock *clock;
  int64_t connect_ms;     /* of each server that is tried: 5 s */
  int64_t answer_ms;      /* of each statement: 30 s */
  struct backoff backoff; /* all clients of a server lose it at one moment: much of it by chance */
};

struct pg_answer {
  struct pg_result *rows; /* values.h; pg_answer_release frees it */
  bool not_durable;       /* the server warned (01000) that it did not wait for its standby: what
                             was written is committed, but may be lost with this server */
};
void pg_answer_release(struct pg_answer *a);

/* Does not connect. */
MUST_CHECK enum status pg_connection_open(const struct pg_config *config,
                                          struct pg_connection **out, struct error *err);
void pg_connection_close(struct pg_connection *c); /* NULL is fine */

/* One statement. args may be NULL. On ST_OK out is the caller's to release; else it is empty. What
 * a conflict undid (PG_REPEAT) is sent again a few times. */
MUST_CHECK enum status pg_ask(struct pg_connection *c, const char *sql, const struct pg_args *args,
                              struct pg_answer *out, struct error *err);
/* Statements one behind the other, sent once, until one is refused: a transaction that they begin
 * and do not end is undone. */
MUST_CHECK enum status pg_run_script(struct pg_connection *c, const char *sql, struct error *err);
/* How often it connected so far. Another number than before: whatever was known of the database is
 * to be looked at again. Through a pooler the server may be another one all the same. */
uint64_t pg_connections(struct pg_connection *c); /* never waits */
bool pg_connected(struct pg_connection *c);       /* it was, at the last statement; never waits */
/* Of the server last talked to: 150018; 0: none so far. */
int pg_server_version(struct pg_connection *c);

#endif
