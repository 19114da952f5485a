/* Hands the prepared entries to Kafka, one by one in their order, and waits until nothing is in
 * flight. The publisher's thread.
 * A crash leaves the entries pending; Kafka may have some of them (at_least_once), or none
 * (exactly_once). */
#include "bridge/relay/publish/publish.h"

enum { HEADERS = 13 };

/* Those that it has, its own behind ours. Returns how many. */
static size_t put_headers(const struct relay *r, const struct item *item, char when[TIME_TEXT],
                          struct record_header headers[HEADERS + OWN_HEADERS_MAX]) {
  const struct span id = {(const char *)item->schema_id, sizeof item->schema_id};
  bool in_header = item->framing == FRAMING_CONFLUENT_HEADER;
  const struct record_header all[HEADERS] = {
      {"ce_specversion", SPAN("1.0")},
      {"ce_id", item->id},
      {"ce_type", item->name},
      {"ce_source", span_of(r->config.ce_source)},
      {"ce_time", span_of(time_format(item->created_us, when))},
      {"content-type", span_of(framing_content_type((enum framing)item->framing))},
      {"traceparent", item->traceparent},
      {"tracestate", item->tracestate},
      {"ce_subject", item->subject},
      {"ce_extra", item->carried},
      {"busbridge-envelope", item->rest},
      {"ce_dataschema", item->dataschema},
      {HEADER_SCHEMA_ID, in_header ? id : (struct span){0}},
  };
  size_t count = 6; /* these are always there */
  memcpy(headers, all, count * sizeof *all);
  for (size_t i = count; i < HEADERS; i++)
    if (all[i].value.len) headers[count++] = all[i];
  for (unsigned i = 0; i < item->own_count; i++)
    headers[count++] = (struct record_header){item->own[i].name, item->own[i].value};
  return count;
}

bool publish_item(struct publishing *p, struct item *item) {
  struct relay *r = p->relay;
  char when[TIME_TEXT];
  struct record_header headers[HEADERS + OWN_HEADERS_MAX];
  size_t header_count = put_headers(r, item, when, headers);
  struct record record = {.topic = item->topic,
                          .key = item->key,
                          .value = item->value,
                          .headers = headers,
                          .header_count = header_count,
                          .timestamp_ms = item->event_time ? item->created_us / 1000 : 0,
                          .opaque = item};
  struct delivery refused = {.text = ""};
  item->handed_ns = clock_mono_ns(r->parts.clock);
  crash_marks_take(r->parts.crash_marks, CRASH_PUBLISHER, item->ref.token);
  enum kafka_fault fault = publisher_send(p->publisher, &record, &refused);
  crash_marks_drop(r->parts.crash_marks, CRASH_PUBLISHER);
  if (fault == KAFKA_QUEUE_FULL) return false;
  if (fault == KAFKA_OK)
    doors_sent(p, item->topic);
  else
    judge_refused(p, item, &refused);
  return true;
}

struct item *next_item(struct publishing *p) {
  struct relay *r = p->relay;
  while (!p->current || p->position == p->current->count) {
    if (p->current) batch_drop(r, p->current, 1);
    p->position = 0;
    mutex_lock(&r->lock);
    p->current = r->ready_first;
    if (p->current) r->ready_first = p->current->next;
    if (!r->ready_first) r->ready_last = NULL;
    mutex_unlock(&r->lock);
    if (!p->current) return NULL;
  }
  return &p->current->items[p->position];
}

/* While the link is down one record at a time is the probe: librdkafka itself tries again until it
 * gets through. */
static bool may_send(const struct publishing *p) {
  return !p->link_down || publisher_in_flight(p->publisher) == 0;
}

void hand_over(struct publishing *p) {
  struct item *item;
  BUG_ON_RULE(L19, !p->ledger.started);
  p->queue_full = false;
  while ((item = next_item(p))) {
    if (item->outcome == OUTCOME_SEND) {
      if (!may_send(p)) return;
      if (small_groups_divert(p, item)) {
        p->position++;
        continue;
      }
      if (item->outcome == OUTCOME_HELD || !may_pass(p, item))
        item->outcome = OUTCOME_HELD;
      else if (!publish_item(p, item)) {
        p->queue_full = true;
        return;
      } else {
        p->position++;
        continue;
      }
    }
    p->position++;
    if (item->outcome == OUTCOME_WAITS) key_waits(p, item);
    if (item->outcome == OUTCOME_DEAD) holds_add(p->relay, item);
    if (item->outcome != OUTCOME_TWIN)
      chain_push(&p->done_first, &p->done_last, item); /* a twin goes with its head */
  }
}

void give_back_unsent(struct publishing *p) {
  for (struct item *item; (item = next_item(p)); p->position++) {
    if (item->outcome == OUTCOME_TWIN) continue;
    if (item->outcome == OUTCOME_SEND) item->outcome = OUTCOME_HELD;
    chain_push(&p->done_first, &p->done_last, item);
  }
  small_groups_give_back(p);
}

bool publish_wait(struct publishing *p) {
  while (publisher_in_flight(p->publisher)) {
    publisher_poll(p->publisher, 50);
    publish_status(p);
    if (relay_must_end(p->relay)) return false;
  }
  return true;
}
