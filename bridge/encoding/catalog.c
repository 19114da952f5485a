/* Opens the schemas, encodes and frames payloads.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/encoding/catalog_parts.h"
#include "bridge/encoding/types/quote.h"

#define COMPONENT "encoding"

/* Opening */

static enum status check_envelope(const struct event_schema *e, struct error *err) {
  static const char *const needed[] = {"id", "name", "created_at", "payload"};
  const size_t count = sizeof needed / sizeof *needed;
  const struct type *t = e->schema.root.type;
  for (size_t i = 0; i < count; i++) {
    uint32_t at = type_find(t, span_of(needed[i]), 0);
    const struct use *u = at == SCHEMA_NO_FIELD ? NULL : &t->fields[at].use;
    bool json = span_is(span_of("payload"), needed[i]);
    if (!u || u->null || u->type->kind != KIND_STRING || u->json != json)
      return error_set(err, ST_INVALID, "%s: line 1: the field \"%s\" must be a string%s", e->file,
                       needed[i], json ? " with \"json\": true" : "");
  }
  if (t->count != count)
    return error_set(err, ST_INVALID, "%s: line 1: it has the fields id, name, created_at, payload",
                     e->file);
  return ST_OK;
}

static enum status fill_catalog(struct catalog *c, const struct catalog_config *config,
                                struct error *err) {
  struct set *set = calloc(1, sizeof *set);
  if (!set) return error_set(err, ST_NO_MEMORY, "no memory for the catalog of schemas");
  atomic_store(&c->set, set);
  enum status st = event_schemas_read(config->folder, &set->schemas, err);
  if (st != ST_OK) return st;
  set->envelope = event_schemas_find(&set->schemas, SPAN(ENVELOPE));
  st = catalog_ids_open(set, config->places, err);
  return st == ST_OK ? check_envelope(set->envelope, err) : st;
}

enum status catalog_open(const struct catalog_config *config, struct log *log, struct catalog **out,
                         struct error *err) {
  struct catalog *c = calloc(1, sizeof *c);
  *out = NULL;
  if (!c) return error_set(err, ST_NO_MEMORY, "no memory for the catalog of schemas");
  c->framing = c->now = config->framing;
  left_out_init(&c->left, config->unknown_fields, log);
  c->refuse_names = config->refuse_names;
  c->log = log;
  enum status st = fill_catalog(c, config, err);
  if (st == ST_OK)
    *out = c;
  else
    catalog_close(c);
  return st;
}

void catalog_close(struct catalog *c) {
  if (!c) return;
  catalog_close(atomic_load(&c->next));
  for (struct set *set = set_of(c), *older; set; set = older) {
    older = set->older;
    event_schemas_release(&set->schemas);
    free(set->places);
    free(set);
  }
  catalog_foreign_release(c);
  encoder_release(&c->encoder);
  json_doc_release(&c->doc);
  table_release(&c->told);
  arena_release(&c->names);
  left_out_release(&c->left);
  free(c);
}

static struct set *last_set(struct set *set) {
  while (set->older) set = set->older;
  return set;
}

void catalog_replace(struct catalog *c, struct catalog *fresh) {
  struct catalog *before = atomic_load(&c->next);
  if (before) before = atomic_exchange(&c->next, NULL);
  if (before) { /* nobody took it over, but others may have pointers into it */
    last_set(set_of(fresh))->older = set_of(before);
    atomic_store(&before->set, NULL);
    catalog_close(before);
  }
  catalog_close(atomic_exchange(&c->next, fresh));
}

struct digest catalog_texts(const struct catalog *c) {
  return set_of(c)->schemas.texts;
}

/* Its events are encoded by other schemas from now on. */
static void nobody_waits(const struct set *set) {
  for (size_t i = 0; i < set->schemas.count; i++)
    atomic_store(&set->schemas.list[i].id.wanted, false);
  for (unsigned i = 0; i < set->place_count; i++) atomic_store(&set->places[i].wanted, false);
}

/* In the thread that uses it. Others may still look at the old set, and have texts of it: it stays
 * until the catalog is closed. */
static void adopt(struct catalog *c) {
  struct catalog *fresh = atomic_exchange(&c->next, NULL);
  if (!fresh) return;
  struct set *old = set_of(c), *set = set_of(fresh);
  for (size_t i = 0; i < set->schemas.count; i++) {
    struct event_schema *e = &set->schemas.list[i];
    const struct event_schema *before = NULL; /* it may have been away for a while */
    for (const struct set *s = old; s && !before; s = s->older)
      before = event_schemas_find(&s->schemas, span_of(e->event_name));
    if (before) left_out_go_on(&c->left, before, e);
  }
  last_set(set)->older = old;
  for (const struct set *s = set->older; s; s = s->older) nobody_waits(s);
  atomic_store(&fresh->set, NULL);
  atomic_store(&c->set, set);
  catalog_close(fresh);
}

/* Encoding */

static void put_head(const struct catalog *c, const struct event_schema *e, struct buffer *out) {
  unsigned char head[CATALOG_HEAD] = {0xC3, 0x01}, id[SCHEMA_ID_BYTES];
  if (c->now == FRAMING_CONFLUENT || c->now == FRAMING_CONFLUENT_JSON) {
    schema_id_write(c->id, id);
    buffer_append(out, id, sizeof id);
  }
  if (c->now != FRAMING_SINGLE_OBJECT) return;
  for (int i = 0; i < 8; i++) head[2 + i] = (unsigned char)(e->schema.fingerprint >> (8 * i));
  buffer_append(out, head, sizeof head);
}

static void put_member(struct buffer *out, const char *key, struct span text) {
  bool first = false;
  if (!text.len) return;
  json_write_key(out, &first, key);
  json_write_string(out, text);
}

/* A CloudEvent in structured mode. */
static void put_cloudevent(const struct catalog *c, const struct json_doc *doc,
                           const struct event *event, struct span name, int64_t created_us,
                           struct buffer *out) {
  char text[TIME_TEXT];
  bool first = false;
  buffer_add_z(out, "{\"specversion\": \"1.0\"");
  put_member(out, "id", event->id);
  put_member(out, "source", span_of(c->source));
  put_member(out, "type", name);
  put_member(out, "time", span_of(time_format(created_us, text)));
  put_member(out, "subject", event->subject);
  put_member(out, "traceparent", event->traceparent);
  put_member(out, "tracestate", event->tracestate);
  put_member(out, "datacontenttype", SPAN("application/json"));
  json_write_key(out, &first, "data");
  buffer_add(out, json_slice(doc, event->payload));
  buffer_add_char(out, '}');
}

static void put_json(const struct catalog *c, const struct json_doc *doc, const struct event *event,
                     struct span name, int64_t created_us, struct buffer *out) {
  if (c->now == FRAMING_CLOUDEVENTS)
    put_cloudevent(c, doc, event, name, created_us, out);
  else
    buffer_add(out, json_slice(doc, event->payload));
}

/* created_at as the producer wrote it, when it was a time (such a text has no escapes); else what
 * stands in for it. */
static void put_created(struct encoder *e, const struct event *event, int64_t created_us) {
  char text[TIME_TEXT];
  bool read = event->created_us != TIME_NONE && !event->lifted;
  uint32_t node = read ? json_member(e->doc, 0, "created_at") : JSON_NONE;
  bool written = node != JSON_NONE && e->doc->nodes[node].type == JSON_STRING;
  avro_put_string(e->out,
                  written ? json_raw(e->doc, node) : span_of(time_format(created_us, text)));
}

static void put_envelope(struct catalog *c, const struct event *event, struct span name,
                         int64_t created_us) {
  const struct type *t = set_of(c)->envelope->schema.root.type;
  struct encoder *e = &c->encoder;
  for (uint32_t i = 0; i < t->count; i++) {
    struct span field = t->fields[i].name;
    if (span_is(field, "id"))
      avro_put_string(e->out, event->id);
    else if (span_is(field, "name"))
      avro_put_string(e->out, name);
    else if (span_is(field, "created_at"))
      put_created(e, event, created_us);
    else
      avro_put_string(e->out, json_slice(e->doc, event->payload));
  }
}

/* The field and the type, never a value. */
static void log_note(struct catalog *c, const char *what, const struct event_schema *e,
                     struct span path, const char *words) {
  struct buffer shown = {0};
  text_quoted(&shown, path, 4 * QUOTE_CHARACTERS);
  log_write(c->log, LOG_WARNING, COMPONENT, what,
            FIELDS(F_TEXT("name", e->event_name), F_SPAN("field", buffer_span(&shown))), "%s",
            words);
  buffer_release(&shown);
}

/* Said once a type. */
static void note_cut(struct catalog *c, const struct event_schema *e) {
  struct buffer path = {0};
  json_path(c->encoder.doc, c->encoder.cut_node, &path);
  log_note(
      c, "number_cut", e, buffer_span(&path),
      "A number has more digits than a double keeps: the nearest double is published; send it as "
      "a string to keep all");
  buffer_release(&path);
}

static void count_losses(struct catalog *c, struct event_schema *e, uint32_t payload) {
  const struct encoder *now = &c->encoder;
  if (now->cut && !e->cut_numbers) note_cut(c, e);
  if (now->cut) e->cut_numbers += now->cut;
  if (!now->left_count) return;
  left_out_note(&c->left, e, &c->encoder, payload);
  e->left_out += now->left_count;
}

void catalog_way(struct catalog *c, const struct catalog_way *way) {
  const char *word = way->unknown_fields;
  c->left.policy = !word                     ? c->left.usual
                   : !strcmp(word, "refuse") ? UNKNOWN_REFUSE
                   : !strcmp(word, "drop")   ? UNKNOWN_DROP
                                             : UNKNOWN_CARRY;
  c->now = way->framing == FRAMING_AUTO ? c->framing : way->framing;
  c->place = way->place;
  c->trial = way->trial;
  c->source = way->source;
}

static void begin_value(struct encoder *e, const struct json_doc *doc, struct buffer *out,
                        const char *file, struct error *err) {
  e->doc = doc;
  e->out = out;
  e->err = err;
  e->file = file;
  e->cut = 0;
  e->used = 0;
}

/* The payload whole is what is published: that it can be encoded only shows that it is as the
 * schema says. */
static enum reason put_held(struct encoder *e, const struct event_schema *of, uint32_t payload) {
  size_t start = e->out->len;
  enum reason reason = of ? encode_use(e, &of->schema.root, payload) : REASON_NONE;
  e->out->len = start;
  e->left_count = e->cut = 0;
  if (reason == REASON_NONE) buffer_add(e->out, json_slice(e->doc, payload));
  return reason;
}

static enum reason put_value(struct catalog *c, const struct event_schema *of,
                             const struct event *event, struct span name, int64_t created_us) {
  struct encoder *e = &c->encoder;
  bool envelope = of == set_of(c)->envelope;
  if (framing_is_json(c->now)) return put_held(e, envelope ? NULL : of, event->payload);
  if (envelope) {
    put_envelope(c, event, name, created_us);
    return REASON_NONE;
  }
  enum reason reason = encode_use(e, &of->schema.root, event->payload);
  if (reason == REASON_NONE && e->left_count) reason = left_out_carry(&c->left, e, event->payload);
  return reason;
}

enum reason catalog_encode(struct catalog *c, const struct json_doc *doc, const struct event *event,
                           struct span canonical_name, int64_t created_us, struct buffer *out,
                           struct error *err) {
  BUG_ON(event->payload == JSON_NONE);
  if (atomic_load_explicit(&c->next, memory_order_relaxed)) adopt(c);
  buffer_clear(&c->left.carried);
  c->encoder.left_count = 0;
  c->encoded = NULL;
  c->written = NULL;
  c->waits = false;
  enum reason reason = c->refuse_names ? catalog_refuse_name(c, canonical_name, err) : REASON_NONE;
  if (reason != REASON_NONE) return reason;
  if (framing_is_json(c->now) && !framing_needs_id(c->now)) {
    put_json(c, doc, event, canonical_name, created_us, out);
    return REASON_NONE;
  }
  struct event_schema *of = catalog_event_schema(c, canonical_name);
  struct encoder *e = &c->encoder;
  size_t start = out->len;
  if (framing_needs_id(c->now) && !catalog_ids_take(c, of)) return REASON_NONE;
  bool named = of != set_of(c)->envelope;
  c->encoded = named || !framing_is_json(c->now) ? of : NULL;
  if (!named) catalog_tell_name(c, canonical_name);
  begin_value(e, doc, out, of->file, err);
  e->alone = event->payload == 0;
  e->strict = c->left.policy == UNKNOWN_REFUSE;
  put_head(c, of, out);
  reason = put_value(c, of, event, canonical_name, created_us);
  if (reason == REASON_NONE)
    count_losses(c, of, event->payload);
  else
    out->len = start, e->left_count = 0;
  return reason;
}

struct span catalog_carried(const struct catalog *c) {
  return buffer_span(&c->left.carried);
}

bool catalog_encoded(const struct catalog *c, uint64_t *fingerprint) {
  if (c->encoded) *fingerprint = c->encoded->schema.fingerprint;
  return c->encoded;
}

size_t catalog_unplaced(const struct catalog *c) {
  return c->encoder.left_count;
}
