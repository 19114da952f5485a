/* selections.h - inside bridge/outbox/file only: frozen selections as files
 * .busbridge/replay-<number>. Numbers are not used twice: `selections` holds the last one. Made in
 * tmp and synced before the name appears; a crash before leaves a file in tmp, which the next owner
 * removes.
 */
#ifndef BRIDGE_OUTBOX_FILE_RECORDS_SELECTIONS_H
#define BRIDGE_OUTBOX_FILE_RECORDS_SELECTIONS_H

#include "bridge/outbox/file/site/site.h"
#include "bridge/outbox/selections.h"

enum status fs_draft_begin(struct fs_site *, void **, struct error *);
enum status fs_draft_add(struct fs_site *, void *draft, struct span, struct error *);
enum status fs_draft_commit(struct fs_site *, void *draft, uint64_t *, struct error *);
void fs_draft_close(struct fs_site *, void *draft);
enum status fs_selections(struct fs_site *, uint64_t[SELECTIONS_MOST], size_t *, struct error *);
enum status fs_selection_size(struct fs_site *, uint64_t, uint64_t *, struct error *);
enum status fs_selection_read(struct fs_site *, uint64_t, uint64_t, size_t, struct buffer *,
                              struct error *);
enum status fs_selection_add(struct fs_site *, uint64_t, struct span, struct error *);
enum status fs_selection_remove(struct fs_site *, uint64_t, struct error *);

#endif
