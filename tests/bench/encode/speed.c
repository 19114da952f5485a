/* speed.c - nanoseconds for one payload to its record, by whichever release this is compiled with
 * (tests/bench/encode.py). One line of JSON for each event: the fastest of many rounds. */
#include "bridge/encoding/catalog.h"

#include <time.h>

static const char *const events[][2] = {
    {"episode.created",
     "{\"episode_id\": \"ep-001\", \"title\": \"\\u661f\\u306e\\u6d77\", \"episode_number\": 1}"},
    {"quality.checked",
     "{\"content_id\": \"ep-001\", \"score\": 83.5, \"check_types\": [\"grammar\", \"rhythm\"], \"passed\": true, "
     "\"issues\": [{\"type\": \"grammar\", \"description\": \"words of some length stand here\"}], "
     "\"detailed_scores\": {\"grammar\": 82.5, \"rhythm\": 90}}"},
    {"plot.no_schema_of_its_own", "{\"a\": 1, \"b\": [1, 2, 3], \"c\": {\"d\": \"some text\"}}"},
};

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(struct catalog *c, const char *name, const char *payload) {
  enum { TURNS = 2000, ROUNDS = 200 };
  struct json_doc doc = {0};
  struct arena arena = {0};
  struct buffer entry = {0}, record = {0};
  struct event event;
  double best = 1e18;
  event_write(SPAN("e-1"), span_of(name), span_of(payload), 0, SPAN("e-1"), &entry);
  BUG_ON(json_scan(&doc, buffer_span(&entry), NULL) != ST_OK);
  BUG_ON(event_parse(&doc, &arena, &event, NULL) != REASON_NONE);
  for (int round = 0; round < ROUNDS; round++) {
    double from = now_ns();
    for (int turn = 0; turn < TURNS; turn++) {
      buffer_clear(&record);
      BUG_ON(catalog_encode(c, &doc, &event, span_of(name), 0, &record, NULL) != REASON_NONE);
    }
    double each = (now_ns() - from) / TURNS;
    if (each < best) best = each;
  }
  printf("{\"event\": \"%s\", \"ns\": %.1f}\n", name, best);
  buffer_release(&record);
  buffer_release(&entry);
  json_doc_release(&doc);
  arena_release(&arena);
}

int main(int argc, char **argv) {
  struct catalog_config config = {.folder = argc > 1 ? argv[1] : "", .framing = FRAMING_RAW};
  struct catalog *c;
  BUG_ON(catalog_open(&config, NULL, &c, NULL) != ST_OK);
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    measure(c, events[i][0], events[i][1]);
  catalog_close(c);
  return 0;
}
