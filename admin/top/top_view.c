/* What top shows, as lines that fit the screen's width, and as JSON.
 * The command's one thread; a crash leaves nothing. */
#include "admin/top/top_view.h"

#include "bridge/base/text/words.h"

#include <inttypes.h>
#include <math.h>

#define WIDE 64 /* columns for whole words */

/* ---- lines ---- */

PRINTF_LIKE(3, 4)
static void line(struct view *v, enum tint tint, const char *fmt, ...) {
  char text[1000];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (v->count == VIEW_LINES) return;
  struct view_line *l = &v->lines[v->count++];
  buffer_clear(&l->text);
  text_printable(&l->text, span_of(text));
  l->tint = tint;
}

/* Over as many lines as it needs, between words: there are commands in it, to be read whole. A
 * longer word is cut. */
static void wrapped(struct view *v, enum tint tint, int indent, const char *text, int columns) {
  int room = columns > indent + 8 ? columns - indent : 8;
  while (*text) {
    int len = (int)strlen(text), take = len;
    if (len > room)
      for (take = room; take > 0 && text[take] != ' '; take--) continue;
    if (take == 0) take = (int)strcspn(text, " ");
    line(v, tint, "%*s%.*s", indent, "", take, text);
    text += take + strspn(text + take, " ");
  }
}

void view_release(struct view *v) {
  for (size_t i = 0; i < VIEW_LINES; i++) buffer_release(&v->lines[i].text);
}

/* Small numbers with a digit behind the point, large ones in groups of three. */
static const char *figure(double x, char out[NUMBER_TEXT]) {
  if (x > 0 && x < 99.95)
    snprintf(out, NUMBER_TEXT, "%.1f", x);
  else
    number_text(x > 0 ? (uint64_t)(x + 0.5) : 0, out);
  return out;
}

static const char *milliseconds(double ms, char out[NUMBER_TEXT]) {
  if (ms < 0)
    snprintf(out, NUMBER_TEXT, "-");
  else if (ms < 1000)
    snprintf(out, NUMBER_TEXT, "%.*f ms", ms < 10 ? 1 : 0, ms);
  else
    snprintf(out, NUMBER_TEXT, "%.*f s", ms < 10000 ? 1 : 0, ms / 1000);
  return out;
}

static const char *text_of(const struct json_doc *doc, uint32_t object, const char *key,
                           struct buffer *out) {
  buffer_clear(out);
  answer_text(doc, object, key, out);
  return buffer_z(out);
}

/* ---- health ---- */

static enum tint state_tint(int64_t state) {
  return state == 0 ? TINT_GOOD : state == 1 ? TINT_WARNING : TINT_BAD;
}

static void health(struct view *v, const struct top_facts *f, int columns) {
  const struct json_doc *doc = f->health;
  struct buffer word = {0}, text = {0};
  uint32_t node = JSON_NONE;
  if (f->problem) wrapped(v, TINT_BAD, 0, f->problem, columns);
  if (!doc) goto out;
  line(v, state_tint(answer_int(doc, 0, "state", 3)), "OUTBOX %s - %s",
       text_of(doc, 0, "word", &word), text_of(doc, 0, "summary", &text));
  while (answer_each(doc, answer_node(doc, 0, "reasons"), &node)) {
    wrapped(v, state_tint(answer_int(doc, node, "state", 3)), 2, text_of(doc, node, "text", &text),
            columns);
    wrapped(v, TINT_NONE, 4, text_of(doc, node, "next", &text), columns);
  }
out:
  buffer_release(&word);
  buffer_release(&text);
}

static void breakers(struct view *v, const struct top_facts *f, int columns) {
  struct buffer head = {0}, text = {0};
  uint32_t node = JSON_NONE;
  while (f->health && answer_each(f->health, answer_node(f->health, 0, "breakers"), &node)) {
    buffer_clear(&head);
    buffer_add_z(&head, "Breaker ");
    answer_text(f->health, node, "target", &head);
    buffer_add_char(&head, ' ');
    answer_text(f->health, node, "state", &head);
    buffer_add_z(&head, ": ");
    answer_text(f->health, node, "reason", &head);
    wrapped(v, TINT_BAD, 0, buffer_z(&head), columns);
    wrapped(v, TINT_NONE, 2, text_of(f->health, node, "remedy", &text), columns);
  }
  buffer_release(&head);
  buffer_release(&text);
}

static void paused(struct view *v, const struct top_facts *f) {
  uint32_t node = f->health ? answer_node(f->health, 0, "paused") : JSON_NONE;
  struct buffer text = {0};
  if (node != JSON_NONE && f->health->nodes[node].type == JSON_OBJECT) {
    text_of(f->health, node, "reason", &text);
    line(v, TINT_WARNING, "Paused%s%s; to go on: busbridge resume", text.len ? ": " : "",
         buffer_z(&text));
  }
  buffer_release(&text);
}

/* ---- figures ---- */

static void rates(struct view *v, const struct top_facts *f, bool wide) {
  char n[6][NUMBER_TEXT];
  static const enum sample_result order[] = {SAMPLE_PUBLISHED, SAMPLE_DUPLICATE, SAMPLE_RETRIED,
                                             SAMPLE_DEAD};
  for (int i = 0; i < 4; i++) figure(sample_rate(f->before, f->now, NULL, order[i]), n[i]);
  figure(sample_rate_found(f->before, f->now), n[4]);
  if (wide)
    line(v, TINT_BOLD, "Events/s   published %s  found %s  duplicate %s  retried %s  dead %s", n[0],
         n[4], n[1], n[2], n[3]);
  else
    line(v, TINT_BOLD, "Per second %s out %s in %s dead", n[0], n[4], n[3]);
}

static void waiting(struct view *v, const struct top_facts *f, bool wide) {
  char pending[NUMBER_TEXT], dead[NUMBER_TEXT], flight[NUMBER_TEXT], held[NUMBER_TEXT],
      retrying[NUMBER_TEXT];
  char age[DURATION_TEXT] = "";
  double oldest = f->health ? answer_real(f->health, 0, "oldest_seconds", -1) : -1;
  if (!f->health) return;
  number_text((uint64_t)answer_int(f->health, 0, "pending", 0), pending);
  number_text((uint64_t)answer_int(f->health, 0, "dead", 0), dead);
  number_text((uint64_t)f->now->in_flight, flight);
  number_text((uint64_t)f->now->held, held);
  number_text((uint64_t)f->now->retrying, retrying);
  if (oldest >= 0) duration_text((int64_t)(oldest * 1000), age);
  if (wide) {
    line(v, TINT_NONE, "Pending    %s%s%s  in flight %s  retrying %s  held %s", pending,
         *age ? "  oldest " : "", age, flight, retrying, held);
  } else {
    line(v, TINT_NONE, "Pending %s%s%s in flight %s", pending, *age ? " oldest " : "", age, flight);
  }
}

static void redis(struct view *v, const struct top_facts *f, bool wide) {
  struct buffer state = {0}, in = {0};
  char dead[NUMBER_TEXT], due[NUMBER_TEXT];
  if (!f->health) return;
  uint32_t node = answer_node(f->health, 0, "redis");
  uint64_t waits = (uint64_t)answer_int(f->health, node, "keys_due", 0);
  text_of(f->health, node, "state", &state);
  if (wide) text_of(f->health, answer_node(f->health, 0, "dlq"), "in", &in);
  number_text((uint64_t)answer_int(f->health, 0, "dead", 0), dead);
  number_text(waits, due);
  line(v, span_is(buffer_span(&state), "away") ? TINT_WARNING : TINT_NONE,
       wide ? "Dead       %s%s%s   Redis %s%s%s%s" : "Dead %s%s%s Redis %s%s%s%s", dead,
       in.len ? " in " : "", buffer_z(&in), buffer_z(&state), waits ? ", " : "", waits ? due : "",
       waits ? " ids wait for it" : "");
  buffer_release(&state);
  buffer_release(&in);
}

static void latency(struct view *v, const struct top_facts *f, bool wide) {
  char p50[NUMBER_TEXT], p95[NUMBER_TEXT], p99[NUMBER_TEXT], age[DURATION_TEXT];
  const struct sample *from = f->long_before;
  bool recent = sample_latency(from, f->now, 0.5) >= 0;
  if (!recent) from = NULL;
  milliseconds(sample_latency(from, f->now, 0.50), p50);
  milliseconds(sample_latency(from, f->now, 0.95), p95);
  milliseconds(sample_latency(from, f->now, 0.99), p99);
  duration_text(f->now->taken_ms - f->long_before->taken_ms, age);
  if (wide)
    line(v, TINT_NONE, "Latency    p50 %s  p95 %s  p99 %s  (end to end, %s%s)", p50, p95, p99,
         recent ? "last " : "since the account began", recent ? age : "");
  else
    line(v, TINT_NONE, "p50 %s p95 %s p99 %s", p50, p95, p99);
}

static void namespaces(struct view *v, const struct top_facts *f, bool wide) {
  char rate[NUMBER_TEXT], n[SAMPLE_RESULTS][NUMBER_TEXT];
  if (!f->now->row_count) return;
  if (wide)
    line(v, TINT_BOLD, "%-20s %12s %12s %10s %10s %10s", "NAMESPACE", "PUBLISHED/S", "PUBLISHED",
         "DUPLICATE", "RETRIED", "DEAD");
  else
    line(v, TINT_BOLD, "%-12s %8s %10s %6s", "NAMESPACE", "OUT/S", "PUBLISHED", "DEAD");
  for (size_t i = 0; i < f->now->row_count; i++) {
    const struct sample_row *row = &f->now->rows[i];
    figure(sample_rate(f->before, f->now, row->name, SAMPLE_PUBLISHED), rate);
    for (unsigned r = 0; r < SAMPLE_RESULTS; r++) number_text((uint64_t)row->results[r], n[r]);
    if (wide)
      line(v, TINT_NONE, "%-20.20s %12s %12s %10s %10s %10s", row->name, rate, n[SAMPLE_PUBLISHED],
           n[SAMPLE_DUPLICATE], n[SAMPLE_RETRIED], n[SAMPLE_DEAD]);
    else
      line(v, TINT_NONE, "%-12.12s %8s %10s %6s", row->name, rate, n[SAMPLE_PUBLISHED],
           n[SAMPLE_DEAD]);
  }
}

static void reasons(struct view *v, const struct top_facts *f, bool wide) {
  char n[NUMBER_TEXT];
  if (!f->now->reason_count) return;
  line(v, TINT_BOLD, wide ? "%-20s %12s" : "%-21s %10s", "IN DLQ, BY REASON", "ENTRIES");
  for (size_t i = 0; i < f->now->reason_count; i++)
    line(v, TINT_NONE, wide ? "%-20.20s %12s" : "%-21.21s %10s", f->now->reasons[i].name,
         number_text((uint64_t)f->now->reasons[i].count, n));
}

void view_fill(struct view *v, const struct top_facts *f, int columns) {
  bool wide = columns >= WIDE;
  v->count = 0;
  health(v, f, columns);
  if (!f->now) return;
  if (!f->worker && f->health)
    line(v, TINT_WARNING, "No worker answers: this is what the outbox itself tells");
  paused(v, f);
  rates(v, f, wide);
  waiting(v, f, wide);
  latency(v, f, wide);
  redis(v, f, wide);
  breakers(v, f, columns);
  namespaces(v, f, wide);
  reasons(v, f, wide);
}

void view_help(struct view *v) {
  v->count = 0;
  line(v, TINT_BOLD, "busbridge top");
  line(v, TINT_NONE, "q         ends it");
  line(v, TINT_NONE, "up, down  what does not fit below");
  line(v, TINT_NONE, "?         this, and back");
  line(v, TINT_NONE, "Rates: over the last 10 s.");
  line(v, TINT_NONE, "Latency: over the last minute; with none in it, since the account began.");
  line(v, TINT_NONE, "Nothing is changed here. To act: busbridge pause, resume, flush, replay.");
}

/* ---- JSON ---- */

static void put_member(struct buffer *out, bool *first, const char *key, double x) {
  json_write_key(out, first, key);
  if (x < 0)
    buffer_add_z(out, "null");
  else
    json_write_double(out, x);
}

static void put_count(struct buffer *out, bool *first, const char *key, double x) {
  json_write_key(out, first, key);
  json_write_int(out, (int64_t)x);
}

static void json_rates(const struct top_facts *f, const char *name, struct buffer *out,
                       bool *first) {
  put_member(out, first, "published_per_second",
             sample_rate(f->before, f->now, name, SAMPLE_PUBLISHED));
  put_count(out, first, "published", sample_total(f->now, name, SAMPLE_PUBLISHED));
  put_count(out, first, "duplicate", sample_total(f->now, name, SAMPLE_DUPLICATE));
  put_count(out, first, "retried", sample_total(f->now, name, SAMPLE_RETRIED));
  put_count(out, first, "dead", sample_total(f->now, name, SAMPLE_DEAD));
}

static void json_lists(const struct top_facts *f, struct buffer *out, bool *first) {
  json_write_key(out, first, "namespaces");
  buffer_add_char(out, '[');
  for (size_t i = 0; i < f->now->row_count; i++) {
    bool inner = true;
    buffer_add_z(out, i ? ", {" : "{");
    json_write_key(out, &inner, "namespace");
    json_write_string(out, span_of(f->now->rows[i].name));
    json_rates(f, f->now->rows[i].name, out, &inner);
    buffer_add_char(out, '}');
  }
  buffer_add_char(out, ']');
  json_write_key(out, first, "dlq");
  buffer_add_char(out, '[');
  for (size_t i = 0; i < f->now->reason_count; i++) {
    bool inner = true;
    buffer_add_z(out, i ? ", {" : "{");
    json_write_key(out, &inner, "reason");
    json_write_string(out, span_of(f->now->reasons[i].name));
    put_count(out, &inner, "entries", f->now->reasons[i].count);
    buffer_add_char(out, '}');
  }
  buffer_add_char(out, ']');
}

void top_json(const struct top_facts *f, struct buffer *out) {
  static const struct {
    const char *key;
    double share;
  } shares[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}};
  bool first = true, inner = true;
  buffer_add_z(out, "{");
  put_count(out, &first, "version", 1);
  json_write_key(out, &first, "worker");
  buffer_add_z(out, f->worker ? "true" : "false");
  json_write_key(out, &first, "health");
  buffer_add(out, f->health ? json_slice(f->health, 0) : SPAN("null"));
  put_member(out, &first, "seconds", (double)(f->now->taken_ms - f->before->taken_ms) / 1000);
  put_member(out, &first, "found_per_second", sample_rate_found(f->before, f->now));
  json_rates(f, NULL, out, &first);
  put_count(out, &first, "in_flight", f->now->in_flight);
  json_write_key(out, &first, "latency_ms");
  buffer_add_char(out, '{');
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
    put_member(out, &inner, shares[i].key, sample_latency(NULL, f->now, shares[i].share));
  buffer_add_char(out, '}');
  json_lists(f, out, &first);
  buffer_add_z(out, "}\n");
}
