/* operations.h - what the operations of service.h share: being counted, and JSON members. Private
 * to bridge/service.
 *
 * To add an operation: declare it in service.h, put it into a file of its own here, begin it with
 * operation_begin and return through operation_end.
 */
#ifndef BRIDGE_SERVICE_OPERATIONS_H
#define BRIDGE_SERVICE_OPERATIONS_H

#include "bridge/service/parts.h"

/* The values of the labels: an operation that is new, or an entry's end, comes here too. */
#define EVENT_RESULTS "published", "duplicate", "retried", "dead", "vanished"
#define COMMAND_WORDS                                                                              \
  "config", "edit", "flush", "health", "import", "list", "metrics", "pause", "purge", "replay",    \
      "resume", "show", "topics"
/* series.c: those of counters with labels, at 0. */
void service_begin_series(struct service *s);
void service_begin_schemas(struct service *s, const struct catalog *catalog); /* of each event */

struct operation {
  struct service *service;
  const char *command; /* label of commands_total */
  int64_t began_ns;
};
struct operation operation_begin(struct service *s, const char *command);
/* Counts it (RELAY and CHANGE) and returns st. result is "ok", "refused" when the request was at
 * fault (no such entry, ambiguous, busy, already published), so that a mistyped id does not spoil
 * the failure rate, else "error". */
MUST_CHECK enum status operation_end(const struct operation *o, enum status st);

/* Does a relay follow the outbox by itself, so that what its reader knows is up to date? */
bool service_follows(struct service *s);
/* What lies in the outbox, right in every mode: store_counts, and where nobody scans (INSPECT, a
 * relay that waits for explicit flushes, or for Kafka's first answer) a look at the folders. */
MUST_CHECK enum status service_count(struct service *s, struct store_counts *out,
                                     struct error *err);

/* Is publishing paused, since when, by whom? Right in every mode. */
void service_paused(struct service *s, struct store_pause *out);
/* "since", "by", "reason" of a pause as members. */
void write_pause(const struct store_pause *pause, struct buffer *json, bool *first);

/* "key": value members; *first as in json_write_key. */
void member_text(struct buffer *out, bool *first, const char *key, struct span value);
void member_text_or_null(struct buffer *out, bool *first, const char *key,
                         struct span value); /* null when empty */
void member_int(struct buffer *out, bool *first, const char *key, int64_t value);
void member_real(struct buffer *out, bool *first, const char *key, double value);
void member_bool(struct buffer *out, bool *first, const char *key, bool value);
void member_time(struct buffer *out, bool *first, const char *key,
                 int64_t us); /* null for TIME_NONE */

/* The members of one entry, as list and show give them. arena: for what has to be made. */
void entry_members(struct buffer *json, bool *first, struct service *s,
                   const struct entry_info *info, struct arena *arena);
/* Does it wait for an earlier event of its key, or for a dead letter? Its file then. route: NULL,
 * it has none. */
bool entry_held(struct service *s, const struct entry_info *info, const struct route *route,
                char file[RELAY_FILE]);

/* What became of commands and of events since the period began; for health and metrics. */
struct figures {
  uint64_t total, failed;
  double average_ms, p50_ms, p95_ms;
};
void figures_of_commands(struct service *s, struct figures *out);
/* total: tries to publish (published, duplicate, retried, dead); failed: retried and dead. */
void figures_of_events(struct service *s, struct figures *out);
static inline double figures_rate(const struct figures *f) {
  return f->total ? (double)f->failed / (double)f->total : 0;
}

#endif
