/* busbridge schema infer.
 * The command's one thread; a crash leaves a new file that is not whole, or none. */
#include "admin/commands/schema_verbs.h"
#include "bridge/base/disk/durable.h"
#include "bridge/base/text/words.h"

#include <fcntl.h>

enum status schema_infer(struct schema_call *c, struct error *err) {
  struct admin *a = c->a;
  struct buffer text = {0};
  size_t count = 0;
  char entries[COUNTED_TEXT];
  enum status st = schemas_infer(a->settings, a->clock, span_of(c->words[0]),
                                 c->type ? c->type : "pending", &text, &count, err);
  if (st == ST_OK && c->write)
    st = durable_write_new(AT_FDCWD, c->write, buffer_span(&text), NULL, err);
  if (st == ST_INVALID) err->status = st = ST_IO;
  if (st == ST_OK && !c->write) buffer_add(&a->out, buffer_span(&text));
  buffer_release(&text);
  if (st != ST_OK) return st;
  c->code = admin_flush(a);
  note(a, "proposed from %s, all of which it takes%s%s",
       counted_text(count, "entry", "entries", entries), c->write ? ": " : "",
       c->write ? c->write : "");
  return ST_OK;
}
