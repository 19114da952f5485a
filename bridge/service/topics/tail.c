/* Opens a reader on the topics and writes each record as JSON, its value decoded, or as base64 with
 * the reason why not.
 * One thread; a crash leaves nothing. */
#include "bridge/service/topics/tail.h"

#include "bridge/base/text/escape.h"
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/topic_reader.h"
#include "bridge/service/operations.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/topics/newest.h"

enum { ASKED_MOST = 256, ASKED_AGAIN_MS = 30 * 1000 };

/* An id whose schema was asked for. What came of it is kept by the catalog where that was a schema;
 * it is only asked for again where it was none. */
struct asked {
  int64_t id, until_ms;
  struct error why;
};

struct tail {
  struct routing *routing;
  struct catalog *catalog;
  struct topic_reader *reader;
  struct registry *registry; /* NULL: none is named */
  const char **topics;       /* names that exist; owned is the array alone */
  size_t topic_count;
  struct asked *asked; /* ASKED_MOST of them */
  size_t asked_count;
  bool value_only;
  struct span key, id; /* of the records that are shown; ptr NULL: of any */
  struct newest
      *newest;   /* until all of them were given out; NULL: records are shown as they come */
  bool gathered; /* its last one was put in */
  struct buffer value;
};

/* ---- opening ---- */

/* The routing's topics that exist: a namespace nobody has used yet is not an error. */
static enum status default_topics(struct tail *t, const struct plan *plan, struct log *log,
                                  int timeout_ms, struct error *err) {
  struct cluster *cluster = NULL;
  enum status st = plan_routing(plan, t->catalog, &t->routing, err);
  if (st != ST_OK) return st;
  t->topics = calloc(routing_topics(t->routing) + 1, sizeof *t->topics);
  if (!t->topics) return error_set(err, ST_NO_MEMORY, "Out of memory");
  st = cluster_open(&plan->kafka, log, &cluster, err);
  for (unsigned i = 0; st == ST_OK && i < routing_topics(t->routing); i++) {
    enum topic_state state = TOPIC_UNCLEAR;
    st = cluster_topic(cluster, routing_topic_name(t->routing, i), timeout_ms, &state, NULL, err);
    if (st == ST_OK && state == TOPIC_THERE)
      t->topics[t->topic_count++] = routing_topic_name(t->routing, i);
  }
  cluster_close(cluster);
  if (st == ST_OK && t->topic_count == 0)
    return error_set(err, ST_NOT_FOUND,
                     "None of the topics of routing.namespaces exists yet in this cluster");
  return st;
}

static struct asked *find_asked(struct tail *t, int64_t id) {
  for (size_t i = 0; i < t->asked_count; i++)
    if (t->asked[i].id == id) return &t->asked[i];
  struct asked *fresh = &t->asked[t->asked_count % ASKED_MOST];
  if (t->asked_count == ASKED_MOST) /* the one that may be asked for again first */
    for (size_t i = 0; i < ASKED_MOST; i++)
      if (t->asked[i].until_ms < fresh->until_ms) fresh = &t->asked[i];
  if (t->asked_count < ASKED_MOST) t->asked_count++;
  *fresh = (struct asked){.id = id, .until_ms = INT64_MIN};
  return fresh;
}

/* Of an id that gave no schema the registry is asked again after a while only: there may be a
 * record of it every millisecond. */
static enum status resolve(void *ctx, int64_t id, struct buffer *text, struct error *err) {
  struct tail *t = ctx;
  struct registry_schema found;
  int64_t now_ms = clock_mono_ms(&clock_system);
  struct asked *asked = find_asked(t, id);
  if (now_ms < asked->until_ms) return error_set(err, asked->why.status, "%s", asked->why.text);
  asked->until_ms = now_ms + ASKED_AGAIN_MS;
  enum registry_said said = registry_by_id(t->registry, id, &found, &asked->why);
  if (said == REGISTRY_GIVEN) {
    error_set(&asked->why, ST_INVALID, "what the registry has under the id %lld is not a schema",
              (long long)id);
    buffer_add(text, found.text);
    return buffer_status(text, err);
  }
  enum status st = said == REGISTRY_NOWHERE ? ST_UNAVAILABLE : ST_NOT_FOUND;
  return error_set(err, asked->why.status = st, "%s", asked->why.text);
}

/* Whose schemas the ids of records name. */
static enum status open_registry(struct tail *t, const struct plan *plan, struct error *err) {
  if (!*plan->registry.urls) return ST_OK;
  t->asked = calloc(ASKED_MOST, sizeof *t->asked);
  if (!t->asked) return error_set(err, ST_NO_MEMORY, "Out of memory");
  enum status st = registry_open(&plan->registry, &t->registry, err);
  if (st == ST_OK) catalog_resolver(t->catalog, resolve, t);
  return st;
}

/* Each transaction takes an offset more: so far back lie so many records, of all that match as far
 * as there are any. */
static int64_t window(const struct tail_request *request) {
  if (request->key || request->id || request->last > INT64_MAX / 8) return INT64_MAX;
  return (int64_t)request->last * 4 + 100;
}

static enum status seek(struct tail *t, const struct tail_request *request, struct error *err) {
  uint64_t offsets;
  bool since = request->since_us != TIME_NONE;
  enum status st = ST_OK;
  if (request->partition >= 0)
    st = topic_reader_only(t->reader, request->partition, request->offset, err);
  if (st != ST_OK || (!since && !request->last)) return st;
  if (since)
    st = topic_reader_seek_back(t->reader, request->since_us / 1000, 0, request->timeout_ms,
                                &offsets, err);
  else
    topic_reader_last(t->reader, window(request));
  if (st != ST_OK || !request->last) return st;
  t->newest = newest_open(request->last);
  return t->newest ? ST_OK : error_set(err, ST_NO_MEMORY, "Out of memory");
}

static enum status open_reader(struct tail *t, const struct plan *plan, struct log *log,
                               const struct tail_request *request, struct error *err) {
  enum status st = plan_catalog(plan, log, &t->catalog, err);
  if (st == ST_OK) st = open_registry(t, plan, err);
  if (st == ST_OK && request->count == 0)
    st = default_topics(t, plan, log, request->timeout_ms, err);
  if (st != ST_OK) return st;
  const char *const *topics = request->count ? request->topics : t->topics;
  size_t count = request->count ? request->count : t->topic_count;
  st = topic_reader_open(&plan->kafka, log, topics, count, false, request->timeout_ms, &t->reader,
                         err);
  if (st == ST_OK) return seek(t, request, err);
  if (st != ST_NOT_FOUND) return st;
  struct error why = {0};
  if (err) why = *err;
  return error_set(err, st, "%s; what is missing, and how to make it, tells: busbridge doctor",
                   why.text);
}

static enum status open_parts(struct tail *t, const struct settings *settings, struct log *log,
                              const struct tail_request *request, struct error *err) {
  struct plan plan;
  enum status st = plan_make(settings, &plan, err);
  if (st == ST_OK) st = kafka_config_check(&plan.kafka, NULL, err);
  if (st == ST_OK) st = open_reader(t, &plan, log, request, err);
  plan_release(&plan); /* librdkafka has its own */
  return st;
}

enum status tail_open(const struct settings *settings, struct log *log,
                      const struct tail_request *request, struct tail **out, struct error *err) {
  struct tail *t = calloc(1, sizeof *t);
  if (!t) return error_set(err, ST_NO_MEMORY, "Out of memory");
  t->value_only = request->value_only;
  t->key = request->key ? span_of(request->key) : (struct span){0};
  t->id = request->id ? span_of(request->id) : (struct span){0};
  enum status st = open_parts(t, settings, log, request, err);
  if (st != ST_OK) {
    tail_close(t);
    return st;
  }
  *out = t;
  return ST_OK;
}

void tail_close(struct tail *t) {
  if (!t) return;
  topic_reader_close(t->reader);
  registry_close(t->registry);
  catalog_close(t->catalog);
  routing_close(t->routing);
  newest_close(t->newest);
  buffer_release(&t->value);
  free(t->topics);
  free(t->asked);
  free(t);
}

/* ---- one record ---- */

static void write_bytes(struct buffer *json, struct span bytes) {
  if (!bytes.ptr) {
    buffer_add_z(json, "null");
  } else if (span_utf8_prefix(bytes) == bytes.len) {
    json_write_string(json, bytes);
  } else {
    buffer_add_z(json, "{\"base64\": \"");
    base64_write(json, bytes);
    buffer_add_z(json, "\"}");
  }
}

static struct span header(const struct message *m, const char *name) {
  for (size_t i = 0; i < m->header_count; i++)
    if (strcmp(m->headers[i].name, name) == 0) return m->headers[i].value;
  return (struct span){0};
}

static void write_headers(const struct message *m, struct buffer *json, bool *first) {
  bool inner = true;
  json_write_key(json, first, "headers");
  buffer_add_char(json, '{');
  for (size_t i = 0; i < m->header_count; i++) {
    /* Foreign producers may write any bytes as a name: through the escaping writer. */
    if (!inner) buffer_add_z(json, ", ");
    inner = false;
    json_write_string(json, span_of(m->headers[i].name));
    buffer_add_z(json, ": ");
    write_bytes(json, m->headers[i].value);
  }
  buffer_add_char(json, '}');
}

static void write_record(const struct message *m, struct buffer *json, bool *first) {
  char time[TIME_TEXT];
  member_text(json, first, "topic", span_of(m->topic));
  member_int(json, first, "partition", m->partition);
  member_int(json, first, "offset", m->offset);
  member_text_or_null(json, first, "timestamp",
                      m->timestamp_ms > 0 ? span_of(time_format(m->timestamp_ms * 1000, time))
                                          : (struct span){0});
  json_write_key(json, first, "key");
  write_bytes(json, m->key);
  write_headers(m, json, first);
}

/* What rides in the header ce_extra, where it was in the payload. What cannot be put back is in the
 * header still. */
static enum status put_back(struct tail *t, const struct message *m) {
  struct span extra = header(m, "ce_extra");
  struct buffer whole = {0};
  size_t left;
  if (!extra.ptr || !m->value.ptr) return ST_OK;
  enum status st = catalog_put_back(buffer_span(&t->value), extra, &whole, &left, NULL);
  if (st == ST_OK) {
    buffer_clear(&t->value);
    buffer_add(&t->value, buffer_span(&whole));
  }
  buffer_release(&whole);
  return st == ST_NO_MEMORY ? st : ST_OK;
}

static void write_value(struct tail *t, const struct message *m, bool decoded,
                        const struct error *why, struct buffer *json, bool *first) {
  if (decoded) {
    json_write_key(json, first, "value");
    buffer_add(json, buffer_span(&t->value));
    return;
  }
  json_write_key(json, first, "value_base64");
  buffer_add_char(json, '"');
  base64_write(json, m->value);
  buffer_add_char(json, '"');
  member_text(json, first, "error", span_of(why->text));
}

/* An id in a header is read as if it stood in front of the value. */
static enum status decode(struct tail *t, const struct message *m, struct error *why) {
  struct span id = header(m, HEADER_SCHEMA_ID), type = header(m, "content-type");
  struct buffer framed = {0};
  if (t->registry && id.len == SCHEMA_ID_BYTES) {
    buffer_add(&framed, id);
    buffer_add(&framed, m->value);
    type = span_of(framing_content_type(FRAMING_CONFLUENT));
  }
  struct span value = framed.len ? buffer_span(&framed) : m->value;
  enum status st =
      framed.failed ? ST_NO_MEMORY
                    : catalog_decode(t->catalog, value, type, header(m, "ce_type"), &t->value, why);
  buffer_release(&framed);
  return st;
}

static enum status write_message(struct tail *t, const struct message *m, struct buffer *json,
                                 bool *damaged, struct error *err) {
  bool first = true;
  struct error why = {0};
  buffer_clear(&t->value);
  enum status st = ST_OK;
  if (!m->value.ptr) { /* a tombstone */
    buffer_add_z(&t->value, "null");
  } else {
    st = decode(t, m, &why);
    if (st == ST_OK) st = put_back(t, m);
  }
  if (st == ST_NO_MEMORY) return error_set(err, ST_NO_MEMORY, "Out of memory");
  if (st != ST_OK) *damaged = true;
  if (t->value_only) {
    if (st == ST_OK) {
      buffer_add(json, buffer_span(&t->value));
    } else {
      base64_write(json, m->value);
    }
    return buffer_status(json, err);
  }
  buffer_add_char(json, '{');
  write_record(m, json, &first);
  write_value(t, m, st == ST_OK, &why, json, &first);
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}

static bool is_asked_for(const struct tail *t, const struct message *m) {
  if (t->key.ptr && !span_eq(t->key, m->key)) return false;
  struct span id = t->id.ptr ? header(m, "ce_id") : (struct span){0};
  return !t->id.ptr ||
         (id.len >= t->id.len && t->id.len && memcmp(id.ptr, t->id.ptr, t->id.len) == 0);
}

static enum status gather(struct tail *t, const struct message *m, struct error *err) {
  struct buffer text = {0};
  bool damaged = false;
  enum status st = write_message(t, m, &text, &damaged, err);
  if (st == ST_OK) st = newest_put(t->newest, m, buffer_span(&text), damaged, err);
  buffer_release(&text);
  return st;
}

/* ST_END: all of them are out. */
static enum status give_newest(struct tail *t, struct buffer *json, bool *damaged,
                               struct error *err) {
  struct span text;
  bool this_one = false;
  if (!newest_take(t->newest, &text, &this_one)) {
    newest_close(t->newest);
    t->newest = NULL;
    return ST_END;
  }
  *damaged = *damaged || this_one;
  buffer_add(json, text);
  return buffer_status(json, err);
}

enum status tail_next(struct tail *t, int timeout_ms, struct buffer *json, bool *damaged,
                      struct error *err) {
  struct message message;
  if (t->gathered && t->newest) return give_newest(t, json, damaged, err);
  enum status st = topic_reader_next(t->reader, timeout_ms, &message, err);
  if (st == ST_END && t->newest) {
    t->gathered = true;
    return give_newest(t, json, damaged, err);
  }
  if (st != ST_OK || !is_asked_for(t, &message)) return st;
  return t->newest ? gather(t, &message, err) : write_message(t, &message, json, damaged, err);
}
