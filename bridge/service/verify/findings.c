/* How every check says what it found; what it suspects, and the pause before it looks again.
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/base/stop.h"
#include "bridge/base/text/words.h"
#include "bridge/service/verify/parts.h"

#define PAUSE_MS 1500
#define SAMPLES 3

void verify_found(struct verify *v, const char *check, enum report_verdict verdict, const char *fmt,
                  ...) {
  va_list args;
  va_start(args, fmt);
  report_found(&v->found, check, verdict, fmt, args);
  va_end(args);
}

void verify_next(struct verify *v, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  report_next(&v->found, fmt, args);
  va_end(args);
}

void verify_pause(const struct verify *v) {
  sleep_ms(v->request->recheck_ms ? v->request->recheck_ms : PAUSE_MS, NULL);
}

void suspects_add(struct suspects *s, struct span id, struct span place) {
  s->count++;
  if (s->kept == VERIFY_SUSPECTS) return;
  struct suspect kept = {arena_span(&s->arena, id), arena_span(&s->arena, place)};
  if ((id.len && !kept.id.ptr) || (place.len && !kept.place.ptr)) return;
  s->at[s->kept++] = kept;
}

void suspects_clear(struct suspects *s) {
  arena_reset(&s->arena);
  s->count = s->kept = 0;
}

void verify_samples(const struct suspects *s, bool ids, struct buffer *out) {
  for (size_t i = 0; i < s->kept && i < SAMPLES; i++) {
    if (i) buffer_add_z(out, ", ");
    text_printable(out, ids && s->at[i].id.len ? s->at[i].id : s->at[i].place);
    if (!ids || !s->at[i].place.len || !s->at[i].id.len) continue;
    buffer_add_z(out, " (");
    text_printable(out, s->at[i].place);
    buffer_add_char(out, ')');
  }
  if (s->count > SAMPLES) buffer_add_z(out, ", ...");
}
