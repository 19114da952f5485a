/* waiting_keys.h - keys that wait (L17): while an event that was refused waits for its next try,
 * later events of its key go back as held.
 *
 *   waiting_add      it was refused, or found before its due time: its key waits
 *   waiting_holds    an event of that key comes along: true unless it is the one that is waited for
 *   waiting_release  the one is settled (published, dead, gone)
 *   waiting_tick     then, at most once a second: one fresh scan for all keys released; what older
 *                    scans brought is still held, what it brings passes
 *
 *   waiting_for_id   the one has no id of a registry for its schema yet: its key is released when
 * it has, by waiting_tick or waiting_ripe
 *
 * A key is topic and key bytes. The one is told by its file's name: another entry with its id waits
 * like the rest. Lock: relay.lock. Memory: one record a waiting key, none for those it holds back.
 */
#ifndef BRIDGE_RELAY_HELD_KEYS_WAITING_KEYS_H
#define BRIDGE_RELAY_HELD_KEYS_WAITING_KEYS_H

#include "bridge/base/table.h"
#include "bridge/event/framing.h"
#include "bridge/outbox/store.h"

struct waiting {
  struct table keys;  /* -> struct wait_key */
  uint64_t latest;    /* greatest generation that came along */
  int64_t scanned_ms; /* when a scan was last asked for */
  uint64_t asked;     /* its generation */
  bool released;      /* some key waits for that scan */
  size_t for_ids;     /* keys that wait for an id */
};
void waiting_close(struct waiting *w);
/* generation: of the scan that found it. Without memory the key does not wait (order is then not
 * kept for it): false.
 */
bool waiting_add(struct waiting *w, unsigned topic, struct span key, struct span file,
                 uint64_t generation);
bool waiting_holds(struct waiting *w, unsigned topic, struct span key, struct span file,
                   uint64_t generation);
/* The file's name that a key waits for; NULL: none. For looking only. */
const char *waiting_file(const struct waiting *w, unsigned topic, struct span key);
void waiting_release(struct waiting *w, unsigned topic, struct span key, struct span file);
/* The same for one that was never routed (found to be a duplicate, or beyond use, before that). */
void waiting_release_file(struct waiting *w, struct span file);
/* idle: nothing is in hand. Then keys whose event the last scan, read to its end, did not find any
 * more are released too. */
void waiting_tick(struct waiting *w, struct store *store, int64_t now_ms, bool idle);
/* Behind waiting_add, for the same one. */
void waiting_for_id(struct waiting *w, unsigned topic, struct span key, struct span file,
                    const struct schema_id *id);
/* Releases those whose id is known by now; true: there were some. */
bool waiting_ripe(struct waiting *w);
size_t waiting_count(const struct waiting *w);

#endif
