/* What each note is called, wherever a kind keeps it.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/notes.h"

const char *note_word(enum note note) {
  static const char *const words[] = {
      [NOTE_CLUSTER] = "cluster", [NOTE_LEDGER] = "ledger",      [NOTE_HOLDS] = "holds",
      [NOTE_ORDER] = "order",     [NOTE_SCHEMAS] = "schemas",    [NOTE_PAUSE] = "paused",
      [NOTE_IDS] = "ids",         [NOTE_WENT_BACK] = "went-back"};
  _Static_assert(sizeof words / sizeof *words == NOTES, "a word for each note");
  return words[note];
}
