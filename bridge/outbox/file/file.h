/* file.h - inside bridge/outbox/file only: an outbox of files, whole. Its four parts are the owners
 * of what lies in them, and whoever needs one is given that one: what is fixed when it is opened
 * (site.h), what is shared under the lock (shared.h), the reader's (order.h), the finisher's
 * (finish.h). Each of the later knows those before it, none the other way round. What all of them
 * are made of: names.h, entry_file.h, entry_moves.h, describe.h.
 */
#ifndef BRIDGE_OUTBOX_FILE_FILE_H
#define BRIDGE_OUTBOX_FILE_FILE_H

#include "bridge/outbox/file/order/order.h"
#include "bridge/outbox/file/records/keys_due.h"
#include "bridge/outbox/file/settling/finish.h"
#include "bridge/outbox/file/shared/shared.h"
#include "bridge/outbox/file/site/site.h"

struct fs {
  struct fs_site site;
  struct fs_shared shared;
  struct fs_reader reader;
  struct fs_finisher finisher;
  struct fs_keys_due *due; /* keys_due.h; NULL: not opened */
};

/* file.c: as the operations of these names */
enum status fs_open(const char *address, const struct store_options *options, void **out,
                    struct error *err);
enum status fs_begin(void *impl, const struct store_config *config, struct error *err);
void fs_close(void *impl);
/* prepare.c: likewise */
enum status fs_prepare(const char *address, struct store_preparation *p, struct error *err);

#endif
