/* The notes of an outbox as files of .busbridge. Written by the holder of the lock, read by
 * anybody; a crash leaves the old one or the new one.
 * Any thread. */
#include "bridge/base/disk/durable.h"
#include "bridge/outbox/file/site/state.h"

_Static_assert(NOTES == NOTE_WENT_BACK + 1, "all are counted");
static const char *const names[] = {
    [NOTE_CLUSTER] = ".busbridge/cluster", [NOTE_LEDGER] = ".busbridge/ledger",
    [NOTE_HOLDS] = ".busbridge/holds",     [NOTE_ORDER] = ".busbridge/order",
    [NOTE_SCHEMAS] = ".busbridge/schemas", [NOTE_PAUSE] = ".busbridge/paused",
    [NOTE_IDS] = ".busbridge/ids",         [NOTE_WENT_BACK] = ".busbridge/went-back"};
_Static_assert(sizeof names / sizeof *names == NOTES, "a name for each note");

const char *state_note_name(enum note note) {
  return names[note];
}

static enum status name_note(enum status st, const struct state *s, enum note note,
                             struct error *err) {
  return error_prefix(err, "%s/%s", state_path(s), names[note]), st;
}

enum status state_note_read(const struct state *s, enum note note, struct buffer *out,
                            struct error *err) {
  if (state_folder(s) < 0) return ST_NOT_FOUND;
  enum status st = file_read(state_folder(s), note_word(note), NOTE_MOST, out, err);
  return st == ST_OK || st == ST_NOT_FOUND ? st : name_note(st, s, note, err);
}

enum status state_note_write(struct state *s, enum note note, struct span text, struct error *err) {
  enum status st = state_replace(s, note_word(note), text, err);
  return st == ST_OK ? st : name_note(st, s, note, err);
}

enum status state_note_remove(struct state *s, enum note note, struct error *err) {
  int own;
  enum status st = durable_own_folder(state_folder(s), &own, err);
  if (st != ST_OK) return name_note(st, s, note, err);
  st = durable_unlink(state_folder(s), note_word(note), err);
  st = durable_sync_end(own, st, err);
  return st == ST_OK || st == ST_NOT_FOUND ? st : name_note(st, s, note, err);
}
