/* standby.h - a worker that waits for an outbox which another one holds: all that needs no lock is
 * open, its questions are answered, and the lock is asked for again and again. The main thread's.
 *
 *        +-- held --> waiting --+-- free ----> taken (the service is the relay's)
 *   prepared          ^    |    +-- a signal -> nothing was taken
 *        +-- free --> taken   +-- an error ---> ended
 */
#ifndef WORKER_STANDBY_H
#define WORKER_STANDBY_H

#include "bridge/service/service.h"

/* So often the lock is asked for. Not in flock's own queue: a thread that waits there can be told
 * nothing, does not see that the lock's file was exchanged, and a lease has no queue. */
#define STANDBY_POLL_MS 250

struct standby {
  struct log *log;
  struct service *next;           /* prepared for the relay */
  struct service *answers;        /* who is asked meanwhile; NULL: it never had to wait */
  char waits[SERVICE_WAITS_TEXT]; /* for what, as last told */
  int64_t began_ms;
};
/* Any error of the settings and of the outbox is told here, not when it is needed. */
MUST_CHECK enum status standby_open(struct standby *w, const struct settings *settings,
                                    struct log *log, struct error *err);
/* ST_OK: *service is the relay's, and owns the outbox. ST_BUSY: wait on; answers is there, and the
 * log says who holds it, once an owner. Any other: it cannot go on. */
MUST_CHECK enum status standby_try(struct standby *w, const struct settings *settings,
                                   struct service **service, struct error *err);
/* SIGHUP: all is opened anew by fresh, or stays as it is. *answered: who was asked until now, for
 * the caller to close. */
MUST_CHECK enum status standby_renew(struct standby *w, const struct settings *fresh,
                                     struct service **answered, struct error *err);
void standby_close(struct standby *w); /* also of zeros */

#endif
