/* holds.h - dlq.hold_key: keys whose later events wait because one of them died, until that one was
 * replayed and published, or is gone (purged, taken away).
 *
 * It is written to .busbridge/holds before its letter moves to dlq/, so that a crash holds a key
 * too long at most: the letter is looked for by its name there and among the pending ones, a few at
 * a time, never by reading dlq/ whole. At most HOLDS_MOST letters hold a key; beyond that the log
 * says so, and they hold none. A line a letter: TOPIC KEY ID FILE MTIME CREATED, texts as
 * word_escape writes them. What arrived before the letter does not wait for it. Lock: relay.lock;
 * the file is the finisher's.
 */
#ifndef BRIDGE_RELAY_HELD_KEYS_HOLDS_H
#define BRIDGE_RELAY_HELD_KEYS_HOLDS_H

#include "bridge/base/table.h"

#define HOLDS_MOST 10000

struct relay;
struct item;
struct hold;

struct holds {
  bool on;
  struct table keys;  /* topic and key -> struct hold, the first of its key */
  struct hold **list; /* all, in the order they died */
  size_t count, cap;
  size_t looked; /* of list: the next to be looked for */
  uint64_t changes, saved;
  bool some_gone,
      full; /* some hold no more, but on the list; it was said that there are too many */
};
MUST_CHECK enum status holds_open(struct relay *r, struct error *err); /* before the threads */
void holds_close(struct holds *h);
/* P: it dies. Lock held by neither of these three's callers but the second's. */
void holds_add(struct relay *r, const struct item *item);
bool holds_key(const struct holds *h, const char *topic, const struct item *item); /* lock held */
void holds_settled(struct relay *r,
                   const struct item *item);         /* lock held: it is published after all */
bool holds_save(struct relay *r, struct error *err); /* F: what holds is on the disk */
void holds_tend(struct relay *r);                    /* F, each second */
/* Lock held: the file of a letter that holds this key, NULL: none. */
const char *holds_file(const struct holds *h, const char *topic, struct span key);

#endif
