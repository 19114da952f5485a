/* Namespaces and their topics: what Kafka says of them, and whether their doors are open.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/operations.h"

enum { ASK_MS = 3000, FRESH_MS = 5000 };

struct topics_asked {
  int64_t at_ms;    /* monotonic; 0: never */
  struct error why; /* nobody answered: text is not empty */
  struct {
    bool known;
    enum topic_state state;
    int partitions;
  } topics[]; /* by routing's numbers */
};

/* ---- asking ---- */

static enum status ask_kafka(struct service *s, struct topics_asked *t) {
  struct cluster *cluster = NULL;
  int64_t until = clock_mono_ms(s->clock) + ASK_MS;
  enum status st = cluster_open(&s->plan.kafka, s->log, &cluster, &t->why);
  if (st == ST_OK) st = cluster_reach(cluster, ASK_MS, &t->why);
  for (unsigned i = 0; i < routing_topics(s->routing); i++) {
    int64_t left = until - clock_mono_ms(s->clock);
    if (st == ST_OK && left <= 0)
      st = error_set(&t->why, ST_UNAVAILABLE, "Kafka answers too slowly");
    if (st == ST_OK)
      st = cluster_topic(cluster, routing_topic_name(s->routing, i), (int)left, &t->topics[i].state,
                         &t->topics[i].partitions, &t->why);
    t->topics[i].known = st == ST_OK;
  }
  cluster_close(cluster);
  t->at_ms = clock_mono_ms(s->clock);
  return st;
}

/* topics_lock held: whoever comes meanwhile waits for the same answer. */
static enum status look_at_topics(struct service *s, struct error *err) {
  size_t size = sizeof *s->topics + routing_topics(s->routing) * sizeof s->topics->topics[0];
  if (s->topics && clock_mono_ms(s->clock) - s->topics->at_ms < FRESH_MS) return ST_OK;
  struct topics_asked *fresh = calloc(1, size);
  if (!fresh) return error_set(err, ST_NO_MEMORY, "Out of memory");
  if (ask_kafka(s, fresh) == ST_OK) fresh->why = (struct error){0};
  free(s->topics);
  s->topics = fresh;
  return ST_OK;
}

void service_topics_release(struct service *s) {
  free(s->topics);
  s->topics = NULL;
}

/* ---- telling ---- */

static const struct breaker_view *door_of(const struct relay_status *status, const char *topic) {
  for (size_t i = 0; status && i < status->breaker_count; i++)
    if (!strcmp(status->breakers[i].target, topic)) return &status->breakers[i];
  return NULL;
}

static void write_remedy(struct service *s, const char *topic, enum topic_state state,
                         const struct breaker_view *door, struct buffer *json, bool *first) {
  struct buffer text = {0};
  if (door) {
    buffer_add_z(&text, door->remedy);
  } else if (state == TOPIC_MISSING) {
    buffer_add_z(&text, "Create it: ");
    cluster_create_hint(&s->plan.kafka, topic, &text);
  } else if (state == TOPIC_FORBIDDEN) {
    buffer_printf(&text, "Allow this client to Write and Describe the topic %s", topic);
  }
  member_text_or_null(json, first, "remedy", buffer_span(&text));
  json->failed = json->failed || text.failed;
  buffer_release(&text);
}

static void write_topic(struct service *s, const struct topic_use *use,
                        const struct relay_status *status, struct buffer *json) {
  static const char *const doors[] = {"closed", "open", "probing"}, *const states[] = {
                                                                        "there", "missing",
                                                                        "forbidden", "unknown"};
  unsigned topic = use->topic;
  const char *name = routing_topic_name(s->routing, topic);
  const struct breaker_view *door = door_of(status, name);
  bool first = true, known = s->topics->topics[topic].known;
  enum topic_state state = known ? s->topics->topics[topic].state : TOPIC_UNCLEAR;
  buffer_add_char(json, '{');
  member_text(json, &first, "namespace", use->ns);
  member_text_or_null(json, &first, "event",
                      span_eq(use->ns, use->pattern) ? (struct span){0} : use->pattern);
  member_text(json, &first, "topic", span_of(name));
  member_text(json, &first, "state", span_of(states[state]));
  if (state == TOPIC_THERE) {
    member_int(json, &first, "partitions", s->topics->topics[topic].partitions);
  } else {
    member_text_or_null(json, &first, "partitions", (struct span){0});
  }
  member_text_or_null(json, &first, "breaker",
                      span_of(!status ? "" : doors[door ? door->state : BREAKER_CLOSED]));
  member_text_or_null(json, &first, "reason", span_of(door ? door->reason : ""));
  write_remedy(s, name, state, door, json, &first);
  buffer_add_char(json, '}');
}

static void write_topics(struct service *s, const struct relay_status *status,
                         struct buffer *json) {
  struct topic_use use;
  bool first = true;
  const char *why = s->topics->why.text;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "kafka", span_of(*why ? "away" : "up"));
  member_text_or_null(json, &first, "error", span_of(why));
  json_write_key(json, &first, "topics");
  buffer_add_char(json, '[');
  for (size_t i = 0; routing_topic_use(s->routing, i, &use); i++) {
    if (i) buffer_add_z(json, ", ");
    write_topic(s, &use, status, json);
  }
  buffer_add_z(json, "]}");
}

enum status service_topics(struct service *s, struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "topics");
  struct relay_status *status = s->relay ? malloc(sizeof *status) : NULL;
  if (s->relay && !status) return operation_end(&o, error_set(err, ST_NO_MEMORY, "Out of memory"));
  if (status) relay_status(s->relay, status);
  mutex_lock(&s->topics_lock);
  enum status st = look_at_topics(s, err);
  if (st == ST_OK) write_topics(s, status, json);
  mutex_unlock(&s->topics_lock);
  free(status);
  return operation_end(&o, st == ST_OK ? buffer_status(json, err) : st);
}
