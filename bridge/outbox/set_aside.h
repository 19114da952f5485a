/* set_aside.h - entries that cannot be changed, each by itself, while others can. What became of
 * such a one is written down, all others go on, and it is carried out when the hindrance goes. Part
 * of the contract of a store (store.h); a kind whose entries are changed alike never sets one
 * aside: there store_aside is ST_AGAIN.
 *
 * The settling thread's, except for store_asides and the words.
 */
#ifndef BRIDGE_OUTBOX_SET_ASIDE_H
#define BRIDGE_OUTBOX_SET_ASIDE_H

#include "bridge/outbox/entry.h"

enum aside {
  ASIDE_DONE,  /* store_done: never handed out again, over restarts too */
  ASIDE_RETRY, /* store_retry: pending as before; handed out with the attempts that are known of it
                */
  ASIDE_DEAD   /* store_dead: not handed out any more */
};
#define STORE_ASIDE_MOST 10000
/* A change of the outbox failed: does it let others be made, so that it is this one's alone? The
 * owner's. */
bool store_hinders_one(const struct store *s, const struct error *why);
/* What people can do about it: of the sys of an error of this store. Static. Any thread. */
const char *store_remedy(const struct store *s, int sys);
/* Its done, retry or dead (with why) has failed by hindrance. ST_OK: it is not in hand any more.
 * ST_AGAIN: it is not the only one that is hindered (no space, no right to change any), or there
 * are too many, as err says: wait, and try the same once more. Durable after store_aside_sync. */
MUST_CHECK enum status store_aside(struct store *s, const struct entry_ref *ref, struct span id,
                                   enum aside what, const struct failure *why,
                                   const struct error *hindrance, struct error *err);
/* After store_sync: what was set aside is durable, what was carried out is forgotten there. On a
 * failure: again. */
MUST_CHECK enum status store_aside_sync(struct store *s, struct error *err);
/* Tries to carry out what is set aside. Then store_sync and store_aside_sync. */
void store_aside_tend(struct store *s);

struct aside_info {
  enum aside what;
  const char *token, *label;
  struct span id;
  const char *why, *remedy;
  unsigned attempts;
  int64_t since_us, arrived_us;
  uint64_t size;
};
typedef bool (*store_aside_fn)(void *ctx, const struct aside_info *info); /* false stops */
/* At most limit (0 = all), the first ones first. Any thread; needs no reader. */
MUST_CHECK enum status store_asides(struct store *s, size_t limit, store_aside_fn visit, void *ctx,
                                    struct error *err);
const char *store_aside_word(enum aside what); /* published, refused, dead */
/* "TOKEN, published: Operation not permitted", fit to be shown */
void store_aside_words(const struct aside_info *info, char *out, size_t size);

#endif
