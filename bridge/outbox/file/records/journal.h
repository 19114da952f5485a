/* journal.h - inside bridge/outbox/file only: manifests as files of .busbridge.
 *
 * batch-<number>-<digest> is to be settled, or was never committed; settled-<number>-<digest>
 * counts as the manifest of its position. The digest (digest_fixed) is of the text, one JSON value
 * a line:
 *   {"busbridge-manifest":2,"number":N,"before":"...","nonce":"...","count":N}
 *   ["flat|pending","NAME",inode,size,ctime,mtime,"ID","TOPIC","KEY",content,duplicate]
 * Version 1, of release 0.1.0, lacks the content (event_content) and is read too; 0.1.0 refuses 2
 * by its number. A text that is not UTF-8 (a file name may be any bytes) stands as {"hex":"..."}. A
 * crash leaves a file in tmp/ at most.
 */
#ifndef BRIDGE_OUTBOX_FILE_RECORDS_JOURNAL_H
#define BRIDGE_OUTBOX_FILE_RECORDS_JOURNAL_H

#include "bridge/outbox/manifest.h"

/* As in manifest.h, but the reserve. folder: of .busbridge, tmp: of its tmp. Writing: temporary
 * file, fsync, rename without replacing, folder fsync. Files that are none of ours are passed over;
 * names that begin like ours and are malformed are ST_INVALID. */
MUST_CHECK enum status journal_write(int folder, int tmp, struct manifest *m, const char *nonce,
                                     struct error *err);
MUST_CHECK enum status journal_list(int folder, struct manifest_name **list, size_t *count,
                                    struct error *err);
MUST_CHECK enum status journal_read(int folder, const struct manifest_name *name,
                                    struct manifest *out, struct error *err);
MUST_CHECK enum status journal_names(int folder, const struct span *ids, size_t count, bool *named,
                                     struct error *err);
MUST_CHECK enum status journal_settle(int folder, const struct manifest_name *name,
                                      struct error *err);
MUST_CHECK enum status journal_remove(int folder, const struct manifest_name *name,
                                      struct error *err);

/* Without a file: the text of one, appended to out; a text read back (digest: of text), checked
 * except for its name. Of more than MANIFEST_MOST bytes the rest is left out: how many entries were
 * written whole. */
size_t journal_print(const struct manifest *m, const char *nonce, struct buffer *out);
MUST_CHECK enum status journal_parse(struct span text, struct manifest *out, struct error *err);
/* Of a manifest, or of its first bytes. ST_UNSUPPORTED: a later release wrote it, so that nothing
 * of it is to be judged; err names both forms. */
MUST_CHECK enum status journal_readable(struct span head, struct error *err);
void journal_digest(struct span text, char out[MANIFEST_DIGEST]);

/* disk_reserve.c: disk kept for one manifest */
bool reserve_give_up(int folder, struct log *log); /* false: there is none */
void reserve_keep(int folder,
                  struct log *log); /* makes it where it is missing, as far as the disk allows */

#endif
