/* selections.h - inside bridge/outbox/file only: frozen selections as files
 * .busbridge/replay-<number>. Numbers are not used twice: `selections` holds the last one. Made in
 * tmp and synced before the name appears; a crash before leaves a file in tmp, which the next owner
 * removes.
 */
#ifndef BRIDGE_OUTBOX_FILE_SELECTIONS_H
#define BRIDGE_OUTBOX_FILE_SELECTIONS_H

#include "bridge/outbox/selections.h"

enum status fs_draft_begin(void *, void **, struct error *);
enum status fs_draft_add(void *, void *draft, struct span, struct error *);
enum status fs_draft_commit(void *, void *draft, uint64_t *, struct error *);
void fs_draft_close(void *, void *draft);
enum status fs_selections(void *, uint64_t[SELECTIONS_MOST], size_t *, struct error *);
enum status fs_selection_size(void *, uint64_t, uint64_t *, struct error *);
enum status fs_selection_read(void *, uint64_t, uint64_t, size_t, struct buffer *, struct error *);
enum status fs_selection_add(void *, uint64_t, struct span, struct error *);
enum status fs_selection_remove(void *, uint64_t, struct error *);

#endif
