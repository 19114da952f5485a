/* The tables are made, or brought to this program's version: numbered scripts, each once.
 * One thread; a crash leaves all of it, or nothing. */
#include "bridge/outbox/database/database.h"
#include "bridge/outbox/postgres/postgres.h"

#include "bridge/base/text/words.h"

/* C17 has no #embed. */
#define SCRIPT(number, name)                                                                       \
  __asm__(".section .rodata\n"                                                                     \
          "postgres_script_" number ": .incbin \"" SOURCE_ROOT "/schemas/sql/postgres/" name       \
          "\"\n"                                                                                   \
          ".byte 0\n"                                                                              \
          ".previous\n")
SCRIPT("1", "001_outbox.sql");
extern const char postgres_script_1[];
static const char *const scripts[] = {NULL, postgres_script_1}; /* by the version they lead to */
_Static_assert(sizeof scripts / sizeof *scripts == PG_MIGRATION + 1, "a script for each version");

#define SCHEMA ":\"schema\"" /* as psql has its variables */

static void write_script(struct buffer *out, const char *script, const char *schema) {
  const char *next;
  for (; (next = strstr(script, SCHEMA)); script = next + strlen(SCHEMA)) {
    buffer_add(out, (struct span){script, (size_t)(next - script)});
    buffer_add_z(out, schema);
  }
  buffer_add_z(out, script);
}

/* Whatever the role's default is, they are there when it is said. */
static void write_steps(const struct postgres *pg, struct store_preparation *p) {
  if (p->was >= PG_MIGRATION) return;
  buffer_add_z(&p->steps, "BEGIN;\nSET LOCAL synchronous_commit = on;\n");
  for (unsigned v = p->was + 1; v <= PG_MIGRATION; v++)
    write_script(&p->steps, scripts[v], pg->schema);
  buffer_add_z(&p->steps, "COMMIT;\n");
}

static enum status read_version(struct postgres *pg, unsigned *was, struct error *err) {
  struct pg_answer a;
  struct error why = {0};
  uint64_t number = 0;
  *was = 0;
  enum status st = pg_step(pg, SIDE_WRITING, "SELECT value FROM @state WHERE name {=} 'migration'",
                           NULL, &a, &why);
  if (st != ST_OK && why.cause == PG_NOT_MIGRATED) return ST_OK; /* nothing is there */
  if (st != ST_OK && err) *err = why;
  if (st != ST_OK) return st;
  if (!pg_rows(a.rows) || !number_parse(pg_span(a.rows, 0, 0), 1000000, &number) || !number)
    st =
        error_set(err, ST_INVALID,
                  "the schema %s of %s has a table \"state\" that is not an outbox's; name another "
                  "schema in outbox.url (?schema=NAME)",
                  pg->schema, pg->address.shown);
  *was = (unsigned)number;
  pg_answer_release(&a);
  return st;
}

/* Who relays need not, and should not, own the tables. */
static enum status who_has_to(const struct postgres *pg, enum status st, struct error *err) {
  if (st != ST_DENIED || !err || err->cause != PG_NO_RIGHT) return st;
  struct error was = *err;
  return error_set(err, st,
                   "%.*s: the role of outbox.url may not make the tables of %s; let the owner of "
                   "the database run this command once (-X outbox.url=postgresql://OWNER@...), or "
                   "what --dry-run prints, and then schemas/sql/postgres/roles.sql",
                   (int)strcspn(was.text, ";"), was.text, pg->address.shown);
}

static enum status prepare_in(struct postgres *pg, struct store_preparation *p, struct error *err) {
  enum status st = read_version(pg, &p->was, err);
  if (st == ST_OK) st = db_judge_version(pg->address.shown, p, err);
  if (st != ST_OK) return st;
  p->is = p->known;
  write_steps(pg, p);
  st = buffer_status(&p->steps, err);
  if (st != ST_OK || p->dry_run || !p->steps.len) return st;
  return who_has_to(pg, pg_run_script(pg->sides[SIDE_WRITING], buffer_z(&p->steps), err), err);
}

enum status pg_prepare(const char *address, struct store_preparation *p, struct error *err) {
  struct postgres *pg;
  p->known = PG_MIGRATION;
  enum status st = pg_new(address, p->clock, &pg, err);
  if (st != ST_OK) return st;
  st = prepare_in(pg, p, err);
  pg_close(pg);
  return st;
}
