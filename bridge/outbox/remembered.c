/* remembered.c - the note in which an outbox remembers its ledger: "<topic> <group>", one line. */
#include "bridge/outbox/state.h"

static bool take_word(struct span *rest, char *out, size_t size) {
  struct span word;
  if (!span_word(rest, &word) || word.len >= size) return false;
  snprintf(out, size, "%.*s", SPAN_ARGS(word));
  return true;
}

enum status state_ledger_read(const struct state *s, struct state_ledger *out, struct error *err) {
  struct buffer text = {0};
  *out = (struct state_ledger){0};
  enum status st = state_note_read(s, NOTE_LEDGER, &text, err);
  struct span rest = span_trim(buffer_span(&text));
  if (st == ST_TOO_LARGE) st = ST_INVALID;
  if (st == ST_OK && (!take_word(&rest, out->topic, sizeof out->topic) ||
                      !take_word(&rest, out->group, sizeof out->group) || span_trim(rest).len))
    st = ST_INVALID;
  if (st == ST_INVALID)
    error_set(err, st,
              "%s/.busbridge/ledger does not name a topic and a group. Remove it: the next start looks through the "
              "group's topics instead",
              state_path(s));
  buffer_release(&text);
  if (st != ST_OK) *out = (struct state_ledger){0};
  return st;
}

enum status state_ledger_write(struct state *s, const struct state_ledger *ledger, struct error *err) {
  struct buffer text = {0};
  buffer_printf(&text, "%s %s\n", ledger->topic, ledger->group);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = state_note_write(s, NOTE_LEDGER, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}
