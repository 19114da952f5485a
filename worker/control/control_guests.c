/* The list of connections, with phase and age: makes room for the next one, and shows out whoever
 * is too slow.
 * A thread of each connection; a crash leaves nothing. */
#include "worker/control/control_guests.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct guest {
  struct guest *next, **self; /* self: what points at this one */
  int fd;
  const void *door;
  struct in6_addr address; /* IPv4 in its mapped form */
  bool remote;             /* has an address */
  bool leaving;            /* was shown out */
  enum guest_phase phase;
  int64_t since_ms;
};

void guests_init(struct guests *g, const struct clock *clock) {
  *g = (struct guests){.clock = clock};
  mutex_init(&g->lock);
}

void guests_release(struct guests *g) {
  for (struct guest *next; g->first; g->first = next) {
    next = g->first->next;
    free(g->first);
  }
  mutex_destroy(&g->lock);
}

static void take_address(struct guest *guest) {
  struct sockaddr_storage peer;
  socklen_t size = sizeof peer;
  const struct sockaddr_in *four = (const void *)&peer;
  if (getpeername(guest->fd, (struct sockaddr *)&peer, &size) != 0) return;
  guest->remote = peer.ss_family == AF_INET || peer.ss_family == AF_INET6;
  if (peer.ss_family == AF_INET6) guest->address = ((const struct sockaddr_in6 *)&peer)->sin6_addr;
  if (peer.ss_family != AF_INET) return;
  memset(guest->address.s6_addr + 10, 0xFF, 2);
  memcpy(guest->address.s6_addr + 12, &four->sin_addr, 4);
}

static bool beside(const struct guest *a, const struct guest *b, bool of_one) {
  if (a == b || a->leaving || a->door != b->door) return false;
  return !of_one ||
         (a->remote && b->remote && memcmp(&a->address, &b->address, sizeof a->address) == 0);
}

static size_t count_beside(const struct guests *g, const struct guest *guest, bool of_one) {
  size_t count = 0;
  for (const struct guest *other = g->first; other; other = other->next)
    count += beside(other, guest, of_one);
  return count;
}

static struct guest *slowest(const struct guests *g, const struct guest *guest, bool of_one,
                             enum guest_phase phase) {
  struct guest *found = NULL;
  for (struct guest *other = g->first; other; other = other->next)
    if (beside(other, guest, of_one) && other->phase == phase &&
        (!found || other->since_ms <= found->since_ms))
      found = other; /* of equal ones the first that came: the list begins with the last */
  return found;
}

static void show_out(struct guest *guest) {
  shutdown(guest->fd, SHUT_RDWR);
  guest->leaving = true;
}

/* Where all are at work who would have to go, it is the newcomer, once there is no place or its
 * address has its share. Lock held. */
static void make_room(struct guests *g, struct guest *guest) {
  bool share = count_beside(g, guest, true) >= GUESTS_OF_ONE;
  size_t others = count_beside(g, guest, false);
  if (!share && others < GUESTS_MAX - GUESTS_FREE) return;
  struct guest *out = slowest(g, guest, share, GUEST_ASKS);
  if (!out) out = slowest(g, guest, share, GUEST_TAKES);
  if (!out && (share || others >= GUESTS_MAX)) out = guest;
  if (out) show_out(out);
}

struct guest *guest_enter(struct guests *g, int fd, const void *door) {
  struct guest *guest = malloc(sizeof *guest);
  if (!guest) return NULL;
  *guest = (struct guest){.self = &g->first,
                          .fd = fd,
                          .door = door,
                          .phase = GUEST_ASKS,
                          .since_ms = clock_mono_ms(g->clock)};
  take_address(guest);
  mutex_lock(&g->lock);
  guest->next = g->first;
  if (guest->next) guest->next->self = &guest->next;
  g->first = guest;
  make_room(g, guest);
  mutex_unlock(&g->lock);
  return guest;
}

void guest_leave(struct guests *g, struct guest *guest) {
  if (!guest) return;
  mutex_lock(&g->lock);
  *guest->self = guest->next;
  if (guest->next) guest->next->self = guest->self;
  mutex_unlock(&g->lock);
  free(guest);
}

void guest_phase(struct guests *g, struct guest *guest, enum guest_phase phase) {
  if (!guest) return;
  mutex_lock(&g->lock);
  guest->phase = phase;
  guest->since_ms = clock_mono_ms(g->clock);
  mutex_unlock(&g->lock);
}

size_t guests_hurry(struct guests *g) {
  size_t count = 0;
  int64_t now = clock_mono_ms(g->clock);
  mutex_lock(&g->lock);
  for (struct guest *guest = g->first; guest; guest = guest->next) {
    int64_t limit = guest->phase == GUEST_ASKS    ? GUESTS_ASK_MS
                    : guest->phase == GUEST_TAKES ? GUESTS_TAKE_MS
                                                  : INT64_MAX;
    if (guest->leaving || now - guest->since_ms <= limit) continue;
    show_out(guest);
    count++;
  }
  mutex_unlock(&g->lock);
  return count;
}
