/* The table of framings. Pure, any thread; a crash leaves nothing. */
#include "bridge/event/framing.h"

static const struct {
  const char *word, *content_type, *schema_type;
  bool json;
} table[] = {[FRAMING_SINGLE_OBJECT] = {"single-object", "application/avro", "", false},
             [FRAMING_CONFLUENT] = {"confluent", "application/vnd.confluent.avro", "AVRO", false},
             [FRAMING_RAW] = {"raw", "application/avro", "", false},
             [FRAMING_JSON] = {"json", "application/json", "", true},
             [FRAMING_CONFLUENT_HEADER] = {"confluent-header", "application/avro", "AVRO", false},
             [FRAMING_CLOUDEVENTS] = {"cloudevents", "application/cloudevents+json; charset=UTF-8",
                                      "", true},
             [FRAMING_CONFLUENT_JSON] = {"confluent-json", "application/json", "JSON", true},
             [FRAMING_AUTO] = {"auto", "application/avro", "", false}};

const char *framing_word(enum framing f) {
  return table[f].word;
}

bool framing_parse(struct span word, enum framing *out) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    if (!span_is(word, table[i].word)) continue;
    *out = (enum framing)i;
    return true;
  }
  return false;
}

const char *framing_content_type(enum framing f) {
  return table[f].content_type;
}

bool framing_needs_id(enum framing f) {
  return *table[f].schema_type;
}

const char *framing_schema_type(enum framing f) {
  return table[f].schema_type;
}

bool framing_is_json(enum framing f) {
  return table[f].json;
}

enum framing framing_seen(struct span content_type, struct span id, struct span value) {
  if (id.len) return FRAMING_CONFLUENT_HEADER;
  if (span_is(content_type, table[FRAMING_CONFLUENT].content_type)) return FRAMING_CONFLUENT;
  if (span_is(content_type, table[FRAMING_CLOUDEVENTS].content_type)) return FRAMING_CLOUDEVENTS;
  if (span_is(content_type, table[FRAMING_JSON].content_type)) /* no JSON begins with 00 */
    return value.len && value.ptr[0] == '\0' ? FRAMING_CONFLUENT_JSON : FRAMING_JSON;
  return span_starts(value, "\xC3\x01") ? FRAMING_SINGLE_OBJECT : FRAMING_RAW;
}

void schema_id_write(int64_t id, unsigned char out[SCHEMA_ID_BYTES]) {
  out[0] = 0;
  for (int i = 0; i < 4; i++) out[1 + i] = (unsigned char)((uint64_t)id >> (24 - 8 * i));
}

bool schema_id_read(struct span bytes, int64_t *id) {
  if (bytes.len < SCHEMA_ID_BYTES || bytes.ptr[0] != 0) return false;
  *id = 0;
  for (int i = 1; i < SCHEMA_ID_BYTES; i++) *id = *id << 8 | (unsigned char)bytes.ptr[i];
  return true;
}

bool subject_parse(struct span word, enum subject_naming *out) {
  static const char *const words[] = {[SUBJECT_TOPIC_RECORD] = "topic-record",
                                      [SUBJECT_RECORD] = "record",
                                      [SUBJECT_TOPIC] = "topic",
                                      [SUBJECT_AUTO] = "none"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (!span_is(word, words[i])) continue;
    *out = (enum subject_naming)i;
    return true;
  }
  return false;
}

void schema_id_looked(struct schema_id *s) {
  atomic_store(&s->published, 0);
  atomic_store(&s->beyond, 0);
  for (int p = 0; p < SCHEMA_PARTITIONS; p++) atomic_store(&s->first[p], -1);
}

void schema_id_clear(struct schema_id *s) {
  atomic_store(&s->id, SCHEMA_NO_ID);
  atomic_store(&s->wanted, false);
  schema_id_looked(s);
}

void schema_id_published(struct schema_id *s, int partition, int64_t offset) {
  atomic_fetch_add_explicit(&s->published, 1, memory_order_relaxed);
  if (partition < 0 || partition >= SCHEMA_PARTITIONS) {
    atomic_fetch_add_explicit(&s->beyond, 1, memory_order_relaxed);
    return;
  }
  if (atomic_load_explicit(&s->first[partition], memory_order_relaxed) < 0)
    atomic_store_explicit(&s->first[partition], offset, memory_order_relaxed);
  atomic_store_explicit(&s->last[partition], offset, memory_order_relaxed);
}
