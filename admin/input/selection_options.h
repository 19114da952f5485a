/* selection_options.h - the filters as options: the same rows, checks and parameters for every
 * command that takes them.
 *
 *   struct selecting given = {0};
 *   const struct option_row rows[] = {SELECTING_TYPE(&given), SELECTING_ROWS(&given), ...};
 *   if (!options_take(...) || !selecting_take(a, self, &given, &request.selection, &code)) return
 * code;
 */
#ifndef ADMIN_SELECTION_OPTIONS_H
#define ADMIN_SELECTION_OPTIONS_H

#include "admin/input/options.h"
#include "bridge/service/entries/selection.h"

struct selecting { /* as typed; NULL: not given */
  const char *type, *namespace, *name, *key, *reason, *since, *until, *older_than;
};
#define SELECTING_TYPE(s)                                                                          \
  {"type", 't', OPTION_ONCE, &(s)->type, "pending|dlq|aside|all", "which entries"}
#define SELECTING_ROWS(s)                                                                          \
  {"namespace", 0, OPTION_ONCE, &(s)->namespace, "WORD", "of this namespace"},                     \
      {"name", 0, OPTION_ONCE, &(s)->name, "NAME", "of this event name; may end in *"},            \
      {"key", 0, OPTION_ONCE, &(s)->key, "KEY", "with this key in Kafka"},                         \
      {"reason", 0, OPTION_ONCE, &(s)->reason, "WORD", "set aside for this reason; may end in *"}, \
      {"since",     0,      OPTION_ONCE,                                                           \
       &(s)->since, "TIME", "failed, or arrived, then or later; 2026-07-30T10:00 or 2h"},          \
      {"until", 0, OPTION_ONCE, &(s)->until, "TIME", "then or earlier"},                           \
      {"older-than",     0,     OPTION_ONCE,                                                       \
       &(s)->older_than, "AGE", "at least so long ago, such as 90s, 15m, 2h, 7d"}

/* Check what was typed. False: it was complained of, return *code. The selection borrows the texts.
 */
bool selecting_take(struct admin *a, const struct command *self, const struct selecting *given,
                    struct selection *out, int *code);
/* "type=dlq&reason=...": parameters of the control API, percent-encoded, times in UTC. */
void selecting_query(const struct selection *s, struct buffer *out);

#endif
