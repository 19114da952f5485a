/* breakdown.h - how many entries would go to which topic, and of which reason: histograms of dry
 * runs and selections. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_HEALTH_BREAKDOWN_H
#define BRIDGE_SERVICE_HEALTH_BREAKDOWN_H

#include "bridge/service/operations.h"
#include "bridge/service/plan/foresee.h"

#define BREAKDOWN_KINDS 200 /* more kinds are not told apart: names come from outside */
#define BREAKDOWN_SAMPLES 5

struct breakdown_row {
  const char *word;
  uint64_t count;
};
struct breakdown {
  const struct plan *plan;
  const struct routing *routing;
  struct catalog *catalog; /* NULL: only names are judged */
  struct json_doc nothing; /* "{}": the key does not matter here */
  struct arena arena, scratch;
  struct breakdown_row topics[BREAKDOWN_KINDS], reasons[BREAKDOWN_KINDS];
  size_t topic_count, reason_count;
  uint64_t count;
  struct buffer samples; /* ids of the first, as JSON strings */
};
MUST_CHECK enum status breakdown_open(const struct plan *plan, const struct routing *routing,
                                      struct catalog *catalog, struct breakdown **out,
                                      struct error *err);
void breakdown_close(struct breakdown *t); /* NULL is fine */
/* A pending entry: its topic, or the reason for which it would be refused, by its payload too. */
void breakdown_pending(struct breakdown *t, const struct entry_info *info);
/* A dead letter: its topic where it has one, and the reason for which it died. */
void breakdown_dead(struct breakdown *t, const struct entry_info *info);
/* The reasons alone, as that member. */
void breakdown_write_reasons(const struct breakdown *t, const char *key, struct buffer *json,
                             bool *first);
/* Members "topics", "reasons", "samples". */
void breakdown_write(const struct breakdown *t, struct buffer *json, bool *first);

#endif
