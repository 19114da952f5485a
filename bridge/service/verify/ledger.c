/* The position in Kafka against the manifests that lie here, as ledger.h's table judges them at a
 * start; and the outbox against what the manifests say is gone.
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/relay/ledger/standing.h"
#include "bridge/service/verify/parts.h"

#include <inttypes.h>

#define ANSWER_MS 10000
#define LOOKS 3

struct look {
  struct standing before, after; /* asked before and after the listing: with a worker it moves */
  struct manifest_name *list;
  size_t count;
  struct manifest_name **chain; /* from the position back */
  size_t chain_count;
  enum report_verdict verdict;
  char found[600], next[600];
};

static void look_release(struct look *l) {
  free(l->list);
  free(l->chain);
  *l = (struct look){0};
}

PRINTF_LIKE(4, 5)
static void judged(struct look *l, enum report_verdict verdict, const char *next, const char *fmt,
                   ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(l->found, sizeof l->found, fmt, args);
  va_end(args);
  l->verdict = verdict;
  snprintf(l->next, sizeof l->next, "%s", next ? next : "");
}

/* ---- looking ---- */

static enum status ask_ledger(struct verify *v, const struct look *l, struct standing *s,
                              struct error *err) {
  return standing_find(&v->s->plan.kafka, v->request->log, v->s->store, v->position.topic,
                       v->position.group, ANSWER_MS, l->list, l->count, s, err);
}

static enum status look_at_ledger(struct verify *v, struct look *l, struct error *err) {
  enum status st = ask_ledger(v, l, &l->before, err);
  if (st == ST_OK) st = manifest_list(v->s->store, &l->list, &l->count, err);
  if (st == ST_OK) st = ask_ledger(v, l, &l->after, err);
  if (st == ST_OK && !(l->chain = calloc(l->count + 1, sizeof *l->chain)))
    st = error_set(err, ST_NO_MEMORY, "out of memory");
  return st;
}

static bool moved(const struct look *l) {
  return l->before.number != l->after.number || strcmp(l->before.digest, l->after.digest) != 0;
}

static struct manifest_name *manifest_named(const struct look *l, uint64_t number,
                                            const char *digest) {
  for (size_t i = 0; i < l->count; i++)
    if (l->list[i].number == number && strcmp(l->list[i].digest, digest) == 0) return &l->list[i];
  return NULL;
}

/* The position's. While it moves: the newest that it may have been at. */
static struct manifest_name *find_top(const struct look *l) {
  if (!moved(l)) return manifest_named(l, (uint64_t)l->after.number, l->after.digest);
  for (size_t i = l->count; i-- > 0;)
    if (l->list[i].number <= (uint64_t)l->after.number &&
        l->list[i].number >= (uint64_t)l->before.number)
      return &l->list[i];
  return NULL;
}

/* ---- the chain back ---- */

static void forget_batches(struct verify *v) {
  for (size_t i = 0; i < v->batch_count; i++) manifest_release(&v->batches[i].manifest);
  free(v->batches);
  v->batches = NULL;
  v->batch_count = 0;
}

/* Reads the chain into v->batches. False: judged. */
static bool follow_chain(struct verify *v, struct look *l, struct manifest_name *at) {
  struct error err = {0};
  forget_batches(v);
  v->batches = calloc(l->count + 1, sizeof *v->batches);
  if (!v->batches) return judged(l, REPORT_FAILED, "Free memory", "out of memory"), false;
  while (at && l->chain_count < l->count) {
    struct verify_batch *batch = &v->batches[v->batch_count];
    l->chain[l->chain_count++] = at;
    *batch = (struct verify_batch){.settled = at->settled, .written_ms = at->written_ms};
    enum status st = manifest_read(v->s->store, at, &batch->manifest, &err);
    if (st != ST_OK && at->settled) {
      judged(l, REPORT_WARNING, "Nothing to do: it goes when the next batch is settled",
             "%s; its batch is settled, so that nobody needs it", err.text);
      return false;
    }
    if (st != ST_OK) {
      struct buffer next = {0};
      standing_advise(v->s->store, &next);
      judged(l, REPORT_FAILED, buffer_z(&next),
             "the list of a batch that may be committed is damaged (%s)", err.text);
      buffer_release(&next);
      return false;
    }
    v->batch_count++;
    struct manifest_name *older =
        at->number ? manifest_named(l, at->number - 1, batch->manifest.before) : NULL;
    /* The settled one goes only when its successor is settled. */
    if (!older && !at->settled && batch->manifest.before[0]) {
      judged(
          l, REPORT_FAILED,
          "Whether its entries were taken out is not known; they are sent again if they were not. "
          "See busbridge-worker(8), LEDGER",
          "batch %" PRIu64
          " is not settled, and the manifest of the batch before it is not in this outbox",
          at->number);
      return false;
    }
    at = older;
  }
  return true;
}

static bool in_chain(const struct look *l, const struct manifest_name *name) {
  for (size_t i = 0; i < l->chain_count; i++)
    if (l->chain[i] == name) return true;
  return false;
}

/* ---- judging ---- */

/* As a start would say it. */
static void judge_standing(struct verify *v, struct look *l, const struct standing *s) {
  struct buffer cause = {0}, next = {0};
  standing_cause(s, &cause);
  standing_next(s, v->s->store, &next);
  judged(l, s->kind == STANDING_NEW ? REPORT_SKIPPED : REPORT_FAILED, buffer_z(&next), "%s",
         buffer_z(&cause));
  buffer_release(&cause);
  buffer_release(&next);
}

static void judge_rest(struct verify *v, struct look *l) {
  size_t unsettled = 0, stray = 0;
  bool under_way = false;
  for (size_t i = 0; i < l->chain_count; i++) unsettled += !l->chain[i]->settled;
  for (size_t i = 0; i < l->count; i++) {
    bool next = l->list[i].number == l->chain[0]->number + 1;
    under_way = under_way || next;
    stray += !next && !in_chain(l, &l->list[i]);
  }
  unsigned long long top = (unsigned long long)l->chain[0]->number;
  if (stray && !moved(l))
    judged(l, REPORT_WARNING,
           "Nothing to do: the next start removes them, their entries are still pending",
           "Kafka stands at batch %llu, whose manifest is here; %zu other manifests belong to no "
           "committed batch",
           top, stray);
  else if ((unsettled || under_way) && !v->holder)
    judged(l, REPORT_WARNING,
           "Start busbridge-worker: it settles what was committed and sends the rest",
           "Kafka stands at batch %llu, whose manifest is here; a worker ended while it settled or "
           "sent",
           top);
  else
    judged(l, REPORT_OK, NULL, "Kafka stands at batch %llu, whose manifest is here%s%s", top,
           unsettled ? ", being settled" : ", settled",
           under_way ? "; the next one is under way" : "");
}

static void judge_ledger(struct verify *v, struct look *l) {
  struct standing worse = l->before.number < 0 ? l->before : l->after;
  struct manifest_name *top = NULL;
  standing_judge(&worse, l->list, l->count);
  bool missing = worse.kind == STANDING_COPY || worse.kind == STANDING_WENT_BACK;
  if (missing || worse.kind == STANDING_HERE) top = find_top(l);
  if (top)
    worse.kind = STANDING_HERE;
  else if (worse.kind == STANDING_HERE)
    worse.kind = worse.goes_back ? STANDING_WENT_BACK : STANDING_COPY;
  if (worse.kind != STANDING_HERE)
    judge_standing(v, l, &worse);
  else if (follow_chain(v, l, top))
    judge_rest(v, l);
}

static void name_ids(struct verify *v) {
  for (size_t b = 0; b < v->batch_count; b++)
    for (size_t i = 0; i < v->batches[b].manifest.count; i++) {
      const struct manifest_entry *e = &v->batches[b].manifest.entries[i];
      struct verify_id *id = e->duplicate ? NULL : arena_zalloc(&v->arena, sizeof *id);
      if (!id) continue;
      *id = (struct verify_id){.entry = e, .batch = &v->batches[b]};
      enum status st = table_put(&v->batch_ids, e->id, id);
      (void)st; /* without memory it is not looked for */
    }
}

/* ---- what it says is gone ---- */

static void still_there(struct verify *v, struct suspects *out, uint64_t *all) {
  *all = 0;
  suspects_clear(out);
  for (size_t b = 0; b < v->batch_count; b++)
    for (size_t i = 0; v->batches[b].settled && i < v->batches[b].manifest.count; i++) {
      const struct manifest_entry *e = &v->batches[b].manifest.entries[i];
      ++*all;
      if (store_lies(v->s->store, &e->ref, e->id)) suspects_add(out, e->id, e->ref.label);
    }
}

static void check_settled(struct verify *v) {
  struct suspects *there = calloc(1, sizeof *there);
  struct buffer names = {0};
  uint64_t all = 0;
  if (!there) return verify_found(v, "settled", REPORT_FAILED, "out of memory");
  still_there(v, there, &all);
  if (there->count) {
    verify_pause(v);
    still_there(v, there, &all);
  }
  verify_samples(there, false, &names);
  if (there->count) {
    verify_found(
        v, "settled", REPORT_FAILED,
        "%llu of the %llu entries of the settled batches lie in the outbox, though they were "
        "published: %s",
        (unsigned long long)there->count, (unsigned long long)all, buffer_z(&names));
    verify_next(v,
                "Take them out, or start a worker while Redis knows their ids: it removes them as "
                "duplicates. Without Redis they would be published again");
  } else if (all) {
    verify_found(v, "settled", REPORT_OK,
                 "none of the %llu entries of the settled batches lies in the outbox any more",
                 (unsigned long long)all);
  } else {
    verify_found(v, "settled", REPORT_SKIPPED, "no batch with entries is settled and still known");
  }
  buffer_release(&names);
  arena_release(&there->arena);
  free(there);
}

void verify_ledger(struct verify *v) {
  struct error err = {0};
  struct look l = {0};
  enum status st = ST_OK;
  if (!v->s->plan.exactly_once || !store_id(v->s->store)[0] || !v->cluster) {
    verify_found(v, "ledger", REPORT_SKIPPED, "%s",
                 !v->s->plan.exactly_once ? "delivery.guarantee is at_least_once, which keeps none"
                 : !v->cluster            ? "not read: see broker"
                                          : "no worker was started on this outbox yet");
    return;
  }
  v->position =
      (struct position){.topic = v->s->plan.ledger_topic, .group = v->s->plan.group, .number = -1};
  for (int tries = 0; st == ST_OK && tries < LOOKS && (tries == 0 || l.verdict > REPORT_SKIPPED);
       tries++) {
    if (tries) verify_pause(v);
    look_release(&l);
    st = look_at_ledger(v, &l, &err);
    if (st == ST_OK) judge_ledger(v, &l);
  }
  if (st == ST_OK) {
    verify_found(v, "ledger", l.verdict, "%s", l.found);
    if (l.next[0]) verify_next(v, "%s", l.next);
    name_ids(v);
    check_settled(v);
  } else {
    verify_found(v, "ledger", REPORT_FAILED, "%s", err.text);
    verify_next(v, st == ST_INVALID ? "Do what is said there; a worker will not start before"
                                    : "Try again; busbridge doctor tells more");
  }
  v->position.group = NULL;
  look_release(&l);
}
