/* What `busbridge schema` answers: which there are, and what the relay would say of a payload. */
#include "bridge/json/json.h"
#include "bridge/service/schemas.h"
#include "tests/support/test.h"

struct run {
  struct settings *settings;
  struct schemas *schemas;
  struct buffer out;
  struct error err;
};

#define assert_has(text, part)                                                                     \
  do {                                                                                             \
    if (!strstr((text), (part))) fail_msg("no '%s' in %s", (part), (text));                        \
  } while (0)

static int setup(void **state) {
  static struct run r;
  static const char *const overrides[] = {"encoding.schemas=" SOURCE_ROOT "/schemas",
                                          "routing.aliases=checked=quality.checked"};
  struct settings_sources from = {.overrides = overrides, .override_count = 2};
  r = (struct run){0};
  if (settings_load(&from, &r.settings, NULL, &r.err) != ST_OK) return -1;
  if (schemas_open(r.settings, NULL, &r.schemas, &r.err) != ST_OK) return -1;
  *state = &r;
  return 0;
}

static int teardown(void **state) {
  struct run *r = *state;
  schemas_close(r->schemas);
  settings_free(r->settings);
  buffer_release(&r->out);
  return 0;
}

static const char *check(struct run *r, const char *event, const char *payload) {
  buffer_clear(&r->out);
  assert_int_equal(schemas_check(r->schemas, span_of(event), span_of(payload), &r->out, &r->err),
                   ST_OK);
  struct json_doc doc = {0};
  assert_int_equal(json_scan(&doc, buffer_span(&r->out), NULL), ST_OK);
  json_doc_release(&doc);
  return buffer_z(&r->out);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(all_are_listed_with_their_files) {
  struct run *r = *state;
  assert_int_equal(schemas_list(r->schemas, &r->out, &r->err), ST_OK);
  assert_has(
      buffer_z(&r->out),
      "{\"event\": \"plot.updated\", \"fields\": 7, \"file\": \"" SOURCE_ROOT
      "/schemas/plot/updated.avsc\", \"fingerprint\": \"80e811583d523f50\", \"wire\": \"503f523d5811e880\", \"notes\": []}");
  assert_string_equal(schemas_folder(r->schemas), SOURCE_ROOT "/schemas");
}

CASE(the_text_is_found_by_name_and_by_alias) {
  struct run *r = *state;
  assert_int_equal(schemas_text(r->schemas, SPAN("checked"), &r->out, &r->err), ST_OK);
  assert_has(buffer_z(&r->out), "\"name\": \"Checked\"");
  buffer_clear(&r->out);
  assert_int_equal(schemas_text(r->schemas, SPAN("envelope"), &r->out, &r->err), ST_OK);
  assert_int_equal(schemas_text(r->schemas, SPAN("plot.updatet"), &r->out, &r->err), ST_NOT_FOUND);
  assert_has(r->err.text, "did you mean plot.updated");
}

CASE(a_payload_is_judged_as_the_relay_would) {
  struct run *r = *state;
  const char *text = check(r, "episode.created",
                           "{\"episode_id\": \"e\", \"title\": \"T\", \"episode_number\": 1}");
  assert_has(text,
             "\"schema\": \"" SOURCE_ROOT
             "/schemas/episode/created.avsc\", \"own\": true, \"near\": null, \"fits\": true");
  assert_has(text, "\"topic\": \"episode.events\"");
  text = check(r, "checked", "{\"content_id\": 7}");
  assert_has(text, "\"name\": \"quality.checked\"");
  assert_has(text, "\"reason\": \"schema_mismatch\", \"error\": \"payload.content_id: expected");
  assert_has(check(r, "quality.chekced", "{}"),
             "\"own\": false, \"near\": \"quality.checked\", \"fits\": true");
  assert_has(check(r, "weather.x", "{}"), "\"topic\": null");
  assert_has(buffer_z(&r->out), "\"reason\": \"unknown_namespace\"");
  assert_has(check(r, "plot.updated", "[1]"), "\"reason\": \"payload_not_object\"");
  assert_has(check(r, "plot.updated", " "), "\"reason\": \"empty_file\"");
  assert_has(check(r, "plot.updated", "{\"a\": 1,}"),
             "\"reason\": \"not_json\", \"error\": \"byte ");
}

CASE(a_folder_that_is_not_there_is_named) {
  struct run *r = *state;
  struct schemas *none = NULL;
  assert_int_equal(schemas_open(r->settings, "/nowhere", &none, &r->err), ST_NOT_FOUND);
  assert_has(r->err.text, "/nowhere");
  schemas_close(none);
}
