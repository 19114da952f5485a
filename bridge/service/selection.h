/* selection.h - which entries a request is about: the same filters for list, show, replay, purge and the control API.
 *
 * A filter is a pair of words, as an option of a command or a parameter of the API gives it: namespace, name, key,
 * reason, since, until, older-than, type. All that are given must hold. Texts are borrowed from whoever sets them. One
 * thread.
 */
#ifndef BRIDGE_SERVICE_SELECTION_H
#define BRIDGE_SERVICE_SELECTION_H

#include "bridge/outbox/store.h"
#include "bridge/routing/routing.h"

struct selection {
  bool pending, dead;                       /* type: pending, dlq, all */
  struct span namespace, name, key, reason; /* empty: any. name and reason may end in * */
  int64_t since_us, until_us; /* of a dead letter its failed_at, of a pending entry its arrival; TIME_NONE: any */
};
#define SELECTION_PARAMETERS "type namespace name key reason since until older_than" /* for tables of parameters */

void selection_init(struct selection *s); /* everything */
/* Is this one of the words above ('-' and '_' are the same)? */
bool selection_knows(const char *word);
/* Set one filter. Times are ISO 8601 (no zone: local) or an age such as 90s, 15m, 2h, 7d. ST_INVALID: err says what was
 * expected, for a reason or namespace also what may have been meant. */
MUST_CHECK enum status selection_set(struct selection *s, const char *word, const char *value, int64_t now_us,
                                     struct error *err);
/* Is any filter but type set? */
bool selection_narrows(const struct selection *s);
bool selection_matches(const struct selection *s, const struct routing *routing, const struct entry_info *info);
/* As words for the audit log and for messages: "type=dlq reason=schema_mismatch since=2026-...". */
void selection_words(const struct selection *s, struct buffer *out);

#endif
