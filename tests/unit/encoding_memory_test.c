/* Each allocation of the module is made to fail once: the answer is a clean "no memory", never a
 * wrong one. */
#include "bridge/encoding/catalog.h"
#include "tests/support/test.h"
#include "tests/unit/failing_memory.h"

#define PAYLOAD                                                                                                         \
  "{\"content_id\": \"c\\u00e9\", \"score\": 1, \"check_types\": [\"a\"], \"passed\": true, \"issues\": [{\"x\": 1}], " \
  "\"d\\u0065tailed_scores\": {\"a\": 1}, \"new\": [2]}"

static const struct catalog_config config = {.folder = SOURCE_ROOT "/schemas"};

static struct catalog *open_whole(void) {
  struct catalog *c;
  countdown = -1;
  assert_int_equal(catalog_open(&config, NULL, &c, NULL), ST_OK);
  return c;
}

TEST(opening_fails_cleanly_at_each_allocation) {
  made = 0;
  catalog_close(open_whole());
  long all = made;
  assert_true(all > 100);
  long before = live;
  for (long n = 1; n <= all; n++) {
    struct catalog *c;
    struct error err = {0};
    countdown = n;
    enum status st = catalog_open(&config, NULL, &c, &err);
    countdown = -1;
    assert_int_equal(st, ST_NO_MEMORY);
    assert_null(c);
    assert_non_null(strstr(err.text, "memory"));
    assert_int_equal(live, before);
  }
}

/* The entry stays parsed; only the encoder runs short. */
struct entry {
  struct json_doc doc;
  struct arena arena;
  struct buffer text;
  struct event event;
};

static void make_entry(struct entry *e, const char *payload) {
  *e = (struct entry){0};
  countdown = -1;
  event_write(SPAN("e"), SPAN("quality.checked"), span_of(payload), 0, SPAN("e"), &e->text);
  assert_int_equal(json_scan(&e->doc, buffer_span(&e->text), NULL), ST_OK);
  assert_int_equal(event_parse(&e->doc, &e->arena, &e->event, NULL), REASON_NONE);
}

static void drop_entry(struct entry *e) {
  json_doc_release(&e->doc);
  arena_release(&e->arena);
  buffer_release(&e->text);
}

TEST(encoding_fails_cleanly_at_each_allocation) {
  struct entry e;
  make_entry(&e, PAYLOAD);
  long n = 1;
  for (bool failed = true; failed; n++) {
    long before = live;
    struct catalog *c = open_whole();
    struct buffer out = {0};
    countdown = n;
    enum reason reason = catalog_encode(c, &e.doc, &e.event, e.event.name, 0, &out, NULL);
    failed = countdown == 0;
    countdown = -1;
    assert_int_equal(reason, REASON_NONE);
    assert_int_equal(buffer_status(&out, NULL), failed ? ST_NO_MEMORY : ST_OK);
    buffer_release(&out);
    catalog_close(c);
    assert_int_equal(live, before);
  }
  assert_true(n > 3);
  drop_entry(&e);
}

TEST(a_refusal_stays_one_when_its_words_do_not_fit) {
  struct entry e;
  make_entry(&e,
             "{\"content_id\": \"c\", \"score\": \"A\", \"check_types\": [], \"passed\": true}");
  for (bool failed = true; failed;) {
    struct catalog *c = open_whole();
    struct buffer out = {0};
    struct error err = {0};
    static long n = 0;
    countdown = ++n;
    enum reason reason = catalog_encode(c, &e.doc, &e.event, e.event.name, 0, &out, &err);
    failed = countdown == 0;
    countdown = -1;
    /* short of memory before the refusal it may not have come to it; then the caller is told by out
     */
    assert_true(reason == REASON_SCHEMA_MISMATCH || out.failed);
    buffer_release(&out);
    catalog_close(c);
  }
  drop_entry(&e);
}

TEST(decoding_fails_cleanly_at_each_allocation) {
  struct entry e;
  struct buffer wire = {0};
  make_entry(&e, PAYLOAD);
  struct catalog *c = open_whole();
  assert_int_equal(catalog_encode(c, &e.doc, &e.event, e.event.name, 0, &wire, NULL), REASON_NONE);
  catalog_close(c);
  long n = 1;
  for (bool failed = true; failed; n++) {
    long before = live;
    struct buffer out = {0};
    c = open_whole();
    countdown = n;
    enum status st = catalog_decode(c, buffer_span(&wire), SPAN(""), SPAN(""), &out, NULL);
    failed = countdown == 0;
    countdown = -1;
    assert_int_equal(st, failed ? ST_NO_MEMORY : ST_OK);
    if (failed) assert_int_equal(out.len, 0);
    buffer_release(&out);
    catalog_close(c);
    assert_int_equal(live, before);
  }
  assert_true(n > 3);
  buffer_release(&wire);
  drop_entry(&e);
}

int main(void) {
  if (!memory_fails()) return MEMORY_SKIPPED;
  return tests_run();
}
