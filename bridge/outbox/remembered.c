/* The note in which an outbox remembers its ledger: "<topic> <group>", one line.
 * Any thread reads, the owner writes; a crash leaves the old note or the new one. */
#include "bridge/outbox/store.h"

static bool take_word(struct span *rest, char *out, size_t size) {
  struct span word;
  if (!span_word(rest, &word) || word.len >= size) return false;
  snprintf(out, size, "%.*s", SPAN_ARGS(word));
  return true;
}

enum status store_ledger_read(const struct store *s, struct store_ledger *out, struct error *err) {
  struct buffer text = {0};
  *out = (struct store_ledger){0};
  enum status st = store_note_read(s, NOTE_LEDGER, &text, err);
  struct span rest = span_trim(buffer_span(&text));
  if (st == ST_TOO_LARGE) st = ST_INVALID;
  if (st == ST_OK && (!take_word(&rest, out->topic, sizeof out->topic) ||
                      !take_word(&rest, out->group, sizeof out->group) || span_trim(rest).len))
    st = ST_INVALID;
  if (st == ST_INVALID)
    error_set(
        err, st,
        "%s/%s does not name a topic and a group. Remove it: the next start looks through the "
        "group's topics instead",
        store_name(s), store_note_name(s, NOTE_LEDGER));
  buffer_release(&text);
  if (st != ST_OK) *out = (struct store_ledger){0};
  return st;
}

enum status store_ledger_write(struct store *s, const struct store_ledger *ledger,
                               struct error *err) {
  struct buffer text = {0};
  buffer_printf(&text, "%s %s\n", ledger->topic, ledger->group);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = store_note_write(s, NOTE_LEDGER, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}
