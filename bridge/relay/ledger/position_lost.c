/* The position was lost: offsets expire after a week without a commit, or the ledger topic was made
 * anew. The topics themselves decide (L16), those that the manifests name and those of today's
 * routing: what they hold of the manifests' ids is settled, the rest stays pending.
 * The publisher's thread; a crash leaves the manifests that were not settled yet, and the next
 * start decides them in the same way. */
#include "bridge/relay/ledger/ledger.h"
#include "bridge/relay/ledger/settle_late.h"
#include "bridge/relay/ledger/topics_read.h"
#include "bridge/relay/parts.h"

/* What the manifests say may have been published. */
struct doubt {
  struct manifest *manifests;
  int64_t *written_ms; /* of each manifest: when it was */
  size_t count;
  struct table ids;                /* id -> struct manifest_entry */
  struct table seen;               /* ids that the topics hold */
  struct topics_question question; /* topics of the manifests and of the routing */
};

static void doubt_release(struct doubt *d) {
  for (size_t i = 0; i < d->count; i++) manifest_release(&d->manifests[i]);
  free(d->manifests);
  free(d->written_ms);
  table_release(&d->ids);
  table_release(&d->seen);
  topics_question_release(&d->question);
}

static int64_t note_time(struct doubt *d, int64_t written_ms) {
  int64_t *from_ms = &d->question.from_ms;
  if (!*from_ms || written_ms < *from_ms) *from_ms = written_ms;
  return written_ms;
}

static enum status gather_ids(struct relay *r, const struct manifest_name *list, size_t count,
                              struct doubt *d, struct error *err) {
  d->manifests = calloc(count + 1, sizeof *d->manifests);
  d->written_ms = calloc(count + 1, sizeof *d->written_ms);
  if (!d->manifests || !d->written_ms) return error_set(err, ST_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < count; i++) {
    if (list[i].settled) continue;
    struct manifest *m = &d->manifests[d->count++];
    enum status st = manifest_read(r->parts.store, &list[i], m, err);
    if (st == ST_INVALID) st = ledger_damaged(r, err);
    if (st != ST_OK) return st;
    d->written_ms[d->count - 1] = note_time(d, list[i].written_ms);
    for (size_t j = 0; st == ST_OK && j < m->count; j++) {
      if (table_put(&d->ids, m->entries[j].id, &m->entries[j]) == ST_NO_MEMORY)
        return error_set(err, ST_NO_MEMORY, "out of memory");
      st = topics_ask(&d->question, m->entries[j].topic, m->entries[j].event_time, err);
    }
    if (st != ST_OK) return st;
  }
  enum status st = ST_OK;
  for (unsigned i = 0; st == ST_OK && i < routing_topics(r->parts.routing); i++)
    st = topics_ask(&d->question, span_of(routing_topic_name(r->parts.routing, i)), false, err);
  return st;
}

/* Records of this batch came later than the file they were made of, and later than its manifest: an
 * older one with the same id is of an entry before it, whose id was forgotten on purpose (replay
 * --force). By our own clock; that of a broker may be another. */
static bool may_be_of(const struct doubt *d, const struct manifest_entry *e,
                      const struct message *m) {
  if (e->event_time) return true; /* its record's time tells nothing of when it came */
  int64_t from_ms = e->ref.since_ms;
  for (size_t i = 0; i < d->count; i++) {
    const struct manifest *of = &d->manifests[i];
    bool its = e >= of->entries && e < of->entries + of->count;
    if (its && d->written_ms[i] < from_ms)
      from_ms = d->written_ms[i]; /* the clock was put back in between */
  }
  return m->timestamp_ms >= from_ms - (m->broker_time ? CLOCK_SKEW_MS : 0);
}

static enum status look_at(void *ctx, const struct message *m, struct error *err) {
  struct doubt *d = ctx;
  for (size_t i = 0; i < m->header_count; i++) {
    if (strcmp(m->headers[i].name, "ce_id") != 0) continue;
    struct manifest_entry *entry = table_get(&d->ids, m->headers[i].value);
    if (entry && may_be_of(d, entry, m) && table_put(&d->seen, entry->id, entry) == ST_NO_MEMORY)
      return error_set(err, ST_NO_MEMORY, "out of memory");
  }
  return ST_OK;
}

static enum status settle_seen(struct relay *r, const struct doubt *d, size_t *gone,
                               struct error *err) {
  struct late *late = late_begin(r, err);
  enum status st = late ? ST_OK : ST_NO_MEMORY;
  for (size_t i = 0; st == ST_OK && i < d->count; i++)
    for (size_t j = 0; st == ST_OK && j < d->manifests[i].count; j++) {
      const struct manifest_entry *e = &d->manifests[i].entries[j];
      if (table_get(&d->seen, e->id)) st = late_add(late, e, err);
    }
  if (st == ST_OK) st = late_end(late, NULL, err);
  if (late) *gone = late->gone;
  free(late);
  return st;
}

enum status ledger_lost(struct publishing *p, struct manifest_name *list, size_t count,
                        struct error *err) {
  struct relay *r = p->relay;
  struct doubt d = {0};
  size_t gone = 0;
  uint64_t highest = 0;
  log_write(
      r->parts.log, LOG_WARNING, "relay", "position_lost", FIELDS(F_INT("manifests", count)),
      "Kafka holds no position for this outbox any more; the topics decide what was published");
  for (size_t i = 0; i < count; i++)
    if (list[i].number > highest) highest = list[i].number;
  enum status st = gather_ids(r, list, count, &d, err);
  if (st == ST_OK && d.ids.count) st = topics_read(p, &d.question, look_at, &d, err);
  if (st == ST_OK && d.seen.count) st = settle_seen(r, &d, &gone, err);
  if (st == ST_OK) st = ledger_begin_at(p, highest + 1, err);
  for (size_t i = 0; st == ST_OK && i < count; i++) st = stuck_remove(r, &list[i], err);
  if (st == ST_OK)
    log_write(r->parts.log, LOG_WARNING, "relay", "position_restored",
              FIELDS(F_INT("removed", gone), F_INT("batch", highest + 1)),
              "The ledger begins anew at batch %llu", (unsigned long long)(highest + 1));
  doubt_release(&d);
  return st;
}
