/* publish.h - the stage between the reader and the finisher: prepared batches to Kafka, and what
 * became of each entry. Publisher's thread, all of it. Outside of this folder only stage_publish
 * and publish_report are used.
 *
 *   stage_publish  one round: reports, topics, doors, the next batch
 *   hand_over      an entry to librdkafka
 *   reports        what its report means
 *   transact       a batch in a transaction
 *   culprits       who is to blame for one that was aborted
 *   renew          a producer that is ours
 *   topics         are they there, and what do they take
 *   doors          what is closed, and who may pass; breaker: one door
 *   small_groups   what was refused together, kept apart; small_groups_run: sent beside the flow
 */
#ifndef BRIDGE_RELAY_PUBLISH_H
#define BRIDGE_RELAY_PUBLISH_H

#include "bridge/relay/parts.h"

/* stage_publish.c: one round; false when all is done and the thread may end */
bool stage_publish(struct publishing *p);

/* hand_over.c */
struct item *next_item(struct publishing *p); /* where p->position stands; NULL: none is prepared */
bool publish_item(struct publishing *p, struct item *item); /* false: the queue is full */
/* at_least_once: all that is prepared and may go, until the queue is full. */
void hand_over(struct publishing *p);
/* At the end: what is prepared or set apart, as held. */
void give_back_unsent(struct publishing *p);
/* Until nothing is in flight; false: draining has lasted long enough. */
bool publish_wait(struct publishing *p);

/* delivery_reports.c: the verdict of an entry, and on to the finisher */
void publish_report(void *publishing, void *item, const struct delivery *delivery);
/* Known for certain. */
void judge_item(struct publishing *p, struct item *item, const struct delivery *d);
/* It was refused at once, so that no report comes. */
void judge_refused(struct publishing *p, struct item *item, const struct delivery *d);
/* It was refused together with others, and there is no room to set it apart: its topic's door
 * closes for a while. */
void refuse_topic(struct publishing *p, struct item *item);
void push_done(struct publishing *p);

/* doors.c */
void topic_trouble(struct publishing *p, unsigned topic, const struct delivery *d);
void delivery_trouble(struct publishing *p, const struct delivery *d); /* the world's */
/* why: with its cause. */
void kafka_trouble(struct publishing *p, const struct error *why, int code);
void topic_worked(struct publishing *p, unsigned topic);
void kafka_worked(struct publishing *p);
void doors_tick(struct publishing *p);
void doors_sent(struct publishing *p, unsigned topic);
/* It told nothing of the doors it passed. */
void doors_unsent(struct publishing *p, unsigned topic);
bool may_pass(struct publishing *p, struct item *item); /* doors and waiting keys */
/* type_doors.c: shows which types of events wait for an id of the registry, and why. */
void types_tick(struct publishing *p);
void key_waits(struct publishing *p, const struct item *item);
/* Asks for a scan that brings what went back in front of what is newer. */
uint64_t order_scan(struct relay *r);

/* transact.c: exactly once */
void transact_next(
    struct publishing *p); /* the next prepared batch, if there is one: one transaction or more */
/* A group of small_groups.c, in place: what is refused together goes back there. False: stop. */
bool transact_group(struct publishing *p, struct item **items, size_t count);

/* culprits.c: of a transaction that was aborted for its reports */
/* Takes out those whose fault is certain. *middle: place of the middle suspect among the rest,
 * count when there is none. Returns how many the rest are. */
size_t culprits_take_out(struct publishing *p, struct item **items, size_t count, size_t *middle);
/* Entries of one topic first, each topic's in their order. Returns how many the first topic has. */
size_t culprits_part_topics(struct item **items, size_t count);
/* They are all of one topic, to which we have no right. */
void culprits_deny(struct publishing *p, struct item **items, size_t count);
/* Those of topics that refused some go beside the flow; the others stay in items. Returns how many
 * these are. */
size_t culprits_set_apart(struct publishing *p, struct item **items, size_t count);

/* renew_producer.c: a producer that is ours */
enum { RENEW_DISK_MS = 500 };
bool renew_ready(struct publishing *p); /* made anew when needed; false: not now */
/* Until the ledger tells; LEDGER_AWAY: draining is over. */
enum ledger_found renew_until_known(struct publishing *p);
bool renew_pause(struct relay *r, int64_t ms); /* false: stopping */

/* topics_ready.c */
void topics_prepare(struct publishing *p);
void topic_create(struct publishing *p,
                  unsigned topic); /* again, before a probe; failing is fine */
void clock_words(struct publishing *p, const char *broker_says, char *out,
                 size_t size); /* of KAFKA_CLOCK */
/* Those refused for their size (item->fault, error_code) were so together, in a batch larger than
 * their topic takes: true; the next producer's batches are smaller, and the same should go again.
 */
bool topic_batches_refused(struct publishing *p, struct item **items, size_t count);
void topic_remedy(const struct relay *r, unsigned topic, enum kafka_fault fault, char *out,
                  size_t size);

#endif
