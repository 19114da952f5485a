/* hands.h - what is being worked on right now, so that an entry that ends the process is known at
 * the next start.
 *
 * Two threads work on one entry at a time: the reader (parse, route, encode) and the publisher
 * (hand over to Kafka). Each takes the entry before and drops it afterwards. When one of them
 * crashes, the handler of its signal marks its hand in the mapped file .busbridge/hands; the next
 * start moves what is marked into a small table there: token, times. Kill -9, out of memory,
 * power loss and _exit run no handler, so they mark nothing.
 *
 * What is in hand stands in ordinary memory until it is marked: taking costs a copy, dirties no
 * page of the file and cannot fail, even where writing to a mapped file can (a full disk whose file
 * system copies on write). Of a token up to 255 bytes are kept. A file that is damaged begins
 * anew: an entry that crashes gets one try more.
 *
 * The lock of the outbox must be held from hands_open to hands_close. Threads: as said at each
 * function. All of them take NULL for "nothing is noted".
 */
#ifndef BRIDGE_RELAY_HANDS_H
#define BRIDGE_RELAY_HANDS_H

#include "bridge/outbox/store.h"

#define HAND_NAME 256
#define HANDS_SUSPECTS 64

enum hand_slot { HAND_READER, HAND_PUBLISHER, HAND_SLOTS };

struct hand {
  char token[HAND_NAME]; /* terminated, its beginning */
  uint32_t folder; /* 0; in files of 0.1.0: 1 for what lay in pending/, whose name is without it */
  uint32_t times;  /* it was marked, in all */
};

struct hands;
/* Opens .busbridge/hands (folder; tmp for making it), moves what the last run marked into the
 * table: the oldest makes room where it is full. One thread. On failure nothing that was marked is
 * lost. */
MUST_CHECK enum status hands_open(int folder, int tmp, struct hands **out, struct error *err);
void hands_close(struct hands *h); /* nothing is in hand any more and every thread has left */

/* The thread of a slot, once before it takes anything and once before it ends: the crash handler
 * gets a stack of its own there, since a thread that crashes by using up its stack has none left.
 * On failure it can go on without. */
MUST_CHECK enum status hands_enter(struct hands *h, enum hand_slot slot, struct error *err);
void hands_leave(struct hands *h, enum hand_slot slot);

/* The thread of the slot. No system call, no lock. Taking the next one drops the one before. */
void hands_take(struct hands *h, enum hand_slot slot, struct span token);
void hands_drop(struct hands *h, enum hand_slot slot);

/* How often this entry was marked by earlier runs. 0: nearly always, and cheap. 1: send it alone. 2
 * and more: dead, with reason crashes_worker. Any thread. */
unsigned hands_suspected(struct hands *h, struct span token);
/* It was settled: forgotten. Not synced: a power loss may bring it back. Any thread. */
void hands_clear(struct hands *h, struct span token);

/* For the crash handler, in the thread that crashed: marks what that thread has in hand.
 * Async-signal-safe. Returns it, times this one included, or NULL when it has nothing in hand. */
const struct hand *hands_mark(void);

#endif
