/* manifest.h - the list of a batch on disk, written before its position is sent to Kafka and kept until it is settled.
 *
 * Files of .busbridge: batch-<number>-<digest> (to be settled, or never committed) and settled-<number>-<digest>
 * (counts as the manifest of its position, not settled again). The digest (digest_fixed) is of the content, which holds
 * a nonce and the digest of the manifest before it: no two manifests ever share a name, and a chain can be followed
 * back. Nothing here overwrites. Text, one JSON value a line:
 *   {"busbridge-manifest":2,"number":N,"before":"...","nonce":"...","count":N}
 *   ["flat|pending","NAME",inode,size,ctime,mtime,"ID","TOPIC","KEY",content,duplicate]
 * Version 1, of release 0.1.0, lacks the content (event_content) and is read too; 0.1.0 refuses 2 by its number.
 * A text that is no UTF-8 (a file name may be any bytes) stands as {"hex":"..."}. The key is for people: of a long one
 * the first MANIFEST_KEY bytes stand there, a duplicate does not repeat it. One thread; a crash leaves a file in tmp/
 * at most.
 */
#ifndef BRIDGE_RELAY_MANIFEST_H
#define BRIDGE_RELAY_MANIFEST_H

#include "bridge/outbox/store.h"

#define MANIFEST_DIGEST 33              /* 32 hex digits and a NUL */
#define MANIFEST_MOST (1024 * 1024)     /* bytes; a larger one is not written: the batch is cut */
#define MANIFEST_MAX (64 * 1024 * 1024) /* a larger one is not read; earlier releases wrote them so large */
#define MANIFEST_KEY 256

struct manifest_entry {
  struct entry_ref ref;
  struct span id, topic, key;
  bool duplicate; /* shares the id of another entry of the batch: settled with it, not published */
};

struct manifest {
  uint64_t number;
  char digest[MANIFEST_DIGEST], before[MANIFEST_DIGEST]; /* before: "" for the first */
  struct manifest_entry *entries;
  size_t count, fit;
  struct arena arena; /* everything above lives here once read */
};

struct manifest_name {
  uint64_t number;
  char digest[MANIFEST_DIGEST];
  bool settled;
};

/* Writes batch-<number>-<digest>: temporary file, fsync, rename without replacing, folder fsync. number, before,
 * entries (flat and pending ones only) and count are given, digest is filled. ST_TOO_LARGE beyond MANIFEST_MOST: fit
 * tells how many of the entries fill it. On any error nothing of that name counts as written (it may lie there: same
 * name, same content). nonce: of this run. */
MUST_CHECK enum status manifest_write(int folder, int tmp, struct manifest *m, const char *nonce, struct error *err);
/* All manifests in folder, by number, then settled ones first. *list is malloc'ed, the caller frees it. Other files are
 * passed over; names that begin like ours and are malformed are ST_INVALID. */
MUST_CHECK enum status manifest_list(int folder, struct manifest_name **list, size_t *count, struct error *err);
/* Reads and checks one: ST_INVALID when its content has not that digest or number, or is damaged; ST_UNSUPPORTED when
 * another release wrote it in a form of its own. On failure *out is empty. */
MUST_CHECK enum status manifest_read(int folder, const struct manifest_name *name, struct manifest *out,
                                     struct error *err);
void manifest_release(struct manifest *m);
/* Is this id named in a manifest that is not settled yet? Those that vanish meanwhile are passed over. Any thread. */
MUST_CHECK enum status manifest_names(int folder, struct span id, bool *named, struct error *err);
/* The same for many at once, each manifest read once; named[i] of ids[i]. Empty ids are not named. */
MUST_CHECK enum status manifest_names_of(int folder, const struct span *ids, size_t count, bool *named,
                                         struct error *err);
/* batch- becomes settled-, folder fsync. ST_OK also when it already is. */
MUST_CHECK enum status manifest_settle(int folder, const struct manifest_name *name, struct error *err);
/* Removed, folder fsync. ST_OK also when it is gone. */
MUST_CHECK enum status manifest_remove(int folder, const struct manifest_name *name, struct error *err);

/* Without a file: the text of one, appended to out; a text read back (digest: of text), checked but for its name. Of
 * more than MANIFEST_MOST bytes the rest is left out: how many entries were written whole. */
size_t manifest_print(const struct manifest *m, const char *nonce, struct buffer *out);
MUST_CHECK enum status manifest_parse(struct span text, struct manifest *out, struct error *err);
void manifest_digest(struct span text, char out[MANIFEST_DIGEST]);
bool manifest_digest_valid(struct span s); /* 32 hex digits */

#endif
