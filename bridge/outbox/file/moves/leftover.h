/* leftover.h - inside bridge/outbox/file only: what lies in .busbridge/tmp while a name is
 * exchanged or taken out, and stays there after a crash.
 *
 * S7: its name says what it is to be and where it belongs, so that the next holder of the lock can
 * decide without the ledger:
 *
 *   swap-  our rewritten text on its way in, or the bytes that were read on their way out: removed.
 *          What a producer put in their place in between goes back. Where no inode is one that the
 *          name tells, as in a copy that was put back: the other form of an entry that lies there
 *          is removed
 *   gone-  an entry that was published: the event of that id (without one: the file of that stamp)
 *          is removed, anything else goes back
 *   sent-  the same, but it is kept in sent/
 *   back-  on its way to dlq/: goes back, and its move begins anew
 */
#ifndef BRIDGE_OUTBOX_FILE_MOVES_LEFTOVER_H
#define BRIDGE_OUTBOX_FILE_MOVES_LEFTOVER_H

#include "bridge/outbox/file/names/ref.h"
#include "bridge/outbox/store.h"

enum leftover_kind { LEFTOVER_SWAP, LEFTOVER_GONE, LEFTOVER_SENT, LEFTOVER_BACK };
struct leftover {
  enum leftover_kind kind;
  uint64_t
      content; /* swap: inode of our text; gone, sent: leftover_id of the entry's id; back: 0 */
  struct stamp old; /* of what is to come out; its ctime is not kept, a move changes it */
  enum place place;
  const char *name; /* in its place; a very long one is cut */
};
uint64_t leftover_id(struct span id); /* 0: it has none */
void leftover_name(const struct leftover *l, char out[NAME_SIZE]);
bool leftover_parse(const char *file,
                    struct leftover *l); /* false: a file of tmp without such a name */
bool leftover_is(const char *file);
bool leftover_cut(const char *file); /* the entry's name is longer than what stands in it */
/* two_forms.c: ST_OK: what lies there is one entry, as it was and as a verdict rewrote it.
 * ST_NOT_FOUND: it is not, or one of them is gone. Any other: nobody can tell now. */
MUST_CHECK enum status fs_two_forms(int folder, const char *name, int other, const char *its_name);
/* leftover_clear.c: a file of tmp, whatever it is: removed, or back in the outbox under its name or
 * one beside it. What fails leaves it until next time. root: the folder of that side. */
void leftover_clear(int tmp, int root, enum side side, const char *file);
/* All of tmp, by the holder of the lock that has just taken it: only now is nobody else using tmp.
 */
struct state;
void leftover_clear_all(struct state *s, enum side side);
/* How many entries lie in tmp since a minute or longer, on their way out of the outbox or back: a
 * crash, or a move that failed both ways. The next holder of the lock takes them from there. Any
 * thread. */
uint64_t leftover_count(const struct state *s, int64_t now_us);
/* replay_far.c: the same of a replay out of another file system. False: it is none. */
bool leftover_return(int tmp, int root, enum side side, const char *file);

#endif
