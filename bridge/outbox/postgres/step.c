/* Statements as they are sent: our tables with their schema, everything else with PostgreSQL's.
 * Any thread; a crash leaves a statement done or not. */
#include "bridge/outbox/postgres/postgres.h"

#include <errno.h>

/* '#outbox' stands within quotes, which are doubled there. */
static void add_quoted(struct buffer *out, const char *schema) {
  for (; *schema; schema++) {
    if (*schema == '\'') buffer_add_char(out, '\'');
    buffer_add_char(out, *schema);
  }
}

/* The batch whose settling we were told of last is settled: else the server, or another one in its
 * place, has lost what it did, and nothing of ours may be done on top of that. */
static void add_witness(const struct postgres *p, struct buffer *out) {
  const struct manifest_name *w = &p->witness;
  if (!*w->digest) return;
  BUG_ON(!manifest_digest_valid(span_of(w->digest)));
  buffer_printf(out,
                " AND EXISTS (SELECT FROM %s.batch WHERE lane OPERATOR(pg_catalog.=) 0 AND n "
                "OPERATOR(pg_catalog.=) %llu AND digest OPERATOR(pg_catalog.=) '%s' AND settled)",
                p->schema, (unsigned long long)w->number, w->digest);
}

static enum status write_out(const struct postgres *p, const char *sql, struct buffer *out,
                             struct error *err) {
  for (const char *at = sql; *at; at++) switch (*at) {
    case '@': buffer_printf(out, "%s.", p->schema); break;
    case '#': add_quoted(out, p->schema), buffer_add_char(out, '.'); break;
    case '^': buffer_add_z(out, "pg_catalog."); break;
    case '{': buffer_add_z(out, "OPERATOR(pg_catalog."); break;
    case '}': buffer_add_char(out, ')'); break;
    case '~': add_witness(p, out); break;
    default: buffer_add_char(out, *at);
    }
  return buffer_status(out, err);
}

enum status pg_step(struct postgres *p, enum db_side side, const char *sql,
                    const struct pg_args *args, struct pg_answer *answer, struct error *err) {
  struct pg_answer unwanted = {0};
  struct buffer text = {0};
  BUG_ON(side > SIDE_KEEPING || !p->sides[side]);
  enum status st = write_out(p, sql, &text, err);
  if (answer) *answer = unwanted;
  if (st == ST_OK)
    st = pg_ask(p->sides[side], buffer_z(&text), args, answer ? answer : &unwanted, err);
  pg_answer_release(&unwanted);
  buffer_release(&text);
  return st;
}

enum status pg_durable(const struct pg_answer *a, struct error *err) {
  if (!a->not_durable) return ST_OK;
  enum status st =
      error_set(err, ST_UNAVAILABLE,
                "PostgreSQL did not wait for its synchronous standby: what it committed may be "
                "lost with it; bring the standby back, or take it out of "
                "synchronous_standby_names");
  if (err) err->sys = EHOSTUNREACH;
  return st;
}

enum status pg_busy(const struct postgres *p, struct span owner, int64_t since_us,
                    struct error *err) {
  char since[TIME_TEXT];
  struct span host = owner, pid = span_until(&host, '@');
  return error_set(err, ST_BUSY,
                   "the outbox %s is held by pid %.*s on %.*s since %s; stop that worker, or wait "
                   "until its lease has run out",
                   p->address.shown, SPAN_ARGS(pid), SPAN_ARGS(host), time_format(since_us, since));
}

static enum status went_back(const struct postgres *p, struct error *err) {
  return error_set(err, ST_BUSY,
                   "the database of the outbox %s went back: batch %llu, which was settled, is not "
                   "(it lost its last commits, a standby was promoted, or a backup restored); what "
                   "it lost is settled again at the next start",
                   p->address.shown, (unsigned long long)p->witness.number);
}

static enum status not_ours(struct postgres *p, enum db_side side, struct error *err) {
  struct pg_answer a;
  enum status st = pg_step(p, side, "SELECT owner, claimed_at, token FROM @lane WHERE lane {=} 0",
                           NULL, &a, err);
  if (st != ST_OK) return st;
  if (pg_rows(a.rows) && *p->token && span_is(pg_span(a.rows, 0, 2), p->token))
    st = went_back(p, err);
  else if (pg_rows(a.rows) && !pg_is_null(a.rows, 0, 0))
    st = pg_busy(p, pg_span(a.rows, 0, 0), pg_time_us(a.rows, 0, 1), err);
  else
    st = error_set(err, ST_BUSY, "the outbox %s is not held by this worker any more",
                   p->address.shown);
  pg_answer_release(&a);
  return st;
}

enum status pg_owner_step_on(struct postgres *p, enum db_side side, const char *sql,
                             const struct pg_args *args, struct pg_answer *answer,
                             struct error *err) {
  *answer = (struct pg_answer){0};
  if (!*p->token) return not_ours(p, side, err);
  enum status st = pg_step(p, side, sql, args, answer, err);
  if (st != ST_OK) return st;
  if (pg_rows(answer->rows) && pg_number(answer->rows, 0, 0)) return ST_OK;
  pg_answer_release(answer);
  return not_ours(p, side, err);
}

enum status pg_owner_step(struct postgres *p, const char *sql, const struct pg_args *args,
                          bool durable, struct pg_answer *answer, struct error *err) {
  enum status st = pg_owner_step_on(p, SIDE_WRITING, sql, args, answer, err);
  if (st == ST_OK && durable) st = pg_durable(answer, err);
  if (st != ST_OK) pg_answer_release(answer);
  return st;
}

struct pg_args pg_owner_args(const struct postgres *p) {
  struct pg_args args = {0};
  pg_add_text(&args, span_of(p->token));
  return args;
}
