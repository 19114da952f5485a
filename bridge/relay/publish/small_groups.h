/* small_groups.h - events of which the broker refused some, looked at beside the flow; publisher's
 * thread.
 *
 * A broker refuses a whole record batch and librdkafka does not name the record it meant. Those
 * refused together, and those that were refused before and are due again, are set apart here and go
 * in groups, the oldest first: a group that gets through makes the next one twice as large, one
 * that is refused is cut, until the culprit stands alone. Between two groups whatever else is ready
 * goes its way, so that one topic that refuses everything keeps no other waiting.
 *
 * Order: as long as a topic has events here that were never refused by themselves, all others of it
 * go back as held, and a fresh scan brings them afterwards. Of one that was refused before only the
 * key waits.
 *
 * Memory: what is set apart stays in the batch it was read into, and at most SMALL_GROUPS_BATCHES
 * of the pool are kept that way.
 */
#ifndef BRIDGE_RELAY_SMALL_GROUPS_H
#define BRIDGE_RELAY_SMALL_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct publishing;
struct item;
struct batch;

enum { SMALL_GROUPS_BATCHES = 2 };

struct small_groups {
  struct item **items; /* [first, end), in the order they came */
  size_t first, end, cap;
  size_t group; /* so many go next */
  struct {
    const struct batch *batch;
    size_t items;
  } kept[SMALL_GROUPS_BATCHES];
  struct small_groups_topic { /* one a topic */
    size_t suspects;
    bool held;    /* something of it went back meanwhile */
    bool told;    /* in health */
    bool refused; /* transact.c, while it parts a batch */
  } *topics;
  bool trying;      /* a group is on its way */
  bool refused;     /* some of it were */
  int64_t since_ms; /* monotonic: when the first came */
};

bool small_groups_idle(const struct publishing *p);
/* Must this one, of the flow, go back as held? */
bool small_groups_holds(struct publishing *p, const struct item *item);
/* Set apart. False: there is no room (now). */
bool small_groups_add(struct publishing *p, struct item *item);
/* Of the flow, on its way: true, it was set apart. It may have become held instead. */
bool small_groups_divert(struct publishing *p, struct item *item);
/* The next group, out of here: its items stay where they stand until something is put back or
 * added. Returns how many. */
size_t small_groups_take(struct publishing *p, struct item ***items);
/* Of a group on its way: refused together, the first `group` of them go next. */
void small_groups_back(struct publishing *p, struct item **items, size_t count, size_t group);
/* It was given back: what comes behind it must not pass. */
void small_groups_gave_back(struct publishing *p, const struct item *item);
/* small_groups_run.c: the next group, to its end. While the first is young (nothing else has waited
 * long) several. */
void small_groups_run(struct publishing *p);
void small_groups_give_back(struct publishing *p); /* all of it, as held */

#endif
