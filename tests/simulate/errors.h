/* errors.h - what the outbox refuses the workers of a life: a disk that is full, bad, read-only or
 * somebody else's, and one entry that nobody may change. Each trouble is drawn, begins at once or
 * at a step, and ends by itself after a while. Producer and operator are refused nothing.
 */
#ifndef TESTS_SIMULATE_ERRORS_H
#define TESTS_SIMULATE_ERRORS_H

#include "bridge/base/disk/durable.h"

enum { ERRORS_READ = 1 << 10 }; /* beside 1 << enum durable_op */

void errors_end(void); /* all goes well again; of a new life: nobody was refused anything yet */
void errors_forget(void);
/* one: NULL, or the file of an entry that may be the one that nobody may change */
void errors_draw(bool on_disk, const char *one);
void errors_slow(void); /* for half a minute all takes its time, reading too */
/* An errno, or 0. after: of a call that was made. */
int errors_at(unsigned what, const char *name, bool after);
bool errors_met(int group); /* it was refused something */

#endif
