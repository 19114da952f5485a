/* crash_marks.h - what is being worked on right now, so that an entry that ends the process is
 * known at the next start.
 *
 * Two threads work on one entry at a time: the reader (parse, route, encode) and the publisher
 * (hand over to Kafka). Each takes the entry before and drops it afterwards. When one of them
 * crashes, the handler of its signal marks its slot in the mapped file .busbridge/hands; the next
 * start moves what is marked into a small table there: token, times. Kill -9, out of memory,
 * power loss and _exit run no handler, so they mark nothing.
 *
 * What is in hand stands in ordinary memory until it is marked: taking costs a copy, dirties no
 * page of the file and cannot fail, even where writing to a mapped file can (a full disk whose file
 * system copies on write). Tokens of more than 255 bytes are kept by their beginning and a digest.
 * A file that is damaged begins anew: an entry that crashes gets one try more.
 *
 * The lock of the outbox must be held from crash_marks_open to crash_marks_close. Threads: as said
 * at each function. All of them take NULL for "nothing is noted".
 */
#ifndef BRIDGE_RELAY_CRASH_MARKS_H
#define BRIDGE_RELAY_CRASH_MARKS_H

#include "bridge/outbox/store.h"

#define CRASH_TOKEN 256
#define CRASH_SUSPECTS 64

enum crash_slot { CRASH_READER, CRASH_PUBLISHER, CRASH_SLOTS };

struct crash_mark {
  char token[CRASH_TOKEN]; /* terminated; of a long one the beginning and a digest */
  uint32_t folder; /* 0; in files of 0.1.0: 1 for what lay in pending/, whose name is without it */
  uint32_t times;  /* it was marked, in all */
};

struct crash_marks;
/* Opens .busbridge/hands (folder; tmp for making it), moves what the last run marked into the
 * table: the oldest makes room where it is full. One thread. On failure nothing that was marked is
 * lost. */
MUST_CHECK enum status crash_marks_open(int folder, int tmp, struct crash_marks **out,
                                        struct error *err);
void crash_marks_close(
    struct crash_marks *h); /* nothing is in hand any more and every thread has left */

/* The thread of a slot, once before it takes anything and once before it ends: the crash handler
 * gets a stack of its own there, since a thread that crashes by using up its stack has none left.
 * On failure it can go on without. */
MUST_CHECK enum status crash_marks_enter(struct crash_marks *h, enum crash_slot slot,
                                         struct error *err);
void crash_marks_leave(struct crash_marks *h, enum crash_slot slot);

/* The thread of the slot. No system call, no lock. Taking the next one drops the one before. */
void crash_marks_take(struct crash_marks *h, enum crash_slot slot, struct span token);
void crash_marks_drop(struct crash_marks *h, enum crash_slot slot);

/* How often this entry was marked by earlier runs. 0: nearly always, and cheap. 1: send it alone. 2
 * and more: dead, with reason crashes_worker. Any thread. */
unsigned crash_marks_suspected(struct crash_marks *h, struct span token);
/* It was settled: forgotten. Not synced: a power loss may bring it back. Any thread. */
void crash_marks_clear(struct crash_marks *h, struct span token);

/* For the crash handler, in the thread that crashed: marks what that thread has in hand.
 * Async-signal-safe. Returns it, times this one included, or NULL when it has nothing in hand. */
const struct crash_mark *crash_marks_add(void);

#endif
