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
  if (ours && p->stands_by) pg_stand_down(p);
  if (!pg_rows(a.rows))
    st = error_set(err, ST_INVALID, "the outbox %s has no lane; run its SQL again",
                   p->address.shown);
  else if (!ours)
    st = pg_busy(p, pg_span(a.rows, 0, 1), pg_time_us(a.rows, 0, 2), err);
  pg_answer_release(&a);
  return st;
}

/* ---- who waits ---- */

enum status pg_stand_by(void *impl, struct error *err) {
  struct postgres *p = impl;
  char us[OWNER_TEXT];
  struct pg_args args = {0};
  write_owner(us);
  pg_add_text(&args, span_of(us));
  enum status st =
      pg_step(p, SIDE_WRITING,
              "WITH old AS (DELETE FROM @worker WHERE seen {<} (^clock_timestamp() {-} "
              "'1 day'::^interval)) "
              "INSERT INTO @worker AS w (worker, seen) SELECT $1, ^clock_timestamp() "
              "WHERE ^set_config('synchronous_commit', 'off', true) IS NOT NULL "
              "ON CONFLICT (worker) DO UPDATE SET seen = EXCLUDED.seen",
              &args, NULL, err);
  p->stands_by = p->stands_by || st == ST_OK;
  return st;
}

void pg_stand_down(struct postgres *p) {
  char us[OWNER_TEXT];
  struct pg_args args = {0};
  write_owner(us);
  pg_add_text(&args, span_of(us));
  enum status st =
      pg_step(p, SIDE_WRITING, "DELETE FROM @worker WHERE worker {=} $1", &args, NULL, NULL);
  (void)st; /* else it is old in ten seconds */
  p->stands_by = false;
}

/* It waits for no disk and no standby: a server that loses it ends the lease earlier, no more. */
enum status pg_renew(void *impl, struct error *err) {
  struct postgres *p = impl;
  struct pg_answer a;
  struct pg_args args = pg_owner_args(p);
  pg_add_number(&args, PG_LEASE_MS);
  enum status st =
      pg_owner_step_on(p, SIDE_KEEPING,
                       "WITH mine AS (UPDATE @lane SET lease_until = " LEASE
                       " WHERE lane {=} 0 AND token {=} $1 RETURNING "
                       "^set_config('synchronous_commit', 'off', true)) SELECT " COUNT_MINE,
                       &args, &a, err);
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

/* "PID@HOST" */
static void read_owner(struct span text, struct store_owner *out) {
  char ours[OWNER_TEXT];
  uint64_t pid;
  write_owner(ours);
  struct span our_host = span_of(ours), host = text, number = span_until(&host, '@');
  span_until(&our_host, '@');
  if (number_parse(number, INT32_MAX, &pid)) out->pid = (int64_t)pid;
  snprintf(out->host, sizeof out->host, "%.*s", SPAN_ARGS(host));
  out->here = span_eq(host, our_host);
}

bool pg_owner(void *impl, struct store_owner *out) {
  struct pg_answer a;
  struct error err = {0};
  enum status st = pg_step(impl, SIDE_READING,
                           "SELECT owner, claimed_at FROM @lane WHERE lane {=} 0 AND token IS NOT "
                           "NULL AND lease_until {>=} ^clock_timestamp()",
                           NULL, &a, &err);
  if (st != ST_OK) return err.cause != PG_NOT_MIGRATED; /* else it cannot be told */
  bool owned = pg_rows(a.rows);
  if (owned) read_owner(pg_span(a.rows, 0, 0), out);
  if (owned) out->since_us = pg_time_us(a.rows, 0, 1);
  pg_answer_release(&a);
  return owned;
}

size_t pg_standbys(void *impl, struct store_owner list[STORE_STANDBYS]) {
  struct pg_answer a;
  size_t count = 0;
  struct pg_args args = {0};
  pg_add_number(&args, STORE_STANDBYS);
  enum status st = pg_step(impl, SIDE_READING,
                           "SELECT worker, seen FROM @worker WHERE seen {>} "
                           "(^clock_timestamp() {-} '10 s'::^interval) ORDER BY worker LIMIT $1",
                           &args, &a, NULL);
  if (st != ST_OK) return 0;
  for (int i = 0; i < pg_rows(a.rows); i++) {
    struct store_owner *one = &list[count++];
    *one = (struct store_owner){.pid = -1, .since_us = pg_time_us(a.rows, i, 1)};
    read_owner(pg_span(a.rows, i, 0), one);
  }
  pg_answer_release(&a);
  return count;
}
