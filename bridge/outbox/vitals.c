/* How an outbox does whose kind takes steps in a database.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/store_ops.h"

const char *store_step_word(enum store_step step) {
  static const char *const words[] = {[STEP_POLL] = "poll",
                                      [STEP_READ] = "read",
                                      [STEP_SWEEP] = "sweep",
                                      [STEP_LIST] = "list",
                                      [STEP_SETTLE] = "settle"};
  _Static_assert(sizeof words / sizeof *words == STORE_STEPS, "a word for each");
  return words[step];
}

void store_vitals(const struct store *s, struct store_vitals *out) {
  *out = (struct store_vitals){.claimed_us = TIME_NONE, .dead_rows = -1};
  if (s->ops->vitals) s->ops->vitals(s->impl, out);
}
