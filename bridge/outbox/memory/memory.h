/* memory.h - inside bridge/outbox/memory only: the outbox that lives as long as its process. The
 * reference of the contract (store.h): the shortest right implementation, for unit tests and for
 * the simulation.
 *
 * A world is what would lie on a disk: rows and manifests, by the address of its url
 * ("memory:NAME"; "polled:NAME" is the same without a word of arrivals). Handles share it, so that
 * two workers can work on one outbox; what is in hand belongs to a handle and ends with it. Nothing
 * here is ever half done: each operation holds the world's lock.
 */
#ifndef BRIDGE_OUTBOX_MEMORY_MEMORY_H
#define BRIDGE_OUTBOX_MEMORY_MEMORY_H

#include "bridge/base/table.h"
#include "bridge/base/thread.h"
#include "bridge/outbox/keys_due.h"
#include "bridge/outbox/manifest.h"
#include "bridge/outbox/rules.h"
#include "bridge/outbox/survey.h"

struct memory_row {
  char token[24]; /* serial, printed */
  char *key;      /* the storage key; the label too */
  enum shelf shelf;
  char *text;
  size_t len;
  int64_t arrived_ns, since_ns; /* since: of this version */
  uint64_t serial;              /* order of coming; kept on every shelf */
  uint64_t version;             /* another with each change of any member; own[0] of a ref */
  unsigned attempts;
  char *last_error, *topic; /* NULL: none */
  enum reason reason;
  int64_t failed_us, first_failed_us;
  struct json_doc doc; /* of text; without nodes where that is not JSON */
  struct arena arena;  /* what event holds beside text */
  struct event event;
  enum reason fault; /* REASON_NONE, or why it can never be published */
  struct error words;
};

struct memory_selection {
  uint64_t number;
  struct buffer text;
};

struct memory_world {
  struct memory_world *next;
  char *address;
  struct mutex lock;
  struct cond changed;
  struct memory_row **rows; /* in order of arrival */
  size_t count, cap;
  uint64_t serials, versions, changes; /* changes: arrivals and wakes so far */
  int64_t latest_ns; /* time of the last arrival: none is older than the one before */
  struct manifest *manifests;
  bool *settled;
  int64_t *written_ms;
  size_t manifest_count;
  char id[40];                 /* "": not opened to be changed yet */
  const struct memory *owner;  /* who holds the lock */
  size_t max_entry_bytes;      /* the last reader's, whoever emits; 0: there was none */
  struct buffer *notes[NOTES]; /* NULL: there is none */
  struct buffer audit;
  struct memory_selection *selections; /* by number */
  size_t selection_count;
  uint64_t last_selection;
  struct memory_keys_due *due; /* keys_due.c: oldest first */
  size_t keys_due_count;
};

struct memory_hand { /* one entry in hand */
  struct memory_hand *next;
  uint64_t serial;
  bool lingers;
};

struct memory {
  struct memory_world *w;
  bool create;
  const struct clock *clock;
  const struct event_lifting *lifting;
  struct store_config c;       /* since it began */
  struct memory_hand *in_hand; /* all below: the world's lock */
  size_t hand_count, lingering;
  struct memory_hand
      *notices;    /* to be looked at again behind the scan: replayed, or found changed */
  bool polls;      /* nobody tells of arrivals: memory_wait looks for them */
  int64_t poll_ns; /* until it looks again */
  uint64_t upto;   /* the scan's rows: those of a serial up to it */
  uint64_t wanted, begun, scanned, seen;
  bool wanted_settled, listed, woken;
  int64_t settled_by_ns;
  int64_t at_ns; /* the scan's place: behind the row of this time and serial */
  uint64_t at_serial;
  uint64_t first, gone, vanished, returned, given_back;
  size_t keys_due_most, keys_due_read; /* so many were read last, and not dropped */
};

extern const struct event memory_no_event; /* nothing is known of it */
/* rows.c. The world of that address, made where there is none; NULL: memory is out. */
struct memory_world *memory_world_of(const char *address);
/* All under the lock. */
struct memory_row *memory_find(struct memory_world *w, enum shelf shelf, struct span token);
struct memory_row *memory_of_serial(struct memory_world *w, uint64_t serial);
/* One of that storage key that waits. */
struct memory_row *memory_of_key(struct memory_world *w, struct span key);
bool memory_pending(
    const struct memory_row *r); /* waits to be sent: not dead, not sent, and ours */
/* *out, unless NULL: the new row. */
MUST_CHECK enum status memory_add(struct memory *m, struct span key, struct span text,
                                  enum shelf shelf, struct memory_row **out, struct error *err);
/* Its copy in the place of what was there; NULL stays NULL. False: memory is out. */
bool memory_keep_text(char **at, const char *text);
/* Another text; what is noted of its failures stays. */
MUST_CHECK enum status memory_rewrite(struct memory *m, struct memory_row *r, struct span text,
                                      struct error *err);
void memory_remove(struct memory_world *w, struct memory_row *r);
void memory_touch(struct memory *m, struct memory_row *r); /* it has changed */
/* false: memory is out. The last of the list; the first one goes. */
MUST_CHECK bool memory_hand_put(struct memory_hand **list, const struct memory_row *r);
void memory_hand_drop(struct memory_hand **list);
struct memory_hand **memory_hand_of(struct memory_hand **list, uint64_t serial);
/* The same by a token; of none that can be: the list's end. */
struct memory_hand **memory_hand_named(struct memory_hand **list, struct span token);
bool memory_in_hand(struct memory *m, const struct memory_row *r);
MUST_CHECK bool memory_notice(struct memory *m,
                              const struct memory_row *r); /* false: memory is out */
void memory_tell(struct memory_world *w);                  /* wakes who waits */

/* settle.c, by_hand.c, inspect.c, journal.c, owner.c, selections.c, keys_due.c: the rest of the ops
 */
enum status memory_settle(void *, struct settling *, size_t, const struct manifest_name *,
                          enum closing *, struct error *);
enum status memory_sync(void *, struct error *);
void memory_linger(void *, const struct entry_ref *, bool on);
void memory_release(void *, const struct entry_ref *);
enum status memory_aside(void *, const struct entry_ref *, struct span, enum aside,
                         const struct failure *, const struct error *, struct error *);
enum status memory_aside_sync(void *, struct error *);
void memory_aside_tend(void *);
enum status memory_asides(void *, size_t, store_aside_fn, void *, struct error *);
enum status memory_counts(void *, bool oldest, struct store_counts *, struct error *);
enum status memory_list(void *, unsigned, const struct store_range *, size_t, store_visit_fn,
                        void *, uint64_t *, struct error *);
enum status memory_search(void *, unsigned, struct span, store_visit_fn, void *, uint64_t *,
                          struct error *);
const char *memory_dead_words(const struct entry_ref *);
enum status memory_look(void *, enum shelf, const char *, store_visit_fn, void *, struct error *);
enum status memory_replay(void *, enum shelf, const char *, struct error *);
void memory_replay_all(void *, struct letter *, size_t, store_judge_fn, void *);
void memory_purge(void *, struct letter *, size_t);
const char *memory_shelf_words(enum shelf, struct span);
void memory_whereabouts(const void *, enum shelf, const char *, bool, struct buffer *);
enum status memory_bytes(void *, const char *, bool, uint64_t, size_t, struct buffer *, uint64_t *,
                         struct error *);
enum status memory_amend(void *, const char *, int64_t, struct span, struct error *);
enum status memory_bury(void *, const struct burial *, struct buffer *, struct error *);
enum status memory_emit(void *, struct span, struct span, struct buffer *, struct error *);
enum status memory_survey(void *, size_t, store_survey_fn, void *, uint64_t *, struct error *);
bool memory_lies(void *, const struct entry_ref *, struct span);
enum status memory_batch_write(void *, struct manifest *, const char *, struct error *);
enum status memory_batch_list(void *, struct manifest_name **, size_t *, struct error *);
enum status memory_batch_read(void *, const struct manifest_name *, struct manifest *,
                              struct error *);
enum status memory_batch_names(void *, const struct span *, size_t, bool *, struct error *);
/* Under the lock. */
MUST_CHECK enum status memory_mark(struct memory_world *w, const struct manifest_name *name,
                                   struct error *err);
enum status memory_batch_settle(void *, const struct manifest_name *, struct error *);
enum status memory_batch_remove(void *, const struct manifest_name *, struct error *);
void memory_journal_release(struct memory_world *w);
const char *memory_id(const void *);
enum status memory_lock(void *, int64_t wait_ms, struct error *);
int64_t memory_holder(const void *);
enum status memory_check(void *, struct error *);
enum status memory_renew_id(void *, struct error *);
enum status memory_note_read(const void *, enum note, struct buffer *, struct error *);
enum status memory_note_write(void *, enum note, struct span, struct error *);
enum status memory_note_remove(void *, enum note, struct error *);
bool memory_hinders_one(const void *, const struct error *);
const char *memory_remedy(int);
uint64_t memory_left(const void *, int64_t now_us);
void memory_space(const void *, struct store_space *);
enum status memory_writable(const void *, struct error *);
void memory_examine(void *, enum examination, struct examined *);
uint64_t memory_estimate(const void *, unsigned);
enum status memory_audit(void *, struct span, struct error *);
enum status memory_draft_begin(void *, void **, struct error *);
enum status memory_draft_add(void *, void *draft, struct span, struct error *);
enum status memory_draft_commit(void *, void *draft, uint64_t *, struct error *);
void memory_draft_close(void *, void *draft);
enum status memory_selections(void *, uint64_t[SELECTIONS_MOST], size_t *, struct error *);
enum status memory_selection_size(void *, uint64_t, uint64_t *, struct error *);
enum status memory_selection_read(void *, uint64_t, uint64_t, size_t, struct buffer *,
                                  struct error *);
enum status memory_selection_add(void *, uint64_t, struct span, struct error *);
enum status memory_selection_remove(void *, uint64_t, struct error *);
void memory_selections_release(struct memory_world *w);
enum status memory_keys_due_open(void *, size_t, struct error *);
enum status memory_keys_due_add(void *, const struct key *, const bool *, size_t, uint64_t *,
                                struct error *);
bool memory_keys_due_has(void *, struct span);
uint64_t memory_keys_due_count(void *);
enum status memory_keys_due_read(void *, struct key *, size_t, size_t *, struct error *);
enum status memory_keys_due_drop(void *, struct error *);
void memory_keys_due_release(struct memory_world *w);
void memory_owner_release(struct memory_world *w);

#endif
