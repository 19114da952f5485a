/* manifest.h - the journal of an outbox: the list of each batch, written before its position is
 * sent to Kafka and kept until it is settled. Part of the contract of a store (store.h), whatever
 * it keeps them in.
 *
 * A manifest is in doubt (committed or not, Kafka knows) until it is settled; the settled one of
 * the last position stays as its witness and names nothing to be done. The digest is of its
 * content, in which stand a nonce and the digest of the manifest before it: no two share number and
 * digest, and a chain can be followed back. Nothing here overwrites (L3, L7 of
 * bridge/relay/PROTOCOL.md).
 *
 * Threads: one writes, settles and removes; list, read and names from any thread and any process.
 * After a crash each manifest is there whole, or not at all.
 */
#ifndef BRIDGE_OUTBOX_MANIFEST_H
#define BRIDGE_OUTBOX_MANIFEST_H

#include "bridge/outbox/store.h"

#define MANIFEST_DIGEST 33          /* 32 hex digits and a NUL */
#define MANIFEST_MOST (1024 * 1024) /* bytes; a larger one is not written: the batch is cut */
/* A larger one is not read; earlier releases wrote them so large */
#define MANIFEST_MAX (64 * 1024 * 1024)
#define MANIFEST_KEY 256  /* the key is for people: of a long one so many bytes are kept */
#define MANIFEST_LABEL 64 /* settled-, 20 digits, -, 32 digits and a NUL */

struct manifest_entry {
  struct entry_ref ref;
  struct span id, topic, key;
  bool event_time; /* its record carries the event's own time: no search by time finds it */
  bool missing;    /* told by manifest_write: it is not in the outbox any more */
  bool duplicate;  /* shares the id of another entry of the batch: settled with it, not published;
                      its key is left out */
};

struct manifest {
  uint64_t number;
  char digest[MANIFEST_DIGEST], before[MANIFEST_DIGEST]; /* before: "" for the first */
  struct manifest_entry *entries;
  size_t count, fit;
  struct span nonce;  /* once read: of the run and try that wrote it. When: manifest_name */
  struct arena arena; /* everything above lives here once read */
};

struct manifest_name {
  uint64_t number;
  char digest[MANIFEST_DIGEST];
  bool settled;
  int64_t written_ms; /* wall time, as manifest_list found it; 0: not known */
};

/* Written, durably, to be settled or forgotten. number, before, entries (pending ones
 * only) and count are given, digest is filled. nonce: of this run and try. ST_TOO_LARGE beyond
 * MANIFEST_MOST: fit tells how many of the entries fill it. ST_NOT_FOUND, with entries marked
 * missing: an outbox that may lose what it has shown (the server of a database that crashed) has
 * lost these, so the list is not written. On any error none counts as written (it
 * may be there: same number, digest, content). Want of space does not stop it while the store has
 * some in reserve. */
MUST_CHECK enum status manifest_write(struct store *s, struct manifest *m, const char *nonce,
                                      struct error *err);
/* All there are, by number, then settled ones first. *list is malloc'ed, the caller frees it.
 * ST_INVALID: something is among them that is none. */
MUST_CHECK enum status manifest_list(struct store *s, struct manifest_name **list, size_t *count,
                                     struct error *err);
/* Reads and checks one: ST_INVALID when its content has not that digest or number, or is damaged;
 * ST_UNSUPPORTED when another release wrote it in a form of its own. On failure *out is empty. */
MUST_CHECK enum status manifest_read(struct store *s, const struct manifest_name *name,
                                     struct manifest *out, struct error *err);
void manifest_release(struct manifest *m);
/* named[i]: does ids[i] stand in a manifest that is not settled yet? Each manifest is read once;
 * those that vanish meanwhile are passed over. Empty ids are not named. */
MUST_CHECK enum status manifest_names(struct store *s, const struct span *ids, size_t count,
                                      bool *named, struct error *err);
/* What it names is out of the outbox, durably: it is settled from now on. ST_OK also when it
 * already is. */
MUST_CHECK enum status manifest_settle(struct store *s, const struct manifest_name *name,
                                       struct error *err);
/* ST_OK also when it is gone. */
MUST_CHECK enum status manifest_remove(struct store *s, const struct manifest_name *name,
                                       struct error *err);

bool manifest_digest_valid(struct span s); /* 32 hex digits */
void manifest_label(const struct manifest_name *name,
                    char out[MANIFEST_LABEL]); /* what people know it by */

#endif
