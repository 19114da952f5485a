/* tail.h - reads the topics back as JSON: for `busbridge tail`. Needs settings, schemas and Kafka,
 * no outbox. One thread. */
#ifndef BRIDGE_SERVICE_TOPICS_TAIL_H
#define BRIDGE_SERVICE_TOPICS_TAIL_H

#include "bridge/base/log.h"
#include "bridge/settings/settings.h"

struct tail_request {
  const char *const *topics;
  size_t count; /* 0: the routing's topics that exist */
  /* Where it begins: at the beginning, unless one of these says more. */
  uint64_t last;    /* > 0: the newest so many of all that match, oldest first */
  int64_t since_us; /* the first record of that time, in every partition; TIME_NONE: any */
  int partition;    /* of each topic this one alone; -1: all */
  int64_t offset;   /* of that partition; -1: none is given */
  const char *key;  /* records of that key alone; NULL: of any */
  const char *id;   /* of events whose id is, or begins with, this; NULL: of any */
  bool value_only;  /* the value instead of the whole object */
  int timeout_ms;   /* for Kafka to answer at first */
};

struct tail;
/* ST_NOT_FOUND names a missing topic; ST_UNAVAILABLE: Kafka does not answer; ST_INVALID: a setting
 * or a schema. */
MUST_CHECK enum status tail_open(const struct settings *settings, struct log *log,
                                 const struct tail_request *request, struct tail **out,
                                 struct error *err);
void tail_close(struct tail *t);
/* ST_OK: one record appended to json, or nothing where one was read that is not shown (yet): it is
 * to be called again. Without a newline:
 * {"topic","partition","offset","timestamp","key","headers":{},"value"}; what the header ce_extra
 * carries stands in the value, where it was in the payload; a value that cannot be
 * decoded stands as "value_base64" with "error", and *damaged is set (value_only: the base64 text).
 * A key or header that is not UTF-8 is an object
 * {"base64":".."}. ST_AGAIN: nothing within timeout_ms. ST_END: every partition has been read to
 * its end. */
MUST_CHECK enum status tail_next(struct tail *t, int timeout_ms, struct buffer *json, bool *damaged,
                                 struct error *err);

#endif
