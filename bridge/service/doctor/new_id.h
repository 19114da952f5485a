/* new_id.h - what the files of `doctor --new-id` share: what lies in the outbox, and what the
 * topics tell of it. Private to bridge/service.
 */
#ifndef BRIDGE_SERVICE_DOCTOR_NEW_ID_H
#define BRIDGE_SERVICE_DOCTOR_NEW_ID_H

#include "bridge/base/table.h"
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/outbox/manifest.h"
#include "bridge/service/doctor/doctor.h"
#include "bridge/service/parts.h"

struct waiting_entry {
  struct span token, label, id, name;
  enum shelf shelf;
  int64_t created_us, since_ms; /* since_ms: it cannot have been published before */
  size_t topic;                 /* of topics; NO_TOPIC: it is published nowhere */
  bool in_topics, in_redis, unknown;
};
#define NO_TOPIC SIZE_MAX

struct topic_view {
  const char *name;
  bool present, holds;  /* holds: a record at least */
  size_t pending;       /* entries that belong there */
  size_t settled, seen; /* ids of the settled batches that belong there, and that are there */
  int64_t from_ms;      /* it tells from then on: INT64_MIN from its beginning, INT64_MAX nothing */
  const char *why;
};

/* A partition whose records of before the time looked at are gone: it tells from the first one that
 * is left. */
struct cut {
  size_t topic;
  int partition;
  bool read;
};

struct renewal {
  const struct doctor_request *request;
  const struct new_id *how;
  struct service *s;
  struct cluster *cluster;
  struct manifest_name *list;
  size_t manifests;
  struct arena arena;
  struct waiting_entry *entries;
  size_t count, cap;
  struct table by_id;   /* id -> the first entry with it */
  struct table settled; /* id of a settled batch -> its topic_view */
  struct table dead;    /* ids of dead letters -> themselves */
  struct topic_view *topics;
  size_t topic_count;
  struct cut *cuts;
  size_t cut_count;
  int64_t backup_ms; /* the backup is no older: of the last entry that was settled in it; 0: not
                        known */
  uint64_t published, in_topics, in_redis, unknown, dead_published;
  const char *redis;
  bool no_memory;
};

/* renewal.c: where the topic of that name stands in topics, added where it is new; NO_TOPIC: memory
 * is out. */
size_t renewal_topic(struct renewal *n, struct span name);
enum status renewal_no_memory(struct error *err);
/* new_id_topics.c: is it the cluster that the outbox belongs to? What the old id left there is
 * resolved. */
MUST_CHECK enum status renewal_reach(struct renewal *n, struct error *err);
/* Reads the topics: which entries, and ids of settled batches, are in them, and since when each of
 * them tells. */
MUST_CHECK enum status renewal_read_topics(struct renewal *n, struct error *err);

#endif
