/* What `top` makes of the metrics and of health. */
#include "admin/client/answer.h"
#include "admin/top/metrics_sample.h"
#include "admin/top/top_view.h"
#include "tests/support/test.h"

#include <math.h>

static const char first_text[] =
    "# HELP busbridge_found_total x\n"
    "busbridge_found_total 10\n"
    "busbridge_inflight_events 7\n"
    "busbridge_pending_events{state=\"held\"} 2\n"
    "busbridge_events_total{namespace=\"plot\",result=\"published\"} 100\n"
    "busbridge_events_total{namespace=\"plot\",result=\"dead\"} 3\n"
    "busbridge_events_total{namespace=\"episode\",result=\"published\"} 50\n"
    "busbridge_dlq_events{namespace=\"plot\",reason=\"bad_name\"} 1\n"
    "busbridge_dlq_events{namespace=\"plot\",reason=\"schema_mismatch\"} 2\n"
    "busbridge_dlq_events{namespace=\"episode\",reason=\"bad_name\"} 4\n"
    "busbridge_end_to_end_latency_seconds_bucket{le=\"0.01\"} 0\n"
    "busbridge_end_to_end_latency_seconds_bucket{le=\"0.1\"} 100\n"
    "busbridge_end_to_end_latency_seconds_bucket{le=\"1\"} 100\n"
    "busbridge_end_to_end_latency_seconds_bucket{le=\"+Inf\"} 100\n";

static void read_at(const char *text, int64_t ms, struct sample *out) {
  sample_read(span_of(text), out);
  out->taken_ms = ms;
}

TEST(figures_are_read_by_namespace_and_reason) {
  struct sample s;
  (void)state;
  read_at(first_text, 0, &s);
  assert_true(s.found == 10 && s.in_flight == 7 && s.held == 2);
  assert_int_equal(s.row_count, 2);
  assert_string_equal(s.rows[0].name, "episode");
  assert_true(sample_total(&s, "plot", SAMPLE_PUBLISHED) == 100 &&
              sample_total(&s, NULL, SAMPLE_PUBLISHED) == 150);
  assert_int_equal(s.reason_count, 2);
  assert_string_equal(s.reasons[0].name, "bad_name"); /* the most first */
  assert_true(s.reasons[0].count == 5);
}

TEST(what_is_no_line_of_ours_is_passed_over) {
  static const char *const texts[] = {
      "",
      "busbridge_found_total",
      "busbridge_found_total ",
      "busbridge_found_total x",
      "busbridge_found_total{a=\"",
      "busbridge_found_total{a=b} 1",
      "busbridge_found_total{a=\"b\"1",
      "busbridge_found_total{a=\"1\",b=\"2\",c=\"3\",d=\"4\",e=\"5\"} 1",
      "other_found_total 4",
      "busbridge_found_total NaN",
      "busbridge_found_total 1234567890123456789012345678901234567890123456789\n{\n}\n",
  };
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct sample s;
    read_at(texts[i], 0, &s);
    assert_true(s.found == 0 && s.row_count == 0);
  }
}

TEST(many_namespaces_and_reasons_share_the_last_row) {
  struct buffer text = {0};
  struct sample s;
  (void)state;
  for (int i = 0; i < 60; i++) {
    buffer_printf(&text, "busbridge_events_total{namespace=\"n%d\",result=\"dead\"} 1\n", i);
    buffer_printf(&text, "busbridge_dlq_events{reason=\"r%d\"} 1\n", i);
  }
  read_at(buffer_z(&text), 0, &s);
  assert_int_equal(s.row_count, SAMPLE_ROWS);
  assert_true(sample_total(&s, NULL, SAMPLE_DEAD) == 60 &&
              sample_total(&s, SAMPLE_OTHERS, SAMPLE_DEAD) == 60 - SAMPLE_ROWS + 1);
  assert_int_equal(s.reason_count, SAMPLE_ROWS);
  assert_string_equal(s.reasons[0].name, SAMPLE_OTHERS);
  buffer_release(&text);
}

TEST(rates_are_growth_a_second_and_never_negative) {
  struct sample a, b;
  (void)state;
  read_at(
      "busbridge_found_total 10\nbusbridge_events_total{namespace=\"plot\",result=\"published\"} 100\n",
      1000, &a);
  read_at(
      "busbridge_found_total 30\nbusbridge_events_total{namespace=\"plot\",result=\"published\"} 140\n",
      5000, &b);
  assert_true(sample_rate_found(&a, &b) == 5 &&
              sample_rate(&a, &b, "plot", SAMPLE_PUBLISHED) == 10);
  assert_true(sample_rate(&b, &a, NULL, SAMPLE_PUBLISHED) == 0 &&
              sample_rate(&a, &a, NULL, SAMPLE_PUBLISHED) == 0);
}

TEST(latency_is_taken_within_its_bucket) {
  struct sample a, b, none = {0};
  (void)state;
  read_at(first_text, 0, &a);
  assert_true(fabs(sample_latency(NULL, &a, 0.5) - 55) < 0.01); /* half of 10 to 100 ms */
  read_at("busbridge_end_to_end_latency_seconds_bucket{le=\"0.01\"} 0\n"
          "busbridge_end_to_end_latency_seconds_bucket{le=\"0.1\"} 100\n"
          "busbridge_end_to_end_latency_seconds_bucket{le=\"1\"} 110\n"
          "busbridge_end_to_end_latency_seconds_bucket{le=\"+Inf\"} 120\n",
          1, &b);
  assert_true(fabs(sample_latency(&a, &b, 0.25) - 550) < 0.01);
  assert_true(sample_latency(&a, &b, 0.99) == 1000); /* beyond the last edge */
  assert_true(sample_latency(&a, &a, 0.5) == -1 && sample_latency(NULL, &none, 0.5) == -1);
}

/* ---- the view ---- */

static const char health_text[] =
    "{\"state\": 2, \"word\": \"CRITICAL\", \"summary\": \"a\\u001b[2Jb\", \"reasons\": [{\"state\": 2, \"text\": \"it is "
    "so\", \"next\": \"do this and then do that\"}], \"pending\": 1204, \"oldest_seconds\": 3, \"dead\": 7, \"breakers\": "
    "[{\"target\": \"plot.events\", \"state\": \"open\", \"reason\": \"no such topic\", \"remedy\": \"make it\"}], "
    "\"redis\": {\"state\": \"away\", \"keys_due\": 5}, \"dlq\": {\"total\": 7, \"in\": \"dead/\"}, \"paused\": {\"reason\": \"upgrade\"}}";

static const char *shown(struct view *v, int columns, bool worker) {
  static char all[20000];
  struct sample s;
  struct json_doc doc = {0};
  struct error err = {0};
  read_at(first_text, 0, &s);
  assert_int_equal(answer_scan(&doc, span_of(health_text), &err), ST_OK);
  struct top_facts f = {
      .health = &doc, .worker = worker, .now = &s, .before = &s, .long_before = &s};
  view_fill(v, &f, columns);
  size_t len = 0;
  for (size_t i = 0; i < v->count; i++)
    len += (size_t)snprintf(all + len, sizeof all - len, "%s\n", buffer_z(&v->lines[i].text));
  json_doc_release(&doc);
  return all;
}

TEST(the_view_says_all_of_it_and_escapes_what_comes_from_outside) {
  static const char *const words[] = {"OUTBOX CRITICAL - a\\x1b[2Jb\n",
                                      "  it is so\n    do this and then do that\n",
                                      "Paused: upgrade; to go on: busbridge resume\n",
                                      "Pending    1,204  oldest 3s  in flight 7",
                                      "held 2\n",
                                      "Dead       7 in dead/   Redis away, 5 ids wait for it\n",
                                      "Breaker plot.events open: no such topic\n  make it\n",
                                      "\nepisode ",
                                      "\nschema_mismatch "};
  struct view v = {0};
  const char *text = shown(&v, 80, true);
  (void)state;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (!strstr(text, words[i])) fail_msg("\"%s\" is not in:\n%s", words[i], text);
  assert_null(strstr(text, "No worker"));
  assert_int_equal(v.lines[0].tint, TINT_BAD);
  assert_non_null(strstr(shown(&v, 80, false), "No worker answers"));
  view_release(&v);
}

TEST(long_texts_are_broken_between_words_and_lines_fit_forty_columns) {
  struct view v = {0};
  (void)state;
  assert_non_null(strstr(shown(&v, 20, true), "    do this and then\n    do that\n"));
  shown(&v, 40, true);
  for (size_t i = 0; i < v.count; i++)
    if (v.lines[i].text.len > 40 && strncmp(v.lines[i].text.ptr, "Paused", 6) != 0)
      fail_msg("too long: %s", buffer_z(&v.lines[i].text));
  view_release(&v);
}

TEST(nothing_known_is_a_problem_alone) {
  struct view v = {0};
  struct top_facts f = {.problem = "the outbox is gone"};
  (void)state;
  view_fill(&v, &f, 80);
  assert_int_equal(v.count, 1);
  assert_string_equal(buffer_z(&v.lines[0].text), "the outbox is gone");
  view_release(&v);
}

TEST(the_answer_in_json_is_json) {
  struct sample s;
  struct json_doc health = {0}, doc = {0};
  struct buffer out = {0};
  struct error err = {0};
  (void)state;
  read_at(first_text, 0, &s);
  assert_int_equal(answer_scan(&health, span_of(health_text), &err), ST_OK);
  struct top_facts f = {
      .health = &health, .worker = true, .now = &s, .before = &s, .long_before = &s};
  top_json(&f, &out);
  assert_int_equal(answer_scan(&doc, buffer_span(&out), &err), ST_OK);
  assert_int_equal(answer_int(&doc, 0, "published", -1), 150);
  assert_int_equal(answer_int(&doc, answer_node(&doc, 0, "health"), "pending", -1), 1204);
  json_doc_release(&health);
  json_doc_release(&doc);
  buffer_release(&out);
}
