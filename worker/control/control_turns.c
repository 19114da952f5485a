/* Which service is asked: exchanged under requests that are at work, each of which ends with the
 * one that it began with. The main thread exchanges, threads of connections ask; a crash leaves
 * nothing. */
#include "worker/control/control.h"
#include "worker/control/control_parts.h"

struct service *control_enter(struct control *c, unsigned *turn) {
  mutex_lock(&c->lock);
  struct service *service = c->service;
  *turn = c->turn;
  c->inside[*turn]++;
  mutex_unlock(&c->lock);
  return service;
}

void control_leave(struct control *c, unsigned turn) {
  mutex_lock(&c->lock);
  c->inside[turn]--;
  mutex_unlock(&c->lock);
}

bool control_left(struct control *c) {
  mutex_lock(&c->lock);
  bool left = c->inside[!c->turn] == 0;
  mutex_unlock(&c->lock);
  return left;
}

void control_serve(struct control *c, struct service *service) {
  BUG_ON(!control_left(c));
  mutex_lock(&c->lock);
  c->service = service;
  c->turn = !c->turn;
  mutex_unlock(&c->lock);
}
