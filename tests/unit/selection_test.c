/* Which entries a request is about: what each filter takes and refuses, and what it matches. */
#include "bridge/service/entries/selection.h"
#include "tests/support/test.h"

#define HOUR INT64_C(3600000000)
#define NOW (INT64_C(1785405600) * 1000000) /* 2026-07-30T10:00:00Z */

static struct routing *routing;
static struct selection selection;
static struct error err;

static int setup(void **state) {
  (void)state;
  struct routing_config config = {.namespaces = SPAN("episode plot"),
                                  .topic = SPAN("{namespace}.events"),
                                  .aliases = SPAN("Odd_Name=plot.odd"),
                                  .keys = SPAN("")};
  selection_init(&selection);
  err = (struct error){0};
  return routing_open(&config, &routing, NULL) == ST_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  routing_close(routing);
  return 0;
}

static void set(const char *word, const char *value) {
  if (selection_set(&selection, word, value, NOW, &err) != ST_OK) fail_msg("%s", err.text);
}

static void refused(const char *word, const char *value, const char *says) {
  err = (struct error){0};
  assert_int_equal(selection_set(&selection, word, value, NOW, &err), ST_INVALID);
  if (!strstr(err.text, says)) fail_msg("no '%s' in: %s", says, err.text);
}

static struct entry_info entry(enum shelf shelf, const char *name) {
  return (struct entry_info){.shelf = shelf,
                             .label = "e-1.json",
                             .id = SPAN("e-1"),
                             .name = span_of(name),
                             .created_us = TIME_NONE,
                             .failed_us = TIME_NONE,
                             .first_failed_us = TIME_NONE,
                             .arrived_us = NOW - HOUR,
                             .payload = JSON_NONE};
}

static bool takes(const struct entry_info *info) {
  return selection_matches(&selection, routing, info);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(test_nothing_set_matches_everything) {
  struct entry_info dead = entry(SHELF_DEAD, "plot.saved"), nameless = entry(SHELF_PENDING, "");
  assert_false(selection_narrows(&selection));
  assert_true(takes(&dead));
  assert_true(takes(&nameless));
}

CASE(test_type_chooses_the_place) {
  struct entry_info dead = entry(SHELF_DEAD, "plot.saved"),
                    flat = entry(SHELF_PENDING, "plot.saved");
  set("type", "dlq");
  assert_false(selection_narrows(&selection));
  assert_true(takes(&dead));
  assert_false(takes(&flat));
  set("type", "pending");
  assert_false(takes(&dead));
  assert_true(takes(&flat));
  set("type", "all");
  assert_true(takes(&dead) && takes(&flat));
  refused("type", "pendign", "did you mean pending?");
}

CASE(test_names_match_as_written_and_as_resolved) {
  struct entry_info written = entry(SHELF_DEAD, "PlotSaved"), odd = entry(SHELF_DEAD, "Odd_Name"),
                    other = entry(SHELF_DEAD, "episode.created");
  const char *const patterns[] = {"PlotSaved", "plot.saved", "plot.*", "Plot*"};
  for (size_t i = 0; i < 4; i++) {
    set("name", patterns[i]);
    assert_true(takes(&written));
    assert_false(takes(&other));
  }
  set("name", "plot.save");
  assert_false(takes(&written));
  set("name", "plot.odd");
  assert_true(takes(&odd));
  set("name", "*");
  assert_true(takes(&written) && takes(&odd) && takes(&other));
  refused("name", "plot.*d", "the beginning of one and a *");
  refused("name", "", "a name");
}

CASE(test_a_namespace_need_not_be_published) {
  struct entry_info aliased = entry(SHELF_DEAD, "PlotSaved"),
                    unknown = entry(SHELF_DEAD, "epsiode.created"),
                    undotted = entry(SHELF_DEAD, "plot"),
                    similar = entry(SHELF_DEAD, "plots.saved");
  set("namespace", "plot");
  assert_true(selection_narrows(&selection));
  assert_true(selection_reads(&selection));
  selection.namespace = (struct span){0};
  set("since", "1h");
  assert_true(selection_reads(&selection)); /* of a dead letter it is the time inside */
  set("type", "pending");
  assert_true(selection_narrows(&selection) && !selection_reads(&selection));
  selection_init(&selection);
  set("namespace", "plot");
  assert_true(takes(&aliased));
  assert_false(takes(&unknown) || takes(&undotted) || takes(&similar));
  set("namespace", "epsiode");
  assert_true(takes(&unknown));
  refused("namespace", "plot.*", "in front of the first dot");
  refused("namespace", "", "in front of the first dot");
}

CASE(test_reasons_are_known_words) {
  struct entry_info dead = entry(SHELF_DEAD, "plot.saved"), without = dead;
  dead.reason = SPAN("schema_mismatch");
  set("reason", "schema_mismatch");
  assert_true(takes(&dead));
  assert_false(takes(&without));
  set("reason", "schema*");
  assert_true(takes(&dead));
  set("reason", "not_json");
  assert_false(takes(&dead));
  set("reason", "none");
  assert_true(takes(&without));
  assert_false(takes(&dead));
  refused("reason", "shcema_mismatch", "did you mean schema_mismatch?");
  refused("reason", "nothing_like*", "a reason such as");
  refused("reason", "\x1b[31m", "\"\\x1b[31m\"");
}

/* Of its payload, as routing chooses it; of what has no route: none. */
CASE(test_a_key_is_the_one_that_kafka_gets) {
  struct json_doc doc = {0};
  assert_int_equal(json_scan(&doc, SPAN("{\"payload\": {\"episode_id\": \"ep-\\u661f\"}}"), NULL),
                   ST_OK);
  struct entry_info info = entry(SHELF_DEAD, "episode.created");
  info.doc = &doc;
  info.payload = json_member(&doc, 0, "payload");
  set("key", "ep-\u661f");
  assert_true(takes(&info));
  set("key", "e-1");
  assert_false(takes(&info));
  info.name = SPAN("plot.saved"); /* its payload has no plot_id */
  assert_true(takes(&info));
  info.name = SPAN("unknown.name");
  assert_false(takes(&info));
  info.name = SPAN("plot.saved");
  info.payload = 0; /* a payload that is not an object */
  doc.nodes[0].type = JSON_STRING;
  assert_true(takes(&info));
  info.doc = NULL;
  assert_false(takes(&info));
  refused("key", "", "the key of the event");
  json_doc_release(&doc);
}

CASE(test_times_are_of_the_failure_or_of_the_arrival) {
  struct entry_info pending = entry(SHELF_PENDING, "plot.saved"),
                    dead = entry(SHELF_DEAD, "plot.saved");
  dead.failed_us = NOW - 3 * HOUR;
  set("since", "90m");
  assert_true(takes(&pending));
  assert_false(takes(&dead));
  selection_init(&selection);
  set("older-than", "2h");
  assert_true(takes(&dead));
  assert_false(takes(&pending));
  dead.failed_us = TIME_NONE; /* no such time: the file's */
  assert_false(takes(&dead));
  set("until", "1h"); /* the earlier of both counts */
  assert_false(takes(&pending));
}

CASE(test_both_ends_are_included) {
  struct entry_info info = entry(SHELF_PENDING, "plot.saved");
  set("since", "2026-07-30T09:00:00Z");
  set("until", "2026-07-30T09:00:00+00:00");
  assert_true(takes(&info));
  info.arrived_us++;
  assert_false(takes(&info));
  info.arrived_us -= 2;
  assert_false(takes(&info));
  refused("older-than", "2h", "lies behind");
}

static void since_is(const char *value, int64_t us) {
  set("since", value);
  if (selection.since_us != us)
    fail_msg("%s: off by %lld us", value, (long long)(selection.since_us - us));
}

CASE(test_times_may_be_short_and_without_a_zone_are_local) {
  setenv("TZ", "JST-9", 1);
  since_is("2026-07-30T19:00:00", NOW);
  since_is("2026-07-30 19:00", NOW);
  since_is("2026-07-30T19:00:00.5", NOW + 500000);
  since_is("2026-07-30", NOW - 19 * HOUR);
  since_is("2026-07-30T10:00Z", NOW);
  since_is("2026-07-30T12:00+02:00", NOW);
  since_is("2026-07-30T08:00:00-02:00", NOW);
  since_is("1969-12-31T23:59:59Z", -1000000);
  since_is("1970-01-01T08:59:59", -1000000);
  setenv("TZ", "UTC", 1);
  since_is("7d", NOW - 7 * 24 * HOUR);
  const char *const wrongs[] = {"",
                                "yesterday",
                                "2026",
                                "2026-13-01",
                                "2026-07-30T",
                                "2026-07-30T10",
                                "10:00",
                                "-5m",
                                "3600",
                                "2026-07-30T10:00:00Zjunk",
                                "5 m",
                                "999999d"};
  for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
    refused("since", wrongs[i], "an age such as");
  refused("older-than", "2026-07-30", "an age such as");
}

CASE(test_words_are_known_with_both_dashes) {
  assert_true(selection_knows("older-than") && selection_knows("older_than") &&
              selection_knows("key"));
  assert_false(selection_knows("older") || selection_knows("limit") || selection_knows(""));
  struct span rest = SPAN(SELECTION_TYPE " " SELECTION_FILTERS), word;
  char text[20];
  while (span_word(&rest, &word)) {
    snprintf(text, sizeof text, "%.*s", SPAN_ARGS(word));
    assert_true(selection_knows(text));
  }
  refused("limit", "5", "There is no filter limit");
}

CASE(test_words_say_it_again_on_one_line) {
  struct buffer words = {0};
  selection_words(&selection, &words);
  assert_string_equal(buffer_z(&words), "type=all");
  set("type", "dlq");
  set("key", "a \"b\"\n");
  set("reason", "schema_*");
  set("since", "2026-07-30T09:00:00Z");
  buffer_clear(&words);
  selection_words(&selection, &words);
  assert_string_equal(
      buffer_z(&words),
      "type=dlq key=\"a \\\"b\\\"\\n\" reason=schema_* since=2026-07-30T09:00:00.000000+00:00");
  buffer_release(&words);
}
