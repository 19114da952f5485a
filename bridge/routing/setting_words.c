/* The words of a setting of the routing, and what all of its readers say when memory is out.
 * Any thread; a crash leaves nothing. */
#include "bridge/routing/plan.h"

enum status routing_no_memory(struct error *err) {
  return error_set(err, ST_NO_MEMORY, "no memory for the routing");
}

bool routing_word(struct span *rest, struct span *word) {
  *rest = span_trim(*rest);
  if (rest->len == 0) return false;
  size_t len = 0;
  while (len < rest->len && !strchr(" \t\r\n", rest->ptr[len])) len++;
  *word = (struct span){rest->ptr, len};
  *rest = (struct span){rest->ptr + len, rest->len - len};
  return true;
}

bool routing_halves(struct span word, struct span *left, struct span *right) {
  const char *equals = memchr(word.ptr, '=', word.len);
  if (!equals) return false;
  *left = (struct span){word.ptr, (size_t)(equals - word.ptr)};
  *right = (struct span){equals + 1, word.len - left->len - 1};
  return left->len > 0;
}

int routing_shown(struct span word) {
  return (int)(word.len < 100 ? word.len : 100);
}
