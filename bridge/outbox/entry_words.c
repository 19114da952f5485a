/* What an entry's shelf and its being set aside are called, for every kind and for
 * people.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/words.h"
#include "bridge/outbox/store.h"

#include <errno.h>

const char *shelf_path(enum shelf shelf, struct span token) {
  if (token.len && memchr(token.ptr, '/', token.len)) return "";
  static const char *const paths[] = {
      [SHELF_PENDING] = "", [SHELF_DEAD] = "dlq/", [SHELF_SENT] = "sent/"};
  _Static_assert(sizeof paths / sizeof *paths == SHELF_SENT + 1, "a path for each shelf");
  return shelf <= SHELF_SENT ? paths[shelf] : "?/";
}

const char *store_aside_word(enum aside what) {
  static const char *const words[] = {
      [ASIDE_DONE] = "published", [ASIDE_RETRY] = "refused", [ASIDE_DEAD] = "dead"};
  _Static_assert(sizeof words / sizeof *words == ASIDE_DEAD + 1, "a word for each");
  BUG_ON(what > ASIDE_DEAD);
  return words[what];
}

void store_aside_words(const struct aside_info *info, char *out, size_t size) {
  struct buffer file = {0};
  text_printable(&file, span_of(info->token));
  snprintf(out, size, "%.158s, %s: %.100s", buffer_z(&file), store_aside_word(info->what),
           info->why);
  buffer_release(&file);
}

const char *store_aside_remedy(int sys) {
  switch (sys) {
  case EPERM:
    return "lsattr tells whether it is immutable (chattr -ia FILE); in a sticky folder make it the worker's (chown)";
  case EACCES: return "Give the worker's user the right to read and remove it (chown or chmod)";
  case EBUSY: return "Something is mounted on it: umount FILE";
  case EIO: return "The disk cannot change it: check the file system (fsck), or restore the folder";
  case ENAMETOOLONG: return "Its name is too long to be moved: rename it";
  default: return "Fix what hinders it";
  }
}
