/* Routes one event as the relay does, and tells which setting says each part of its way.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/topics/explain.h"

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/service/operations.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/plan/foresee.h"
#include "bridge/service/plan/framings.h"
#include "bridge/service/plan/key_rules.h"

enum { ASK_MS = 3000 };

struct way {
  struct plan plan;
  struct catalog *catalog;
  struct routing *routing;
  struct span name, payload;
  struct json_doc doc;
  struct arena arena;
  struct buffer entry;
  struct route route;
  struct route_reasons reasons;
  enum reason reason;
  bool routed;
  struct error why, kafka; /* kafka: why the partitions are not known */
  int partitions;          /* 0: not known */
};

static void release_way(struct way *w) {
  routing_close(w->routing);
  catalog_close(w->catalog);
  json_doc_release(&w->doc);
  arena_release(&w->arena);
  buffer_release(&w->entry);
  plan_release(&w->plan);
}

/* As far as it needs nobody else. Without a payload its name is all there is to judge. */
static enum reason follow_event(struct way *w) {
  struct event event;
  struct span payload = w->payload.len ? w->payload : SPAN("{}");
  if (json_scan(&w->doc, payload, &w->why) != ST_OK) return event_reason_of(w->doc.fault);
  event_write(SPAN("id"), w->name, span_trim(payload), TIME_NONE, SPAN("id"), &w->entry);
  if (json_scan(&w->doc, buffer_span(&w->entry), &w->why) != ST_OK)
    return event_reason_of(w->doc.fault);
  enum reason reason = event_parse(&w->doc, &w->arena, &event, &w->why);
  if (reason != REASON_NONE) return reason;
  if (w->payload.len)
    return foresee(&w->plan, w->routing, w->catalog, &w->doc, &event, &w->arena, &w->route,
                   &w->routed, &w->why);
  reason = routing_route(w->routing, &w->doc, &event, &w->arena, &w->route, &w->why);
  w->routed = reason == REASON_NONE;
  return reason;
}

static bool own_partitioner(const struct plan *plan) {
  for (size_t i = 0; i < plan->kafka.count; i++)
    if (strcmp(plan->kafka.pairs[i].key, "partitioner") == 0) return true;
  return false;
}

static void ask_kafka(struct way *w) {
  struct cluster *cluster = NULL;
  enum topic_state state = TOPIC_UNCLEAR;
  int count = 0;
  if (own_partitioner(&w->plan)) {
    error_set(&w->kafka, ST_UNSUPPORTED, "kafka.partitioner is set; only it knows the partition");
    return;
  }
  enum status st = cluster_open(&w->plan.kafka, NULL, &cluster, &w->kafka);
  if (st == ST_OK) st = cluster_reach(cluster, ASK_MS, &w->kafka);
  const char *topic = routing_topic_name(w->routing, w->route.topic);
  if (st == ST_OK) st = cluster_topic(cluster, topic, ASK_MS, &state, &count, &w->kafka);
  cluster_close(cluster);
  if (st == ST_OK && state == TOPIC_THERE) w->partitions = count;
  if (st == ST_OK && state != TOPIC_THERE)
    error_set(&w->kafka, ST_NOT_FOUND, "the topic is not there, or not to be seen");
}

/* ---- in JSON ---- */

static void write_key(const struct way *w, struct buffer *json, bool *first) {
  const struct key_rule *rule = &w->reasons.key;
  bool known = w->routed && (w->payload.len || !rule->fields || !*rule->fields);
  bool of_id = known && (w->route.keyless || !rule->fields || !*rule->fields);
  const char *by = rule->key                       ? rule->key
                   : rule->source == KEY_OF_SCHEMA ? "schema"
                   : rule->source == KEY_BUILT_IN  ? "built in"
                                                   : "";
  member_text_or_null(json, first, "key", known && !of_id ? w->route.key : (struct span){0});
  member_bool(json, first, "key_is_id", of_id);
  json_write_key(json, first, "key_fields");
  buffer_add_char(json, '[');
  for (const char *const *field = rule->fields; field && *field; field++) {
    if (field != rule->fields) buffer_add_z(json, ", ");
    json_write_string(json, span_of(*field));
  }
  buffer_add_char(json, ']');
  member_text_or_null(json, first, "key_by", span_of(by));
  struct buffer doubt = {0};
  key_rules_doubt_of(w->routing, w->catalog, w->reasons.name, w->reasons.ns, &doubt);
  member_text_or_null(json, first, "key_doubt", buffer_span(&doubt));
  json->failed |= doubt.failed;
  buffer_release(&doubt);
  if (known && !of_id && w->partitions)
    member_int(json, first, "partition", cluster_partition(w->route.key, w->partitions));
  else
    member_text_or_null(json, first, "partition", (struct span){0});
}

static void write_partitions(const struct way *w, struct buffer *json, bool *first) {
  if (w->partitions)
    member_int(json, first, "partitions", w->partitions);
  else
    member_text_or_null(json, first, "partitions", (struct span){0});
  member_text_or_null(json, first, "kafka", span_of(w->kafka.text));
}

static void write_headers(const struct way *w, struct buffer *json, bool *first) {
  json_write_key(json, first, "headers");
  buffer_add_char(json, '[');
  for (size_t i = 0; w->payload.len && i < w->route.header_count; i++) {
    bool inner = true;
    buffer_add_z(json, i ? ", {" : "{");
    member_text(json, &inner, "name", span_of(w->route.headers[i].name));
    member_text(json, &inner, "value", w->route.headers[i].value);
    buffer_add_char(json, '}');
  }
  buffer_add_char(json, ']');
  member_text_or_null(json, first, "headers_by", span_of(w->reasons.by[ROUTE_HEADERS]));
}

static void write_schema(const struct way *w, struct buffer *json, bool *first) {
  struct catalog_schema schema;
  struct span file = {0};
  enum framing framing = w->plan.catalog.framing;
  (void)plan_framing(&w->plan, w->routing, w->reasons.name, &framing, NULL);
  for (size_t i = 0; catalog_schema_at(w->catalog, i, &schema); i++)
    if (span_is(w->reasons.name, schema.event_name) ||
        (!file.len && !strcmp(schema.event_name, "envelope")))
      file = span_of(schema.file);
  member_text_or_null(json, first, "framing_by", span_of(w->reasons.by[ROUTE_FRAMING]));
  member_text_or_null(json, first, "schema", w->routed ? file : (struct span){0});
  member_text(json, first, "framing", span_of(framing_word(framing)));
  member_text(json, first, "content_type", span_of(framing_content_type(framing)));
}

static void write_way(const struct way *w, struct buffer *json) {
  bool first = true, dead = w->reason != REASON_NONE;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "name", w->name);
  member_text(json, &first, "event", w->reasons.name);
  member_text_or_null(json, &first, "namespace", w->reasons.ns);
  member_bool(json, &first, "published", !dead);
  member_text_or_null(json, &first, "reason", span_of(dead ? reason_word(w->reason) : ""));
  member_text_or_null(json, &first, "error", span_of(dead ? w->why.text : ""));
  member_text_or_null(json, &first, "remedy", span_of(dead ? reason_remedy(w->reason) : ""));
  const char *topic = w->routed ? routing_topic_name(w->routing, w->route.topic) : "";
  member_text_or_null(json, &first, "topic", span_of(topic));
  member_text_or_null(json, &first, "topic_by", span_of(w->reasons.by[ROUTE_TOPIC]));
  write_key(w, json, &first);
  write_partitions(w, json, &first);
  write_schema(w, json, &first);
  member_text(json, &first, "timestamp", span_of(w->route.event_time ? "event" : "publish"));
  member_text_or_null(json, &first, "timestamp_by", span_of(w->reasons.by[ROUTE_TIMESTAMP]));
  write_headers(w, json, &first);
  buffer_add_char(json, '}');
}

enum status route_explain(const struct settings *settings, struct span name, struct span payload,
                          bool *goes, struct buffer *json, struct error *err) {
  struct way w = {.name = name, .payload = payload};
  enum status st = plan_make(settings, &w.plan, err);
  if (st == ST_OK) st = plan_catalog(&w.plan, NULL, &w.catalog, err);
  if (st == ST_OK) st = plan_routing(&w.plan, w.catalog, &w.routing, err);
  if (st == ST_OK) {
    w.reason = follow_event(&w);
    routing_reasons(w.routing, name, &w.reasons);
    if (w.routed) ask_kafka(&w);
    *goes = w.reason == REASON_NONE;
    write_way(&w, json);
    st = w.reason == REASON_NO_MEMORY ? ST_NO_MEMORY : buffer_status(json, err);
  }
  release_way(&w);
  return st;
}
