/* What a doctor asks of an outbox in PostgreSQL: may it be changed, and is a change durable?
 * Any thread that the steps allow; a crash leaves nothing. */
#include "bridge/outbox/postgres/postgres.h"

static void examine_place(struct postgres *p, struct examined *out) {
  struct error err = {0};
  enum status st = pg_writable(p, &err);
  int version = pg_server_version(p->sides[SIDE_READING]);
  if (st != ST_OK) out->verdict = EXAMINED_FAILED;
  buffer_printf(&out->text, "%s, PostgreSQL %d.%d", p->address.shown, version / 10000,
                version % 10000);
  if (st != ST_OK) buffer_printf(&out->next, "%s", err.text);
}

/* A change is made and waited for; whether the server waits for its disk it says itself. */
static void examine_changes(struct postgres *p, struct examined *out) {
  struct error err = {0};
  struct pg_answer a = {0};
  int64_t before_us = clock_wall_us(p->clock);
  enum status st = pg_step(p, SIDE_READING,
                           "SELECT ^clock_timestamp(), ^current_setting('fsync') {=} 'on' "
                           "AND ^current_setting('full_page_writes') {=} 'on'",
                           NULL, &a, &err);
  int64_t after_us = clock_wall_us(p->clock);
  bool safe = st == ST_OK && pg_number(a.rows, 0, 1);
  if (st == ST_OK) out->skew_us = pg_time_us(a.rows, 0, 0) - (before_us + after_us) / 2;
  pg_answer_release(&a);
  if (st == ST_OK) st = pg_sync(p, &err);
  out->verdict = st != ST_OK ? EXAMINED_FAILED : safe ? EXAMINED_FINE : EXAMINED_DOUBTFUL;
  if (st != ST_OK)
    buffer_add_z(&out->text, err.text);
  else
    buffer_add_z(&out->text, safe ? "a change is on the server's disk when it is told so"
                                  : "the server does not wait for its disk");
  if (st == ST_OK && !safe)
    buffer_add_z(&out->next, "set fsync and full_page_writes to on in postgresql.conf: a loss of "
                             "power may lose events and double others");
}

void pg_examine(void *impl, enum examination which, struct examined *out) {
  if (which >= EXAMINE_FURTHER) {
    pg_examine_further(impl, which - EXAMINE_FURTHER, out);
    return;
  }
  out->check = which == EXAMINE_PLACE ? "outbox" : "database";
  if (which == EXAMINE_PLACE)
    examine_place(impl, out);
  else
    examine_changes(impl, out);
}
