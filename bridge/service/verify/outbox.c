/* What lies in the outbox: all in its place, no id twice, none that would be dropped as a
 * duplicate.
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/outbox/survey.h"
#include "bridge/service/verify/parts.h"

/* ---- one look ---- */

enum kind {
  WRONG_SIDE,
  ON_ITS_WAY,
  BYTES_GONE,
  NOT_DESCRIBED,
  ASIDE,
  LEFT,
  NO_FILE,
  UNREADABLE,
  HIDDEN,
  STRAY,
  TWIN,
  DEAD_TWIN,
  DEAD_TOO,
  KNOWN,
  KINDS
};

struct look {
  struct verify *v;
  struct suspects *kinds[KINDS]; /* NULL: only the ids are wanted */
  struct digest_set before, now; /* what looked wrong in the look before, and in this one */
  bool again;                    /* only what looked wrong before is wrong now */
  bool no_memory;
  /* pending ids on their way to Redis */
  struct arena arena;
  struct span ids[VERIFY_KEYS], paths[VERIFY_KEYS];
  size_t count;
};

static void suspect(struct look *l, enum kind kind, struct span id, struct span path) {
  if (!l->kinds[kind]) return;
  struct digest d = digest_of(path);
  d.hi += kind;
  if (digest_set_add(&l->now, d) != ST_OK) l->no_memory = true;
  if (l->again && !digest_set_has(&l->before, d)) return;
  suspects_add(l->kinds[kind], id, path);
}

/* Of an unsettled batch: it is on its way out. */
static bool being_settled(struct verify *v, struct span id) {
  const struct verify_id *known = table_get(&v->batch_ids, id);
  return known && !known->batch->settled;
}

static void ask_keys(struct look *l) {
  bool seen[VERIFY_KEYS];
  struct span places[VERIFY_KEYS];
  if (l->count && l->kinds[KNOWN] &&
      verify_keys_known(l->v, l->ids, l->count, seen, places, &l->arena))
    for (size_t i = 0; i < l->count; i++)
      if (seen[i] && !being_settled(l->v, l->ids[i])) {
        struct buffer text = {0};
        buffer_add(&text, l->paths[i]);
        buffer_printf(&text, "%s%.*s", places[i].len ? ", its twin in " : "", SPAN_ARGS(places[i]));
        uint64_t before = l->kinds[KNOWN]->count;
        suspect(l, KNOWN, l->ids[i], l->paths[i]);
        if (l->kinds[KNOWN]->count > before)
          suspects_add(&l->v->known, l->ids[i], buffer_span(&text));
        buffer_release(&text);
      }
  l->count = 0;
  arena_reset(&l->arena);
}

static void remember_id(struct look *l, struct digest_set *set, struct span id) {
  if (set->count < VERIFY_IDS && digest_set_add(set, digest_of(id)) != ST_OK) l->no_memory = true;
}

static void see_id(struct look *l, const struct survey_item *item, struct span path) {
  struct verify *v = l->v;
  struct digest d = digest_of(item->id);
  if (item->shelf == SHELF_DEAD) {
    if (digest_set_has(&v->pending, d)) suspect(l, DEAD_TOO, item->id, path);
    if (digest_set_has(&v->dead, d)) suspect(l, DEAD_TWIN, item->id, path);
    remember_id(l, &v->dead, item->id);
    return;
  }
  if (digest_set_has(&v->pending, d)) suspect(l, TWIN, item->id, path);
  remember_id(l, &v->pending, item->id);
  l->ids[l->count] = arena_span(&l->arena, item->id);
  l->paths[l->count] = arena_span(&l->arena, path);
  if (l->ids[l->count].ptr && l->paths[l->count].ptr && ++l->count == VERIFY_KEYS) ask_keys(l);
}

static bool see_entry(void *ctx, const struct survey_item *item) {
  static const enum kind kinds[] = {KINDS, WRONG_SIDE, ON_ITS_WAY, BYTES_GONE, NOT_DESCRIBED, ASIDE,
                                    LEFT,  NO_FILE,    UNREADABLE, HIDDEN,     STRAY};
  struct look *l = ctx;
  struct span path = span_of(item->shown);
  if (item->oddity != ODDITY_NONE) suspect(l, kinds[item->oddity], item->id, path);
  if (item->oddity >= ODDITY_NOT_DESCRIBED) return !l->no_memory; /* no entry that is read */
  bool dead = item->shelf == SHELF_DEAD;
  *(dead ? &l->v->dead_count : &l->v->pending_count) += 1;
  if (item->id.len && item->oddity == ODDITY_NONE) see_id(l, item, path);
  return !l->no_memory;
}

static enum status look_at_outbox(struct look *l, struct error *err) {
  struct verify *v = l->v;
  digest_set_release(&v->pending);
  digest_set_release(&v->dead);
  if (l->kinds[KNOWN]) suspects_clear(&v->known);
  v->pending_count = v->dead_count = 0;
  digest_set_release(&l->before);
  l->before = l->now;
  l->now = (struct digest_set){0};
  for (unsigned k = 0; k < KINDS; k++)
    if (l->kinds[k]) suspects_clear(l->kinds[k]);
  const struct verify_request *r = v->request;
  size_t limit = r->full ? 0 : r->entries ? r->entries : VERIFY_ENTRIES;
  enum status st = store_survey(v->s->store, limit, see_entry, l, &v->left_out, err);
  if (st == ST_OK) ask_keys(l);
  return st == ST_OK && l->no_memory ? error_set(err, ST_NO_MEMORY, "out of memory") : st;
}

static void look_release(struct look *l) {
  for (unsigned k = 0; k < KINDS; k++) {
    if (l->kinds[k]) arena_release(&l->kinds[k]->arena);
    free(l->kinds[k]);
  }
  digest_set_release(&l->before);
  digest_set_release(&l->now);
  arena_release(&l->arena);
  free(l);
}

enum status verify_survey(struct verify *v, struct error *err) {
  struct look *l = calloc(1, sizeof *l);
  if (!l) return error_set(err, ST_NO_MEMORY, "out of memory");
  l->v = v;
  enum status st = look_at_outbox(l, err);
  look_release(l);
  return st;
}

/* ---- what it says ---- */

static const struct {
  enum report_verdict verdict;
  bool ids;
  const char *what, *next;
} words[KINDS] = {
    [WRONG_SIDE] =
        {REPORT_WARNING, false, "lie on the wrong side, their move was cut short",
         "Start busbridge-worker, which finishes it; what is pending among the dead letters is "
         "sent by busbridge replay"},
    [ON_ITS_WAY] = {REPORT_WARNING, false,
                    "are described as dead letters, but their bytes have not been moved there yet",
                    "Start busbridge-worker, which finishes the move"},
    [BYTES_GONE] =
        {REPORT_FAILED, false, "are descriptions of dead letters without the bytes they describe",
         "Somebody took the .raw files away: put them back, or ask the producer for the events "
         "again; busbridge purge takes the descriptions away"},
    [NOT_DESCRIBED] =
        {REPORT_FAILED, false,
         "are bytes beside the dead letters that none of these tells of, so no command shows them",
         "Move each back into the outbox as NAME.json to have it judged again, or remove it"},
    [ASIDE] = {REPORT_WARNING, false, "are set aside: published or dead, but cannot be changed",
               "busbridge health says what hinders; when that is gone the worker takes them out by "
               "itself"},
    [LEFT] = {REPORT_WARNING, false, "are temporary files that were left",
              "Nothing to do: the next start of busbridge-worker removes them"},
    [NO_FILE] = {REPORT_WARNING, false, "are not plain files with one link and are left alone",
                 "Put a plain file in the place of each, or remove it"},
    [UNREADABLE] = {REPORT_WARNING, false, "cannot be read",
                    "Give the worker's user the right to read them"},
    [HIDDEN] =
        {REPORT_FAILED, false,
         "hold an event under a name that nobody looks at, so it is never sent",
         "Start busbridge-worker, which brings back what an earlier release hid there; rename "
         "each other one to NAME.json, without a dot in front, or remove it"},
    [STRAY] = {REPORT_WARNING, false, "belong to no event and to no part of busbridge",
               "Nobody looks at them: move them out of the outbox, or remove them"},
    [TWIN] = {REPORT_WARNING, true, "have the id of another pending entry",
              "One of each is published; the others are removed as duplicates when Redis is there"},
    [DEAD_TWIN] =
        {REPORT_WARNING, true, "are dead letters with the id of another one",
         "busbridge show ID tells them apart; replay takes what list -o wide calls them, too"},
    [DEAD_TOO] =
        {REPORT_WARNING, true, "are dead letters whose id is pending too",
         "Once that one is published a replay of the dead letter is refused as a duplicate"},
    [KNOWN] = {REPORT_WARNING, true,
               "wait, but Redis knows their id: they would be removed as duplicates",
               "If the topic does not hold the twin: busbridge replay --force ID forgets the key"},
};

/* Beside one that runs nobody is told to start it. */
static void say_next(struct verify *v, const char *next) {
  static const char start[] = "Start busbridge-worker, which ";
  bool runs = v->holder && span_starts(span_of(next), start);
  verify_next(v, "%s%s", runs ? "Wait: busbridge-worker, which runs, " : "",
              next + (runs ? sizeof start - 1 : 0));
}

static void say_places(struct verify *v, struct look *l) {
  char pending[NUMBER_TEXT], dead[NUMBER_TEXT], left[NUMBER_TEXT];
  verify_found(v, "outbox", REPORT_OK, "%s pending and %s dead entries were read%s%s%s",
               number_text(v->pending_count, pending), number_text(v->dead_count, dead),
               v->left_out ? ", " : "", v->left_out ? number_text(v->left_out, left) : "",
               v->left_out ? " were not: --full reads all" : "");
  for (unsigned k = 0; k < KNOWN; k++) {
    struct buffer names = {0};
    if (!l->kinds[k]->count) continue;
    verify_samples(l->kinds[k], words[k].ids, &names);
    verify_found(v, "outbox", words[k].verdict, "%llu %s: %s",
                 (unsigned long long)l->kinds[k]->count, words[k].what, buffer_z(&names));
    say_next(v, words[k].next);
    buffer_release(&names);
  }
}

static void say_known(struct verify *v) {
  struct buffer names = {0};
  char count[NUMBER_TEXT];
  if (!v->keys || v->keys_away) {
    verify_found(v, "pending ids", REPORT_SKIPPED, "%s",
                 v->keys ? "not asked: Redis is away" : "redis.url is off");
  } else if (v->known.count) {
    verify_samples(&v->known, true, &names);
    verify_found(v, "pending ids", words[KNOWN].verdict, "%s %s: %s",
                 number_text(v->known.count, count), words[KNOWN].what, buffer_z(&names));
    verify_next(v, "%s", words[KNOWN].next);
  } else {
    verify_found(v, "pending ids", REPORT_OK, "Redis knows none of the ids that wait");
  }
  buffer_release(&names);
}

static bool anything(const struct look *l) {
  for (unsigned k = 0; k < KINDS; k++)
    if (l->kinds[k]->count) return true;
  return false;
}

void verify_outbox(struct verify *v) {
  struct error err = {0};
  struct look *l = calloc(1, sizeof *l);
  enum status st = l ? ST_OK : error_set(&err, ST_NO_MEMORY, "out of memory");
  for (unsigned k = 0; l && k < KINDS; k++)
    if (!(l->kinds[k] = calloc(1, sizeof *l->kinds[k])))
      st = error_set(&err, ST_NO_MEMORY, "out of memory");
  if (st == ST_OK) {
    l->v = v;
    st = look_at_outbox(l, &err);
  }
  if (st == ST_OK && anything(l)) {
    verify_pause(v);
    l->again = true;
    st = look_at_outbox(l, &err);
  }
  if (st == ST_OK) {
    say_places(v, l);
    say_known(v);
  } else {
    verify_found(v, "outbox", REPORT_FAILED, "%s", err.text);
    verify_next(v, "Run this as the worker's user");
  }
  if (l) look_release(l);
}
