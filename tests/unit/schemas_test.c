/* What `busbridge schema` answers: which there are, and what the relay would say of a payload. */
#include "bridge/json/json.h"
#include "bridge/service/schemas/schemas.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <sys/stat.h>

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

/* ---- freezing, in a folder of the test's own ---- */

struct own {
  char folder[64];
  struct settings *settings;
};

static void write_file(const struct own *o, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", o->folder, name);
  *strrchr(path, '/') = '\0';
  (void)mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/%s", o->folder, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fputs(text, f) >= 0, 1);
  assert_int_equal(fclose(f), 0);
}

static void freeze_own(const struct own *o, const char *want) {
  struct schemas *schemas;
  struct buffer json = {0}, text = {0};
  struct error err = {0};
  assert_int_equal(schemas_open(o->settings, NULL, &schemas, &err), ST_OK);
  assert_int_equal(schemas_freeze(schemas, SPAN("order.placed"), &json, &err), ST_OK);
  buffer_printf(&text, want, o->folder);
  assert_string_equal(buffer_z(&json), buffer_z(&text));
  buffer_release(&json);
  buffer_release(&text);
  schemas_close(schemas);
}

/* What rides in the header is put back where it was, in an array too; what is no header is refused,
 * and what leads nowhere is counted. */
TEST(what_the_header_carries_is_put_back) {
  struct own o;
  char setting[128];
  const char *const overrides[] = {setting, "routing.namespaces=order"};
  struct settings_sources from = {.overrides = overrides, .override_count = 2};
  struct buffer value = {0}, json = {0}, extra = {0};
  struct schemas *schemas;
  struct error err = {0};
  size_t left;
  folder_make(o.folder, sizeof o.folder, "extra");
  snprintf(setting, sizeof setting, "encoding.schemas=%s", o.folder);
  assert_int_equal(settings_load(&from, &o.settings, NULL, NULL), ST_OK);
  write_file(&o, "order/placed.avsc",
             "{\"type\": \"record\", \"name\": \"P\", \"fields\": [{\"name\": \"lines\", \"type\": "
             "{\"type\": \"array\", \"items\": {\"type\": \"record\", \"name\": \"L\", \"fields\": "
             "[{\"name\": \"n\", \"type\": \"int\"}]}}}]}\n");
  assert_int_equal(schemas_open(o.settings, NULL, &schemas, &err), ST_OK);
  struct span payload =
      SPAN("{\"lines\": [{\"n\": 1}, {\"n\": 2, \"note\": [1.50, {}]}], \"x\": null}");
  assert_int_equal(schemas_encode(schemas, SPAN("order.placed"), payload, &value, &extra, &err),
                   ST_OK);
  struct span record = buffer_span(&value), header = buffer_span(&extra);
  assert_int_equal(schemas_decode(schemas, record, header, &json, &left, &err), ST_OK);
  assert_int_equal(left, 0);
  assert_string_equal(buffer_z(&json),
                      "{\"lines\": [{\"n\": 1}, {\"n\": 2, \"note\": [1.50, {}]}], \"x\": null}");
  buffer_clear(&json);
  header = SPAN("{\"/lines/7/n\": 1, \"/y\": 2}");
  assert_int_equal(schemas_decode(schemas, record, header, &json, &left, &err), ST_OK);
  assert_int_equal(left, 1);
  assert_string_equal(buffer_z(&json), "{\"lines\": [{\"n\": 1}, {\"n\": 2}], \"y\": 2}");
  assert_int_equal(schemas_decode(schemas, record, SPAN("[]"), &json, &left, &err), ST_INVALID);
  assert_has(err.text, "header ce_extra: ");
  schemas_close(schemas);
  settings_free(o.settings);
  buffer_release(&value);
  buffer_release(&json);
  buffer_release(&extra);
  assert_int_equal(folder_remove(o.folder), 0);
}

#define PLACED(type)                                                                               \
  "{\"type\": \"record\", \"name\": \"Placed\", \"fields\": [{\"name\": \"a\", \"type\": " type    \
  "}]}\n"

TEST(a_frozen_schema_keeps_its_records_readable) {
  struct own o;
  char setting[128];
  const char *const overrides[] = {setting, "routing.namespaces=order"};
  struct settings_sources from = {.overrides = overrides, .override_count = 2};
  struct buffer value = {0}, json = {0}, extra = {0};
  struct schemas *schemas;
  struct error err = {0};
  size_t left;
  folder_make(o.folder, sizeof o.folder, "freeze");
  snprintf(setting, sizeof setting, "encoding.schemas=%s", o.folder);
  assert_int_equal(settings_load(&from, &o.settings, NULL, NULL), ST_OK);
  write_file(&o, ".common/unit.avsc",
             "{\"type\": \"enum\", \"name\": \"Unit\", \"symbols\": [\"M\"]}");
  write_file(&o, "order/placed.avsc", PLACED("\"Unit\""));
  freeze_own(&o, "{\"version\": 1, \"event\": \"order.placed\", \"number\": 1, \"file\": "
                 "\"%s/.history/order/placed.1.avsc\", \"frozen\": true}");
  freeze_own(&o, "{\"version\": 1, \"event\": \"order.placed\", \"number\": 1, \"file\": "
                 "\"%s/.history/order/placed.1.avsc\", \"frozen\": false}");
  assert_int_equal(schemas_open(o.settings, NULL, &schemas, &err), ST_OK);
  assert_int_equal(
      schemas_encode(schemas, SPAN("order.placed"), SPAN("{\"a\": \"X\"}"), &value, &extra, &err),
      ST_INVALID);
  assert_has(err.text, "schema_mismatch: payload.a: expected one of M, found string");
  assert_int_equal(
      schemas_encode(schemas, SPAN("order.placed"), SPAN("{\"a\": \"M\"}"), &value, &extra, &err),
      ST_OK);
  assert_int_equal(extra.len, 0);
  schemas_close(schemas);
  write_file(&o, ".common/unit.avsc",
             "{\"type\": \"enum\", \"name\": \"Unit\", \"symbols\": [\"KM\"]}");
  write_file(&o, "order/placed.avsc", PLACED("[\"null\", \"Unit\"]"));
  freeze_own(&o, "{\"version\": 1, \"event\": \"order.placed\", \"number\": 2, \"file\": "
                 "\"%s/.history/order/placed.2.avsc\", \"frozen\": true}");
  assert_int_equal(schemas_open(o.settings, NULL, &schemas, &err), ST_OK);
  assert_int_equal(
      schemas_decode(schemas, buffer_span(&value), (struct span){0}, &json, &left, &err), ST_OK);
  assert_string_equal(buffer_z(&json), "{\"a\": \"M\"}");
  schemas_close(schemas);
  settings_free(o.settings);
  buffer_release(&value);
  buffer_release(&json);
  buffer_release(&extra);
  assert_int_equal(folder_remove(o.folder), 0);
}
