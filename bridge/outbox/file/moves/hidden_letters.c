/* Dead letters that release 0.1.0 hid go back to dlq/. A crash leaves one where it was, or on its
 * way there (into_dlq.c).
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"

/* Release 0.1.0 named what it replayed after the id even where that begins with a dot, and ended
 * right after the move out of dlq/. Nobody looks at such a name: what lies there, in its dead form,
 * goes back. Other files that begin with a dot are their owners'. */
static bool was_hidden(const struct fs_loaded *d, const char *name) {
  struct span stem = {name, strlen(name) - 5};
  return fs_loaded_is_object(d) && fs_newer_form(&d->doc) && span_eq(d->event.id, stem);
}

void fs_bring_back(struct fs_shared *s, const char *name) {
  struct fs_loaded loaded = {0};
  struct error err = {0};
  char to[NAME_SIZE + 4];
  bool hidden = fs_load(s->site, &loaded, PLACE_FLAT, name, &err) == FS_READ &&
                fs_loaded_parse(&loaded, &err) == ST_OK && was_hidden(&loaded, name) &&
                (size_t)snprintf(to, sizeof to, "dlq_%s", name) < NAME_SIZE;
  fs_loaded_release(&loaded);
  if (!hidden) return;
  enum status st = fs_finish_dead(s, PLACE_FLAT, name, to, &err);
  const struct log_field *fields = FIELDS(F_TEXT("file", name), F_TEXT("error", err.text));
  if (st == ST_OK)
    log_write(
        s->site->log, LOG_INFO, "outbox", "move_finished", fields,
        "A dead letter whose replay was cut short lay hidden in the outbox; it is in dlq/ again");
  else
    log_write(s->site->log, LOG_WARNING, "outbox", "move_failed", fields,
              "A hidden dead letter cannot be moved now");
}
