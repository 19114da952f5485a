/* standing.h - where an outbox stands: the position that Kafka holds for it, against the manifests
 * that lie in it.
 *
 * One judgement and one set of words, for the worker's start, `busbridge doctor` and `busbridge
 * verify`.
 *
 * Which position counts: the outbox remembers the topic it was committed under (state.h); one of
 * 0.1.0 does not, and is taken to mean ledger.topic. The group may hold others, of before the
 * setting was changed. As numbers only grow, one with a higher number is of a later time than what
 * this outbox remembers: then that one counts, and it is a copy that does not know what became of
 * the original, unless its manifest is here. One thread.
 */
#ifndef BRIDGE_RELAY_STANDING_H
#define BRIDGE_RELAY_STANDING_H

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/outbox/manifest.h"
#include "bridge/outbox/store.h"

enum standing_kind {
  STANDING_NEW,      /* no position, and no manifest that names anything */
  STANDING_HERE,     /* the position's manifest is here */
  STANDING_LOST,     /* manifests, but no position: the topics decide */
  STANDING_RESET,    /* somebody else committed a position: it has no digest of ours */
  STANDING_BACK,     /* manifests above the next one: the position went back */
  STANDING_COPY,     /* the position's manifest is not here */
  STANDING_WENT_BACK /* nor there in a database, which may have lost it (traits.goes_back) */
};

struct standing {
  enum standing_kind kind;
  char topic[250]; /* the position was found under it; none found: it was looked for there */
  char group[100];
  int64_t number; /* -1: none */
  char digest[40];
  uint64_t highest; /* number of the highest manifest */
  size_t manifests; /* how many name anything */
  bool goes_back;   /* its kind may */
  bool remembered;  /* the outbox knew the topic; else it was found by looking */
};

/* topic: ledger.topic. Asks Kafka for each position that the group holds. ST_UNAVAILABLE;
 * ST_DENIED: ledger.topic, or the group, may not be read; ST_INVALID: the remembered topic may not,
 * or the memory is damaged (err: what to do). */
MUST_CHECK enum status standing_find(const struct kafka_config *config, struct log *log,
                                     const struct store *store, const char *topic,
                                     const char *group, int timeout_ms,
                                     const struct manifest_name *list, size_t count,
                                     struct standing *out, struct error *err);
/* The kind, of these manifests and number and digest. Part of standing_find. */
void standing_judge(struct standing *s, const struct manifest_name *list, size_t count);
/* Cause and remedy in words; the remedy is "" where there is nothing to do. Appended. */
void standing_cause(const struct standing *s, struct buffer *out);
void standing_next(const struct standing *s, const struct store *store, struct buffer *out);
/* The remedy wherever the ledger cannot be trusted. */
void standing_advise(const struct store *store, struct buffer *out);
/* ST_INVALID with both. */
enum status standing_refuse(const struct standing *s, const struct store *store, struct error *err);

#endif
