/* Which folder the typed side is: manifests name its entries by place alone, and another folder may
 * be named by now.
 * The owner's thread, at its start. A crash leaves the old note or the new one. */
#include "bridge/base/disk/durable.h"
#include "bridge/outbox/file/names/ref.h"
#include "bridge/outbox/file/records/journal.h"
#include "bridge/outbox/file/site/site.h"

enum { NOTE_MAX = 8 * 1024 };
static const char note[] = "typed"; /* its id, and on a second line its path */

/* Does an unsettled batch name entries of that side? */
static enum status is_owed(struct fs_site *s, bool *owed, uint64_t *number, struct error *err) {
  struct manifest_name *list = NULL;
  size_t count = 0;
  int folder = state_folder(s->state);
  enum status st = journal_list(folder, &list, &count, err);
  *owed = false;
  for (size_t i = 0; st == ST_OK && !*owed && i < count; i++) {
    struct manifest m = {0};
    if (list[i].settled) continue;
    if (journal_read(folder, &list[i], &m, NULL) != ST_OK) continue; /* recovery says what it is */
    for (size_t n = 0; !*owed && n < m.count; n++)
      *owed = place_side(fs_ref_of(&m.entries[n].ref).place) == SIDE_TYPED;
    *number = list[i].number;
    manifest_release(&m);
  }
  free(list);
  return st;
}

static struct span line_of(struct span *rest) {
  const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
  struct span line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
  size_t taken = line.len + (end != NULL);
  *rest = (struct span){rest->ptr + taken, rest->len - taken};
  return line;
}

static enum status refuse_another(struct fs_site *s, struct span path, struct error *err) {
  bool owed;
  uint64_t number = 0;
  enum status st = is_owed(s, &owed, &number, err);
  if (st != ST_OK || !owed) return st;
  return error_set(
      err, ST_INVALID,
      "outbox.typed: %s is another folder than %.*s, whose entries batch %llu names, which is not "
      "settled yet. Set it to that folder until a worker has started on it, then change it",
      state_path(s->typed), SPAN_ARGS(path), (unsigned long long)number);
}

enum status fs_keep_typed(struct fs_site *s, struct error *err) {
  struct buffer text = {0};
  if (s->inspect || !s->typed) return ST_OK;
  enum status st = file_read(state_folder(s->state), note, NOTE_MAX, &text, err);
  struct span rest = buffer_span(&text), id = line_of(&rest), path = line_of(&rest);
  bool known = st == ST_OK && id.len, same = known && span_is(id, state_id(s->typed));
  if (st == ST_NOT_FOUND) st = ST_OK;
  if (st == ST_OK && known && !same) st = refuse_another(s, path, err);
  if (st == ST_OK && !same) {
    buffer_clear(&text);
    buffer_printf(&text, "%s\n%s\n", state_id(s->typed), state_path(s->typed));
    st = buffer_status(&text, err);
    if (st == ST_OK) st = state_replace(s->state, note, buffer_span(&text), err);
  }
  buffer_release(&text);
  return st;
}
