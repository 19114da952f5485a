/* Opens the schemas, encodes and frames payloads, and decodes values: by content type, by
 * fingerprint, else by their first bytes. */
#include "bridge/encoding/catalog.h"

#include "bridge/base/table.h"
#include "bridge/base/words.h"
#include "bridge/encoding/decode.h"
#include "bridge/encoding/encode.h"
#include "bridge/encoding/inline.h"
#include "bridge/encoding/left_out.h"
#include "bridge/encoding/quote.h"

#include <stdatomic.h>
#include <strings.h>

#define COMPONENT "encoding"
#define NEEDS_REGISTRY                                                                             \
  "Confluent framing needs a schema registry (registry.url), which a later release brings"
#define TYPE_AVRO "application/avro"
#define TYPE_CONFLUENT "application/vnd.confluent.avro"
#define TYPE_JSON "application/json"

#define TOLD_MAX 100 /* names come from outside */

enum { HEAD = 10 }; /* of single-object framing: C3 01 and the fingerprint */

struct set { /* what was read at once */
  struct entries entries;
  struct entry *envelope;
  struct set *older;
};

struct catalog {
  enum framing framing;
  bool refuse_names;
  struct log *log;
  struct table told; /* names without a schema that were logged */
  struct arena names;
  struct left_out left;
  _Atomic(struct set *) set;
  struct encoder encoder;         /* its memory is kept between calls */
  struct json_doc doc;            /* of JSON texts inside Avro */
  _Atomic(struct catalog *) next; /* what catalog_replace gave */
};

static struct set *set_of(const struct catalog *c) {
  return atomic_load(&c->set);
}

/* Opening */

static enum status check_envelope(const struct entry *e, struct error *err) {
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

static enum status fill(struct catalog *c, const struct catalog_config *config, struct error *err) {
  if (config->framing == FRAMING_CONFLUENT)
    return error_set(err, ST_UNSUPPORTED, "encoding.framing=confluent: " NEEDS_REGISTRY);
  struct set *set = calloc(1, sizeof *set);
  if (!set) return error_set(err, ST_NO_MEMORY, "no memory for the catalog of schemas");
  atomic_store(&c->set, set);
  enum status st = entries_read(config->folder, &set->entries, err);
  if (st != ST_OK) return st;
  set->envelope = entries_find(&set->entries, SPAN(ENVELOPE));
  return check_envelope(set->envelope, err);
}

enum status catalog_open(const struct catalog_config *config, struct log *log, struct catalog **out,
                         struct error *err) {
  struct catalog *c = calloc(1, sizeof *c);
  *out = NULL;
  if (!c) return error_set(err, ST_NO_MEMORY, "no memory for the catalog of schemas");
  c->framing = config->framing;
  left_out_init(&c->left, config->unknown_fields, log);
  c->refuse_names = config->refuse_names;
  c->log = log;
  enum status st = fill(c, config, err);
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
    entries_release(&set->entries);
    free(set);
  }
  encoder_release(&c->encoder);
  json_doc_release(&c->doc);
  table_release(&c->told);
  arena_release(&c->names);
  left_out_release(&c->left);
  free(c);
}

void catalog_replace(struct catalog *c, struct catalog *fresh) {
  catalog_close(atomic_exchange(&c->next, fresh));
}

struct digest catalog_texts(const struct catalog *c) {
  return set_of(c)->entries.texts;
}

/* In the thread that uses it. Others may still look at the old set, and have texts of it: it stays
 * until the catalog is closed. */
static void adopt(struct catalog *c) {
  struct catalog *fresh = atomic_exchange(&c->next, NULL);
  if (!fresh) return;
  struct set *old = set_of(c), *set = set_of(fresh);
  for (size_t i = 0; i < set->entries.count; i++) {
    struct entry *e = &set->entries.list[i];
    const struct entry *before = entries_find(&old->entries, span_of(e->event_name));
    if (before) left_out_go_on(&c->left, before, e);
  }
  set->older = old;
  atomic_store(&fresh->set, NULL);
  atomic_store(&c->set, set);
  catalog_close(fresh);
}

/* Encoding */

static struct entry *entry_for(const struct catalog *c, struct span event_name) {
  struct entry *e = entries_find(&set_of(c)->entries, event_name);
  return e ? e : set_of(c)->envelope;
}

static void put_head(const struct catalog *c, const struct entry *e, struct buffer *out) {
  unsigned char head[HEAD] = {0xC3, 0x01};
  if (c->framing != FRAMING_SINGLE_OBJECT) return;
  for (int i = 0; i < 8; i++) head[2 + i] = (unsigned char)(e->schema.fingerprint >> (8 * i));
  buffer_append(out, head, sizeof head);
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
static void note(struct catalog *c, const char *what, const struct entry *e, struct span path,
                 const char *words) {
  struct buffer shown = {0};
  text_quoted(&shown, path, 4 * QUOTE_CHARACTERS);
  log_write(c->log, LOG_WARNING, COMPONENT, what,
            FIELDS(F_TEXT("name", e->event_name), F_SPAN("field", buffer_span(&shown))), "%s",
            words);
  buffer_release(&shown);
}

/* Said once a type. */
static void note_cut(struct catalog *c, const struct entry *e) {
  struct buffer path = {0};
  json_path(c->encoder.doc, c->encoder.cut_node, &path);
  note(
      c, "number_cut", e, buffer_span(&path),
      "A number has more digits than a double keeps: the nearest double is published; send it as a string to keep all");
  buffer_release(&path);
}

static void count_losses(struct catalog *c, struct entry *e, uint32_t payload) {
  const struct encoder *now = &c->encoder;
  if (now->cut && !e->cut_numbers) note_cut(c, e);
  if (now->cut) e->cut_numbers += now->cut;
  if (!now->left_count) return;
  left_out_note(&c->left, e, &c->encoder, payload);
  e->left_out += now->left_count;
}

/* Names without a schema */

const char *catalog_near(const struct catalog *c, struct span event_name) {
  char typed[EVENT_NAME_MAX + 1];
  const struct entries *all = &set_of(c)->entries; /* once: another may be taken over meanwhile */
  const char **names = calloc(all->count + 1, sizeof *names);
  if (!names) return NULL;
  for (size_t i = 0; i < all->count; i++) names[i] = all->list[i].event_name;
  snprintf(typed, sizeof typed, "%.*s", SPAN_ARGS(text_cut(event_name, sizeof typed - 1)));
  const char *near = word_nearest(typed, names, all->count);
  free(names);
  return near;
}

/* The first entry that is not before "namespace." tells. */
static bool namespace_has_some(const struct catalog *c, struct span event_name) {
  const char *dot = event_name.len ? memchr(event_name.ptr, '.', event_name.len) : NULL;
  if (!dot) return false;
  struct span head = {event_name.ptr, (size_t)(dot - event_name.ptr) + 1};
  const struct entries *all = &set_of(c)->entries;
  size_t low = 0, high = all->count;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (span_cmp(span_of(all->list[mid].event_name), head) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low < all->count && strncmp(all->list[low].event_name, head.ptr, head.len) == 0;
}

bool catalog_unknown(const struct catalog *c, struct span event_name, const char **near) {
  *near = NULL;
  if (entries_find(&set_of(c)->entries, event_name) || !namespace_has_some(c, event_name))
    return false;
  *near = catalog_near(c, event_name);
  return true;
}

static enum reason refuse_name(const struct catalog *c, struct span name, struct error *err) {
  const char *near;
  if (!catalog_unknown(c, name, &near)) return REASON_NONE;
  error_set(
      err, ST_INVALID,
      "name %.*s has no schema, though its namespace has some, and encoding.unknown_names is refuse%s%s%s",
      SPAN_ARGS(name), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  return REASON_UNKNOWN_EVENT;
}

/* Once a name. */
static void tell_name(struct catalog *c, struct span name) {
  const char *near;
  if (!c->log || table_get(&c->told, name) || c->told.count >= TOLD_MAX ||
      !catalog_unknown(c, name, &near))
    return;
  struct span kept = arena_span(&c->names, name);
  if (!kept.ptr || table_put(&c->told, kept, c) != ST_OK) return;
  log_write(c->log, near ? LOG_WARNING : LOG_INFO, COMPONENT, "name_unknown",
            FIELDS(F_SPAN("name", name)),
            "%.*s has no schema, though its namespace has some: it goes in the envelope%s%s%s",
            SPAN_ARGS(name), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

void catalog_unknown_fields(struct catalog *c, const char *word) {
  c->left.policy = !word                     ? c->left.usual
                   : !strcmp(word, "refuse") ? UNKNOWN_REFUSE
                   : !strcmp(word, "drop")   ? UNKNOWN_DROP
                                             : UNKNOWN_CARRY;
}

enum reason catalog_encode(struct catalog *c, const struct json_doc *doc, const struct event *event,
                           struct span canonical_name, int64_t created_us, struct buffer *out,
                           struct error *err) {
  BUG_ON(event->payload == JSON_NONE);
  if (atomic_load_explicit(&c->next, memory_order_relaxed)) adopt(c);
  buffer_clear(&c->left.carried);
  c->encoder.left_count = 0;
  enum reason reason = c->refuse_names ? refuse_name(c, canonical_name, err) : REASON_NONE;
  if (reason != REASON_NONE) return reason;
  if (c->framing == FRAMING_JSON) {
    buffer_add(out, json_slice(doc, event->payload));
    return REASON_NONE;
  }
  struct entry *entry = entry_for(c, canonical_name);
  struct encoder *e = &c->encoder;
  size_t start = out->len;
  if (entry == set_of(c)->envelope) tell_name(c, canonical_name);
  e->doc = doc;
  e->out = out;
  e->err = err;
  e->file = entry->file;
  e->strict = c->left.policy == UNKNOWN_REFUSE;
  e->cut = 0;
  e->used = 0;
  put_head(c, entry, out);
  if (entry == set_of(c)->envelope)
    put_envelope(c, event, canonical_name, created_us);
  else
    reason = encode_use(e, &entry->schema.root, event->payload);
  if (reason == REASON_NONE && e->left_count) reason = left_out_carry(&c->left, e, event->payload);
  if (reason == REASON_NONE)
    count_losses(c, entry, event->payload);
  else
    out->len = start, e->left_count = 0;
  return reason;
}

struct span catalog_carried(const struct catalog *c) {
  return buffer_span(&c->left.carried);
}

size_t catalog_unplaced(const struct catalog *c) {
  return c->encoder.left_count;
}

const char *catalog_content_type(const struct catalog *c) {
  return c->framing == FRAMING_JSON ? TYPE_JSON : TYPE_AVRO;
}

/* Decoding */

enum wire { WIRE_UNKNOWN, WIRE_JSON, WIRE_AVRO, WIRE_CONFLUENT };

static enum wire wire_of(struct span content_type) {
  static const struct {
    const char *name;
    enum wire wire;
  } table[] = {{TYPE_JSON, WIRE_JSON}, {TYPE_AVRO, WIRE_AVRO}, {TYPE_CONFLUENT, WIRE_CONFLUENT}};
  const char *end = content_type.len ? memchr(content_type.ptr, ';', content_type.len) : NULL;
  if (end) content_type.len = (size_t)(end - content_type.ptr);
  content_type = span_trim(content_type);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (content_type.len == strlen(table[i].name) &&
        strncasecmp(content_type.ptr, table[i].name, content_type.len) == 0)
      return table[i].wire;
  return WIRE_UNKNOWN;
}

static bool begins(struct span value, const char *bytes, size_t len) {
  return value.len >= len && memcmp(value.ptr, bytes, len) == 0;
}

/* A schema that values may be of, today's or an older one. */
struct writer {
  const struct schema *schema; /* NULL: none */
  const char *file;
  bool envelope;
};

static struct writer writer_of(const struct catalog *c, struct span event_name) {
  const struct entry *e = entry_for(c, event_name);
  return (struct writer){&e->schema, e->file, e == set_of(c)->envelope};
}

static struct writer by_fingerprint(const struct catalog *c, struct span value,
                                    uint64_t *fingerprint) {
  const struct entries *all = &set_of(c)->entries;
  *fingerprint = 0;
  for (int i = 0; i < 8; i++) *fingerprint |= (uint64_t)(unsigned char)value.ptr[2 + i] << (8 * i);
  for (size_t i = 0; i < all->count; i++)
    if (all->list[i].schema.fingerprint == *fingerprint)
      return writer_of(c, span_of(all->list[i].event_name));
  for (size_t i = 0; i < all->frozen_count; i++) {
    const struct frozen *f = &all->frozen[i];
    if (f->schema.fingerprint == *fingerprint)
      return (struct writer){&f->schema, f->file, strcmp(f->event_name, ENVELOPE) == 0};
  }
  return (struct writer){0};
}

static enum status decode_json_value(struct catalog *c, struct span value, struct buffer *out,
                                     struct error *err) {
  enum status st = json_scan(&c->doc, value, err);
  if (st != ST_OK) return st;
  if (value.len > DECODE_MAX_OUTPUT)
    return error_set(err, ST_TOO_LARGE, "the value is larger than %u bytes", DECODE_MAX_OUTPUT);
  quote_one_line(out, span_trim(value));
  return buffer_status(out, err);
}

static enum status decode_avro(struct catalog *c, struct writer w, struct span value, size_t from,
                               struct buffer *out, struct error *err) {
  size_t start = out->len;
  struct span only = w.envelope ? SPAN("payload") : (struct span){NULL, 0};
  enum status st = decode_value(&w.schema->root, value, from, only, &c->doc, out, err);
  if (st != ST_OK) {
    out->len = start;
    if (st == ST_INVALID) (void)error_prefix(err, "not Avro of %s", w.file);
  }
  return st;
}

/* The bytes decide; where they do not, what this catalog itself writes. */
static enum wire guess(const struct catalog *c, struct span value, struct span event_name) {
  if (begins(value, "\xC3\x01", 2)) return WIRE_AVRO;
  if (c->framing == FRAMING_RAW && event_name.len) return WIRE_AVRO;
  if (begins(value, "\0", 1) && value.len >= 5) return WIRE_CONFLUENT;
  return begins(span_trim(value), "{", 1) ? WIRE_JSON : WIRE_AVRO;
}

enum status catalog_decode(struct catalog *c, struct span value, struct span content_type,
                           struct span event_name, struct buffer *out, struct error *err) {
  enum wire wire = wire_of(content_type);
  uint64_t fingerprint = 0;
  if (wire == WIRE_UNKNOWN) wire = guess(c, value, event_name);
  if (wire == WIRE_JSON) return decode_json_value(c, value, out, err);
  if (wire == WIRE_CONFLUENT)
    return error_set(err, ST_UNSUPPORTED, "cannot decode: " NEEDS_REGISTRY);
  bool framed = begins(value, "\xC3\x01", 2) && value.len >= HEAD;
  struct writer w = framed ? by_fingerprint(c, value, &fingerprint) : (struct writer){0};
  if (w.schema) return decode_avro(c, w, value, HEAD, out, err);
  /* Raw Avro may begin with C3 01 by chance, but only where raw is what is written. */
  if (framed && !(c->framing == FRAMING_RAW && event_name.len))
    return error_set(err, ST_NOT_FOUND,
                     "no schema with the fingerprint %016llx: it was written by another schema",
                     (unsigned long long)fingerprint);
  if (!event_name.len)
    return error_set(err, ST_INVALID,
                     "byte 0: neither JSON nor framed Avro, and raw Avro needs the event's name");
  return decode_avro(c, writer_of(c, event_name), value, 0, out, err);
}

bool catalog_frozen(const struct catalog *c, struct span event_name, size_t n,
                    struct catalog_schema *out) {
  const struct entries *all = &set_of(c)->entries;
  for (size_t i = 0; i < all->frozen_count; i++) {
    const struct frozen *f = &all->frozen[i];
    if (!span_is(event_name, f->event_name) || n--) continue;
    *out = (struct catalog_schema){.event_name = f->event_name,
                                   .file = f->file,
                                   .number = f->number,
                                   .fields = f->schema.root.type->count,
                                   .canonical = f->schema.canonical,
                                   .fingerprint = f->schema.fingerprint};
    return true;
  }
  return false;
}

enum status catalog_whole_text(const struct catalog *c, struct span text, struct buffer *out,
                               struct error *err) {
  return inline_write(text, &set_of(c)->entries.commons.by_name, out, err);
}

bool catalog_note(const struct catalog *c, size_t i, size_t n, const char **text) {
  const struct set *set = set_of(c);
  const struct schema_note *note =
      i < set->entries.count ? set->entries.list[i].schema.notes : NULL;
  while (note && n--) note = note->next;
  if (!note) return false;
  *text = note->text;
  return true;
}

bool catalog_schema_at(const struct catalog *c, size_t i, struct catalog_schema *out) {
  const struct set *set = set_of(c); /* once: another may be taken over meanwhile */
  if (i >= set->entries.count) return false;
  const struct entry *e = &set->entries.list[i];
  const struct type *t = e->schema.root.type;
  *out = (struct catalog_schema){
      .event_name = e->event_name,
      .file = e->file,
      .built_in = strcmp(e->file, ENTRIES_BUILT_IN) == 0 ? entries_built_in() : (struct span){0},
      .fields = e->schema.root.type->count,
      .whole = e == set->envelope,
      .canonical = e->schema.canonical,
      .fingerprint = e->schema.fingerprint,
      .key = t->key == SCHEMA_NO_FIELD ? (struct span){0} : t->fields[t->key].name,
      .cut_numbers = e->cut_numbers,
      .left_out = e->left_out};
  return true;
}

bool catalog_left_out(struct catalog *c, size_t i, size_t n, struct span *path, uint64_t *count) {
  const struct set *set = set_of(c);
  return i < set->entries.count && left_out_at(&c->left, &set->entries.list[i], n, path, count);
}

/* ---- places ---- */

static enum catalog_place place_of(const struct use *u) {
  if (u->json && u->type->kind == KIND_STRING) return CATALOG_ANY;
  if (u->type->kind == KIND_ARRAY) return CATALOG_ARRAY;
  return u->type->kind == KIND_MAP || u->type->kind == KIND_RECORD ? CATALOG_OBJECT
                                                                   : CATALOG_SCALAR;
}

/* As far as the path leads: the rest of it, which the place that it ends at has not, is in *rest.
 */
static const struct use *walk(const struct catalog *c, size_t i, struct span path,
                              struct span *rest) {
  const struct use *u = &set_of(c)->entries.list[i].schema.root;
  while (path.len && u->type->kind == KIND_RECORD) {
    const char *dot = memchr(path.ptr, '.', path.len);
    struct span head = {path.ptr, dot ? (size_t)(dot - path.ptr) : path.len};
    uint32_t at = type_find(u->type, head, 0);
    if (at == SCHEMA_NO_FIELD) break;
    u = &u->type->fields[at].use;
    path = dot ? (struct span){dot + 1, path.len - head.len - 1} : (struct span){0};
  }
  *rest = path;
  return u;
}

enum catalog_place catalog_place(const struct catalog *c, size_t i, struct span path) {
  struct span rest;
  const struct use *u = walk(c, i, path, &rest);
  if (!rest.len) return place_of(u);
  return place_of(u) == CATALOG_ANY || u->type->kind == KIND_MAP ? CATALOG_ANY : CATALOG_NONE;
}

struct span catalog_near_field(const struct catalog *c, size_t i, struct span path,
                               struct span *front) {
  struct span best = {0}, rest;
  const struct type *t = walk(c, i, path, &rest)->type;
  size_t least = rest.len / 3 + 2; /* as word_nearest */
  *front = (struct span){path.ptr, path.len - rest.len};
  for (uint32_t f = 0; rest.len && t->kind == KIND_RECORD && f < t->count; f++) {
    struct span name = t->fields[f].name;
    size_t distance = word_distance(rest, name);
    if (distance < least && distance < name.len) least = distance, best = name;
  }
  return best;
}
