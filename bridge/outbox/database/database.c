/* An outbox in a database is opened, owned and closed.
 * One thread, but for the questions; a crash ends its claim, or lets it run out. */
#include "bridge/outbox/database/asides.h"

#include <errno.h>
#include <time.h>

enum { CLAIM_MS = 50, STAND_BY_MS = 3000 };

static struct db *make(const struct db_steps *steps, const char *address,
                       const struct store_options *options) {
  struct db *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  *d = (struct db){.steps = steps,
                   .create = options->create,
                   .name = strdup(address),
                   .clock = options->clock,
                   .lifting = options->lifting,
                   .log = options->log,
                   .wanted = 1,
                   .wake = -1,
                   .slice_ms = 2};
  for (size_t i = 0; i < sizeof d->sides / sizeof *d->sides; i++) mutex_init(&d->sides[i]);
  mutex_init(&d->lock);
  cond_init(&d->ending);
  return d;
}

static enum status identify(struct db *d, struct error *err) {
  struct db_identity who = {0};
  enum status st = DB_STEP(d, SIDE_READING, identify(d->impl, &who, err));
  if (st == ST_OK && who.there && !*who.id && d->create) {
    char id[37];
    uuid_make(d->clock, id);
    st = DB_STEP(d, SIDE_WRITING, make_id(d->impl, id, err));
    if (st == ST_OK) st = DB_STEP(d, SIDE_READING, identify(d->impl, &who, err));
  }
  if (st != ST_OK) return st;
  d->there = who.there;
  memcpy(d->id, who.id, sizeof d->id);
  return ST_OK;
}

enum status db_open(const struct db_steps *steps, const char *address,
                    const struct store_options *options, void **out, struct error *err) {
  if (options->typed)
    return error_set(err, ST_UNSUPPORTED,
                     "outbox.typed: an outbox in a database has no second intake");
  struct db *d = make(steps, address, options);
  if (!d) return error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  enum status st = d->name ? steps->open(address, options, &d->impl, err)
                           : error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  if (st == ST_OK) st = identify(d, err);
  if (st != ST_OK && options->patient && store_is_away(err)) st = ST_OK;
  if (st != ST_OK) {
    db_close(d);
    return st;
  }
  *out = d;
  return ST_OK;
}

void db_close(void *impl) {
  struct db *d = impl;
  if (!d) return;
  db_keeper_stop(d);
  if (d->impl) d->steps->close(d->impl);
  db_hands_forget(d, true);
  table_release(&d->hands);
  db_asides_release(d);
  free(d->notices);
  free(d->ended);
  db_gaps_release(d);
  wake_close(d->wake);
  db_page_release(&d->page);
  arena_release(&d->keys_due_arena);
  cond_destroy(&d->ending);
  mutex_destroy(&d->lock);
  for (size_t i = 0; i < sizeof d->sides / sizeof *d->sides; i++) mutex_destroy(&d->sides[i]);
  free(d->name);
  free(d);
}

enum status db_begin(void *impl, const struct store_config *config, struct error *err) {
  struct db *d = impl;
  d->c = *config;
  if (!d->c.window) d->c.window = 1;
  if (!d->create) return db_asides_load(d, err);
  d->wake = wake_open();
  if (d->wake < 0) return error_sys(err, errno, "opening an eventfd");
  return db_asides_load(d, err);
}

/* ---- whose it is ---- */

const char *db_id(const void *impl) {
  return ((const struct db *)impl)->id;
}

/* What is claimed is ours whole, or given back. */
static enum status keep(struct db *d, struct error *err) {
  enum status st = identify(d, err); /* its last owner may have renewed it */
  if (st == ST_OK) st = db_keeper_start(d, err);
  if (st == ST_OK) return ST_OK;
  mutex_lock(&d->sides[SIDE_WRITING]);
  d->steps->release(d->impl);
  mutex_unlock(&d->sides[SIDE_WRITING]);
  return st;
}

enum status db_lock(void *impl, int64_t wait_ms, struct error *err) {
  struct db *d = impl;
  /* who was killed a moment ago has it until its lease runs out */
  int64_t until_ns = thread_now_ns() + (wait_ms ? wait_ms + d->steps->lease_ms : 0) * 1000000;
  enum status st = identify(d, err);
  if (st == ST_OK && !*d->id)
    return error_set(err, ST_NOT_FOUND, "nobody has opened the outbox %s to change it yet",
                     d->name);
  while (st == ST_OK) {
    d->claimed_ns = thread_now_ns();
    st = DB_STEP(d, SIDE_WRITING, claim(d->impl, err));
    if (st != ST_BUSY || thread_now_ns() >= until_ns) break;
    thread_sleep_until(thread_now_ns() + CLAIM_MS * 1000000LL);
    st = ST_OK;
  }
  return st == ST_OK ? keep(d, err) : st;
}

bool db_owner(const void *impl, struct store_owner *out) {
  const struct db *d = impl;
  return d->steps->owner(d->impl, out);
}

/* Whoever reads of it may wait a moment longer than that. */
void db_stand_by(void *impl) {
  struct db *d = impl;
  int64_t now_ns = thread_now_ns();
  if (!d->steps->stand_by || (d->stood_ns && now_ns - d->stood_ns < STAND_BY_MS * 1000000LL))
    return;
  enum status st = DB_STEP(d, SIDE_WRITING, stand_by(d->impl, NULL));
  if (st == ST_OK) d->stood_ns = now_ns;
}

size_t db_standbys(const void *impl, struct store_owner list[STORE_STANDBYS]) {
  const struct db *d = impl;
  return d->steps->standbys ? d->steps->standbys(d->impl, list) : 0;
}

int64_t db_holder(const void *impl) {
  struct store_owner owner = {.pid = -1, .here = true};
  return db_owner(impl, &owner) ? owner.pid : 0;
}

enum status db_check(void *impl, struct error *err) {
  return db_renew(impl, err);
}

enum status db_renew_id(void *impl, struct error *err) {
  struct db *d = impl;
  char id[37];
  uuid_make(d->clock, id);
  enum status st = DB_STEP(d, SIDE_WRITING, renew_id(d->impl, id, err));
  if (st == ST_OK) memcpy(d->id, id, sizeof d->id);
  return st;
}

/* ---- nothing is ever on its way ---- */

const char *db_remedy(int sys) {
  switch (sys) {
  case EHOSTUNREACH: return "See why the database does not answer";
  case EBUSY: return "End the transaction that another program keeps open";
  case ENOSPC: return "Make room for the database";
  case EPERM: return ASIDE_REMEDY;
  case EACCES: return "Give the worker the right to it; busbridge doctor tells which";
  default: return "Do what the error says; busbridge doctor tells more";
  }
}

void db_vitals(const void *impl, struct store_vitals *out) {
  struct db *d = (struct db *)(uintptr_t)impl;
  if (d->steps->vitals) d->steps->vitals(d->impl, out);
  mutex_lock(&d->lock);
  if (d->steps->lease_ms && d->claimed_ns)
    out->claimed_us = clock_wall_us(d->clock) - (thread_now_ns() - d->claimed_ns) / 1000;
  mutex_unlock(&d->lock);
}

uint64_t db_left(const void *impl, int64_t now_us) {
  (void)impl, (void)now_us;
  return 0;
}

/* ---- the kind's own answers ---- */

void db_space(const void *impl, struct store_space *out) {
  const struct db *d = impl;
  d->steps->space(d->impl, out);
}

enum status db_writable(const void *impl, struct error *err) {
  const struct db *d = impl;
  return d->steps->writable(d->impl, err);
}

void db_examine(void *impl, enum examination which, struct examined *out) {
  struct db *d = impl;
  if (which == EXAMINE_SECOND || which == EXAMINE_SECOND_CHANGES) {
    out->check = "typed outbox";
    out->verdict = EXAMINED_NOT;
    buffer_add_z(&out->text, "there is none");
  } else if (which == EXAMINE_CHANGES && !d->there) {
    out->verdict = EXAMINED_NOT;
    buffer_add_z(&out->text, "there is no outbox in it yet");
  } else {
    d->steps->examine(d->impl, which, out);
  }
}

enum status db_sync(void *impl, struct error *err) {
  struct db *d = impl;
  return DB_STEP(d, SIDE_WRITING, sync(d->impl, err));
}

const char *db_shelf_words(enum shelf shelf, struct span token) {
  static const char *const words[] = {
      [SHELF_PENDING] = "", [SHELF_DEAD] = "dead/", [SHELF_SENT] = ""};
  (void)token;
  return words[shelf];
}

const char *db_dead_words(const struct entry_ref *ref) {
  (void)ref;
  return "the dead letters";
}

void db_whereabouts(const void *impl, enum shelf shelf, const char *token, bool raw,
                    struct buffer *out) {
  (void)impl, (void)shelf, (void)token, (void)raw, (void)out; /* no editor finds it */
}
