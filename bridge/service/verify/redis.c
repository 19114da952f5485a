/* Redis, and what it has yet to be told, are asked which ids they know.
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/service/keys_due.h"
#include "bridge/service/verify/parts.h"

void verify_open_keys(struct verify *v) {
  struct keys_config config = v->s->plan.keys;
  config.required = false;
  const struct keys_due due = keys_due_in(v->s->store);
  config.due = &due;
  config.clock = v->request->clock;
  keys_close(v->keys);
  v->keys = NULL;
  struct span nothing = SPAN("verify");
  bool seen;
  if (strcmp(config.url, "off") == 0) return;
  /* Its url was judged when the service was opened; what is left is that what is due
   * cannot be read. */
  v->keys_away = keys_open(&config, v->request->log, &v->keys, NULL) != ST_OK;
  verify_keys_known(v, &nothing, 1, &seen, NULL, NULL);
}

bool verify_keys_known(struct verify *v, const struct span *ids, size_t count, bool *seen,
                       struct span *place, struct arena *arena) {
  if (!v->keys || v->keys_away) return false;
  v->keys_away = keys_check(v->keys, ids, count, seen, place, arena) != ST_OK;
  return !v->keys_away;
}
