/* state.h - inside bridge/outbox/file only: what lies in <outbox>/.busbridge: the outbox's id, the
 * lock, its notes, the folder for temporary files.
 *
 * Opening never changes an outbox unless create is set. The lock is flock on `lock`, whose content
 * (pid, host, start time, a nonce of this run) tells the next one who holds it. One thread, where
 * nothing else is said.
 */
#ifndef BRIDGE_OUTBOX_FILE_SITE_STATE_H
#define BRIDGE_OUTBOX_FILE_SITE_STATE_H

#include "bridge/base/clock.h"
#include "bridge/outbox/notes.h"

struct state;
/* path: the outbox folder. create=true makes .busbridge, tmp and id where missing (fsynced). Errors
 * name the folder and what to do: ST_NOT_FOUND (no such outbox), ST_DENIED (not writable),
 * ST_NO_SPACE. With create=false a missing .busbridge is fine: state_folder is -1 and state_id "".
 */
MUST_CHECK enum status state_open(const char *path, bool create, const struct clock *clock,
                                  struct state **out, struct error *err);
void state_close(struct state *s); /* gives the lock back too */
const char *state_path(const struct state *s);
const char *state_id(const struct state *s); /* uuid text */
int state_outbox(const struct state *s);     /* descriptor of the outbox folder */
int state_folder(const struct state *s);     /* of .busbridge, or -1 */
int state_tmp(const struct state *s);        /* of .busbridge/tmp, or -1 */
/* Take the lock, waiting up to wait_ms. ST_BUSY: err says which pid on which host holds it since
 * when, and what to do. The id is read again: its last holder may have renewed it. ST_UNSUPPORTED:
 * that was a later release, in a form of its own; nothing was changed. */
MUST_CHECK enum status state_lock(struct state *s, int64_t wait_ms, struct error *err);
void state_unlock(struct state *s); /* not locked: nothing */
/* Give the outbox a new id; only with the lock held and state opened with create. Its position in
 * Kafka belongs to the old id and stays behind; manifests stay, so that the next start settles by
 * the topics what they name. A crash leaves the old id or the new one. */
MUST_CHECK enum status state_renew_id(struct state *s, struct error *err);
/* Is the outbox still ours: the folders that we opened lie at their names, the file that we locked
 * is the lock and holds our nonce. ST_OK; a missing or exchanged tmp is made again by it. ST_BUSY:
 * no, for good; err says what happened. Any other: it cannot be looked at now, or tmp not be made,
 * which says nothing of the owner. Any thread. */
MUST_CHECK enum status state_check(struct state *s, struct error *err);
/* The part of it that is about tmp. *remade (may be NULL): it was made again since this was last
 * told. Never ST_NOT_FOUND, unless it was not there when the state was opened. */
MUST_CHECK enum status state_keep_tmp(struct state *s, bool *remade, struct error *err);
/* Replaces .busbridge/name durably by way of tmp, which is made again where it is gone. ST_BUSY: we
 * held the lock, and lost it; nothing was replaced. Any thread. */
MUST_CHECK enum status state_replace(struct state *s, const char *name, struct span content,
                                     struct error *err);
/* hindrance.c: a change of one file of .busbridge failed: does the folder let others be made and
 * removed, so that it is this one's alone (immutable, mounted on)? With the lock held. */
bool state_hinders_one(const struct state *s, const struct error *why);
/* Pid of a holder (-1: its text does not tell), 0 when it is free. Never blocks. */
int64_t state_lock_holder(const struct state *s);
struct store_owner;
/* As store_owner, whose *out is set to what is not known. */
bool state_lock_owner(const struct state *s, struct store_owner *out);
/* notes.c: as notes.h says of them */
const char *state_note_name(enum note note);
MUST_CHECK enum status state_note_read(const struct state *s, enum note note, struct buffer *out,
                                       struct error *err);
MUST_CHECK enum status state_note_write(struct state *s, enum note note, struct span text,
                                        struct error *err);
MUST_CHECK enum status state_note_remove(struct state *s, enum note note, struct error *err);

#endif
