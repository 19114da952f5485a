/* A producer's life: opened with the topics in the order of routing, ended on a thread of its own.
 * The publisher's thread. A crash leaves its transaction open, which the next start's producer
 * ends. */
#include "bridge/relay/parts.h"

enum { ENDING_MOST = 16 }; /* producers that are ending at a time */

enum status publish_open(struct publishing *p, struct error *err) {
  struct relay *r = p->relay;
  BUG_ON(p->publisher);
  enum status st = publisher_open(&p->client, r->parts.log, p->report, p, &p->publisher, err);
  for (unsigned i = 0; st == ST_OK && i < routing_topics(r->parts.routing); i++) {
    unsigned number;
    st = publisher_topic(p->publisher, routing_topic_name(r->parts.routing, i), &number, err);
    BUG_ON(st == ST_OK && number != i);
  }
  if (st == ST_OK)
    publisher_wake_on(p->publisher, r->wake_fd);
  else
    publish_close(p);
  return st;
}

/* One producer that ends, on a thread of its own. */
struct ending {
  struct relay *relay;
  struct publisher *publisher;
};

static void *end_publisher(void *arg) {
  struct ending *e = arg;
  struct relay *r = e->relay;
  publisher_close(e->publisher);
  free(e);
  mutex_lock(&r->lock);
  BUG_ON(!r->ending);
  r->ending--;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  return NULL;
}

/* librdkafka's destroy takes up to a second, and has been seen to hang for ever after an aborted
 * transaction: nobody waits for it but relay_stop, for a while. False: it could not be handed to a
 * thread. */
static bool end_aside(struct relay *r, struct publisher *publisher) {
  struct thread thread;
  struct ending *e = malloc(sizeof *e);
  if (!e) return false;
  *e = (struct ending){r, publisher};
  mutex_lock(&r->lock);
  bool too_many = ++r->ending > ENDING_MOST;
  mutex_unlock(&r->lock);
  if (too_many)
    relay_fail(r, ST_UNAVAILABLE,
               "too many Kafka producers do not end; ending, so that a restart clears them away");
  if (thread_start(&thread, NULL, end_publisher, e) == 0) {
    thread_detach(thread);
    return true;
  }
  mutex_lock(&r->lock);
  r->ending--;
  mutex_unlock(&r->lock);
  free(e);
  return false;
}

/* P only, and in no call: F, which polls the one of a call, has none to look at. */
void publish_close(struct publishing *p) {
  struct publisher *publisher = p->publisher;
  BUG_ON(p->relay->call.publisher); /* P's own writes */
  p->publisher = NULL;
  publisher_abandon(publisher); /* its entries' bytes are free from here on */
  if (publisher && !end_aside(p->relay, publisher)) publisher_close(publisher);
}
