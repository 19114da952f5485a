/* statistics.h - what librdkafka tells of itself every statistics.interval.ms (5 s), as metrics.
 *
 * Its text is only kept when it comes, on the publisher's thread, and read by whoever asks:
 * relaying pays nothing for it. Producers that follow each other share one. Counters begin anew
 * with each producer. Any thread.
 */
#ifndef BRIDGE_KAFKA_STATISTICS_H
#define BRIDGE_KAFKA_STATISTICS_H

#include "bridge/metrics/metrics.h"

struct statistics;
MUST_CHECK enum status statistics_open(struct statistics **out);
/* After the last publisher that was given it. NULL is fine. */
void statistics_close(struct statistics *s);
/* Takes text, which is malloc'ed, over. */
void statistics_take(struct statistics *s, char *text, size_t len);
/* Sets the kafka_* metrics by the latest; without one, or when it cannot be read, they are not
 * shown. */
void statistics_show(struct statistics *s, struct metrics *m);

#endif
