/* parts.h - what the files of doctor share: the findings, and what has been opened so far. Private
 * to bridge/service.
 *
 * To add a check: a function doctor_check_x that ends in doctor_found (and doctor_next), a line in
 * doctor.c's order, a row in the table of busbridge(1).
 */
#ifndef BRIDGE_SERVICE_DOCTOR_PARTS_H
#define BRIDGE_SERVICE_DOCTOR_PARTS_H

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/keys/keys.h"
#include "bridge/outbox/store.h"
#include "bridge/routing/routing.h"
#include "bridge/service/doctor/doctor.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/report.h"

struct doctor {
  const struct doctor_request *request;
  const struct settings *settings;
  const struct clock *clock;
  struct plan plan; /* of the settings */
  /* opened by the checks; NULL or false where that failed */
  struct routing *routing;
  struct catalog *catalog;
  bool kafka_sound;    /* librdkafka takes the settings */
  struct store *store; /* the outbox, looked at only */
  int64_t holder;      /* of its lock, 0: nobody */
  struct cluster *cluster;
  bool answers, development; /* the broker; it is librdkafka's mock */
  char cluster_id[128];
  bool committed;  /* the outbox has a position: a worker was allowed transactions once */
  int64_t skew_us; /* of the file system's clock against ours, TIME_NONE: not known */
  int64_t redis_skew_us;
  int64_t broker_skew_us;
  struct report found;
  bool away; /* the broker's is one of them */
};

/* One finding. Then, where something is to be done, what. */
void doctor_found(struct doctor *d, const char *check, enum report_verdict verdict, const char *fmt,
                  ...) PRINTF_LIKE(4, 5);
void doctor_next(struct doctor *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

void doctor_release(struct doctor *d);
/* outbox.c */
void doctor_check_outbox(struct doctor *d); /* opens store */
/* order.c: likewise */
void doctor_check_order(struct doctor *d);
void doctor_check_history(struct doctor *d);
/* unplaced.c: after the routing, the schemas and the outbox */
void doctor_check_unplaced(struct doctor *d);
/* kafka.c */
void doctor_check_kafka(struct doctor *d);
/* retention.c: after the topics */
void doctor_check_retention(struct doctor *d);
/* registry.c: after routing and schemas; after the topics */
void doctor_check_registry(struct doctor *d);
void doctor_check_framing(struct doctor *d);
/* redis.c: Redis, and the clocks */
void doctor_check_redis(struct doctor *d);
void doctor_check_clock(struct doctor *d);

#endif
