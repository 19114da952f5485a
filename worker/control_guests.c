#include "worker/control_guests.h"

#include <sys/socket.h>

#define ASK_MS 30000   /* headers and body, and the pause before them on a kept connection */
#define TAKE_MS 120000 /* an answer of any size */

struct guest {
  struct guest *next, **self; /* self: what points at this one */
  int fd;
  enum guest_phase phase;
  int64_t since_ms;
};

void guests_init(struct guests *g, const struct clock *clock) {
  *g = (struct guests){.clock = clock};
  pthread_mutex_init(&g->lock, NULL);
}

void guests_release(struct guests *g) {
  for (struct guest *next; g->first; g->first = next) {
    next = g->first->next;
    free(g->first);
  }
  pthread_mutex_destroy(&g->lock);
}

struct guest *guest_enter(struct guests *g, int fd) {
  struct guest *guest = malloc(sizeof *guest);
  if (!guest) return NULL;
  *guest = (struct guest){.self = &g->first, .fd = fd, .phase = GUEST_ASKS, .since_ms = clock_mono_ms(g->clock)};
  pthread_mutex_lock(&g->lock);
  guest->next = g->first;
  if (guest->next) guest->next->self = &guest->next;
  g->first = guest;
  pthread_mutex_unlock(&g->lock);
  return guest;
}

void guest_leave(struct guests *g, struct guest *guest) {
  if (!guest) return;
  pthread_mutex_lock(&g->lock);
  *guest->self = guest->next;
  if (guest->next) guest->next->self = guest->self;
  pthread_mutex_unlock(&g->lock);
  free(guest);
}

void guest_phase(struct guests *g, struct guest *guest, enum guest_phase phase) {
  if (!guest) return;
  pthread_mutex_lock(&g->lock);
  guest->phase = phase;
  guest->since_ms = clock_mono_ms(g->clock);
  pthread_mutex_unlock(&g->lock);
}

size_t guests_hurry(struct guests *g) {
  size_t count = 0;
  int64_t now = clock_mono_ms(g->clock);
  pthread_mutex_lock(&g->lock);
  for (struct guest *guest = g->first; guest; guest = guest->next) {
    int64_t limit = guest->phase == GUEST_ASKS ? ASK_MS : guest->phase == GUEST_TAKES ? TAKE_MS : INT64_MAX;
    if (now - guest->since_ms <= limit) continue;
    shutdown(guest->fd, SHUT_RDWR);
    guest->since_ms = now;
    count++;
  }
  pthread_mutex_unlock(&g->lock);
  return count;
}
