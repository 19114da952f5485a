/* store.h - the outbox: entries in order of arrival, out of it by verdict. The ops table has one
 * row per kind of outbox (file/ and memory/ now; SQLite and PostgreSQL later); all pass
 * tests/contract/store_test.c.
 *
 * An entry is IN HAND from store_next until one of store_done, store_retry, store_dead returned
 * ST_OK for it, or store_release was called. store_next never hands out what is in hand, nor the
 * same entry twice in one scan. Its removal comes before it is forgotten, and store_next, finding a
 * name not in hand, looks once more that it still exists, unless it read it just now and nothing
 * else was taken into hand since.
 *
 * Order: a scan gives entries by (mtime, created_at, name) and live notices follow in the order
 * they were told. The rules, S1 on, are in rules.h; README.md beside this file names the tests that
 * hold them. Each scan from the start has a GENERATION number, 1 and up; entries carry the number
 * of the scan that was current when they were handed out. Whoever needs what it gave back in order
 * again asks for store_rescan_settled: what is in hand when a name's turn comes is passed over by
 * that scan.
 *
 * Threads: store_next, store_follow and store_wait on one thread (the reader);
 * store_settle/done/retry/dead/sync/release on any one other thread at the same time (the
 * finisher; release also by the publisher); store_wake, store_rescan, store_rescan_settled,
 * store_counts, store_amounts on any thread. store_list, store_find, store_replay, store_emit,
 * store_survey, store_lies need no reader and work on a store that was opened without create too.
 * Opening, locking, beginning and closing are one thread's, and nobody else uses it meanwhile.
 */
#ifndef BRIDGE_OUTBOX_STORE_H
#define BRIDGE_OUTBOX_STORE_H

#include "bridge/base/log.h"
#include "bridge/event/event.h"
#include "bridge/outbox/notes.h"
#include "bridge/outbox/selections.h"

/* Where entries lie: those that wait, dead letters, and published ones that are kept. */
enum shelf { SHELF_PENDING, SHELF_DEAD, SHELF_SENT };
/* "dlq/", "sent/": in front of a token in messages; "" for what waits, and for a token that tells
 * its folder itself. */
const char *shelf_path(enum shelf shelf, struct span token);

/* Which entry it is: shelf and token name it, and survive a restart. A token is the store's own
 * and opaque: printable, terminated, at most TOKEN_MOST bytes, no other entry of its shelf has it.
 */
#define TOKEN_MOST 272
struct entry_ref {
  enum shelf shelf;
  struct span token;
  struct span name;   /* the end of the token, which people know it by: "3f2b....json" */
  struct span id;     /* empty: it has none */
  uint64_t content;   /* event_content of what was read, 0 = not known */
  int64_t arrived_ns; /* wall time, kept by every move: the order of arrival */
  int64_t since_ms; /* wall time: as it is, it was not there before; what Kafka holds of an earlier
                       time is of another one */
  uint64_t own[4];  /* the store's own, opaque: which version of it was read; all 0: not known */
};

struct entry {
  struct entry_ref ref;
  uint64_t generation;
  struct span text;    /* the bytes read; empty when reason is REASON_TOO_LARGE */
  struct json_doc doc; /* of text */
  struct event event;
  enum reason reason; /* REASON_NONE, or why it can never be published: settle it by store_dead */
  const char *error;  /* words for it ("byte 17: ..."), or NULL */
};

struct store_config {
  int64_t settle_ms;         /* 2000: how long a file that does not parse may still be growing */
  size_t max_entry_bytes;    /* 1 MiB */
  size_t window;             /* 250,000 names kept of a scan */
  int64_t settled_wait_ms;   /* how long a store_rescan_settled waits at most, 0 = for ever */
  int64_t typed_timeout_ms;  /* 5 min: what the typed bus left under way is ours after so long */
  bool keep_sent;            /* done moves to sent/ instead of deleting */
  int64_t sent_retention_ms; /* files in sent/ older than that are removed, 0 = never */
  /* May be NULL. Told on the reader's thread before an entry is parsed. False: it ended the process
   * too often; it is handed out unparsed with REASON_CRASHES_WORKER. */
  bool (*may_parse)(void *ctx, const char *token);
  void *parse_ctx;
  /* May be NULL. Told on any thread of a dead letter that was replayed or purged: its event name,
   * its reason's word. */
  void (*dead_left)(void *ctx, struct span name, struct span reason);
  void *dead_ctx;
};

/* ---- opening: store_open meets the outbox, store_lock owns it, store_begin turns to entries ----
 *
 * Until store_begin nothing but what stands here, in notes.h and in manifest.h may be asked. */

struct store_options {
  bool create; /* to change it: makes what is missing for that. False: only list, find; changes
                * nothing, watches nothing
                */
  const struct clock *clock;
  struct log *log;                     /* may be NULL */
  const struct event_lifting *lifting; /* for event_read; NULL: nothing is lifted */
  const char *typed; /* where the older typed bus keeps its outbox, the second intake; NULL: off */
};

struct store;
/* outbox.url chooses the kind: "file:DIR". ST_INVALID: unknown kind, or what lies there is no
 * outbox, or typed is, holds or lies in it; ST_UNSUPPORTED: a kind that comes later, or one that
 * has no second intake; ST_NOT_FOUND, ST_DENIED, ST_NO_SPACE: err says
 * what to do. */
MUST_CHECK enum status store_open(const char *url, const struct store_options *options,
                                  struct store **out, struct error *err);
void store_close(struct store *s); /* gives the lock back too */
/* Where an outbox of this url lies: what comes behind its scheme (a folder for file:). ST_INVALID,
 * ST_UNSUPPORTED: as store_open, and for one in memory, which is nobody's outbox outside of tests.
 */
MUST_CHECK enum status store_address(const char *url, const char **address, struct error *err);
/* What a kind can and cannot, whatever lies in it. */
enum store_order {                 /* of entries that arrived at one time */
                   ORDER_OF_NAMES, /* by created_at, then by name */
                   ORDER_OF_COMING /* as they came */
};
struct store_traits {
  bool watches; /* an arrival ends store_wait and is handed out without a scan, as a rule; else
                   only a scan finds it */
  enum store_order order;
  bool counts;     /* store_counts is exact and cheap without a reader too, whatever lies there */
  bool keeps_sent; /* keep_sent is followed; else store_begin refuses it */
};
const struct store_traits *store_traits(const struct store *s);
const char *store_name(const struct store *s); /* what people know it by: a folder for file: */
const char *store_url(const struct store *s);  /* by which it can be opened again */
/* Its identity, uuid text: names its position in Kafka. "": nobody has opened it to change it yet.
 */
const char *store_id(const struct store *s);

/* One owner an outbox, who alone takes entries into hand, writes notes and the journal. Waits up to
 * wait_ms. ST_BUSY: err says who owns it since when, and what to do; ST_NOT_FOUND: nobody has
 * opened it to change it yet. The id is read again: its last owner may have renewed it. What an
 * earlier owner left half done on its way out goes back, or away. */
MUST_CHECK enum status store_lock(struct store *s, int64_t wait_ms, struct error *err);
/* Pid of the owner (-1: it cannot be told), 0 when there is none. Never blocks. Any thread. */
int64_t store_holder(const struct store *s);
/* Is it still ours? ST_OK. ST_BUSY: no, for good; err says what happened. Any other: it cannot be
 * looked at now, which says nothing of the owner. Any thread. */
MUST_CHECK enum status store_check(struct store *s, struct error *err);
/* A new id; the owner's. Its position in Kafka belongs to the old id and stays behind; manifests
 * stay, so that the next start settles by the topics what they name. A crash leaves the old id or
 * the new one. */
MUST_CHECK enum status store_renew_id(struct store *s, struct error *err);

/* Entries: to list and find them, and for the owner to read and settle them. Makes what is missing
 * for that (dlq/). Moves that a crash left half done are finished by store_next where it meets
 * them: after recovery has settled, and without reading dlq/. ST_INVALID: what is known of entries
 * set aside is damaged, or it lies where entries cannot be moved; err says what to do.
 * ST_UNSUPPORTED: keep_sent of a kind that keeps none. */
MUST_CHECK enum status store_begin(struct store *s, const struct store_config *config,
                                   struct error *err);
/* A change of the outbox failed: does it let others be made, so that it is this one's alone? The
 * owner's. */
bool store_hinders_one(const struct store *s, const struct error *why);
/* How many entries are on their way out of the outbox or back since a minute or longer: a crash, or
 * a move that failed both ways. The next owner takes them from there. Any thread. */
uint64_t store_left(const struct store *s, int64_t now_us);

struct store_space {
  bool known;
  int64_t bytes, files; /* room for so many more; files -1: as many as wanted */
};
void store_space(const struct store *s, struct store_space *out); /* any thread */
MUST_CHECK enum status store_writable(const struct store *s,
                                      struct error *err); /* may entries be made, moved? Cheap */
/* What a doctor asks, beside its owner too, of a handle that only inspects. Nothing stays of it. */
enum examination {
  EXAMINE_PLACE,   /* may all of it be changed, and does it lie where entries can be moved? */
  EXAMINE_CHANGES, /* is a change durable, and does it take another's place at once? It is tried */
  /* The same of the second intake, and who has it; NOT where there is none. */
  EXAMINE_SECOND,
  EXAMINE_SECOND_CHANGES
};
enum examined_verdict { EXAMINED_FINE, EXAMINED_DOUBTFUL, EXAMINED_FAILED, EXAMINED_NOT };
struct examined {
  enum examined_verdict verdict;
  struct buffer text, next; /* in words, and what to do, if anything is. The caller's */
  int64_t skew_us;          /* of EXAMINE_CHANGES: the clock that entries are stamped with, against
                               options->clock; TIME_NONE: not known */
};
void store_examine(struct store *s, enum examination which, struct examined *out);
/* How many entries there may be of which (LIST_PENDING, LIST_DEAD), by their names alone: a pass
 * that reads none. */
uint64_t store_names(const struct store *s, unsigned which);
/* One line more, its end included, in the list of what people changed: durable, and behind half a
 * line that a crash left. Beyond STORE_AUDIT_MOST bytes the list begins anew, and the one before is
 * kept. One at a time. */
#define STORE_AUDIT_MOST (1024 * 1024)
MUST_CHECK enum status store_audit(struct store *s, struct span line, struct error *err);

/* ---- reading ---- */

/* The next entry, now in hand. out->ref.token and name live in keep, everything else of *out in
 * scratch (doc's nodes too). ST_AGAIN: nothing to hand out now (store_wait, which comes back at
 * once if there is more). ST_IO, ST_DENIED, ST_NO_SPACE, ST_NO_MEMORY: the folder cannot be read,
 * err says so; try later, nothing is skipped. ST_NOT_FOUND: the outbox folder is gone, or another
 * lies in its place (its lock and identity went with it: only the old one is read). A file that
 * does not parse and may still be growing is passed over and comes again once settled. */
MUST_CHECK enum status store_next(struct store *s, struct arena *keep, struct arena *scratch,
                                  struct entry *out, struct error *err);
/* Hands out nothing, but begins a scan that is due, and takes in what was told, so that
 * store_counts stays right. The reader's thread. ST_OK, or why the folder cannot be read, as
 * store_next. */
MUST_CHECK enum status store_follow(struct store *s, struct error *err);
/* Sleep until something may have arrived, a growing file may have settled, store_wake, or
 * timeout_ms. */
void store_wait(struct store *s, int64_t timeout_ms);
void store_wake(struct store *s);
/* Ask for a fresh scan from the start; returns the generation it will have. Several requests before
 * it begins share it.
 */
uint64_t store_rescan(struct store *s);
/* The same, but this scan begins only when nothing is in hand any more but what lingers (or
 * settled_wait_ms after this call), and until then store_next hands out nothing: so whatever was
 * given back before it began is in it, in its place, and nothing newer overtakes it. */
uint64_t store_rescan_settled(struct store *s);
/* True when the scan of this or a later generation has reached its end (everything it found has
 * been handed out, passed over, or is growing). */
bool store_scanned(const struct store *s, uint64_t generation);

/* ---- settling: each ends "in hand" when it returns ST_OK ----
 *
 * On an error the entry stays in hand, so that it is not handed out, and published again, while the
 * caller tries once more. What had been done by then is found done by the next try. */

enum settled {
  SETTLED_GONE,     /* it is out of the outbox (deleted or in sent/, moved to dlq/, or rewritten) */
  SETTLED_VANISHED, /* somebody else took it meanwhile */
  SETTLED_CHANGED,  /* another event lies at its name: left alone, found again */
  SETTLED_REUSED    /* done: another event with its id lay there, and is out of the outbox as its
                       duplicate */
};
/* Published, or a duplicate: take it out, if it still is what the ref says. Nothing is removed that
 * was not looked at: it goes into tmp under a name that says what it is to be, is compared there,
 * and put back when it is another one; a crash meanwhile is made good by the next holder of the
 * lock. ST_BUSY: it is being written just now; ST_DENIED, ST_IO: it cannot be read or removed. Both
 * concern this entry alone. Durable after store_sync. */
MUST_CHECK enum status store_done(struct store *s, const struct entry_ref *ref, enum settled *how,
                                  struct error *err);
MUST_CHECK enum status store_sync(struct store *s, struct error *err);

/* Where it lies once it is a dead letter, in front of its name in messages: "dlq/". Any thread. */
const char *store_dead_path(const struct store *s, const struct entry_ref *ref);

struct failure {
  enum reason reason; /* REASON_NONE for a retry whose cause has no word yet */
  const char *error;  /* last_error, in words */
  int error_code;     /* librdkafka's, 0 = none */
  const char *topic;  /* NULL = not routed */
  unsigned attempts;  /* counted, this one included */
  int64_t failed_us;
};
/* Stays pending with attempts, last_error, failed_at (and first_failed_at) set; the mtime is kept.
 * Durable. */
MUST_CHECK enum status store_retry(struct store *s, const struct entry_ref *ref,
                                   const struct failure *why, enum settled *how, struct error *err);
/* To dlq/: the dead form in place, then one move; what is not a JSON object goes as <stem>.raw with
 * a descriptor. Durable.
 */
MUST_CHECK enum status store_dead(struct store *s, const struct entry_ref *ref,
                                  const struct failure *why, enum settled *how, struct error *err);
enum entry_fate { FATE_DONE, FATE_RETRY, FATE_DEAD };
struct settling { /* one row of a chain */
  const struct entry_ref *ref;
  bool late;      /* of FATE_DONE: long after the ref was made (recovery). Its own numbers decide
                     nothing, id does; what is not in its place is looked for under the same name
                     in dlq/, and taken out there (GONE), else VANISHED */
  struct span id; /* with late */
  enum entry_fate fate;
  struct failure why; /* of FATE_RETRY and FATE_DEAD */
  enum settled how;   /* what became of it, as store_done, store_retry, store_dead say it */
  enum status status; /* likewise; what is not ST_OK stays in hand */
  struct error error; /* where that is not ST_OK */
};
/* How far a batch's record got. */
enum closing {
  CLOSING_NOT,      /* it was not asked for, or a row stays in hand */
  CLOSING_UNSYNCED, /* a removal may be lost with the power: a later call could not tell either */
  CLOSING_SYNCED,   /* the removals are durable; what was set aside is not */
  CLOSING_DURABLE,  /* all of it is; the record is not marked */
  CLOSING_DONE
};
#define STORE_ROWS 200 /* at most so many at once: each that failed is an open file */
struct manifest_name;
/* Settles a chain; each row ends "in hand" by its own status, so that two hundred cost little more
 * than ten. Where it ends a batch, closes names its record, which is marked as settled when each
 * row has ST_OK and all the removals are durable (rows before these, too). A crash at any place
 * leaves each row as if it had been alone, and the record unmarked as long as one of them could
 * come back. ST_OK: all of it. ST_BUSY: the outbox is not ours any more, nothing was touched since.
 * ST_AGAIN: rows stay in hand, as they say. Any other: the rows are settled, the batch is not
 * closed, as *closing (NULL without closes) and err say; or it cannot be told whose it is, and then
 * each row says so. */
MUST_CHECK enum status store_settle(struct store *s, struct settling *rows, size_t count,
                                    const struct manifest_name *closes, enum closing *closing,
                                    struct error *err);
/* It stays in hand for longer, and whoever holds it keeps what must not overtake it from passing:
 * the scan of store_rescan_settled does not wait for it. It does again (on false) for one that is
 * about to be given back: said before a scan is asked for, else that scan passes it over and what
 * is newer overtakes it. Any thread. */
void store_linger(struct store *s, const struct entry_ref *ref, bool on);
/* Given back as it is: a later scan finds it. */
void store_release(struct store *s, const struct entry_ref *ref);

/* ---- set aside: entries that the file system refuses to change, each by itself (immutable,
 * another user's in a sticky folder, a mount on it, a bad block, a name that is too long). What
 * became of such a one is written down, all others go on, and it is carried out when the hindrance
 * goes. The settling thread's, except for store_asides. */

enum aside {
  ASIDE_DONE,  /* store_done: never handed out again, over restarts too */
  ASIDE_RETRY, /* store_retry: pending as before; handed out with the attempts that are known of it
                */
  ASIDE_DEAD   /* store_dead: not handed out any more */
};
#define STORE_ASIDE_MOST 10000
/* Its done, retry or dead (with why) has failed by hindrance. ST_OK: it is not in hand any more.
 * ST_AGAIN: it is not the only one that is hindered (the disk is full, the folder not writable), or
 * there are too many, as err says: wait, and try the same once more. Durable after
 * store_aside_sync. */
MUST_CHECK enum status store_aside(struct store *s, const struct entry_ref *ref, struct span id,
                                   enum aside what, const struct failure *why,
                                   const struct error *hindrance, struct error *err);
/* After store_sync: what was set aside is on the disk, what was carried out is forgotten there. On
 * a failure: again. */
MUST_CHECK enum status store_aside_sync(struct store *s, struct error *err);
/* Tries to carry out what is set aside. Then store_sync and store_aside_sync. */
void store_aside_tend(struct store *s);
struct aside_info {
  enum aside what;
  const char *token, *file; /* file: the end of token, which people know it by */
  struct span id;
  const char *why, *remedy;
  unsigned attempts;
  int64_t since_us, arrived_us;
  uint64_t size;
};
typedef bool (*store_aside_fn)(void *ctx, const struct aside_info *info); /* false stops */
/* At most limit (0 = all), the first ones first. Any thread; needs no reader. */
MUST_CHECK enum status store_asides(struct store *s, size_t limit, store_aside_fn visit, void *ctx,
                                    struct error *err);
const char *store_aside_word(enum aside what); /* published, refused, dead */
const char *store_aside_remedy(int sys);       /* of an errno */
/* "bad-1.json, published: Operation not permitted", fit to be shown */
void store_aside_words(const struct aside_info *info, char *out, size_t size);

/* ---- looking and repairing (no reader needed) ---- */

struct store_counts {
  uint64_t pending; /* entries told by the last scan and since, in hand and growing included, minus
                       those settled */
  uint64_t in_hand;
  uint64_t
      given_back; /* neither in hand nor settled: handed out by the scan under way and given back */
  /* With a reader, once `listed` (the outbox was listed whole, and `first` were there): pending =
   * first + arrived + returned - gone - vanished, all of one moment. gone: settled; returned:
   * replayed out of dlq/; vanished: left the pending ones by somebody else's doing. arrived falls
   * when a listing finds fewer than were known. */
  uint64_t first, gone, vanished, returned;
  int64_t arrived;
  bool listed;
  uint64_t dead;    /* entries in dlq/ */
  uint64_t growing; /* files that do not parse yet */
  uint64_t unreadable,
      odd; /* files left alone: no right to read; link, FIFO, socket, device, two links, folder */
  uint64_t aside;         /* set aside; of these only the refused ones are pending */
  uint64_t foreign;       /* entries of another status (dispatched, ...) */
  uint64_t foreign_typed; /* of these in the second intake, what others are at work on included */
  int64_t oldest_us;      /* mtime of the oldest pending one, TIME_NONE */
  bool exact;             /* false while a first scan is under way */
};
/* With a reader: its running figures (cheap). With inspect: counts the folders (one pass, without
 * reading files). */
MUST_CHECK enum status store_counts(struct store *s, struct store_counts *out, struct error *err);
/* The same except for oldest_us: with a reader it takes no look at each entry in hand, so it may be
 * asked often. */
MUST_CHECK enum status store_amounts(struct store *s, struct store_counts *out, struct error *err);

struct entry_info {
  enum shelf shelf;
  const char *token;
  const char *file; /* the end of the token, which people know it by */
  /* Where it lies, for an editor: folder, and a folder in it or "" */
  const char *folder, *place;
  struct span id, name;
  int64_t created_us, failed_us, first_failed_us, arrived_us;
  unsigned attempts;
  struct span last_error; /* unescaped, or empty */
  struct span reason;     /* word, or empty */
  struct span topic;
  uint64_t payload_size; /* length of the payload's JSON text */
  uint64_t size;
  struct span text; /* the bytes of the file (of a raw dead letter: of its descriptor); empty: it
                       was not read */
  const struct json_doc *doc; /* of text; NULL when that is not a JSON object */
  const struct event *event;  /* as read of doc; NULL without one, and of a foreign form */
  uint32_t payload;           /* its node, JSON_NONE: there is none */
  bool raw;                   /* dead letter whose bytes were no JSON */
  bool foreign_form; /* dead letter in the newer producer's form (bridge/event/CONTRACT.md 2) */
};
/* false stops the walk. info and all it points to are valid during the call. */
typedef bool (*store_visit_fn)(void *ctx, const struct entry_info *info);
/* LIST_LOOK: look at the folder even where a reader knows: it may not have been told the newest
 * yet. LIST_NAMED: for store_find: only by the file's exact stem, which reads no folder. LIST_ALL:
 * for whoever has to know each entry that may be handed out later: those with several links are
 * visited too, and one that cannot be read is an error. */
enum { LIST_PENDING = 1, LIST_DEAD = 2, LIST_LOOK = 4, LIST_NAMED = 8, LIST_ALL = 16 };
/* Visit at most limit (0 = all) entries, oldest first by arrival (the file's mtime, which every
 * move keeps); *total: how many there are: counted by name, less those found not to be ours among
 * the files read. Files that do not parse are listed with the stem as id and reason = what is
 * wrong; dead letters that are left unread (hard links, no right to read) with the stem as id, no
 * reason, and last_error = why. A short list beside a reader with a long backlog does not look at
 * the whole folder: it takes what the reader knows, and *total is then store_counts' pending and
 * the dead. A file moved in with an old mtime may be missing until the next scan, and beyond the
 * names that the reader keeps a pass over the folder goes on. */
MUST_CHECK enum status store_list(struct store *s, unsigned which, size_t limit,
                                  store_visit_fn visit, void *ctx, uint64_t *total,
                                  struct error *err);
/* Of the pending ones only those that arrived (mtime) in this time: the others are told by name and
 * time alone, so that their files are not read, and are not in *total. */
struct store_range {
  int64_t since_us, until_us; /* both ends included; TIME_NONE: any */
};
MUST_CHECK enum status store_list_range(struct store *s, unsigned which,
                                        const struct store_range *range, size_t limit,
                                        store_visit_fn visit, void *ctx, uint64_t *total,
                                        struct error *err);
/* Entries whose file stem (or only if none matches: id) equals id_or_prefix or begins with it:
 * exact ones alone if there are any; at most 20 are visited. <id>__N and dlq_<id> count as exact.
 */
MUST_CHECK enum status store_find(struct store *s, unsigned which, struct span id_or_prefix,
                                  store_visit_fn visit, void *ctx, uint64_t *total,
                                  struct error *err);
/* Visit the one entry of that name, however it is called by its id. ST_NOT_FOUND: gone, or no entry
 * (any more). */
MUST_CHECK enum status store_look(struct store *s, enum shelf shelf, const char *token,
                                  store_visit_fn visit, void *ctx, struct error *err);
/* Back to pending: a dead letter moves into the flat folder with attempts 0, last_error and
 * failed_at null, its old mtime; a raw one as its bytes were. A pending entry (place FLAT or
 * PENDING) is rewritten with attempts 0. Durable. The newer producer's form becomes a pending entry
 * <id>.json. A crash meanwhile leaves it dead or replayed, never both. ST_NOT_FOUND it is gone;
 * ST_BUSY it is in hand; ST_EXISTS its name is taken; ST_INVALID it cannot be an entry. Needs the
 * lock. */
MUST_CHECK enum status store_replay(struct store *s, enum shelf shelf, const char *token,
                                    struct error *err);

struct letter {     /* one dead letter of many */
  const char *file; /* its token */
  int64_t when_us;  /* the failed_at, else the mtime, it had when it was chosen: another means that
                       it left dlq/ and died again. TIME_NONE: whichever */
  struct span id;   /* told to judge */
  bool raw;         /* likewise */
  enum status status; /* what became of it */
  struct error error; /* where that is not ST_OK */
};
/* Sets the status (and error) of those that are to stay. All that are ST_OK so far lie in dlq/. */
typedef void (*store_judge_fn)(void *ctx, struct letter *list, size_t count);
#define STORE_LETTERS 200 /* at most so many at once: each is an open file */
/* store_replay of many dead letters: the folders are synced once for all, so that a thousand cost
 * little more than a hundred times one. Each is judged after it was read and before anything is
 * touched. Nothing is handed out to the reader before its move is durable. The statuses are those
 * of store_replay, or judge's; a crash at any place leaves each dead or replayed, as there,
 * whatever became of the others. */
void store_replay_all(struct store *s, struct letter *list, size_t count, store_judge_fn judge,
                      void *ctx);
/* Take dead letters out for good, a raw one's bytes before its descriptor (a crash in between
 * leaves a dead letter without bytes, which can be purged again). ST_OK: durable. ST_NOT_FOUND: it
 * is gone, or another by now. Needs the lock. */
void store_purge(struct store *s, struct letter *list, size_t count);
/* Bytes of a dead letter by its token, or of its raw bytes by that with .raw for .json, at most
 * `most` of them beginning at from; *size is the whole file's. ST_NOT_FOUND, ST_INVALID (no regular
 * file). Needs no lock. */
MUST_CHECK enum status store_bytes(struct store *s, const char *file, uint64_t from, size_t most,
                                   struct buffer *out, uint64_t *size, struct error *err);
/* Write one entry durably as the contract wants it: temporary name, fsync, rename into the flat
 * folder, fsync. name:
 * *.json. Needs no lock. ST_EXISTS: the name is taken. */
MUST_CHECK enum status store_emit(struct store *s, const char *file, struct span text,
                                  struct error *err);

/* Does an entry with that id lie where ref says, whatever its bytes, and is not set aside? */
bool store_lies(struct store *s, const struct entry_ref *ref, struct span id);

/* "memory:NAME" outlives its handles; this ends it, when none is open any more. */
void store_memory_forget(const char *name);
/* Its lock is free for the next one, whoever holds it, as when a lock file is removed: the last
 * owner is none any more.
 */
void store_memory_unlock(const char *name);

#endif
