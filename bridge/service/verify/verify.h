/* verify.h - compares what ledger, outbox, Redis and topics say of the same events, and whether the
 * account of the figures balances: for `busbridge verify`. Opens what it needs itself.
 *
 * It only reads, takes no lock, and works beside a running worker: what looks wrong is looked at
 * once more after a moment, so that what is on its way is not complained of. Memory is bounded: of
 * ids 16 bytes are remembered, of at most VERIFY_IDS entries and of the last VERIFY_RECORDS records
 * or more. One thread.
 */
#ifndef BRIDGE_SERVICE_VERIFY_VERIFY_H
#define BRIDGE_SERVICE_VERIFY_VERIFY_H

#include "bridge/base/log.h"
#include "bridge/settings/settings.h"

#define VERIFY_IDS 2000000
#define VERIFY_RECORDS 3000000
#define VERIFY_ENTRIES 20000 /* of each place, unless full */

struct verify_request {
  const struct settings *settings;
  struct log *log;
  const struct clock *clock;
  bool full;          /* the topics and the outbox whole */
  uint64_t sample;    /* else so many records of each partition, the last ones, */
  size_t entries;     /* and so many entries of each place; 0: VERIFY_ENTRIES */
  int64_t recheck_ms; /* before what looks wrong is looked at again; 0: 1500 */
  void (*progress)(void *ctx, uint64_t done,
                   uint64_t total); /* offsets of the topics read; may be NULL */
  void *progress_ctx;
};
/* {"version":1,"verdict","unreachable","checks":[...]} as doctor_run. unreachable: Kafka or Redis
 * does not answer, and nothing else failed. What does not agree is a finding, never a status; a
 * status says that the outbox or the settings cannot be read at all (service_open's). */
MUST_CHECK enum status verify_run(const struct verify_request *request, struct buffer *json,
                                  struct error *err);

#endif
