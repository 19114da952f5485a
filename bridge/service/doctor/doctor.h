/* doctor.h - examines what busbridge stands on, and says of each thing what was found and what to
 * do: for `busbridge doctor`. Opens what it needs itself, so it works where a service would not
 * open.
 *
 * It never locks and changes nothing in the outbox; it works beside a running worker and does not
 * fence it (its transactional id is its own, busbridge-<outbox id>-doctor, and gets no record). It
 * leaves nothing behind: two probe files in .busbridge/tmp, and a key of its own in Redis, are
 * taken away again. One thread.
 */
#ifndef BRIDGE_SERVICE_DOCTOR_DOCTOR_H
#define BRIDGE_SERVICE_DOCTOR_DOCTOR_H

#include "bridge/base/log.h"
#include "bridge/settings/settings.h"

struct doctor_request {
  const struct settings *settings; /* NULL: they could not be loaded, */
  const char *why;                 /* for this reason */
  const char *source;              /* the file they come from, NULL: none */
  const struct clock *clock;
};
/* {"version":1,"verdict":"ok|warning|failed","unreachable":bool,"checks":[{"check",
 * "verdict":"ok|warning|failed|
 * skipped","found","next":text|null}]}. unreachable: the broker does not answer, and nothing else
 * failed. What is wrong is a finding, never a status: only ST_NO_MEMORY is returned. Takes up to
 * about a minute when much is wrong. */
MUST_CHECK enum status doctor_run(const struct doctor_request *request, struct buffer *json,
                                  struct error *err);

/* The two changes that a worker's refusal names. Both hold the outbox's lock: ST_BUSY while a
 * worker runs. ST_NOT_FOUND: no worker was ever started on this outbox. */

/* The outbox belongs to the Kafka cluster now reached.
 * {"version":1,"outbox","cluster","was":text|null}. ST_UNAVAILABLE: no broker answers.
 * ST_UNSUPPORTED: a development broker, whose id is none to keep. */
MUST_CHECK enum status doctor_accept_cluster(const struct doctor_request *request,
                                             struct buffer *json, struct error *err);
/* The outbox, restored from a backup or copied, gets an id, and so a position in Kafka, of its own
 * (new_id.c). Before that each pending entry is looked for in the topics and in Redis: what was
 * published is taken out. Of the rest the topics can tell only what came after the oldest record
 * they still hold; what is older (beside: all of it, since the original sends it too) is sent only
 * when `send` is its count.
 * {"version":1,"outbox","changed":bool,"id","was","pending":N,"published":N (in_topics, in_redis:
 * of them),"fresh":N,
 * "unknown":N,"dead_published":N,"redis":"asked|off|away","topics":[{"topic",
 * "tells_from":time|null,"why":text},
 * where an entry belongs],
 * "unknown_entries":[{"file","id","name","created_at"}, at most NEW_ID_SHOWN]}. changed false:
 * `unknown` is not what was typed; nothing was changed. tells_from null: from its beginning, or
 * (why) not at all. ST_UNAVAILABLE: a broker is needed, and none answers. */
#define NEW_ID_SHOWN 1000
struct new_id {
  bool beside;   /* a copy whose original goes on */
  uint64_t send; /* the count that was typed; 0: none */
  void (*progress)(void *ctx, uint64_t done,
                   uint64_t total); /* offsets of the topics read; may be NULL */
  void *progress_ctx;
};
MUST_CHECK enum status doctor_new_id(const struct doctor_request *request, const struct new_id *how,
                                     struct buffer *json, struct error *err);

#endif
