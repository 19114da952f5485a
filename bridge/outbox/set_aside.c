/* What an entry's being set aside is called, for every kind and for people.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/set_aside.h"
#include "bridge/base/text/words.h"

const char *store_aside_word(enum aside what) {
  static const char *const words[] = {
      [ASIDE_DONE] = "published", [ASIDE_RETRY] = "refused", [ASIDE_DEAD] = "dead"};
  _Static_assert(sizeof words / sizeof *words == ASIDE_DEAD + 1, "a word for each");
  BUG_ON(what > ASIDE_DEAD);
  return words[what];
}

void store_aside_words(const struct aside_info *info, char *out, size_t size) {
  struct buffer shown = {0};
  text_printable(&shown, span_of(info->token));
  snprintf(out, size, "%.158s, %s: %.100s", buffer_z(&shown), store_aside_word(info->what),
           info->why);
  buffer_release(&shown);
}
