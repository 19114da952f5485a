/* prepare.h - an outbox is made ready to be opened, by whoever asks for it, never silently: part of
 * the contract of a store (store.h). A kind that needs nothing says so by both versions being 0.
 *
 * One thread; nothing needs to be open. A crash leaves it as it was, or ready.
 */
#ifndef BRIDGE_OUTBOX_PREPARE_H
#define BRIDGE_OUTBOX_PREPARE_H

#include "bridge/base/clock.h"
#include "bridge/base/span.h"

struct store_preparation {
  /* Given. */
  const struct clock *clock;
  bool fresh;   /* to be made where nothing is (busbridge outbox init); false: what is there is
                   brought to this program's version (busbridge outbox migrate) */
  bool dry_run; /* nothing is changed: steps only tells what would be done */
  /* Told. */
  unsigned was, is;    /* versions: 0 nothing was there; is: after it (with dry_run: after the real
                          one). The same: there was nothing to do */
  unsigned known;      /* the newest that this program knows */
  struct buffer steps; /* what was done, or would be, in the kind's own language (SQL), each step
                          ending in a newline; empty: nothing. The caller's to release, also after
                          an error */
};

/* ST_OK: it is ready. ST_EXISTS: fresh, and there is an older one (migrate). ST_NOT_FOUND: not
 * fresh, and there is none (init). ST_UNSUPPORTED: a newer program made what is there. ST_BUSY: a
 * worker owns it; an older one is not migrated under its feet. ST_INVALID: nothing can be made of
 * what is there. ST_DENIED, ST_NO_SPACE, ST_UNAVAILABLE, ST_IO. err says what to do. */
MUST_CHECK enum status store_prepare(const char *url, struct store_preparation *p,
                                     struct error *err);

#endif
