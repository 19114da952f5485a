/* left.h - inside bridge/outbox only: what an exchange that did not end leaves in .busbridge/tmp.
 *
 * Before a rewritten entry is exchanged with the one in the outbox, the temporary file gets a name that says which file
 * it is (by inode), which bytes the exchange is to bring out, and where they belong. So the holder of the lock can tell
 * later what lies there: our own text, the bytes that were read, or what a producer put there in between. Only the
 * first two are removed; the third goes back where it came from.
 */
#ifndef BRIDGE_OUTBOX_LEFT_H
#define BRIDGE_OUTBOX_LEFT_H

#include "bridge/outbox/folder.h"
#include "bridge/outbox/store.h"

struct left {
  uint64_t content; /* inode of our text */
  struct stamp old; /* of what is to come out; its ctime is not kept, a move changes it */
  enum place place;
  const char *name; /* of the entry; a very long one is cut */
};
void left_name(const struct left *l, char out[NAME_SIZE]);
/* A file of tmp, whatever it is: removed, or back in the outbox under its name or one beside it. What fails leaves it
 * until next time. */
void left_clear(int tmp, int outbox, const char *file);

#endif
