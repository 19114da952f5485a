/* The schemas that are shipped, held against the contract with the producers and against avro-c's
 * own reader. */
#include "bridge/encoding/catalog.h"
#include "tests/support/test.h"

#include <avro.h>

/* Event names in use, a payload with every key that is known, and the least a payload must have. */
static const struct {
  const char *name, *full, *least;
} names[] = {
    {"episode.written", "{\"id\": \"e\"}", "{\"id\": \"e\"}"},
    {"episode.published",
     "{\"episode_id\": \"e\", \"publication_id\": \"p\", \"format_type\": \"epub\", \"published_at\": "
     "\"2025-09-22T03:04:05\", \"include_metadata\": true}",
     "{\"episode_id\": \"e\"}"},
    {"episode.created", "{\"episode_id\": \"e\", \"title\": \"t\", \"episode_number\": 1}",
     "{\"episode_id\": \"e\", \"title\": \"t\", \"episode_number\": 1}"},
    {"episode.updated", "{\"episode_id\": \"e\", \"changes\": {\"title\": [\"a\", \"b\"]}}",
     "{\"episode_id\": \"e\"}"},
    {"quality.checked",
     "{\"content_id\": \"c\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, \"issues\": [{\"type\": "
     "\"t\", \"description\": \"d\"}], \"detailed_scores\": {\"grammar\": 82.5}}",
     "{\"content_id\": \"c\", \"score\": 100, \"check_types\": [], \"passed\": true}"},
    {"quality.checked_via_usecase",
     "{\"episode_id\": \"e\", \"check_id\": \"k\", \"score\": 0.5, \"passed\": false, \"via_usecase\": true}",
     "{\"episode_id\": \"e\"}"},
    {"quality.check_failed", "{\"episode_id\": \"e\", \"error\": \"x\", \"via_usecase\": true}",
     "{\"episode_id\": \"e\"}"},
    {"plot.updated",
     "{\"plot_id\": \"p\", \"episode_number\": 7, \"word_count\": 1, \"updated_at\": \"2025-09-22T03:04:05\", "
     "\"consistency_checked\": true, \"consistency_issues\": [{\"type\": \"t\", \"description\": \"d\", \"severity\": "
     "\"s\"}]}",
     "{\"plot_id\": \"p\"}"},
    {"plot.generated",
     "{\"plot_id\": \"p\", \"episode_number\": 1, \"word_count\": 2, \"ai_enhanced\": false, \"genre\": \"g\", "
     "\"generated_at\": \"2025-09-22T03:04:05\", \"chapter_title\": \"t\"}",
     "{\"plot_id\": \"p\", \"episode_number\": 1, \"word_count\": 2, \"ai_enhanced\": false}"},
    {"usecase.executed",
     "{\"usecase_name\": \"u\", \"success\": true, \"request_data\": {\"a\": 1}, \"response_data\": {}}",
     "{\"usecase_name\": \"u\"}"},
    {"usecase.failed", "{\"usecase_name\": \"u\", \"error\": \"x\", \"request_data\": {}}",
     "{\"usecase_name\": \"u\"}"},
    {"commands.create_episode",
     "{\"title\": \"t\", \"episode_number\": 1, \"content\": \"x\", \"command_id\": \"c\", \"timestamp\": \"2025-09-22T03:04:05\", \"metadata\": {\"a\": 1}}",
     "{\"title\": \"t\", \"episode_number\": 1}"},
    {"commands.update_episode",
     "{\"episode_id\": \"e\", \"title\": \"t\", \"content\": \"x\", \"command_id\": \"c\", \"timestamp\": \"2025-09-22T03:04:05\", \"metadata\": {\"a\": 1}}",
     "{\"episode_id\": \"e\"}"},
    {"commands.check_quality",
     "{\"content\": \"x\", \"check_types\": [\"rhythm\"], \"target_score\": 82.5, \"command_id\": \"c\", \"timestamp\": \"2025-09-22T03:04:05\", \"metadata\": {\"a\": 1}}",
     "{\"content\": \"x\"}"},
    {"commands.publish_episode",
     "{\"episode_id\": \"e\", \"format_type\": \"epub\", \"include_metadata\": false, \"command_id\": \"c\", \"timestamp\": \"2025-09-22T03:04:05\", \"metadata\": {\"a\": 1}}",
     "{\"episode_id\": \"e\"}"},
    {"commands.update_plot",
     "{\"plot_id\": \"p\", \"episode_number\": 7, \"plot_content\": \"x\", \"consistency_check\": false, \"command_id\": \"c\", \"timestamp\": \"2025-09-22T03:04:05\", \"metadata\": {\"a\": 1}}",
     "{\"plot_id\": \"p\", \"plot_content\": \"x\"}"},
    {"commands.generate_plot",
     "{\"episode_number\": 1, \"chapter_title\": \"t\", \"target_length\": 100, \"genre\": \"g\", \"use_ai_enhancement\": false, \"command_id\": \"c\", \"timestamp\": \"2025-09-22T03:04:05\", \"metadata\": {\"a\": 1}}",
     "{\"episode_number\": 1}"},
};
#define NAMES (sizeof names / sizeof *names)

static const char *const in_envelope[] = {"quality.improved",
                                          "quality.failed",
                                          "plot.validated",
                                          "plot.generation_started",
                                          "plot.generation_completed",
                                          "plot.generation_failed",
                                          "plot.saved",
                                          "plot.quality_check_completed",
                                          "plot.master_updated"};

struct run {
  struct catalog *c;
  struct json_doc doc;
  struct arena arena;
  struct buffer entry, bytes, text;
  struct error err;
};

static void open_with(struct run *r, enum framing framing, bool strict) {
  struct catalog_config config = {.folder = SOURCE_ROOT "/schemas",
                                  .framing = framing,
                                  .unknown_fields = strict ? UNKNOWN_REFUSE : UNKNOWN_CARRY};
  catalog_close(r->c);
  assert_int_equal(catalog_open(&config, NULL, &r->c, &r->err), ST_OK);
}

static int setup(void **state) {
  struct run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  open_with(r, FRAMING_RAW, false);
  *state = r;
  return 0;
}

static int teardown(void **state) {
  struct run *r = *state;
  catalog_close(r->c);
  json_doc_release(&r->doc);
  arena_release(&r->arena);
  buffer_release(&r->entry);
  buffer_release(&r->bytes);
  buffer_release(&r->text);
  free(r);
  return 0;
}

static void encode(struct run *r, const char *name, const char *payload) {
  struct event event;
  buffer_clear(&r->entry);
  buffer_clear(&r->bytes);
  arena_reset(&r->arena);
  event_write(SPAN("e-1"), span_of(name), span_of(payload), 0, SPAN("e-1"), &r->entry);
  assert_int_equal(json_scan(&r->doc, buffer_span(&r->entry), &r->err), ST_OK);
  assert_int_equal(event_parse(&r->doc, &r->arena, &event, &r->err), REASON_NONE);
  enum reason reason = catalog_encode(r->c, &r->doc, &event, span_of(name), 0, &r->bytes, &r->err);
  if (reason != REASON_NONE) print_message("%s: %s\n", name, r->err.text);
  assert_int_equal(reason, REASON_NONE);
}

static bool has_schema(struct run *r, const char *name, struct catalog_schema *s) {
  for (size_t i = 0; catalog_schema_at(r->c, i, s); i++)
    if (strcmp(s->event_name, name) == 0) return true;
  return false;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(every_event_name_in_use_has_a_schema) {
  struct run *r = *state;
  struct catalog_schema s;
  size_t count = 0;
  for (size_t i = 0; i < NAMES; i++) {
    if (!has_schema(r, names[i].name, &s)) print_message("no schema of %s\n", names[i].name);
    assert_true(has_schema(r, names[i].name, &s));
  }
  assert_true(has_schema(r, "envelope", &s));
  while (catalog_schema_at(r->c, count, &s)) count++;
  assert_int_equal(count, NAMES + 1); /* a new schema belongs into the table above */
}

static const char *decode(struct run *r, const char *name) {
  buffer_clear(&r->text);
  enum status st =
      catalog_decode(r->c, buffer_span(&r->bytes), SPAN(""), span_of(name), &r->text, &r->err);
  if (st != ST_OK) print_message("%s\n", r->err.text);
  assert_int_equal(st, ST_OK);
  return buffer_z(&r->text);
}

CASE(real_payloads_fit_and_come_back_as_they_were) {
  struct run *r = *state;
  open_with(r, FRAMING_SINGLE_OBJECT, true);
  for (size_t i = 0; i < NAMES; i++) {
    encode(r, names[i].name, names[i].full);
    assert_string_equal(decode(r, names[i].name), names[i].full);
  }
  encode(r, "plot.updated", "{\"plot_id\": \"p\", \"episode_number\": null}");
  assert_string_equal(decode(r, ""), "{\"plot_id\": \"p\", \"consistency_issues\": []}");
  for (size_t i = 0; i < sizeof in_envelope / sizeof *in_envelope; i++) {
    encode(r, in_envelope[i], "{\"any\": [1, {\"thing\": null}]}");
    assert_string_equal(decode(r, ""), "{\"any\": [1, {\"thing\": null}]}");
  }
}

CASE(the_least_payloads_fit_and_unknown_keys_are_carried) {
  struct run *r = *state;
  open_with(r, FRAMING_SINGLE_OBJECT, true);
  for (size_t i = 0; i < NAMES; i++) {
    encode(r, names[i].name, names[i].least);
    decode(r, names[i].name);
    struct buffer more = {0};
    buffer_append(&more, names[i].least, strlen(names[i].least) - 1);
    buffer_add_z(&more, ", \"not known\": {\"x\": [1.0]}}");
    encode(r, names[i].name, buffer_z(&more));
    assert_non_null(strstr(decode(r, names[i].name), ", \"not known\": {\"x\": [1.0]}"));
    buffer_release(&more);
  }
}

/* avro-c, told the canonical form only, must read our bytes to their last one and write the same
 * bytes again. */
CASE(avro_c_reads_what_we_write_and_writes_the_same) {
  struct run *r = *state;
  for (size_t i = 0; i < NAMES; i++) {
    struct catalog_schema s;
    avro_schema_t schema;
    avro_value_t value;
    char again[4096];
    assert_true(has_schema(r, names[i].name, &s));
    assert_int_equal(avro_schema_from_json_length(s.canonical.ptr, s.canonical.len, &schema), 0);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    encode(r, names[i].name, names[i].full);
    avro_reader_t reader = avro_reader_memory(r->bytes.ptr, (int64_t)r->bytes.len);
    assert_int_equal(avro_value_read(reader, &value), 0);
    char rest;
    assert_int_not_equal(avro_read(reader, &rest, 1), 0);
    avro_writer_t writer = avro_writer_memory(again, sizeof again);
    assert_int_equal(avro_value_write(writer, &value), 0);
    assert_int_equal(avro_writer_tell(writer), r->bytes.len);
    assert_memory_equal(again, r->bytes.ptr, r->bytes.len);
    avro_reader_free(reader);
    avro_writer_free(writer);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
  }
}

/* Names whose schemas a second folder turns on, and what their classes were seen to have. */
static const struct {
  const char *name, *payload;
  uint64_t fingerprint; /* worked out by hand from the specification */
} typed[] = {
    {"plot.generation_started", "{\"command_id\": \"c\"}", UINT64_C(0xbdc936c7ffb49e69)},
    {"plot.generation_completed", "{\"command_id\": \"c\"}", UINT64_C(0x694465f527fcdf7f)},
    {"plot.generation_failed",
     "{\"command_id\": \"cmd-5\", \"error_message\": \"no outline\", \"error_type\": \"ValueError\", "
     "\"retry_count\": 1}",
     UINT64_C(0xa76be36f95e4dd4f)},
    {"plot.quality_check_completed",
     "{\"plot_file_path\": \"x\", \"quality_score\": 0.0, \"quality_metrics\": {\"depth\": 0.5}, "
     "\"passed_validation\": false}",
     UINT64_C(0x4e08f7dac0626cd3)},
    {"plot.saved", "{\"file_path\": \"3\", \"backup_path\": \"2\"}", UINT64_C(0x5de82ea116e1aefa)},
    {"plot.master_updated", "{\"master_plot_path\": \"m\"}", UINT64_C(0xb52ab5a40d96c671)},
};

CASE(classes_of_the_older_bus_have_schemas_once_their_folder_is_named) {
  struct run *r = *state;
  struct catalog_config config = {.folder = SOURCE_ROOT "/schemas " SOURCE_ROOT "/schemas/.typed"};
  struct catalog_schema s;
  catalog_close(r->c);
  assert_int_equal(catalog_open(&config, NULL, &r->c, &r->err), ST_OK);
  for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
    assert_true(has_schema(r, typed[i].name, &s));
    if (s.fingerprint != typed[i].fingerprint)
      print_message("%s: %.*s\n", typed[i].name, SPAN_ARGS(s.canonical));
    assert_int_equal(s.fingerprint, typed[i].fingerprint);
    encode(r, typed[i].name, typed[i].payload);
    assert_string_equal(decode(r, ""), typed[i].payload);
    encode(r, typed[i].name, "{\"any\": [1, {\"thing\": null}]}"); /* nothing is required */
    assert_string_equal(decode(r, ""), "{\"any\": [1, {\"thing\": null}]}");
  }
  assert_true(has_schema(r, names[0].name, &s));
}

/* A published schema is for ever: whoever changes one gives consumers time, then changes this
 * table. Canonical forms and fingerprints by Apache Avro's Python library. */
CASE(fingerprints_are_those_of_the_reference_library) {
  struct run *r = *state;
  static const struct {
    const char *name;
    uint64_t fingerprint;
  } table[] = {
      {"commands.check_quality", UINT64_C(0xc4778470c5e2a3b2)},
      {"commands.create_episode", UINT64_C(0xa42a86236aa42884)},
      {"commands.generate_plot", UINT64_C(0x26858e219ed6daef)},
      {"commands.publish_episode", UINT64_C(0x5b0c46a21204bfce)},
      {"commands.update_episode", UINT64_C(0x0a6139a26c6d31b4)},
      {"commands.update_plot", UINT64_C(0x8b59b9b5ef8d0896)},
      {"envelope", UINT64_C(0x72c42333885d0cd5)},
      {"episode.created", UINT64_C(0x5d8da44ce60c6ea4)},
      {"episode.published", UINT64_C(0xa2a4db2a75cdbcd6)},
      {"episode.updated", UINT64_C(0x72c5e2eac7bf9cef)},
      {"episode.written", UINT64_C(0x5e764ae538d13485)},
      {"plot.generated", UINT64_C(0x2ff83e73e6de9349)},
      {"plot.updated", UINT64_C(0x80e811583d523f50)},
      {"quality.check_failed", UINT64_C(0x8c242108c29f3cb5)},
      {"quality.checked", UINT64_C(0x31d634e391c67660)},
      {"quality.checked_via_usecase", UINT64_C(0x64ee5af2cb8c4524)},
      {"usecase.executed", UINT64_C(0xb181fc8863fbf2ed)},
      {"usecase.failed", UINT64_C(0x7973435ab485f0d8)},
  };
  struct catalog_schema s;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    assert_true(has_schema(r, table[i].name, &s));
    if (s.fingerprint != table[i].fingerprint)
      print_message("%s: %.*s\n", table[i].name, SPAN_ARGS(s.canonical));
    assert_int_equal(s.fingerprint, table[i].fingerprint);
  }
  assert_int_equal(sizeof table / sizeof *table, NAMES + 1);
}
