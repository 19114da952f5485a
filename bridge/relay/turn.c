/* The way of an event. Read this first.
 *
 *   take     the next entries of the outbox, in order          (stage_take.c)    reader
 *   screen   is its id in hand already, or known to Redis?     (here)            reader
 *   route    name -> topic and key                             (here)            reader
 *   encode   payload -> Avro                                   (here)            reader
 *   publish  to Kafka; the delivery reports give the verdicts  (publish/)        publisher
 *   settle   set keys, then delete, rewrite or dead-letter     (stage_settle.c)  finisher
 *
 * The reader runs the first four for TURN_EVENTS entries at a time (their texts are forgotten
 * afterwards) until the batch is full or nothing more waits; then the batch goes on. An entry that
 * a stage gives a verdict is passed over by the later ones. A crash in any of them leaves the entry
 * as it was.
 * The reader's thread. */
#include "bridge/relay/parts.h"

enum { KEYS_RETRY_MS = 250 };

static void stage_screen(struct turn *t);
static void stage_route(struct turn *t);
static void stage_encode(struct turn *t);

void turn_run(struct turn *t) {
  static void (*const stages[])(struct turn *) = {stage_take, stage_screen, stage_route,
                                                  stage_encode};
  t->first = t->batch->count;
  relay_beat(t->relay, &t->relay->reader_us);
  for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) stages[i](t);
  crash_marks_drop(t->relay->parts.crash_marks, CRASH_READER);
  arena_reset(&t->reading->scratch);
}

static struct entry *entry_of(struct turn *t, size_t i) {
  return &t->reading->entries[i - t->first];
}

static void give_up(struct item *item, enum reason reason, const struct error *err) {
  if (reason == REASON_NO_MEMORY) { /* not the event's fault: a later scan brings it again */
    item->outcome = OUTCOME_HELD;
    return;
  }
  item->outcome = OUTCOME_DEAD;
  item->attempts++;
  item_fail(item, reason, 0, err->text);
}

/* An id that is in hand already: this entry shares the other one's fate. */
static void find_twins(struct turn *t) {
  struct relay *r = t->relay;
  mutex_lock(&r->lock);
  for (size_t i = t->first; i < t->batch->count; i++) {
    struct item *item = &t->batch->items[i];
    if (item->outcome != OUTCOME_SEND) continue;
    enum status st = table_put(&r->ids, item->id, item);
    item->listed = st == ST_OK;
    if (st == ST_EXISTS) {
      struct item *head = table_get(&r->ids, item->id);
      item->outcome = OUTCOME_TWIN;
      item->next = head->twins;
      head->twins = item;
    } else if (st != ST_OK) {
      item->outcome = OUTCOME_HELD; /* out of memory: later */
    }
  }
  mutex_unlock(&r->lock);
}

/* redis.required: false when the relay stops meanwhile. */
static bool wait_for_keys(struct relay *r) {
  struct keys_state keys;
  struct keys_words words;
  keys_state(r->parts.keys, &keys);
  keys_words(keys.error, true, &words);
  mutex_lock(&r->lock);
  status_breaker(r, "redis", BREAKER_OPEN, words.cause, words.next);
  int64_t until = clock_mono_ms(r->parts.clock) + KEYS_RETRY_MS;
  while (!r->stopping && clock_mono_ms(r->parts.clock) < until) relay_wait_ms(r, KEYS_RETRY_MS);
  bool go_on = !r->stopping;
  mutex_unlock(&r->lock);
  relay_beat(r, &r->reader_us);
  return go_on;
}

/* Unavailable: seen is then by the ids due alone; Redis filters, it never decides. */
static enum status ask_keys(struct turn *t, const struct span *ids, size_t n, bool *seen,
                            struct span *places) {
  struct relay *r = t->relay;
  enum status st = keys_check(r->parts.keys, ids, n, seen, places, &t->reading->scratch);
  bool waited = false;
  for (; st == ST_UNAVAILABLE && r->config.keys_required && wait_for_keys(r); waited = true)
    st = keys_check(r->parts.keys, ids, n, seen, places, &t->reading->scratch);
  if (waited && st == ST_OK) {
    mutex_lock(&r->lock);
    status_breaker(r, "redis", BREAKER_CLOSED, "", "");
    mutex_unlock(&r->lock);
  }
  return st;
}

static void stage_screen(struct turn *t) {
  struct relay *r = t->relay;
  struct span ids[TURN_EVENTS], places[TURN_EVENTS] = {{0}};
  struct item *asked[TURN_EVENTS];
  bool seen[TURN_EVENTS] = {0};
  size_t n = 0;
  find_twins(t);
  for (size_t i = t->first; i < t->batch->count; i++) {
    struct item *item = &t->batch->items[i];
    if (item->outcome == OUTCOME_SEND) asked[n] = item, ids[n++] = item->id;
  }
  if (n == 0) return;
  enum status st = ask_keys(t, ids, n, seen, places);
  series_add(metrics_series(r->parts.metrics, METRIC_REDIS, "check", st == ST_OK ? "ok" : "error"),
             1);
  for (size_t i = 0; i < n; i++) {
    if (!seen[i]) continue;
    asked[i]->outcome = OUTCOME_DUPLICATE;
    asked[i]->error = arena_copy(&t->batch->arena, places[i]);
  }
}

static void take_in_hand(struct turn *t, const struct item *item) {
  crash_marks_take(t->relay->parts.crash_marks, CRASH_READER, item->ref.token);
}

/* False: out of memory. */
static bool keep_headers(struct item *item, const struct route *route, struct arena *arena) {
  if (!route->header_count) return true;
  struct own_header *own = arena_alloc(arena, route->header_count * sizeof *own);
  for (size_t i = 0; own && i < route->header_count; i++) {
    const char *value = arena_copy(arena, route->headers[i].value);
    if (!value) return false;
    own[i] = (struct own_header){route->headers[i].name, {value, route->headers[i].value.len}};
  }
  item->own = own;
  item->own_count = own ? (unsigned)route->header_count : 0;
  return own != NULL;
}

/* Empty, without clearing all its room for words: two an event. */
static void no_error(struct error *err) {
  err->status = ST_OK;
  err->sys = err->cause = 0;
  err->text[0] = '\0';
}

static void route_item(struct turn *t, struct item *item, const struct entry *entry) {
  struct route route;
  struct error err;
  no_error(&err);
  struct arena *arena = &t->batch->arena;
  take_in_hand(t, item);
  enum reason reason = routing_route(t->relay->parts.routing, &entry->doc, &entry->event,
                                     &t->reading->scratch, &route, &err);
  if (reason != REASON_NONE) {
    give_up(item, reason, &err);
    return;
  }
  item->topic = route.topic;
  item->routed = true;
  item->keyless = route.keyless;
  item->event_time = route.event_time;
  item->unknown_fields = route.unknown_fields;
  item->framing = route.framing;
  item->naming = route.subject == SUBJECT_AUTO ? t->relay->config.subject : route.subject;
  if (route.event_time && item->created_us < 1000) {
    error_set(
        &err, ST_INVALID,
        "created_at: the record's time is the event's by its route, and Kafka's begin in 1970");
    give_up(item, REASON_BAD_TIME, &err);
  }
  item->name = arena_span(arena, route.name);
  item->ns = arena_span(arena, route.ns);
  item->key = arena_span(arena, route.key);
  if (!keep_headers(item, &route, arena) || item->key.len != route.key.len || !item->name.ptr ||
      !item->ns.ptr)
    item->outcome = OUTCOME_HELD;
}

static void stage_route(struct turn *t) {
  for (size_t i = t->first; i < t->batch->count; i++)
    if (t->batch->items[i].outcome == OUTCOME_SEND || t->batch->items[i].outcome == OUTCOME_WAITS)
      route_item(t, &t->batch->items[i], entry_of(t, i));
}

/* What names the schema, for whoever asks the control API or has the files. */
static void keep_dataschema(struct turn *t, struct item *item) {
  struct buffer text = {0};
  uint64_t fingerprint;
  const char *before = t->relay->config.ce_dataschema;
  if (!before || !*before || !catalog_encoded(t->relay->parts.catalog, &fingerprint)) return;
  buffer_printf(&text, "%s%016llx", before, (unsigned long long)fingerprint);
  item->dataschema = arena_span(&t->batch->arena, buffer_span(&text));
  if (text.failed || item->dataschema.len != text.len) item->outcome = OUTCOME_HELD;
  buffer_release(&text);
}

/* What the schema had no place for. */
static void keep_unplaced(struct turn *t, struct item *item) {
  const struct catalog *catalog = t->relay->parts.catalog;
  struct span carried = catalog_carried(catalog);
  item->unplaced = (uint32_t)catalog_unplaced(catalog);
  item->carried = arena_span(&t->batch->arena, carried);
  if (item->carried.len != carried.len) item->outcome = OUTCOME_HELD; /* out of memory: later */
}

/* False: it has a verdict. */
static bool keep_rest(struct turn *t, struct item *item, const struct entry *entry) {
  if (!(entry->event.lifted || entry->event.others) || !t->relay->config.carry_envelope)
    return true;
  struct buffer rest = {0};
  struct error err = {0};
  event_rest(&entry->doc, &entry->event, &rest);
  if (rest.len > CARRIED_MAX) {
    error_set(&err, ST_TOO_LARGE,
              "%s: %zu bytes of it are not published otherwise, and a header carries at most %d; "
              "encoding.envelope=drop leaves them out",
              entry->event.lifted && !entry->event.bare ? "the payload's envelope"
                                                        : "what the entry has beside its payload",
              rest.len, CARRIED_MAX);
    give_up(item, REASON_HEADER_TOO_LARGE, &err);
  } else {
    item->rest = arena_span(&t->batch->arena, buffer_span(&rest));
    if (rest.failed || item->rest.len != rest.len) item->outcome = OUTCOME_HELD;
  }
  buffer_release(&rest);
  return item->outcome == OUTCOME_SEND;
}

/* As its route says; the envelope's id is that of its topic and subject. */
static void set_way(struct turn *t, const struct item *item) {
  const struct catalog_way way = {.unknown_fields = item->unknown_fields,
                                  .framing = (enum framing)item->framing,
                                  .place = item->topic * SUBJECT_NAMINGS + item->naming,
                                  .source = t->relay->config.ce_source};
  catalog_way(t->relay->parts.catalog, &way);
}

/* How it was written. Without an id it waits as one that is not due does: its key too. */
static void keep_way(struct turn *t, struct item *item) {
  const struct catalog *catalog = t->relay->parts.catalog;
  int64_t id;
  item->framing = (uint8_t)catalog_framing(catalog);
  item->written = catalog_written(catalog, &id);
  if (catalog_waits(catalog)) {
    item->outcome = OUTCOME_WAITS;
    if (item->written) atomic_store(&item->written->wanted, true);
  } else if (item->written) {
    schema_id_write(id, item->schema_id);
  }
}

static void encode_item(struct turn *t, struct item *item, const struct entry *entry) {
  struct error err;
  struct buffer *values = &t->batch->values;
  no_error(&err);
  item->value_at = values->len;
  take_in_hand(t, item);
  if (!keep_rest(t, item, entry)) return;
  set_way(t, item);
  enum reason reason = catalog_encode(t->relay->parts.catalog, &entry->doc, &entry->event,
                                      item->name, item->created_us, values, &err);
  if (values->failed) {
    item->outcome = OUTCOME_HELD; /* out of memory: later; what was encoded before stays good */
    values->failed = false;
    values->len = item->value_at;
  } else if (reason != REASON_NONE) {
    values->len = item->value_at;
    give_up(item, reason, &err);
  }
  item->value.len = values->len - item->value_at;
  if (item->outcome == OUTCOME_SEND) keep_way(t, item);
  if (item->outcome == OUTCOME_SEND) keep_unplaced(t, item);
  if (item->outcome == OUTCOME_SEND) keep_dataschema(t, item);
}

static void stage_encode(struct turn *t) {
  for (size_t i = t->first; i < t->batch->count; i++)
    if (t->batch->items[i].outcome == OUTCOME_SEND)
      encode_item(t, &t->batch->items[i], entry_of(t, i));
}
