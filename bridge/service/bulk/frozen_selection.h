/* clang-format off */
/* frozen_selection.h - what a frozen selection of the outbox (outbox/selections.h) says: which dead
 * letters a bulk replay or purge is about. Private to bridge/service; one thread at a time
 * (service's `moving`).
 *
 * Text, a line each: the head, {"busbridge-selection":1,"kind":"replay",...}; the entries, "<when
 * in us> <file name, percent-encoded>", oldest first; then notes of how far it is, {"total":N,...},
 * the last of which counts. Everything but the notes is durable before its number appears, and
 * never changes.
 *
 * What a crash leaves, at any place:
 *
 *   while it is frozen       nothing was selected
 *   before a step is noted   as it was before the step
 *   in a step                a note of what the step was about to do (next to until). What of it
 *                            lies in dlq/ is still to be done; what does not was done by that step
 *                            (or taken by somebody else) and is counted so. No entry is lost or
 *                            doubled: each move is crash-safe by itself
 *                            (outbox/file/operators/replay_letters.c)
 *   after a step             at worst the note of its end is missing: the same
 *   within a note            half a note is passed over; the next begins on a line of its own
 *   at the end               the audit line is written before the file goes: perhaps twice, never
 *                            not at all
 *
 * An entry that left dlq/ and died again meanwhile has another time than was frozen: it is not
 * touched.
 */
/* clang-format on */
#ifndef BRIDGE_SERVICE_BULK_FROZEN_SELECTION_H
#define BRIDGE_SERVICE_BULK_FROZEN_SELECTION_H

#include "bridge/outbox/store.h"

#define FROZEN_NAME (TOKEN_MOST + 1) /* of a token, with its NUL */

struct frozen_head {
  bool purge, force;
  int64_t began_us, uid; /* uid -1: not known */
  char filter[1024];     /* in words */
};
struct frozen_note {
  uint64_t total;
  uint64_t first, end;  /* bytes: where the entries begin, and end */
  uint64_t next, until; /* what is before next is done with in this round; up to until a step was
                           about to go */
  uint64_t round;       /* 1 and up: a later one tries again what was busy */
  uint64_t seen;        /* entries before next */
  uint64_t done, refused, busy, failed;
};

/* ---- making one */

struct frozen_writer {
  struct store *store;
  struct store_draft draft; /* begun with the first text that does not stay here */
  struct buffer text;
  uint64_t size, first, total;
};
/* Begins; nothing is on disk until it grows. Release it in any case: what is not committed is
 * removed. */
void frozen_begin(struct frozen_writer *w, struct store *store, const struct frozen_head *head);
MUST_CHECK enum status frozen_add(struct frozen_writer *w, const char *file, int64_t when_us,
                                  struct error *err);
/* Durable under its number. ST_NO_SPACE: too many are unfinished (err says what to do). */
MUST_CHECK enum status frozen_commit(struct frozen_writer *w, uint64_t *number, struct error *err);
void frozen_release(struct frozen_writer *w);

/* ---- going through one */

struct frozen {
  struct store *store;
  uint64_t number;
  struct frozen_head head;
  struct frozen_note note;
  struct buffer chunk; /* of the file, from chunk_at on */
  uint64_t chunk_at;
};
/* ST_NOT_FOUND: there is none of this number. ST_INVALID: it is damaged. */
MUST_CHECK enum status frozen_open(struct frozen *f, struct store *store, uint64_t number,
                                   struct error *err);
void frozen_close(struct frozen *f); /* zero-initialised or closed is fine */
/* The entry at *at, which moves on to the next. ST_END behind the last. */
MUST_CHECK enum status frozen_read(struct frozen *f, uint64_t *at, char file[FROZEN_NAME],
                                   int64_t *when_us, struct error *err);
/* Appends f->note, durable. */
MUST_CHECK enum status frozen_write_note(struct frozen *f, struct error *err);
#endif
