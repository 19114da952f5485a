/* Counts entries by topic and by reason, and keeps the first ids as samples.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/health/breakdown.h"

enum status breakdown_open(const struct plan *plan, const struct routing *routing,
                           struct catalog *catalog, struct breakdown **out, struct error *err) {
  struct breakdown *t = calloc(1, sizeof *t);
  if (!t) return error_set(err, ST_NO_MEMORY, "out of memory");
  t->plan = plan;
  t->routing = routing;
  t->catalog = catalog;
  enum status st = json_scan(&t->nothing, SPAN("{}"), err);
  if (st == ST_OK)
    *out = t;
  else
    breakdown_close(t);
  return st;
}

void breakdown_close(struct breakdown *t) {
  if (!t) return;
  json_doc_release(&t->nothing);
  arena_release(&t->arena);
  arena_release(&t->scratch);
  buffer_release(&t->samples);
  free(t);
}

static void add_row(struct breakdown *t, struct breakdown_row *list, size_t *count,
                    struct span word) {
  word = word.len > 60 ? (struct span){word.ptr, 60} : word;
  for (size_t i = 0; i < *count; i++)
    if (span_is(word, list[i].word)) {
      list[i].count++;
      return;
    }
  char *copy = *count < BREAKDOWN_KINDS ? arena_copy(&t->arena, word) : NULL;
  if (copy) list[(*count)++] = (struct breakdown_row){copy, 1};
}

/* REASON_NONE: it has a topic, which is counted. */
static enum reason add_topic(struct breakdown *t, const struct entry_info *info) {
  struct event event = {.id = info->id, .name = info->name, .payload = 0, .status = EVENT_PENDING};
  struct route route = {0};
  enum reason reason = routing_route(t->routing, &t->nothing, &event, &t->scratch, &route, NULL);
  if (reason == REASON_NONE)
    add_row(t, t->topics, &t->topic_count, span_of(routing_topic_name(t->routing, route.topic)));
  arena_reset(&t->scratch);
  return reason;
}

/* Its topic is counted where it would be published. */
static enum reason foresee_entry(struct breakdown *t, const struct entry_info *info) {
  struct route route = {0};
  bool topic_known = false;
  enum reason reason = foresee(t->plan, t->routing, t->catalog, info->doc, info->event, &t->scratch,
                               &route, &topic_known, NULL);
  if (reason == REASON_NONE)
    add_row(t, t->topics, &t->topic_count, span_of(routing_topic_name(t->routing, route.topic)));
  arena_reset(&t->scratch);
  return reason;
}

static void count_entry(struct breakdown *t, const struct entry_info *info) {
  if (++t->count > BREAKDOWN_SAMPLES) return;
  if (t->samples.len) buffer_add_z(&t->samples, ", ");
  json_write_string(&t->samples, info->id);
}

void breakdown_pending(struct breakdown *t, const struct entry_info *info) {
  count_entry(t, info);
  if (!info->name.len) {
    if (info->reason.len) add_row(t, t->reasons, &t->reason_count, info->reason);
    return;
  }
  enum reason reason = t->catalog && info->event ? foresee_entry(t, info) : add_topic(t, info);
  if (reason != REASON_NONE && reason != REASON_NO_MEMORY)
    add_row(t, t->reasons, &t->reason_count, span_of(reason_word(reason)));
}

void breakdown_dead(struct breakdown *t, const struct entry_info *info) {
  count_entry(t, info);
  if (info->name.len) (void)add_topic(t, info);
  add_row(t, t->reasons, &t->reason_count, info->reason.len ? info->reason : SPAN("unknown"));
}

static void write_list(struct buffer *json, bool *first, const char *key,
                       const struct breakdown_row *list, size_t n) {
  bool inner = true;
  json_write_key(json, first, key);
  buffer_add_char(json, '{');
  for (size_t i = 0; i < n; i++) member_int(json, &inner, list[i].word, (int64_t)list[i].count);
  buffer_add_char(json, '}');
}

void breakdown_write_reasons(const struct breakdown *t, const char *key, struct buffer *json,
                             bool *first) {
  write_list(json, first, key, t->reasons, t->reason_count);
}

void breakdown_write(const struct breakdown *t, struct buffer *json, bool *first) {
  write_list(json, first, "topics", t->topics, t->topic_count);
  write_list(json, first, "reasons", t->reasons, t->reason_count);
  json_write_key(json, first, "samples");
  buffer_add_char(json, '[');
  buffer_add(json, buffer_span(&t->samples));
  buffer_add_char(json, ']');
  json->failed = json->failed || t->samples.failed;
}
