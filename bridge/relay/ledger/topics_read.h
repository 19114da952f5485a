/* topics_read.h - every record that topics hold from a time on, for a start that asks what of an
 * outbox was published. Publisher's thread.
 */
#ifndef BRIDGE_RELAY_TOPICS_READ_H
#define BRIDGE_RELAY_TOPICS_READ_H

#include "bridge/base/table.h"
#include "bridge/kafka/topic_reader.h"

struct publishing;

#define CLOCK_SKEW_MS (INT64_C(3600) * 1000) /* of producers and brokers */

struct topics_question {
  struct table topics; /* names, terminated, by themselves; those that are missing hold nothing */
  struct table whole;  /* those of them whose records carry the times of their events, which tell
                          nothing of when they came: they are read from their beginnings on */
  struct arena arena;  /* their names */
  int64_t from_ms;     /* the others are read from an hour before this on */
};
/* Both tables copy the name. */
MUST_CHECK enum status topics_ask(struct topics_question *q, struct span name, bool whole,
                                  struct error *err);
void topics_question_release(struct topics_question *q);
/* seen gets each record, valid during the call; what it returns but ST_OK ends the reading.
 * ST_INVALID: a topic may not be read, and err says how to allow it. */
MUST_CHECK enum status topics_read(struct publishing *p, const struct topics_question *q,
                                   enum status (*seen)(void *ctx, const struct message *m,
                                                       struct error *err),
                                   void *ctx, struct error *err);

#endif
