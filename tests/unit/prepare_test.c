/* busbridge outbox init and migrate: what is made, what is told, and that twice is once. */
#include "tests/unit/service_box.h"

static struct settings *other;

static const char *prepare(const char *url, bool migrate, bool dry_run, enum status want) {
  char set[300];
  snprintf(set, sizeof set, "outbox.url=%s", url);
  const char *overrides[] = {set};
  struct settings_sources sources = {.overrides = overrides, .override_count = 1};
  settings_free(other);
  other = NULL;
  buffer_clear(&json);
  err = (struct error){0};
  assert_int_equal(settings_load(&sources, &other, NULL, &err), ST_OK);
  const struct prepare_request request = {
      .settings = other, .clock = &clock_system, .migrate = migrate, .dry_run = dry_run};
  assert_int_equal(service_prepare(&request, &json, &err), want);
  return want == ST_OK ? answered(ST_OK) : err.text;
}

static int teardown_both(void **state) {
  settings_free(other);
  other = NULL;
  return teardown(state);
}

#define BOTH(name) TEST_WITH(name, setup, teardown_both)

BOTH(a_folder_is_made_with_those_above_it_once) {
  char url[300], deeper[300];
  snprintf(deeper, sizeof deeper, "%s/a/b", outbox);
  snprintf(url, sizeof url, "file:%s", deeper);
  assert_has(prepare(url, true, false, ST_NOT_FOUND), "busbridge outbox init");
  assert_has(prepare(url, false, true, ST_OK), "/a/b'\\n\"");
  assert_has(buffer_z(&json), "\"dry_run\": true");
  assert_int_equal(access(deeper, F_OK), -1);
  assert_has(prepare(url, false, false, ST_OK), "mkdir -p");
  assert_int_equal(access(deeper, W_OK), 0);
  assert_has(prepare(url, false, false, ST_OK), "\"steps\": \"\"");
  assert_has(prepare(url, true, false, ST_OK), "\"steps\": \"\"");
}

BOTH(what_is_no_outbox_of_anybody_is_not_made) {
  assert_has(prepare("memory:a", false, false, ST_INVALID), "ends with its process");
  assert_has(prepare("mysql://u:secret@h/db", false, false, ST_INVALID), "unknown kind");
  assert_null(strstr(err.text, "secret"));
}
