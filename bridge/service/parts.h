/* parts.h - what a service is made of; private to bridge/service. Set by service.c in service_open,
 * read-only afterwards. */
#ifndef BRIDGE_SERVICE_PARTS_H
#define BRIDGE_SERVICE_PARTS_H

#include "bridge/base/thread.h"
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/relay/relay.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/process/home.h"
#include "bridge/service/service.h"

#include <stdatomic.h>

struct account_synced { /* health/account.c: what of the store's figures is in the metrics already
                         */
  struct mutex lock;
  struct metrics_account at_open; /* the counters then */
  bool opened, begun;             /* begun: this run's first listing is in the account */
  int64_t carried;                /* pending at the clean end before, -1: it was none */
  int64_t arrived, beyond;
  uint64_t vanished, returned;
};

struct survey_counts { /* health/pending_counts.c: what a look at the folders found, until the
                        * reader knows
                        */
  struct mutex lock;
  struct store_counts counts;
  int64_t look_ms; /* from then on it is looked again */
};

struct service {
  enum service_mode mode;
  bool unanswered, standby, away, passing, background; /* as of service_options */
  atomic_llong beat_ms;                                /* of a standby, like */
  struct error waits;                                  /* lock: why it does */
  struct log *log;
  const struct clock *clock;
  const struct settings
      *settings;     /* changes by service_reload: take it once under the lock (service_settings) */
  struct mutex lock; /* settings, pause */
  struct store_pause pause; /* lock; RELAY, CHANGE */
  struct mutex moving;      /* replays and purges against each other */
  struct mutex audit_lock;
  struct mutex topics_lock;
  struct topics_asked *topics; /* topics_lock: what Kafka said last, or NULL */
  struct home *home;
  struct crash_marks *crash_marks; /* RELAY only */
  struct event_lifting lifting;
  struct store *store;
  struct routing *routing;
  struct catalog *catalog;        /* RELAY: used by the relay's reader alone */
  struct ids *ids;                /* RELAY, with a registry; else NULL */
  struct framing_watch *framings; /* RELAY, may be NULL */
  struct buffer schema_marks;     /* RELAY: what routing made of the schemas (reload_schemas.c) */
  struct digest schema_texts;     /* main thread: of those given to the relay last */
  bool reload_again;              /* main thread: not all ids of the schemas are asked for */
  char schemas_refused[360]; /* lock: why they were not taken over at the last reload; else "" */
  struct keys *keys;         /* INSPECT: nothing is due there */
  struct metrics *metrics;   /* INSPECT: as last saved by whoever held the lock */
  struct account_synced account_synced;
  struct survey_counts survey_counts;
  struct dead_counts *dead_counts; /* not in CHANGE */
  struct mutex scrape;             /* one at a time sets the gauges */
  struct relay *relay;             /* RELAY only, else NULL */
  struct plan plan;
  struct statistics *statistics; /* RELAY only */
  int64_t opened_us, taken_us;   /* taken: the lock was asked for */
};

/* registry_ids.c: asks for the ids of what is published; those of a catalog that comes as well. */
MUST_CHECK enum status service_ids_open(struct service *s, struct error *err);
MUST_CHECK enum status service_ids_add(struct service *s, const struct catalog *catalog,
                                       struct error *err);
void service_mark_schemas(struct service *s); /* reload_schemas.c */
void service_reload_schemas(struct service *s);
void service_reload_owed(struct service *s);    /* once more, where not all of it was done */
void service_topics_release(struct service *s); /* topics.c */
/* saved_metrics.c: opens s->metrics, with what .busbridge/metrics has; writes it (RELAY, CHANGE).
 */
MUST_CHECK enum status saved_metrics_open(struct service *s, struct error *err);
MUST_CHECK enum status saved_metrics_write(struct service *s, struct error *err);

#endif
