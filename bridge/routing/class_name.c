/* The names of classes, as the older typed bus writes them, to names of events.
 * Any thread; a crash leaves nothing. */
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

#define ENDING "Event"
enum { ENDING_LEN = sizeof ENDING - 1 };

static bool put_name(struct span name, char out[EVENT_NAME_MAX + 1]) {
  if (name.len > EVENT_NAME_MAX) return false;
  memcpy(out, name.ptr, name.len);
  out[name.len] = '\0';
  return true;
}

static bool by_alias(const struct routing *r, struct span seen, char out[EVENT_NAME_MAX + 1]) {
  const struct known *known = table_get(&r->by_seen, seen);
  return known && put_name(known->name, out);
}

/* With the ending where it has none, without it where it has one. */
static bool by_other_ending(const struct routing *r, struct span seen,
                            char out[EVENT_NAME_MAX + 1]) {
  char longer[EVENT_NAME_MAX + ENDING_LEN];
  if (span_ends(seen, ENDING))
    return by_alias(r, (struct span){seen.ptr, seen.len - ENDING_LEN}, out);
  if (seen.len > EVENT_NAME_MAX) return false;
  memcpy(longer, seen.ptr, seen.len);
  memcpy(longer + seen.len, ENDING, ENDING_LEN);
  return by_alias(r, (struct span){longer, seen.len + ENDING_LEN}, out);
}

static bool is_capital(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Does a word begin at i? Of a run of capitals the last one belongs to the small letters behind it:
 * "URLChanged". */
static bool begins_word(struct span name, size_t i) {
  char c = name.ptr[i];
  if (i == 0 || c == '_') return i != 0;
  if (!is_capital(c) || name.ptr[i - 1] == '_') return false;
  if (!is_capital(name.ptr[i - 1])) return true;
  bool letter = c >= 'A';
  return letter && i + 1 < name.len && name.ptr[i + 1] >= 'a' && name.ptr[i + 1] <= 'z';
}

static bool by_words(struct span seen, char out[EVENT_NAME_MAX + 1]) {
  size_t len = 0, words = 0;
  struct span ns;
  if (seen.len > ENDING_LEN && span_ends(seen, ENDING)) seen.len -= ENDING_LEN;
  for (size_t i = 0; i < seen.len; i++) {
    char c = seen.ptr[i];
    if (len + 2 > EVENT_NAME_MAX) return false;
    if (begins_word(seen, i)) out[len++] = words++ ? '_' : '.';
    if (c != '_') out[len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
  }
  out[len] = '\0';
  return names_canonical((struct span){out, len}, &ns) && words > 0;
}

bool routing_class_name(const void *routing, struct span seen, char out[EVENT_NAME_MAX + 1]) {
  struct span ns;
  return by_alias(routing, seen, out) || by_other_ending(routing, seen, out) ||
         (names_canonical(seen, &ns) ? put_name(seen, out)
                                     : !memchr(seen.ptr, '.', seen.len) && by_words(seen, out));
}
