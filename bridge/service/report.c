/* Collects checks as JSON, each with verdict, evidence and what to do, and keeps the worst verdict.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/report.h"

#include "bridge/service/operations.h"

#define TEXT_MAX 1200

static const char *word(enum report_verdict verdict) {
  static const char *const words[] = {"ok", "skipped", "warning", "failed"};
  return words[verdict];
}

static void complete(struct report *x, const char *next) {
  bool first = false;
  if (!x->open) return;
  member_text_or_null(&x->text, &first, "next", span_of(next));
  buffer_add_char(&x->text, '}');
  x->open = false;
}

void report_found(struct report *x, const char *check, enum report_verdict verdict, const char *fmt,
                  va_list args) {
  char text[TEXT_MAX];
  bool first = true;
  vsnprintf(text, sizeof text, fmt, args);
  complete(x, NULL);
  buffer_add_z(&x->text, x->count++ ? ", {" : "{");
  member_text(&x->text, &first, "check", span_of(check));
  member_text(&x->text, &first, "verdict", span_of(word(verdict)));
  member_text(&x->text, &first, "found", span_of(text));
  x->open = true;
  if (verdict > x->worst) x->worst = verdict;
  if (verdict == REPORT_FAILED) x->failures++;
}

void report_next(struct report *x, const char *fmt, va_list args) {
  char text[TEXT_MAX];
  vsnprintf(text, sizeof text, fmt, args);
  complete(x, text);
}

void report_write(struct report *x, bool unreachable, struct buffer *json, bool *first) {
  complete(x, NULL);
  member_text(json, first, "verdict",
              span_of(word(x->worst == REPORT_SKIPPED ? REPORT_OK : x->worst)));
  member_bool(json, first, "unreachable", unreachable);
  json_write_key(json, first, "checks");
  buffer_add_char(json, '[');
  buffer_add(json, buffer_span(&x->text));
  buffer_add_char(json, ']');
  json->failed = json->failed || x->text.failed;
}

void report_release(struct report *x) {
  buffer_release(&x->text);
}
