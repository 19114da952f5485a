/* last_framings.h - topics whose last record is framed otherwise than the next one will be: their
 * consumers must read both. Private to bridge/service.
 */
#ifndef BRIDGE_SERVICE_CHANGES_LAST_FRAMINGS_H
#define BRIDGE_SERVICE_CHANGES_LAST_FRAMINGS_H

#include "bridge/base/log.h"
#include "bridge/base/stop.h"
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/outbox/store.h"
#include "bridge/service/plan/configure.h"

struct framing_parts {
  const struct plan *plan;
  const struct routing *routing;
  const _Atomic bool *over; /* true: it ends soon; may be NULL */
};
struct last_framing {
  const char *topic, *event;
  enum framing seen, now;
};
typedef void (*framing_fn)(void *ctx, const struct last_framing *seen);
/* What to do, with the word of the framing that was seen. */
#define FRAMING_REMEDY                                                                             \
  "Consumers of the topic must read both; or set encoding.framing = %s, or the framing of its "    \
  "route"

/* Was anything ever said of framings? Else each record is as it always was. store may be NULL. */
bool last_framings_may_differ(const struct framing_parts *parts, const struct store *store);
/* Tells each such topic by its last records before before_ms (INT64_MAX: all). What cannot be read
 * is passed over. Blocks for some seconds; any thread. */
void last_framings_compare(const struct framing_parts *parts, struct cluster *cluster,
                           int64_t before_ms, framing_fn tell, void *ctx);

/* The same in the background, into the log, as soon as Kafka answers: of the records that there
 * were at before_ms. */
struct framing_watch;
/* NULL: it cannot be, and is not told. parts.over is its own. */
struct framing_watch *last_framings_watch(const struct framing_parts *parts, int64_t before_ms,
                                          struct log *log);
/* Comes back when it was looked once, Kafka there or not, or the caller is to end: after 10 s at
 * most. NULL is fine. */
void last_framings_await(struct framing_watch *w, const struct stop *stop);
void last_framings_unwatch(struct framing_watch *w); /* NULL is fine */

#endif
