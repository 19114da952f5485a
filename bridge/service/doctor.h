/* doctor.h - examines what busbridge stands on, and says of each thing what was found and what to do: for `busbridge
 * doctor`. Opens what it needs itself, so it works where a service would not open.
 *
 * It never locks and changes nothing in the outbox; it works beside a running worker and does not fence it (its
 * transactional id is its own, busbridge-<outbox id>-doctor, and gets no record). It leaves nothing behind: two probe
 * files in .busbridge/tmp, and a key of its own in Redis, are taken away again. One thread.
 */
#ifndef BRIDGE_SERVICE_DOCTOR_H
#define BRIDGE_SERVICE_DOCTOR_H

#include "bridge/base/log.h"
#include "bridge/settings/settings.h"

struct doctor_request {
  const struct settings *settings; /* NULL: they could not be loaded, */
  const char *why;                 /* for this reason */
  const char *source;              /* the file they come from, NULL: none */
  const struct clock *clock;
};
/* {"version":1,"verdict":"ok|warning|failed","unreachable":bool,"checks":[{"check","verdict":"ok|warning|failed|
 * skipped","found","next":text|null}]}. unreachable: the broker does not answer, and nothing else failed. What is wrong
 * is a finding, never a status: only ST_NO_MEMORY is returned. Takes up to about a minute when much is wrong. */
MUST_CHECK enum status doctor_run(const struct doctor_request *request, struct buffer *json, struct error *err);

/* The two changes that a worker's refusal names. Both hold the outbox's lock: ST_BUSY while a worker runs.
 * ST_NOT_FOUND: no worker was ever started on this outbox. */

/* The outbox belongs to the Kafka cluster now reached. {"version":1,"outbox","cluster","was":text|null}.
 * ST_UNAVAILABLE: no broker answers. ST_UNSUPPORTED: a development broker, whose id is none to keep. */
MUST_CHECK enum status doctor_accept_cluster(const struct doctor_request *request, struct buffer *json,
                                             struct error *err);
/* A copied outbox gets an id, and so a position in Kafka, of its own. {"version":1,"outbox","id","was"}. */
MUST_CHECK enum status doctor_new_id(const struct doctor_request *request, struct buffer *json, struct error *err);

#endif
