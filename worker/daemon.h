/* daemon.h - the worker's life: start in order, turn the loop, stop in order.
 *
 * Exit status: 0 stopped as asked (with --once: nothing is pending any more), 1 failure (--once:
 * something stayed), 2 wrong usage or settings, 75 the outbox is held by another worker, or Kafka
 * did not answer for 30 s (--once).
 */
#ifndef WORKER_DAEMON_H
#define WORKER_DAEMON_H

#include "bridge/service/plan/configure.h"

enum { EXIT_USAGE = 2, EXIT_NO_REDIS = 69, EXIT_LIMIT = 71, EXIT_NO_OUTBOX = 74, EXIT_BUSY = 75 };

struct daemon {
  struct configure configure;
  bool once;
};
int daemon_run(const struct daemon *d);

#endif
