/* clock_box.h - a file outbox for each test, whose clock can be made to stand still. */
#ifndef TESTS_UNIT_CLOCK_BOX_H
#define TESTS_UNIT_CLOCK_BOX_H

#include "tests/unit/files.h"

static struct test_clock clock_now;

static inline int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

/* A clock that stands still; settle is 1000 ms. */
static inline void use_clock(struct box *b) {
  box_stop(b);
  clock_begin(&clock_now);
  b->options.clock = &clock_now.clock;
  b->config.settle_ms = 1000;
  box_start(b);
}

static inline int reset_clock(void **state) {
  ((struct box *)*state)->options.clock = &clock_system;
  return box_free(state);
}

#endif
