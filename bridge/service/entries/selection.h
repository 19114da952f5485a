/* selection.h - which entries a request is about: the same filters for list, show, replay, purge
 * and the control API.
 *
 * A filter is a pair of words, as an option of a command or a parameter of the API gives it:
 * namespace, name, key, reason, since, until, older-than, type. All that are given must hold. Texts
 * are borrowed from whoever sets them. One thread.
 */
#ifndef BRIDGE_SERVICE_ENTRIES_SELECTION_H
#define BRIDGE_SERVICE_ENTRIES_SELECTION_H

#include "bridge/outbox/store.h"
#include "bridge/routing/routing.h"

struct selection {
  bool pending, dead;                       /* type: pending, dlq, all */
  bool aside;                               /* type aside: neither of them, and no other filter */
  struct span namespace, name, key, reason; /* empty: any. name and reason may end in * */
  int64_t since_us, until_us; /* of a dead letter its failed_at, of a pending entry its arrival (the
                                 file's mtime), both ends included; TIME_NONE: any */
};
/* The words, for tables of parameters. */
#define SELECTION_TYPE "type"
#define SELECTION_FILTERS "namespace name key reason since until older_than"

void selection_init(struct selection *s); /* everything */
/* Is this one of the words above ('-' and '_' are the same)? */
bool selection_knows(const char *word);
/* Set one filter; set again, the last one counts (of until and older-than the earliest). Times are
 * ISO 8601, down to the day, the minute or the second (no zone: local), or an age such as 90s, 15m,
 * 2h, 7d. ST_INVALID: err says what was expected, for a type or reason also what may have been
 * meant. A namespace need not be one that is published. */
MUST_CHECK enum status selection_set(struct selection *s, const char *word, const char *value,
                                     int64_t now_us, struct error *err);
/* Is any filter but type set? */
bool selection_narrows(const struct selection *s);
/* Must files be read to tell which match? When the entry arrived its name and time tell. */
bool selection_reads(const struct selection *s);
/* name is compared as the producer wrote it and as its aliases are resolved; namespace and key are
 * those that Kafka would get, also where the namespace is not published (then without a key). A key
 * that memory is out for: no match. */
bool selection_matches(const struct selection *s, const struct routing *routing,
                       const struct entry_info *info);
/* Where Kafka would get it: false when it cannot be routed. Spans in *out live in arena, the
 * entry's text or routing.
 */
bool selection_route(const struct routing *routing, const struct entry_info *info,
                     struct arena *arena, struct route *out);
/* What stands in front of the dot of its name; empty: nothing. */
struct span selection_namespace(const struct routing *routing, const struct entry_info *info);
/* Call tell for each filter set, in the order above, with values that selection_set takes (times in
 * UTC); type always.
 */
void selection_each(const struct selection *s,
                    void (*tell)(void *ctx, const char *word, struct span value), void *ctx);
/* As words for the audit log and for messages: "type=dlq reason=schema_mismatch since=2026-...". */
void selection_words(const struct selection *s, struct buffer *out);

#endif
