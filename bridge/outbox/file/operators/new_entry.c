/* Writes a new entry durably, by way of a hidden temporary file in the outbox itself, so that
 * neither .busbridge nor the lock is needed. A crash leaves that file, which a later scan removes.
 * Any thread. */
#include "bridge/outbox/file/site/site.h"

#include <unistd.h>

enum status fs_emit(struct fs_site *s, struct span key, struct span text, struct buffer *label,
                    struct error *err) {
  char file[NAME_SIZE + 5], name[NAME_SIZE], tmp[NAME_SIZE];
  int folder = fs_folder(s, PLACE_FLAT);
  snprintf(file, sizeof file, "%.*s.json", (int)(key.len < NAME_SIZE ? key.len : NAME_SIZE),
           key.ptr);
  if (!name_from(span_of(file), name))
    return error_set(err, ST_INVALID, "\"%s\" is not an entry's name (NAME.json)", file);
  snprintf(tmp, sizeof tmp, FS_LITTER "%ld.%016llx.tmp", (long)getpid(),
           (unsigned long long)s->clock->random(s->clock->ctx));
  enum status st = durable_write_new(folder, tmp, text, NULL, err);
  if (st != ST_OK) error_prefix(err, "%s", state_path(s->state));
  if (st != ST_OK) return st;
  st = durable_move(folder, tmp, folder, name, err);
  if (st != ST_OK) {
    enum status gone = durable_unlink(folder, tmp, NULL);
    (void)gone;
    return st;
  }
  if (label) buffer_add_z(label, name);
  return fs_sync_place(s, PLACE_FLAT, err);
}
