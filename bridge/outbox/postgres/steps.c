/* A PostgreSQL as an outbox: its two connections, and the table of its steps.
 * Opened and closed by one thread. A crash leaves a claim that ends by itself. */
#include "bridge/outbox/postgres/steps.h"

#include "bridge/outbox/postgres/postgres.h"

void pg_close(void *impl) {
  struct postgres *p = impl;
  if (p->sides[SIDE_WRITING]) pg_release(p);
  if (p->stands_by) pg_stand_down(p);
  for (size_t i = 0; i < sizeof p->sides / sizeof *p->sides; i++) pg_connection_close(p->sides[i]);
  pg_address_release(&p->address);
  buffer_release(&p->appended_text);
  free(p->schema);
  free(p);
}

/* "it ""is""" */
static char *quoted(const char *name) {
  char *out = malloc(2 * strlen(name) + 3), *at = out;
  if (!out) return NULL;
  *at++ = '"';
  for (; *name; name++) {
    if (*name == '"') *at++ = '"';
    *at++ = *name;
  }
  *at++ = '"';
  *at = '\0';
  return out;
}

static enum status connect_sides(struct postgres *p, struct error *err) {
  struct pg_config config = {.address = &p->address,
                             .clock = p->clock,
                             .connect_ms = 5000,
                             .answer_ms = 30000,
                             .backoff = {50, 5000, 1000}};
  p->schema = quoted(p->address.schema);
  if (!p->schema) return error_set(err, ST_NO_MEMORY, "no memory for an outbox");
  enum status st = pg_connection_open(&config, &p->sides[SIDE_READING], err);
  if (st == ST_OK) st = pg_connection_open(&config, &p->sides[SIDE_WRITING], err);
  config.answer_ms = PG_LEASE_MS; /* later it says nothing of a lease */
  if (st == ST_OK) st = pg_connection_open(&config, &p->sides[SIDE_KEEPING], err);
  return st;
}

enum status pg_new(const char *address, const struct clock *clock, struct postgres **out,
                   struct error *err) {
  struct postgres *p = calloc(1, sizeof *p);
  if (!p) return error_set(err, ST_NO_MEMORY, "no memory for an outbox");
  p->clock = clock;
  p->row_bytes = PG_ROW_BYTES;
  enum status st = pg_address_parse(address, &p->address, err);
  if (st == ST_OK) st = connect_sides(p, err);
  if (st == ST_OK)
    *out = p;
  else
    pg_close(p);
  return st;
}

static enum status pg_open(const char *address, const struct store_options *options, void **impl,
                           struct error *err) {
  struct postgres *p;
  struct db_identity who;
  enum status st = pg_new(address, options->clock, &p, err);
  if (st != ST_OK) return st;
  st = pg_identify(p, &who, err);
  if (options->patient && store_is_away(err)) st = ST_OK;
  if (st == ST_OK && options->create && !who.there)
    st = error_set(err, ST_NOT_FOUND,
                   "there are no tables of an outbox in schema %s of %s; run busbridge outbox init",
                   p->address.schema, p->address.shown);
  if (st != ST_OK) {
    pg_close(p);
    return st;
  }
  *impl = p;
  return ST_OK;
}

/* Nothing tells of an arrival: it is asked for. */
static int pg_watched(void *impl) {
  (void)impl;
  return -1;
}
static void pg_watched_take(void *impl) {
  (void)impl;
}

const struct db_steps postgres_steps = {.lease_ms = PG_LEASE_MS,
                                        .late = true,
                                        .open = pg_open,
                                        .close = pg_close,
                                        .make_id = pg_make_id,
                                        .claim = pg_claim,
                                        .renew = pg_renew,
                                        .release = pg_release,
                                        .renew_id = pg_renew_id,
                                        .batch_write = pg_batch_write,
                                        .batch_settle = pg_batch_settle,
                                        .batch_remove = pg_batch_remove,
                                        .settle = pg_settle,
                                        .replay = pg_replay,
                                        .purge = pg_purge,
                                        .amend = pg_amend,
                                        .bury = pg_bury,
                                        .insert = pg_insert,
                                        .sync = pg_sync,
                                        .text_replace = pg_text_replace,
                                        .text_append = pg_text_append,
                                        .text_move = pg_text_move,
                                        .text_remove = pg_text_remove,
                                        .keys_due_add = pg_keys_due_add,
                                        .keys_due_drop = pg_keys_due_drop,
                                        .identify = pg_identify,
                                        .read = pg_read,
                                        .sweep = pg_sweep,
                                        .arrived = pg_arrived,
                                        .watched = pg_watched,
                                        .watched_take = pg_watched_take,
                                        .body = pg_body,
                                        .batch_list = pg_batch_list,
                                        .batch_read = pg_batch_read,
                                        .text_read = pg_text_read,
                                        .text_names = pg_text_names,
                                        .keys_due_read = pg_keys_due_read,
                                        .keys_due_count = pg_keys_due_count,
                                        .keys_due_has = pg_keys_due_has,
                                        .count = pg_count,
                                        .owner = pg_owner,
                                        .stand_by = pg_stand_by,
                                        .standbys = pg_standbys,
                                        .space = pg_space,
                                        .vitals = pg_vitals,
                                        .writable = pg_writable,
                                        .examine = pg_examine};
