/* The database of the outbox went back: a standby that lagged was promoted, a backup was restored.
 * Kafka stands at a batch that the database does not have any more. Rows that were published are
 * pending again, their removals being lost; others were published, and the database has lost them.
 * The topics decide (L16): what they hold of the entries that are here is settled, the rest is
 * pending, and what they hold beside that is told: nothing can take it back.
 * The publisher's thread; a crash leaves Kafka's position as it was, and the next start does all
 * of it again. */
#include "bridge/outbox/operators.h"
#include "bridge/relay/ledger/ledger.h"
#include "bridge/relay/ledger/settle_late.h"
#include "bridge/relay/ledger/topics_read.h"
#include "bridge/relay/parts.h"

#include <inttypes.h>

enum { LOST_MOST = 10000, LOST_SHOWN = 20 };

struct returned { /* an entry that is here */
  struct manifest_entry entry;
  bool published;
};

struct history {
  struct relay *relay;
  struct returned *entries;
  size_t count, cap;
  struct table by_id; /* of entries: the first with each id */
  struct table known; /* ids of the batches that are still listed here: they are not lost */
  struct table lost;  /* ids that Kafka has and the database has not, at most LOST_MOST */
  size_t lost_count;  /* of all */
  struct arena arena; /* all that the tables and entries point to */
  struct topics_question question;
  uint64_t newest; /* number of the newest batch that is here */
  int64_t newest_ms;
  bool no_memory;
};

static void history_release(struct history *h) {
  free(h->entries);
  table_release(&h->by_id);
  table_release(&h->known);
  table_release(&h->lost);
  arena_release(&h->arena);
  topics_question_release(&h->question);
}

static enum status no_memory(struct error *err) {
  return error_set(err, ST_NO_MEMORY, "no memory for what the database of the outbox holds");
}

/* ---- what is here ---- */

static bool take_entry(void *ctx, const struct entry_info *info) {
  struct history *h = ctx;
  if (!info->id.len) return true; /* it never was an event */
  if (h->count == h->cap) {
    size_t cap = h->cap ? h->cap * 2 : 256;
    struct returned *grown = realloc(h->entries, cap * sizeof *grown);
    if (!grown) return !(h->no_memory = true);
    h->entries = grown;
    h->cap = cap;
  }
  struct span token = arena_span(&h->arena, span_of(info->token));
  struct span label = arena_span(&h->arena, span_of(info->label));
  struct span id = arena_span(&h->arena, info->id);
  if (!token.ptr || !label.ptr || !id.ptr) return !(h->no_memory = true);
  h->entries[h->count++] = (struct returned){
      .entry = {.ref = {.shelf = info->shelf,
                        .token = token,
                        .label = label,
                        .since_ms = info->arrived_us == TIME_NONE ? 0 : info->arrived_us / 1000},
                .id = id}};
  return true;
}

/* By id: the list does not move any more. */
static enum status index_entries(struct history *h, struct error *err) {
  for (size_t i = 0; i < h->count; i++)
    if (table_put(&h->by_id, h->entries[i].entry.id, &h->entries[i]) == ST_NO_MEMORY)
      return no_memory(err);
  return ST_OK;
}

/* A batch that is listed here: its topics, its ids, and since when Kafka may have what is not. One
 * that cannot be read says nothing. */
static enum status take_batch(struct history *h, const struct manifest_name *name,
                              struct error *err) {
  struct manifest m = {0};
  int64_t *from_ms = &h->question.from_ms;
  enum status st = ST_OK;
  if (name->number > h->newest || !h->newest_ms)
    h->newest = name->number, h->newest_ms = name->written_ms;
  if (!name->settled && name->written_ms < *from_ms) *from_ms = name->written_ms;
  if (manifest_read(h->relay->parts.store, name, &m, NULL) != ST_OK) return ST_OK;
  for (size_t i = 0; st == ST_OK && i < m.count; i++) {
    struct span id = arena_span(&h->arena, m.entries[i].id);
    if (!id.ptr || table_put(&h->known, id, h) == ST_NO_MEMORY) st = no_memory(err);
    if (st == ST_OK)
      st = topics_ask(&h->question, m.entries[i].topic, m.entries[i].event_time, err);
  }
  manifest_release(&m);
  return st;
}

static enum status gather(struct history *h, const struct manifest_name *list, size_t count,
                          struct error *err) {
  const struct routing *routing = h->relay->parts.routing;
  uint64_t total;
  h->question.from_ms = INT64_MAX;
  enum status st =
      store_list(h->relay->parts.store, LIST_PENDING | LIST_DEAD | LIST_LOOK | LIST_ALL, 0,
                 take_entry, h, &total, err);
  if (st == ST_OK && h->no_memory) st = no_memory(err);
  if (st == ST_OK) st = index_entries(h, err);
  for (size_t i = 0; st == ST_OK && i < count; i++) st = take_batch(h, &list[i], err);
  if (h->newest_ms < h->question.from_ms) h->question.from_ms = h->newest_ms;
  for (unsigned i = 0; st == ST_OK && i < routing_topics(routing); i++) {
    struct span topic = span_of(routing_topic_name(routing, i));
    st = topics_ask(&h->question, topic, routing_event_times(routing, topic), err);
  }
  return st;
}

/* ---- what the topics hold ---- */

static struct span value_of_header(const struct message *m, const char *name) {
  for (size_t i = 0; i < m->header_count; i++)
    if (!strcmp(m->headers[i].name, name)) return m->headers[i].value;
  return (struct span){0};
}

static enum status note_lost(struct history *h, struct span id, struct error *err) {
  if (table_get(&h->lost, id)) return ST_OK;
  h->lost_count++;
  if (h->lost.count >= LOST_MOST) return ST_OK;
  struct span kept = arena_span(&h->arena, id);
  return kept.ptr && table_put(&h->lost, kept, h) != ST_NO_MEMORY ? ST_OK : no_memory(err);
}

/* An older record with the id of an entry is of another one, whose id was forgotten on purpose
 * (replay --force). */
static enum status see_record(void *ctx, const struct message *m, struct error *err) {
  struct history *h = ctx;
  struct span id = value_of_header(m, "ce_id");
  if (!id.len) return ST_OK;
  bool own_times = table_get(&h->question.whole, span_of(m->topic));
  struct returned *here = table_get(&h->by_id, id);
  if (here && !own_times && m->timestamp_ms < here->entry.ref.since_ms - CLOCK_SKEW_MS)
    return ST_OK;
  if (here) {
    here->published = true;
    here->entry.topic = span_of(table_get(&h->question.topics, span_of(m->topic)));
    return ST_OK;
  }
  bool ours = span_is(value_of_header(m, "ce_source"), h->relay->config.ce_source);
  bool later = !own_times && m->timestamp_ms >= h->newest_ms;
  return ours && later && !table_get(&h->known, id) ? note_lost(h, id, err) : ST_OK;
}

/* ---- what is done ---- */

static enum status settle_published(struct history *h, size_t *gone, struct error *err) {
  struct late *late = late_begin(h->relay, err);
  enum status st = late ? ST_OK : ST_NO_MEMORY;
  for (size_t i = 0; st == ST_OK && i < h->count; i++) {
    const struct returned *first = table_get(&h->by_id, h->entries[i].entry.id);
    if (!first->published) continue;
    h->entries[i].entry.topic = first->entry.topic;
    st = late_add(late, &h->entries[i].entry, err);
  }
  if (st == ST_OK) st = late_end(late, NULL, err);
  if (late) *gone = late->gone;
  free(late);
  return st;
}

static void write_ids(const struct history *h, size_t most, struct buffer *out) {
  struct span id;
  void *value;
  size_t told = 0;
  for (size_t at = 0; told < most && table_each(&h->lost, &at, &id, &value); told++)
    buffer_printf(out, "%s%.*s", told ? " " : "", SPAN_ARGS(id));
}

static void tell_loss(const struct history *h, uint64_t kafka, size_t gone) {
  struct buffer ids = {0};
  write_ids(h, LOST_SHOWN, &ids);
  log_write(h->relay->parts.log, LOG_WARNING, "relay", "outbox_went_back",
            FIELDS(F_TEXT("by", "topics"), F_INT("lost_batches", (int64_t)(kafka - h->newest)),
                   F_INT("already_published", (int64_t)gone),
                   F_INT("phantoms", (int64_t)h->lost_count), F_TEXT("ids", buffer_z(&ids))),
            "The database of the outbox went back by %" PRIu64
            " batches: %zu of its entries were published already and are settled; Kafka has %zu "
            "events that it lost",
            kafka - h->newest, gone, h->lost_count);
  buffer_release(&ids);
}

/* For health, until another one takes its place. */
static enum status write_note(const struct history *h, uint64_t kafka, size_t gone,
                              struct error *err) {
  struct buffer ids = {0};
  write_ids(h, LOST_MOST, &ids);
  const struct store_loss loss = {.at_us = clock_wall_us(h->relay->parts.clock),
                                  .batches = kafka - h->newest,
                                  .published = gone,
                                  .lost = h->lost_count,
                                  .ids = buffer_span(&ids)};
  enum status st = buffer_status(&ids, err);
  if (st == ST_OK) st = store_loss_write(h->relay->parts.store, &loss, err);
  buffer_release(&ids);
  return st;
}

enum status ledger_went_back(struct publishing *p, struct manifest_name *list, size_t count,
                             struct error *err) {
  struct relay *r = p->relay;
  struct history h = {.relay = r};
  uint64_t kafka = (uint64_t)p->ledger.position.number, next = kafka;
  size_t gone = 0;
  for (size_t i = 0; i < count; i++)
    if (list[i].number > next) next = list[i].number;
  enum status st = gather(&h, list, count, err);
  if (st == ST_OK) st = topics_read(p, &h.question, see_record, &h, err);
  if (st == ST_OK) st = settle_published(&h, &gone, err);
  if (st == ST_OK) st = write_note(&h, kafka, gone, err);
  if (st == ST_OK) st = ledger_begin_at(p, next + 1, err);
  for (size_t i = 0; st == ST_OK && i < count; i++) st = stuck_remove(r, &list[i], err);
  if (st == ST_OK) tell_loss(&h, kafka, gone);
  history_release(&h);
  return st;
}
