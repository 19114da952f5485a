/* configure.h - where the settings of a program come from, and what follows from them: the same for
 * worker and CLI.
 *
 * The file is that of -c, else the variable BUSBRIDGE_CONFIG, else CONFIGURE_DEFAULT if it exists;
 * then the environment, then -X, in rising order.
 */
#ifndef BRIDGE_SERVICE_PLAN_CONFIGURE_H
#define BRIDGE_SERVICE_PLAN_CONFIGURE_H

#include "bridge/encoding/catalog.h"
#include "bridge/kafka/client.h"
#include "bridge/keys/keys.h"
#include "bridge/registry/registry.h"
#include "bridge/relay/relay.h"
#include "bridge/routing/routing.h"
#include "bridge/settings/settings.h"

#define CONFIGURE_DEFAULT "/etc/busbridge/busbridge.conf"

struct configure {
  const char *file;               /* of -c, or NULL */
  const char *const *environment; /* environ */
  const char *const *overrides;   /* "key=value" of -X */
  size_t override_count;
};
/* The file that settings are read from, NULL: none. Lives as long as the environment. */
const char *configure_file(const struct configure *c);
/* As settings_load. */
MUST_CHECK enum status configure_load(const struct configure *c, struct settings **out,
                                      struct buffer *warnings, struct error *err);

/* What is in force and where it comes from, one JSON value without secrets:
 * {"version":1,"settings":[{"key","value","default":"..."|null,
 * "source":"default|FILE:LINE|VARIABLE|-X","type","reloadable",
 * "hidden":bool,"help"}]}; routes and kafka.* keys stand at the end, with default null. */
MUST_CHECK enum status configure_show(const struct settings *settings, struct buffer *json,
                                      struct error *err);

/* What follows from the settings as a whole, for whoever opens something of it: worker and commands
 * alike. Its texts are its own, so that it outlives a reload. */
struct plan {
  bool exactly_once;  /* delivery.guarantee */
  const char *outbox; /* its url */
  const char *ledger_topic;
  const char *dataschema; /* before a schema's fingerprint in ce_dataschema; "": no such header */
  struct routing_config routing; /* without what the schemas say: plan_routing adds it */
  struct kafka_config kafka;     /* the kafka.* settings and the guarantee */
  struct catalog_config
      catalog; /* folder: encoding.schemas, else beside the program; NULL: there is none */
  enum subject_naming subject;     /* registry.subject */
  struct keys_config keys;         /* without what is the opener's: due, clock */
  struct registry_config registry; /* likewise: clock, metrics; urls "": there is none */
  /* By the outbox's id; NULL before plan_for. group: Kafka's of its position, and its transactional
   * id. source: of CloudEvents. The prefix of keys comes then too. */
  const char *group, *source;
  struct arena arena; /* of the texts */
};
/* ST_NO_MEMORY alone: nothing is judged here. Release it in any case. */
MUST_CHECK enum status plan_make(const struct settings *settings, struct plan *out,
                                 struct error *err);
/* id: of state.h; kept are copies. */
MUST_CHECK enum status plan_for(struct plan *plan, const struct settings *settings, const char *id,
                                struct error *err);
void plan_release(struct plan *plan); /* of zeros is fine */
/* catalog_open; that there is no folder is a wrong setting too (ST_INVALID). */
MUST_CHECK enum status plan_catalog(const struct plan *plan, struct log *log, struct catalog **out,
                                    struct error *err);
/* routing_open with what the schemas of catalog say; NULL: they are not there, and are read for
 * their names alone where the topics ask for them. ST_INVALID too where a setting names a field as
 * key that a schema has as an array or object. */
MUST_CHECK enum status plan_routing(const struct plan *plan, const struct catalog *catalog,
                                    struct routing **out, struct error *err);
/* How the relay goes about it: all that a reload may change. */
struct relay_tuning plan_tuning(const struct settings *settings);

/* May a worker stand by with these settings? ST_INVALID: they say two things that exclude each
 * other. once: it is to relay what is there and to end. */
MUST_CHECK enum status configure_standby(const struct settings *settings, bool once,
                                         struct error *err);
/* Would a worker start with them: the outbox's url, routing, what this librdkafka takes, the
 * schemas, Redis' url? Touches no outbox, no broker and no Redis. Appends what would stop it, a
 * line each, which begins with the place of the setting that is at fault (as setting_source). */
void configure_check(const struct settings *settings, struct buffer *errors);

#endif
