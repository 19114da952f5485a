/* control_guests.h - who is connected, and how long each takes: a client that sends its request or
 * takes its answer too slowly is shown out, so that it cannot keep a place for ever. libmicrohttpd
 * itself only minds silence, not drops. And whoever comes finds a place: where few are left, or its
 * address has its share, the one that has been at its request for longest goes, before one that
 * takes an answer. A probe asks at once; who says nothing keeps nobody out.
 *
 * A connection is in one phase after the other; working has no limit. Private to worker/control;
 * any thread.
 */
#ifndef WORKER_CONTROL_GUESTS_H
#define WORKER_CONTROL_GUESTS_H

#include "bridge/base/clock.h"
#include "bridge/base/thread.h"

enum {
  GUESTS_MAX = 64,         /* of a door */
  GUESTS_FREE = 8,         /* places that are kept free */
  GUESTS_OF_ONE = 32,      /* by TCP, of one address */
  GUESTS_ASK_MS = 30000,   /* headers and body, and the pause before them on a kept connection */
  GUESTS_TAKE_MS = 120000, /* an answer of any size */
};
enum guest_phase { GUEST_ASKS, GUEST_WAITS, GUEST_TAKES };
struct guest;
struct guests {
  const struct clock *clock;
  struct mutex lock;
  struct guest *first;
};
void guests_init(struct guests *g, const struct clock *clock);
void guests_release(struct guests *g); /* nobody comes or leaves any more */
/* door: which listener it came by. NULL when memory is out: it stays unwatched. */
struct guest *guest_enter(struct guests *g, int fd, const void *door);
/* Before the descriptor is closed. NULL is fine, here and below. */
void guest_leave(struct guests *g, struct guest *guest);
void guest_phase(struct guests *g, struct guest *guest, enum guest_phase phase);
/* Shuts the connections of those that took too long; they leave by themselves then. Returns how
 * many. */
size_t guests_hurry(struct guests *g);

#endif
