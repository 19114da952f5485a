/* The table of settings, as rows.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

static const struct setting_row rows[SETTING_COUNT] = {
#define X(id, key, type, fallback, low, high, flags, choices, help)                                \
  [SETTING_##id] = {(key), SETTING_##type, (fallback), (low), (high), (choices), (flags), (help)},
    SETTINGS_TABLE(X)
#undef X
};

const struct setting_row *setting_row(enum setting s) {
  BUG_ON((unsigned)s >= SETTING_COUNT);
  return &rows[s];
}

enum setting setting_find(struct span key) {
  int i = 0;
  while (i < SETTING_COUNT && !span_is(key, rows[i].key)) i++;
  return (enum setting)i;
}
