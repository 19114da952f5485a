/* The log's line about one entry that was settled.
 * The finisher's thread; a crash leaves nothing. */
#include "bridge/relay/parts.h"

#define FIELDS_MOST 16
#define TRACE_AT 3 /* traceparent: 00-<32 digits>-<16 digits>-<2 digits> */
#define TRACE_LEN 32

struct line {
  struct log_field fields[FIELDS_MOST + 1]; /* the last stays LOG_END */
  size_t count;
  char ns[64];
};

static void add_field(struct line *l, struct log_field field) {
  if (field.type == LOG_TEXT && field.text.len == 0) return; /* not known */
  BUG_ON(l->count == FIELDS_MOST);
  l->fields[l->count++] = field;
}

static void add_event(struct line *l, struct relay *r, const struct item *item) {
  item_namespace(r, item, l->ns);
  add_field(l, F_TEXT("namespace", l->ns));
  add_field(l, F_SPAN("name", item->name));
  add_field(l, F_SPAN("id", item->id));
  add_field(l, F_SPAN(store_traits(r->parts.store)->label, item->ref.label));
  if (item->routed)
    add_field(l, F_TEXT("topic", routing_topic_name(r->parts.routing, item->topic)));
  if (item->traceparent.len >= TRACE_AT + TRACE_LEN)
    add_field(l, F_SPAN("trace_id", ((struct span){item->traceparent.ptr + TRACE_AT, TRACE_LEN})));
}

static void add_failure(struct line *l, const struct item *item) {
  add_field(l, F_INT("attempt", item->attempts));
  add_field(l, F_TEXT("reason", reason_word((enum reason)item->reason)));
  if (item->error_code) add_field(l, F_INT("error_code", item->error_code));
  add_field(l, F_TEXT("error", item->error ? item->error : ""));
}

#define REUSED                                                                                     \
  "Its id was published with another name or payload: removed as a duplicate. Give each event an " \
  "id of its own"

void tell_reused_late(struct relay *r, const struct manifest_entry *e) {
  series_add(metrics_series(r->parts.metrics, METRIC_REUSED, "none", NULL), 1);
  log_write(r->parts.log, LOG_WARNING, "relay", "id_reused",
            FIELDS(F_SPAN("id", e->id), F_SPAN(store_traits(r->parts.store)->label, e->ref.label),
                   F_SPAN("twin", e->topic)),
            REUSED);
}

void tell_reused(struct relay *r, const struct item *item, const struct item *twin) {
  struct line l = {.count = 0};
  char place[300];
  add_event(&l, r, item);
  series_add(metrics_series(r->parts.metrics, METRIC_REUSED, l.ns, NULL), 1);
  snprintf(place, sizeof place, "%s/%d/%lld",
           twin->routed ? routing_topic_name(r->parts.routing, twin->topic) : "", twin->partition,
           (long long)twin->offset);
  add_field(&l, F_TEXT("twin", twin->outcome == OUTCOME_PUBLISHED ? place
                               : twin->error                      ? twin->error
                                                                  : ""));
  log_write(r->parts.log, LOG_WARNING, "relay", "id_reused", l.fields, REUSED);
}

static void tell_published(struct finishing *f, const struct item *item) {
  struct relay *r = f->relay;
  struct line l = {.count = 0};
  if (!log_enabled(r->parts.log, LOG_DEBUG)) return;
  add_event(&l, r, item);
  add_field(&l, F_INT("partition", item->partition));
  add_field(&l, F_INT("offset", item->offset));
  add_field(&l, F_INT("attempt", item->attempts));
  add_field(&l, F_FLOAT("duration_ms", (double)(f->settling_ns - item->handed_ns) / 1e6));
  log_write(r->parts.log, LOG_DEBUG, "relay", "event_published", l.fields, "Published");
}

void tell_item(struct finishing *f, const struct item *item, enum outcome fate, enum settled how) {
  struct relay *r = f->relay;
  struct line l = {.count = 0};
  if (fate == OUTCOME_PUBLISHED) tell_published(f, item);
  if (fate != OUTCOME_DEAD && fate != OUTCOME_RETRY && fate != OUTCOME_DUPLICATE) return;
  if (fate == OUTCOME_DEAD && how != SETTLED_GONE)
    return; /* taken by somebody else, or judged anew */
  add_event(&l, r, item);
  if (fate == OUTCOME_DUPLICATE) {
    add_field(&l, F_TEXT("twin", item->error ? item->error : ""));
    log_write(r->parts.log, LOG_INFO, "relay", "event_duplicate", l.fields,
              "Its id was published already; it is removed");
    return;
  }
  add_failure(&l, item);
  if (fate == OUTCOME_DEAD)
    log_write(r->parts.log, LOG_WARNING, "relay", "event_dead", l.fields, "Moved to %s. %s",
              store_dead_words(r->parts.store, &item->ref),
              reason_remedy((enum reason)item->reason));
  else
    log_write(r->parts.log, LOG_WARNING, "relay", "event_refused", l.fields,
              "Refused by the broker; tried again later");
}
