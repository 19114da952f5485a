/* describe.h - inside bridge/outbox/file only: what lies there as people are told of it: entries
 * and dead letters described, listed, found, surveyed; dead letters replayed, purged, their bytes
 * read. Any thread.
 */
#ifndef BRIDGE_OUTBOX_FILE_OPERATORS_DESCRIBE_H
#define BRIDGE_OUTBOX_FILE_OPERATORS_DESCRIBE_H

#include "bridge/outbox/file/entry/entry_file.h"
#include "bridge/outbox/file/shared/shared.h"
#include "bridge/outbox/survey.h"

/* describe.c: what one file says. False: gone, left alone, or not an entry of that place. */
struct fs_look {
  struct fs_shared *s;
  struct fs_loaded loaded;
  bool all;         /* files with several links too */
  enum fs_read got; /* of the last one */
  char stem[NAME_SIZE], token[TOKEN_SIZE];
};
bool fs_look_at(struct fs_look *l, enum place place, const char *name, struct entry_info *info);
/* The same of what l->loaded has read and parsed already (read=false: it was too large to be read).
 */
void fs_look_info(struct fs_look *l, enum place place, const char *name, bool read,
                  struct entry_info *info);
/* Why one of dlq/ was not read (FS_ODD, FS_UNREADABLE): status and words, and what is known of the
 * file. */
enum status fs_letter_unread(struct fs_site *s, enum place place, const char *name,
                             enum fs_read got, int sys, struct stat *st, struct error *err);

/* dead_letters.c: reads what letter names into l->loaded, checked for its time; *place and name are
 * where it lies, info lives in l->loaded. Its status and error are set unless it is there and right
 * (true). */
bool fs_letter_look(struct fs_look *l, struct letter *letter, enum place *place,
                    char name[NAME_SIZE], struct entry_info *info);
/* One went out of dlq/: counted */
void fs_left_dlq(struct fs_shared *s, struct span event, struct span reason);

/* describe.c, list_entries.c, find.c, survey.c, replay_letters.c, dead_letters.c: as the operations
 * of the store */
void fs_whereabouts(const struct fs_site *s, enum shelf shelf, const char *token, bool raw,
                    struct buffer *out);
enum status fs_look_op(struct fs_shared *s, enum shelf shelf, const char *token,
                       store_visit_fn visit, void *ctx, struct error *err);
enum status fs_list(struct fs_shared *s, unsigned which, const struct store_range *range,
                    size_t limit, store_visit_fn visit, void *ctx, uint64_t *total,
                    struct error *err);
enum status fs_find(struct fs_shared *s, unsigned which, struct span key, store_visit_fn visit,
                    void *ctx, uint64_t *total, struct error *err);
enum status fs_survey(struct fs_shared *s, size_t limit, store_survey_fn visit, void *ctx,
                      uint64_t *left_out, struct error *err);
bool fs_lies(struct fs_shared *s, const struct entry_ref *ref, struct span id);
enum status fs_replay(struct fs_shared *s, enum shelf shelf, const char *token, struct error *err);
void fs_replay_all(struct fs_shared *s, struct letter *list, size_t count, store_judge_fn judge,
                   void *ctx);
void fs_purge(struct fs_shared *s, struct letter *list, size_t count);
enum status fs_amend(struct fs_shared *s, const char *token, int64_t when_us, struct span payload,
                     struct error *err); /* amend_letter.c */
enum status fs_bury(struct fs_shared *s, const struct burial *letter, struct buffer *label,
                    struct error *err);
enum status fs_bytes(struct fs_site *s, const char *token, bool raw, uint64_t from, size_t most,
                     struct buffer *out, uint64_t *size, struct error *err);

#endif
