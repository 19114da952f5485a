/* Whose an outbox is: a row that is claimed for ten seconds at a time.
 * The writing side's thread. A crash leaves a claim that ends by itself. */
#include "bridge/outbox/postgres/postgres.h"

#include "bridge/base/text/words.h"

#include <inttypes.h>
#include <unistd.h>

#define OWNER_TEXT 300
#define LEASE "^clock_timestamp() {+} ^make_interval(secs => $2::^int8::^float8 {/} 1000::^float8)"

/* "PID@HOST" */
static void write_owner(char out[OWNER_TEXT]) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  snprintf(out, OWNER_TEXT, "%ld@%s", (long)getpid(), host);
}

enum status pg_claim(void *impl, struct error *err) {
  struct postgres *p = impl;
  char owner[OWNER_TEXT];
  struct pg_answer a;
  struct pg_args args = {0};
  if (!p->claiming) uuid_make(p->clock, p->token);
  p->claiming = true;
  write_owner(owner);
  args = pg_owner_args(p);
  pg_add_number(&args, PG_LEASE_MS);
  pg_add_text(&args, span_of(owner));
  enum status st = pg_step(
      p, SIDE_WRITING,
      "WITH taken AS (UPDATE @lane SET owner = $3, token = $1, epoch = epoch {+} 1, "
      "claimed_at = ^clock_timestamp(), lease_until = " LEASE " WHERE lane {=} 0 "
      "AND (token IS NULL OR token {=} $1 OR lease_until {<} ^clock_timestamp()) "
      "RETURNING " ON_DISK "), tidied AS (DELETE FROM @attempt a WHERE EXISTS (SELECT FROM taken) "
      "AND NOT EXISTS (SELECT FROM @outbox o WHERE o.seq {=} a.seq AND o.id {=} a.id)) "
      "SELECT (SELECT ^count(*) FROM taken), owner, claimed_at FROM @lane WHERE lane {=} 0",
      &args, &a, err);
  if (st != ST_OK) return st;
  p->claiming = false;
  bool ours = pg_rows(a.rows) && pg_number(a.rows, 0, 0);
  if (!ours) *p->token = '\0';
  if (ours) p->witness = (struct manifest_name){0};
  if (!pg_rows(a.rows))
    st = error_set(err, ST_INVALID, "the outbox %s has no lane; run its SQL again",
                   p->address.shown);
  else if (!ours)
    st = pg_busy(p, pg_span(a.rows, 0, 1), pg_time_us(a.rows, 0, 2), err);
  pg_answer_release(&a);
  return st;
}

enum status pg_renew(void *impl, struct error *err) {
  struct postgres *p = impl;
  struct pg_answer a;
  struct pg_args args = pg_owner_args(p);
  pg_add_number(&args, PG_LEASE_MS);
  enum status st =
      pg_owner_step(p,
                    "WITH mine AS (UPDATE @lane SET lease_until = " LEASE
                    " WHERE lane {=} 0 AND token {=} $1 RETURNING 1) SELECT " COUNT_MINE,
                    &args, false, &a, err);
  if (st == ST_OK) pg_answer_release(&a);
  return st;
}

void pg_release(void *impl) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  if (!*p->token) return;
  enum status st = pg_step(p, SIDE_WRITING,
                           "UPDATE @lane SET owner = NULL, token = NULL, "
                           "lease_until = '-infinity'::^timestamptz "
                           "WHERE lane {=} 0 AND token {=} $1",
                           &args, NULL, NULL);
  (void)st; /* else it ends by itself */
  *p->token = '\0';
  p->claiming = false;
}

enum status pg_make_id(void *impl, const char *id, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = {0};
  struct pg_answer a;
  pg_add_text(&args, span_of(id));
  enum status st = pg_step(p, SIDE_WRITING,
                           "INSERT INTO @state AS s (name, value) VALUES ('id', $1) "
                           "ON CONFLICT (name) DO UPDATE SET value = s.value RETURNING " ON_DISK,
                           &args, &a, err);
  if (st != ST_OK) return st;
  st = pg_durable(&a, err);
  pg_answer_release(&a);
  return st;
}

enum status pg_renew_id(void *impl, const char *id, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  struct pg_answer a;
  pg_add_text(&args, span_of(id));
  enum status st = pg_owner_step(
      p,
      "WITH " MINE_DURABLE ", n AS (INSERT INTO @state (name, value) SELECT 'id', $2 FROM mine "
      "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value) SELECT " COUNT_MINE,
      &args, true, &a, err);
  if (st == ST_OK) pg_answer_release(&a);
  return st;
}

/* On this host, if its name is ours. */
static int64_t pid_of(struct span owner) {
  char ours[OWNER_TEXT];
  uint64_t pid;
  write_owner(ours);
  struct span our_host = span_of(ours), host = owner, number = span_until(&host, '@');
  span_until(&our_host, '@');
  bool here = span_eq(host, our_host) && number_parse(number, INT32_MAX, &pid);
  return here ? (int64_t)pid : -1;
}

int64_t pg_holder(void *impl) {
  struct pg_answer a;
  struct error err;
  enum status st = pg_step(impl, SIDE_READING,
                           "SELECT owner FROM @lane WHERE lane {=} 0 AND token IS NOT NULL "
                           "AND lease_until {>=} ^clock_timestamp()",
                           NULL, &a, &err);
  if (st != ST_OK) return -1;
  int64_t pid = pg_rows(a.rows) ? pid_of(pg_span(a.rows, 0, 0)) : 0;
  pg_answer_release(&a);
  return pid;
}
