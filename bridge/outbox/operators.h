/* operators.h - what people and commands do with the entries of an outbox: list, find, look,
 * replay, purge, emit. Part of the contract of a store (store.h), whatever it keeps its entries in.
 *
 * Any thread; needs no reader. What changes nothing works on a store that was opened without create
 * too, and so does store_emit.
 */
#ifndef BRIDGE_OUTBOX_OPERATORS_H
#define BRIDGE_OUTBOX_OPERATORS_H

#include "bridge/outbox/entry.h"

struct entry_info {
  enum shelf shelf;
  const char *token, *label; /* as in entry_ref */
  struct span storage_key;   /* what store_emit was given for it, or what a producer called it: by
                                that, too, people name it in commands */
  struct span id, name;      /* id: the storage key where it tells none */
  int64_t created_us, failed_us, first_failed_us, arrived_us;
  unsigned attempts;
  struct span last_error; /* unescaped, or empty */
  struct span reason;     /* word, or empty */
  struct span topic;
  uint64_t payload_size; /* length of the payload's JSON text */
  uint64_t size;         /* of a raw dead letter: of its bytes */
  struct span text; /* its bytes (of a raw dead letter: what tells of it); empty: it was not read */
  const struct json_doc *doc; /* of text; NULL when that is not a JSON object */
  const struct event *event;  /* as read of doc; NULL without one, and of a foreign form */
  uint32_t payload;           /* its node, JSON_NONE: there is none */
  bool unread;                /* nobody may read it: last_error says why */
  bool raw;          /* dead letter that is not a JSON object: its bytes are kept as they came
                        (store_bytes) */
  bool foreign_form; /* dead letter in the newer producer's form (bridge/event/CONTRACT.md 2) */
};
/* false stops the walk. info and all it points to are valid during the call. */
typedef bool (*store_visit_fn)(void *ctx, const struct entry_info *info);
/* LIST_LOOK: look afresh even where a reader knows: it may not have been told the newest yet.
 * LIST_KEY, LIST_LABEL: for store_find: only what has exactly this storage key, or this label,
 * which is as fast however many there are. LIST_ALL: for whoever has to know each entry that may be
 * handed out later: those that are left alone for now are visited too, and one that cannot be read
 * is an error. */
enum {
  LIST_PENDING = 1,
  LIST_DEAD = 2,
  LIST_LOOK = 4,
  LIST_KEY = 8,
  LIST_ALL = 16,
  LIST_LABEL = 32
};
/* Visit at most limit (0 = all) entries, oldest first by arrival; *total: how many there are, less
 * those found not to be ours among what was read. Entries that do not parse are listed with their
 * storage key as id and reason = what is wrong; those that may not be read, and dead letters that
 * are left unread, with the storage key as id, no reason, and last_error = why. A short list beside
 * a reader with a long backlog does not look at everything: it takes what the reader knows, and
 * *total is then store_counts' pending and the dead. An entry that came with an old time of arrival
 * may be missing until the next scan.
 */
MUST_CHECK enum status store_list(struct store *s, unsigned which, size_t limit,
                                  store_visit_fn visit, void *ctx, uint64_t *total,
                                  struct error *err);
/* Of the pending ones only those that arrived in this time: the others are not read, and are not in
 * *total. */
struct store_range {
  int64_t since_us, until_us; /* both ends included; TIME_NONE: any */
};
MUST_CHECK enum status store_list_range(struct store *s, unsigned which,
                                        const struct store_range *range, size_t limit,
                                        store_visit_fn visit, void *ctx, uint64_t *total,
                                        struct error *err);
/* Entries whose storage key (or only if none matches: id) equals the key or begins with it: exact
 * ones alone if there are any; at most 20 are visited. KEY__N, as a kind may call the next entry of
 * a storage key, counts as exact. */
MUST_CHECK enum status store_find(struct store *s, unsigned which, struct span key,
                                  store_visit_fn visit, void *ctx, uint64_t *total,
                                  struct error *err);
/* Visit the one entry of that token. ST_NOT_FOUND: gone, or no entry (any more). */
MUST_CHECK enum status store_look(struct store *s, enum shelf shelf, const char *token,
                                  store_visit_fn visit, void *ctx, struct error *err);
/* Does an entry with that id stand where ref says, whatever its bytes, and is not set aside? */
bool store_lies(struct store *s, const struct entry_ref *ref, struct span id);

/* Back to pending: a dead letter with attempts 0, last_error and failed_at null, its old arrival; a
 * raw one as its bytes were. A pending entry is rewritten with attempts 0. Durable. A dead letter
 * in the newer producer's form becomes an entry of ours. A crash meanwhile leaves it dead or
 * replayed, never both. ST_NOT_FOUND it is gone; ST_BUSY it is in hand; ST_EXISTS another waits in
 * its place; ST_INVALID it cannot be an entry, or is on SHELF_SENT. Needs the lock. */
MUST_CHECK enum status store_replay(struct store *s, enum shelf shelf, const char *token,
                                    struct error *err);

struct letter { /* one dead letter of many */
  const char *token;
  int64_t when_us;    /* the failed_at, else the arrival, it had when it was chosen: another means
                         that it was replayed and died again. TIME_NONE: whichever */
  struct span id;     /* told to judge */
  bool raw;           /* likewise */
  enum status status; /* what became of it */
  struct error error; /* where that is not ST_OK */
};
/* Sets the status (and error) of those that are to stay. All that are ST_OK so far are dead
 * letters. */
typedef void (*store_judge_fn)(void *ctx, struct letter *list, size_t count);
#define STORE_LETTERS 200 /* at most so many at once: a kind may hold each open */
/* store_replay of many dead letters, which together cost little more than ten times one. Each is
 * judged after it was read and before anything is touched. Nothing is handed out to the reader
 * before its move is durable. The statuses are those of store_replay, or judge's; a crash at any
 * place leaves each dead or replayed, as there, whatever became of the others. */
void store_replay_all(struct store *s, struct letter *list, size_t count, store_judge_fn judge,
                      void *ctx);
/* Take dead letters out for good. A crash in between leaves each whole or gone, or, of a raw one, a
 * dead letter without bytes, which can be purged again. ST_OK: durable. ST_NOT_FOUND: it is gone,
 * or another by now. Needs the lock. */
void store_purge(struct store *s, struct letter *list, size_t count);
/* Bytes of a dead letter, at most `most` of them beginning at from; *size is all there are. raw:
 * those of a raw one as they came; else its text, which of a raw one is what the kind tells of it,
 * or empty. ST_NOT_FOUND: it is gone, or (raw) has none; ST_INVALID: it is not a dead letter's
 * token. Needs no lock. */
MUST_CHECK enum status store_bytes(struct store *s, const char *token, bool raw, uint64_t from,
                                   size_t most, struct buffer *out, uint64_t *size,
                                   struct error *err);
/* The payload of a dead letter becomes this one, a JSON object's text; of a raw one this takes the
 * place of its bytes (store_bytes raw). What is told of its failure stays, and so does its token.
 * when_us: as in struct letter. Durable; a crash leaves the one or the other whole. Needs the lock.
 * ST_NOT_FOUND: it is gone, or another by now; ST_BUSY: it was changed at this moment; ST_INVALID:
 * its form is not to be rewritten, or the kind cannot hold these bytes. */
MUST_CHECK enum status store_amend(struct store *s, const char *token, int64_t when_us,
                                   struct span payload, struct error *err);
/* One dead letter more, as store_bytes told of it before it was purged. Durable: whole, or not
 * there. label: as of store_emit. Needs the lock. ST_EXISTS: a dead letter of that storage key is
 * there; ST_INVALID: text is not what is told of a dead letter, or the kind cannot hold it. */
struct burial {
  struct span storage_key;
  struct span text; /* a JSON object: members of bridge/event/CONTRACT.md 2 */
  struct span raw;  /* its bytes, of what is not a JSON object; ptr NULL: it is one */
  struct span key;  /* what the entry was said to be ordered by (event.subject), or empty */
};
MUST_CHECK enum status store_bury(struct store *s, const struct burial *letter,
                                  struct buffer *label, struct error *err);
/* One entry more, durable when it returns: nobody ever sees half of it. storage_key: what it is
 * called, as producers choose it (bridge/event/CONTRACT.md), by which no two wait at one time; a
 * kind that knows its entries by their ids may go by the id in text instead. label, if not NULL: by
 * which people know it from now on, appended. Needs no lock. ST_EXISTS: one of that key waits;
 * ST_INVALID: nothing can be called so. */
MUST_CHECK enum status store_emit(struct store *s, struct span storage_key, struct span text,
                                  struct buffer *label, struct error *err);
/* One line more, its end included, in the list of what people changed: durable, and behind half a
 * line that a crash left. Beyond STORE_AUDIT_MOST bytes the list begins anew, and the one before is
 * kept. One at a time. The owner's. */
#define STORE_AUDIT_MOST (1024 * 1024)
MUST_CHECK enum status store_audit(struct store *s, struct span line, struct error *err);

#endif
