/* Cuts the text around a byte by whole characters, and counts its line and column.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/entries/excerpt.h"

#include "bridge/base/text/words.h"

enum { BEFORE = 48, AFTER = 28 }; /* characters; what is escaped takes more room */

static bool continues(char c) {
  return ((unsigned char)c & 0xc0) == 0x80;
}

/* Where the character that ends in front of `at` begins; a byte that belongs to none counts as one.
 */
static size_t step_back(struct span text, size_t from, size_t at) {
  size_t begin = at - 1;
  while (begin > from && at - begin < 4 && continues(text.ptr[begin])) begin--;
  struct span character = {text.ptr + begin, at - begin};
  return span_utf8_prefix(character) == character.len ? begin : at - 1;
}

static size_t step_on(struct span text, size_t at) {
  size_t end = at + 1;
  while (end < text.len && end - at < 4 && continues(text.ptr[end])) end++;
  struct span character = {text.ptr + at, end - at};
  return span_utf8_prefix(character) == character.len ? end : at + 1;
}

static void take_before(struct excerpt *e, struct span text, size_t from, size_t at) {
  size_t begin = at;
  for (unsigned n = 0; n < BEFORE && begin > from; n++) begin = step_back(text, from, begin);
  if (begin > from) buffer_add_z(&e->before, "...");
  text_printable(&e->before, (struct span){text.ptr + begin, at - begin});
}

/* A line break that is the place itself is shown, so that there is something to point at. */
static void take_after(struct excerpt *e, struct span text, size_t at) {
  size_t end = at, n = 0;
  if (end < text.len && text.ptr[end] == '\n') {
    end++;
  } else {
    for (; n < AFTER && end < text.len && text.ptr[end] != '\n' && text.ptr[end] != '\r'; n++)
      end = step_on(text, end);
  }
  text_printable(&e->after, (struct span){text.ptr + at, end - at});
  if (n == AFTER && end < text.len && text.ptr[end] != '\n' && text.ptr[end] != '\r')
    buffer_add_z(&e->after, "...");
}

void excerpt_make(struct excerpt *e, struct span text, size_t at) {
  size_t from = 0;
  if (at > text.len) at = text.len;
  e->line = e->column = 1;
  for (size_t i = 0; i < at; i++)
    if (text.ptr[i] == '\n') {
      e->line++;
      from = i + 1;
    }
  for (size_t i = from; i < at; e->column++) i = step_on(text, i);
  take_before(e, text, from, at);
  take_after(e, text, at);
}

void excerpt_release(struct excerpt *e) {
  buffer_release(&e->before);
  buffer_release(&e->after);
}
