#include "bridge/service/findings.h"

#include "bridge/service/operations.h"

#define TEXT_MAX 1200

static const char *word(enum finding verdict) {
  static const char *const words[] = {"ok", "skipped", "warning", "failed"};
  return words[verdict];
}

static void complete(struct findings *f, const char *next) {
  bool first = false;
  if (!f->open) return;
  member_text_or_null(&f->text, &first, "next", span_of(next));
  buffer_add_char(&f->text, '}');
  f->open = false;
}

void findings_add(struct findings *f, const char *check, enum finding verdict, const char *fmt, va_list args) {
  char text[TEXT_MAX];
  bool first = true;
  vsnprintf(text, sizeof text, fmt, args);
  complete(f, NULL);
  buffer_add_z(&f->text, f->count++ ? ", {" : "{");
  member_text(&f->text, &first, "check", span_of(check));
  member_text(&f->text, &first, "verdict", span_of(word(verdict)));
  member_text(&f->text, &first, "found", span_of(text));
  f->open = true;
  if (verdict > f->worst) f->worst = verdict;
  if (verdict == FINDING_FAILED) f->failures++;
}

void findings_next(struct findings *f, const char *fmt, va_list args) {
  char text[TEXT_MAX];
  vsnprintf(text, sizeof text, fmt, args);
  complete(f, text);
}

void findings_write(struct findings *f, bool unreachable, struct buffer *json, bool *first) {
  complete(f, NULL);
  member_text(json, first, "verdict", span_of(word(f->worst == FINDING_SKIPPED ? FINDING_OK : f->worst)));
  member_bool(json, first, "unreachable", unreachable);
  json_write_key(json, first, "checks");
  buffer_add_char(json, '[');
  buffer_add(json, buffer_span(&f->text));
  buffer_add_char(json, ']');
  json->failed = json->failed || f->text.failed;
}

void findings_release(struct findings *f) {
  buffer_release(&f->text);
}
