/* Goes through a frozen selection step by step, tells how far it is, gives it up.
 * frozen_selection.h lists what a crash leaves.
 * Any thread, one at a time a selection. */
#include "bridge/service/bulk/bulk.h"

#include "bridge/service/audit.h"
#include "bridge/service/bulk/frozen_selection.h"
#include "bridge/service/entries/replay_many.h"

#define ROUNDS 3 /* over what was busy */
#define STEP_MS 1000
#define ERRORS_SHOWN 10

struct step {
  struct service *s;
  struct frozen f;
  uint64_t limit, did; /* entries of this step; moved by it */
  bool finished, wait;
  struct buffer errors; /* JSON objects */
  unsigned shown;
};

/* ---- one portion of a step ---- */

struct portion {
  struct letter list[STORE_LETTERS];
  char file[STORE_LETTERS][FROZEN_NAME];
  bool published[STORE_LETTERS];
  size_t count;
  uint64_t end; /* of its entries in the file */
};

static enum status read_portion(struct step *p, struct portion *b, struct error *err) {
  enum status st = ST_OK;
  uint64_t most = p->limit < STORE_LETTERS ? p->limit : STORE_LETTERS;
  b->end = p->f.note.next;
  for (b->count = 0; b->count < most; b->count++) {
    struct letter *letter = &b->list[b->count];
    *letter = (struct letter){.token = b->file[b->count]};
    st = frozen_read(&p->f, &b->end, b->file[b->count], &letter->when_us, err);
    if (st != ST_OK) break;
  }
  return st == ST_END ? ST_OK : st;
}

static void show_error(struct step *p, const struct letter *letter) {
  bool first = true;
  if (p->shown++ >= ERRORS_SHOWN) return;
  if (p->errors.len) buffer_add_z(&p->errors, ", ");
  buffer_add_char(&p->errors, '{');
  member_text(&p->errors, &first, "file", span_of(letter->token));
  member_text(&p->errors, &first, "code", span_of(status_name(letter->status)));
  member_text(&p->errors, &first, "text", span_of(letter->error.text));
  buffer_add_char(&p->errors, '}');
}

/* Not the entry's fault: the step ends, and the next one begins with the same entries. */
static bool of_the_world(enum status st) {
  return st == ST_UNAVAILABLE || st == ST_NO_SPACE || st == ST_NO_MEMORY;
}

/* cut: these are what a step that was cut short was about to do, so what is gone of them was done
 * by it. */
static void count_one(struct step *p, const struct letter *letter, bool published, bool cut) {
  struct frozen_note *n = &p->f.note;
  n->seen++;
  if (letter->status == ST_OK || (letter->status == ST_NOT_FOUND && cut)) {
    n->done++;
  } else if (letter->status == ST_BUSY) {
    n->busy++;
  } else if (published) {
    n->refused++;
  } else if (letter->status != ST_NOT_FOUND) {
    n->failed++;
  }
  if (letter->status == ST_OK) p->did++;
  if (letter->status != ST_OK && letter->status != ST_NOT_FOUND) show_error(p, letter);
}

static enum status do_portion(struct step *p, struct portion *b, struct error *err) {
  struct frozen_note *n = &p->f.note;
  uint64_t cut_until = n->until;
  enum status st = read_portion(p, b, err);
  if (st != ST_OK || !b->count) return st;
  if (n->until < b->end) n->until = b->end;
  st = frozen_write_note(&p->f, err);
  if (st != ST_OK) return st;
  memset(b->published, 0, sizeof b->published);
  if (p->f.head.purge)
    store_purge(p->s->store, b->list, b->count);
  else
    replay_many_move(p->s, p->f.head.force, b->list, b->count, b->published);
  for (size_t i = 0; i < b->count; i++)
    if (of_the_world(b->list[i].status)) {
      if (err) *err = b->list[i].error;
      return b->list[i].status;
    }
  bool cut = n->next < cut_until && n->round == 1;
  for (size_t i = 0; i < b->count; i++) count_one(p, &b->list[i], b->published[i], cut);
  n->next = b->end;
  p->limit -= b->count;
  return ST_OK;
}

/* Another round counts what is left anew; what is gone by then was counted before. */
static void end_round(struct step *p) {
  struct frozen_note *n = &p->f.note;
  if (!n->busy || n->round >= ROUNDS) {
    p->finished = true;
    return;
  }
  p->wait = true;
  n->round++;
  n->next = n->until = n->first;
  n->seen = n->refused = n->busy = n->failed = 0;
}

static enum status go(struct step *p, struct error *err) {
  int64_t until_ms = clock_mono_ms(p->s->clock) + STEP_MS;
  struct portion *b = malloc(sizeof *b);
  enum status st = b ? ST_OK : error_set(err, ST_NO_MEMORY, "out of memory");
  while (st == ST_OK && p->limit && p->f.note.next < p->f.note.end) {
    st = do_portion(p, b, err);
    if (clock_mono_ms(p->s->clock) >= until_ms) break;
  }
  free(b);
  if (st == ST_OK && p->f.note.next >= p->f.note.end) end_round(p);
  return st;
}

/* ---- where it is ---- */

static const char *kind_word(bool purge) {
  return purge ? "purge" : "replay";
}

static uint64_t vanished(const struct frozen_note *n) {
  uint64_t known = n->done + n->refused + n->busy + n->failed,
           passed = n->round > 1 ? n->total : n->seen;
  if (n->round > 1 && n->next < n->end) return 0; /* not known before its end */
  return passed > known ? passed - known : 0;
}

static void write_progress(const struct frozen *f, struct buffer *json, bool *first) {
  const struct frozen_note *n = &f->note;
  buffer_add_char(json, '{');
  member_int(json, first, "version", 1);
  member_int(json, first, "selection", (int64_t)f->number);
  member_text(json, first, "kind", span_of(kind_word(f->head.purge)));
  member_text(json, first, "filter", span_of(f->head.filter));
  member_bool(json, first, "force", f->head.force);
  member_time(json, first, "began", f->head.began_us);
  member_int(json, first, "total", (int64_t)n->total);
  member_int(json, first, "left",
             n->round > 1 || n->seen > n->total ? 0 : (int64_t)(n->total - n->seen));
  member_int(json, first, "round", (int64_t)n->round);
  member_int(json, first, f->head.purge ? "purged" : "replayed", (int64_t)n->done);
  member_int(json, first, "refused", (int64_t)n->refused);
  member_int(json, first, "busy", (int64_t)n->busy);
  member_int(json, first, "failed", (int64_t)n->failed);
  member_int(json, first, "vanished", (int64_t)vanished(n));
}

static enum status write_step(const struct step *p, struct buffer *json, struct error *err) {
  bool first = true;
  write_progress(&p->f, json, &first);
  member_bool(json, &first, "finished", p->finished);
  member_int(json, &first, "done", (int64_t)p->did);
  member_bool(json, &first, "wait", p->wait);
  json_write_key(json, &first, "errors");
  buffer_add_char(json, '[');
  buffer_add(json, buffer_span(&p->errors));
  buffer_add_z(json, "]}");
  json->failed = json->failed || p->errors.failed;
  return buffer_status(json, err);
}

static void audit(struct service *s, const struct frozen *f, bool given_up) {
  const struct frozen_note *n = &f->note;
  struct caller by = {f->head.uid};
  struct buffer what = {0};
  const struct audit_count counts[] = {{f->head.purge ? "purged" : "replayed", n->done},
                                       {"of", n->total},
                                       {"refused", n->refused},
                                       {"busy", n->busy},
                                       {"failed", n->failed},
                                       {"vanished", vanished(n)}};
  buffer_printf(&what, "selection %llu: %s%s%s", (unsigned long long)f->number, f->head.filter,
                f->head.force ? " force" : "", given_up ? " (given up)" : "");
  audit_write(s, &by, kind_word(f->head.purge), buffer_span(&what), counts,
              sizeof counts / sizeof *counts);
  buffer_release(&what);
}

/* ---- the operations: not counted as commands, freeze is. A step takes as long as its caller
 * likes, which would look like slow commands in health. */

static enum status open_of_kind(struct service *s, bool purge, uint64_t number, struct frozen *f,
                                struct error *err) {
  enum status st = frozen_open(f, s->store, number, err);
  if (st != ST_OK || f->head.purge == purge) return st;
  frozen_close(f);
  return error_set(
      err, ST_NOT_FOUND, "Selection %llu is of a %s; go on by: busbridge %s --resume %llu",
      (unsigned long long)number, kind_word(!purge), kind_word(!purge), (unsigned long long)number);
}

static enum status bulk_step(struct step *p, bool purge, uint64_t number, struct error *err) {
  enum status st = open_of_kind(p->s, purge, number, &p->f, err);
  if (st != ST_OK) return st;
  st = go(p, err);
  if (st == ST_OK && !p->finished) st = frozen_write_note(&p->f, err);
  if (st == ST_OK && p->finished) {
    audit(p->s, &p->f, false);
    st = store_selection_remove(p->s->store, number, err);
  }
  if (p->did)
    log_write(p->s->log, LOG_INFO, "service", purge ? "purged_some" : "replayed_some",
              FIELDS(F_INT("selection", (int64_t)number), F_INT("count", (int64_t)p->did),
                     F_INT("left", (int64_t)(p->f.note.total - p->f.note.seen))),
              purge ? "Dead letters removed" : "Dead letters moved back to pending");
  return st;
}

enum status service_bulk_step(struct service *s, bool purge, uint64_t selection, size_t limit,
                              struct buffer *json, struct error *err) {
  struct step p = {.s = s, .limit = limit ? limit : UINT64_MAX};
  BUG_ON(s->mode == SERVICE_INSPECT);
  mutex_lock(&s->moving);
  enum status st = bulk_step(&p, purge, selection, err);
  mutex_unlock(&s->moving);
  if (st == ST_OK) st = write_step(&p, json, err);
  frozen_close(&p.f);
  buffer_release(&p.errors);
  return st;
}

enum status service_bulk_progress(struct service *s, bool purge, uint64_t selection,
                                  struct buffer *json, struct error *err) {
  struct step p = {.s = s};
  enum status st = open_of_kind(s, purge, selection, &p.f, err);
  if (st == ST_OK) st = write_step(&p, json, err);
  frozen_close(&p.f);
  return st;
}

/* What is finished or damaged meanwhile is left out. */
enum status service_bulk_list(struct service *s, bool purge, struct buffer *json,
                              struct error *err) {
  uint64_t numbers[SELECTIONS_MOST];
  size_t count;
  bool any = false;
  enum status st = store_selections(s->store, numbers, &count, err);
  if (st != ST_OK) return st;
  buffer_add_z(json, "{\"version\": 1, \"selections\": [");
  for (size_t i = 0; i < count && st == ST_OK; i++) {
    struct step p = {.s = s};
    if (frozen_open(&p.f, s->store, numbers[i], NULL) != ST_OK) continue;
    if (p.f.head.purge == purge) {
      if (any) buffer_add_z(json, ", ");
      any = true;
      st = write_step(&p, json, err);
    }
    frozen_close(&p.f);
  }
  buffer_add_z(json, "]}");
  return st == ST_OK ? buffer_status(json, err) : st;
}

enum status service_bulk_cancel(struct service *s, bool purge, uint64_t selection,
                                struct buffer *json, struct error *err) {
  struct step p = {.s = s};
  BUG_ON(s->mode == SERVICE_INSPECT);
  mutex_lock(&s->moving);
  enum status st = open_of_kind(s, purge, selection, &p.f, err);
  bool damaged = st == ST_INVALID; /* it can be given up too */
  p.f.number = selection;
  p.f.head.purge = purge;
  if (st == ST_OK && p.f.note.seen) audit(s, &p.f, true); /* else it changed nothing */
  if (st == ST_OK || damaged) st = store_selection_remove(s->store, selection, err);
  if (st == ST_OK) st = write_step(&p, json, err);
  mutex_unlock(&s->moving);
  frozen_close(&p.f);
  return st;
}
