/* fibers.h - threads that take turns under one scheduler, in virtual time.
 *
 * What bridge/base/thread.h promises is made of them here, by the linker, so the library's code
 * runs as it is: each thread is a fiber, one runs at a time, who is next is drawn from the seed,
 * and time passes only when all of them wait. A fiber may lose its turn wherever it takes or gives
 * back a lock while it holds no other.
 *
 * Fibers belong to a group, a process of the real world: a group can be stopped (SIGSTOP), go on,
 * or end (kill -9).
 */
#ifndef TESTS_SIMULATE_FIBERS_H
#define TESTS_SIMULATE_FIBERS_H

#include "bridge/base/clock.h"

#include <stdbool.h>

/* Draws. */
void sim_seed(uint64_t seed);
uint64_t sim_random(void);
static inline uint64_t sim_below(uint64_t n) {
  return n ? sim_random() % n : 0;
}
static inline bool sim_chance(unsigned percent) {
  return sim_below(100) < percent;
}

/* Runs `first` as a fiber of group 0 until it returns. False: nobody can go on, and it has not. */
bool sim_run(void *(*first)(void *), void *arg);

extern const struct clock sim_clock; /* virtual, wall and monotonic */
int64_t sim_now_ns(void);
uint64_t sim_steps(void); /* turns given so far */
/* Of the fiber that runs: */
void sim_sleep_ns(int64_t ns);
void sim_sleep_steps(uint64_t steps,
                     int64_t most_ns); /* until so many turns were given, or that time has passed */
void sim_yield(void);

/* Groups, any number but 0. */
/* From now on what is done by no fiber of a group is this one's, and so are threads made by it. 0:
 * nobody's. */
void sim_enter(int group);
void sim_stop(int group);
void sim_go_on(int group);
void sim_kill(int group); /* its memory stays where it is */
int sim_group(void);      /* of the fiber that runs, or that was entered; 0: of none */

/* A step is a place where the code says what it is about to do: a call of the disk, a point of the
 * relay; turns may change there, whatever locks are held. And wherever a lock is taken or given
 * back while no other is held. */
void sim_step(const char *what);
/* That group is stopped at its so manieth step from now, or at the next one in whose name that
 * stands. 0: none is. */
void sim_fuse(int group, unsigned steps);
void sim_fuse_at(int group, const char *what);
bool sim_burnt(void);

/* The history of this life, printed when something is wrong. */
void sim_say(const char *fmt, ...) PRINTF_LIKE(1, 2);
void sim_print_history(void);
uint64_t sim_history(void); /* a digest of all that was said, and when */

#endif
