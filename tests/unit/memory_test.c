/* Each allocation of the parser, of what rewrites an entry and of the settings is made to fail
 * once: the answer is a clean "no memory", never a wrong one, and nothing leaks. */
#include "bridge/event/event.h"
#include "bridge/settings/settings.h"
#include "tests/support/test.h"
#include "tests/unit/failing_memory.h"

#include <unistd.h>

/* One call with the n-th allocation failing; true: that one was reached. */
typedef bool (*try_fn)(long n);

static void at_each_allocation(try_fn try, long least) {
  long n = 1;
  for (bool failed = true; failed; n++) {
    long before = live;
    failed = try(n);
    assert_int_equal(live, before);
  }
  assert_true(n > least);
}

static bool ended(void) {
  bool failed = countdown == 0;
  countdown = -1;
  return failed;
}

/* Escapes in names and values, a nest, more nodes than fit at first. */
static struct span hostile_text(void) {
  static char text[40000];
  size_t len = (size_t)snprintf(
      text, sizeof text,
      "{\"id\": \"a\\u0062\", \"n\\u0061me\": \"quality.checked\", \"status\": \"pending\", "
      "\"last_error\": \"x\\ny\", \"attempts\": 2, \"failed_at\": \"2025-09-22T03:04:05Z\", "
      "\"created_at\": null, \"payload\": {\"deep\": [[[{}]]]");
  for (int i = 0; i < 1500; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, ", \"k\\u0041%d\": [%d]", i, i);
  len += (size_t)snprintf(text + len, sizeof text - len, "}}");
  return (struct span){text, len};
}

static bool try_scan(long n) {
  struct json_doc doc = {0};
  struct error err = {0};
  struct span text = hostile_text();
  countdown = n;
  enum status st = json_scan(&doc, text, &err);
  bool failed = ended();
  assert_int_equal(st, failed ? ST_NO_MEMORY : ST_OK);
  json_doc_release(&doc);
  return failed;
}

/* A fault stays one when its path finds no memory. */
static bool try_fault(long n) {
  static const char text[] = "{\"a\": {\"b\\u0041\": [1, {\"c\": 1, \"c\": 2}]}}";
  struct json_doc doc = {0};
  struct error err = {0};
  countdown = n;
  enum status st = json_scan(&doc, span_of(text), &err);
  bool failed = ended();
  assert_true(st == ST_INVALID || (failed && st == ST_NO_MEMORY));
  assert_true(err.text[0] != 0);
  json_doc_release(&doc);
  return failed;
}

static bool try_event(long n) {
  struct json_doc doc = {0};
  struct arena arena = {0};
  struct event event;
  struct error err = {0};
  assert_int_equal(json_scan(&doc, hostile_text(), NULL), ST_OK);
  countdown = n;
  enum reason reason = event_parse(&doc, &arena, &event, &err);
  bool failed = ended();
  assert_int_equal(reason, failed ? REASON_NO_MEMORY : REASON_NONE);
  arena_release(&arena);
  json_doc_release(&doc);
  return failed;
}

static bool try_rewrite(long n) {
  struct json_doc doc = {0};
  struct buffer out = {0};
  const struct event_change changes[] = {{"attempts", SPAN("3")},
                                         {"first_failed_at", SPAN("null")}};
  assert_int_equal(json_scan(&doc, hostile_text(), NULL), ST_OK);
  countdown = n;
  event_rewrite(&doc, changes, 2, &out);
  bool failed = ended();
  assert_int_equal(buffer_status(&out, NULL), failed ? ST_NO_MEMORY : ST_OK);
  buffer_release(&out);
  json_doc_release(&doc);
  return failed;
}

static char file[200];

static void write_file(const char *text) {
  FILE *f = fopen(file, "w");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

static bool load(long n, enum status want) {
  const char *const environment[] = {"BUSBRIDGE_LOG_LEVEL=debug", "BUSBRIDGE_KAFKA_LINGER_MS=3",
                                     "BUSBRIDGE_SERVICE_HOST=x", NULL};
  const char *const overrides[] = {"flush.interval=10s", "kafka.acks=all"};
  const struct settings_sources sources = {
      .file = file, .environment = environment, .overrides = overrides, .override_count = 2};
  struct settings *s = NULL;
  struct buffer warnings = {0};
  struct error err = {0};
  countdown = n;
  enum status st = settings_load(&sources, &s, &warnings, &err);
  bool failed = ended();
  if (failed)
    assert_true(st == ST_NO_MEMORY || st == want);
  else
    assert_int_equal(st, want);
  assert_true(st == ST_OK || err.text[0] != 0);
  if (st == ST_OK) assert_int_equal(setting_number(s, SETTING_FLUSH_INTERVAL), 10000);
  settings_free(s);
  buffer_release(&warnings);
  return failed;
}

static bool try_settings(long n) {
  return load(n, ST_OK);
}

static bool try_wrong_settings(long n) {
  return load(n, ST_INVALID);
}

TEST(scanning_fails_cleanly) {
  at_each_allocation(try_scan, 3);
}

TEST(a_fault_stays_one) {
  at_each_allocation(try_fault, 1);
}

TEST(parsing_an_event_fails_cleanly) {
  at_each_allocation(try_event, 1);
}

TEST(rewriting_fails_cleanly) {
  at_each_allocation(try_rewrite, 1);
}

TEST(loading_settings_fails_cleanly) {
  write_file(
      "outbox.url = file:/x\nkafka.bootstrap.servers = a:1,b:2\nredis.url = off\n# a comment\n");
  at_each_allocation(try_settings, 10);
  write_file("outbox.url = file:/x\nflush.intervall = 3s\n");
  at_each_allocation(try_wrong_settings, 2);
}

int main(void) {
  if (!memory_fails()) return MEMORY_SKIPPED;
  const char *tmp = getenv("TMPDIR");
  snprintf(file, sizeof file, "%s/memory-XXXXXX", tmp ? tmp : "/tmp");
  int fd = mkstemp(file);
  if (fd < 0) return 1;
  close(fd);
  int failed = tests_run();
  unlink(file);
  return failed;
}
