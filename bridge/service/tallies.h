/* tallies.h - how many entries would go to which topic, and of which reason: histograms of dry runs and selections.
 * Private to bridge/service. */
#ifndef BRIDGE_SERVICE_TALLIES_H
#define BRIDGE_SERVICE_TALLIES_H

#include "bridge/service/operations.h"

#define TALLY_KINDS 200 /* more kinds are not told apart: names come from outside */
#define TALLY_SAMPLES 5

struct tally {
  const char *word;
  uint64_t count;
};
struct tallies {
  const struct routing *routing;
  struct json_doc nothing; /* "{}": the key does not matter here */
  struct arena arena, scratch;
  struct tally topics[TALLY_KINDS], reasons[TALLY_KINDS];
  size_t topic_count, reason_count;
  uint64_t count;
  struct buffer samples; /* ids of the first, as JSON strings */
};
MUST_CHECK enum status tallies_open(const struct routing *routing, struct tallies **out, struct error *err);
void tallies_close(struct tallies *t); /* NULL is fine */
/* A pending entry: its topic, or the reason for which it would be refused. */
void tallies_pending(struct tallies *t, const struct entry_info *info);
/* A dead letter: its topic where it has one, and the reason for which it died. */
void tallies_dead(struct tallies *t, const struct entry_info *info);
/* Members "topics", "reasons", "samples". */
void tallies_write(const struct tallies *t, struct buffer *json, bool *first);

#endif
