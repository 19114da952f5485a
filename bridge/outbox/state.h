/* state.h - what lies in <outbox>/.busbridge: the outbox's id, the lock, the pause, the ledger it remembers, the folder
 * for temporary files.
 *
 * Opening never changes an outbox unless create is set. The lock is flock on `lock`, whose content (pid, host, start
 * time, a nonce of this run) tells the next one who holds it. One thread, where nothing else is said.
 */
#ifndef BRIDGE_OUTBOX_STATE_H
#define BRIDGE_OUTBOX_STATE_H

#include "bridge/base/log.h"

struct state;
/* path: the outbox folder. create=true makes .busbridge, tmp and id where missing (fsynced). Errors name the folder and
 * what to do: ST_NOT_FOUND (no such outbox), ST_DENIED (not writable), ST_NO_SPACE. With create=false a missing
 * .busbridge is fine: state_folder is -1 and state_id "". */
MUST_CHECK enum status state_open(const char *path, bool create, const struct clock *clock, struct state **out,
                                  struct error *err);
void state_close(struct state *s); /* gives the lock back too */
const char *state_path(const struct state *s);
const char *state_id(const struct state *s); /* uuid text */
int state_outbox(const struct state *s);     /* descriptor of the outbox folder */
int state_folder(const struct state *s);     /* of .busbridge, or -1 */
int state_tmp(const struct state *s);        /* of .busbridge/tmp, or -1 */
/* Take the lock, waiting up to wait_ms. ST_BUSY: err says which pid on which host holds it since when, and what to do.
 * The id is read again: its last holder may have renewed it. When the state was opened with create, what an earlier run
 * left in tmp is removed, and what it took out of the outbox in place of what it had read goes back there: only now is
 * nobody else using tmp.
 */
MUST_CHECK enum status state_lock(struct state *s, int64_t wait_ms, struct error *err);
/* Give the outbox a new id; only with the lock held and state opened with create. Its position in Kafka belongs to the
 * old id and stays behind; manifests stay, so that the next start settles by the topics what they name. A crash leaves
 * the old id or the new one. */
MUST_CHECK enum status state_renew_id(struct state *s, struct error *err);
/* Is the outbox still ours: the folders that we opened lie at their names, the file that we locked is the lock and
 * holds our nonce. ST_OK; a missing or exchanged tmp is made again by it. ST_BUSY: no, for good; err says what
 * happened. Any other: it cannot be looked at now, or tmp not be made, which says nothing of the owner. Any thread. */
MUST_CHECK enum status state_check(struct state *s, struct error *err);
/* The part of it that is about tmp. *remade (may be NULL): it was made again since this was last told. Never
 * ST_NOT_FOUND, unless it was not there when the state was opened. */
MUST_CHECK enum status state_keep_tmp(struct state *s, bool *remade, struct error *err);
/* durable_replace of .busbridge/name by way of tmp, which is made again where it is gone. Any thread. */
MUST_CHECK enum status state_replace(struct state *s, const char *name, struct span content, struct error *err);
/* A change of one file of .busbridge failed: does the folder let others be made and removed, so that it is this one's
 * alone (immutable, mounted on)? With the lock held. */
bool state_hinders_one(const struct state *s, const struct error *why);
/* How many entries lie in tmp since a minute or longer, on their way out of the outbox or back: a crash, or a move that
 * failed both ways. The next holder of the lock takes them from there. Any thread. */
uint64_t state_left(const struct state *s, int64_t now_us);
/* Pid of a holder (-1: its text does not tell), 0 when it is free. Never blocks. */
int64_t state_lock_holder(const struct state *s);
/* Where the control socket lies: "<outbox>/.busbridge/control.sock" (may be longer than 107 bytes). */
void state_socket_path(const struct state *s, struct buffer *out);

/* ---- notes: small texts that belong to the outbox, each replaced whole (notes.c) */
enum note {
  NOTE_CLUSTER, /* id of the Kafka cluster that it belongs to */
  NOTE_LEDGER,  /* see state_ledger */
  NOTE_HOLDS,   /* dead letters that hold their keys: bridge/relay/holds.h */
  NOTE_PAUSE    /* see state_pause */
};
#define NOTE_MOST (64 * 1024 * 1024) /* bytes; a larger one is not read */
/* Appends it to out. ST_NOT_FOUND: there is none. On any other failure err names it. Any thread. */
MUST_CHECK enum status state_note_read(const struct state *s, enum note note, struct buffer *out, struct error *err);
/* Durable when they return ST_OK; else the old one or the new one is there. Only with the lock held and state opened
 * with create. Remove: ST_NOT_FOUND, there was none. */
MUST_CHECK enum status state_note_write(struct state *s, enum note note, struct span text, struct error *err);
MUST_CHECK enum status state_note_remove(struct state *s, enum note note, struct error *err);

/* ---- the pause: while there is one nothing is published (paused.c) */
struct state_pause {
  bool on;
  int64_t since_us;          /* TIME_NONE: not known */
  char by[100], reason[400]; /* UTF-8; "": not told */
};
/* What cannot be read or understood is a pause too, and its reason says so. */
void state_pause_read(const struct state *s, struct state_pause *out);
/* Durable when they return ST_OK; else either may be there. Only with the lock held and state opened with create.
 * Remove: ST_NOT_FOUND, there was none. */
MUST_CHECK enum status state_pause_write(struct state *s, const struct state_pause *pause, struct error *err);
MUST_CHECK enum status state_pause_remove(struct state *s, struct error *err);

/* ---- the ledger that its position was last committed in (remembered.c). An outbox of 0.1.0 has none. */
struct state_ledger {
  char topic[250], group[100];
};
/* ST_NOT_FOUND: it remembers none. ST_INVALID: damaged; err says what to do. */
MUST_CHECK enum status state_ledger_read(const struct state *s, struct state_ledger *out, struct error *err);
/* Durable when ST_OK; else the old one or this one is there. Only with the lock held and state opened with create. */
MUST_CHECK enum status state_ledger_write(struct state *s, const struct state_ledger *ledger, struct error *err);

#endif
