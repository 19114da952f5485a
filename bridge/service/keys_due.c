/* Each call is handed on to the outbox. Any thread, as keys.h says; what a crash leaves is said in
 * bridge/outbox/keys_due.h. */
#include "bridge/service/keys_due.h"

#include "bridge/outbox/keys_due.h"

static enum status open_due(void *ctx, size_t most, struct error *err) {
  return store_keys_due_open(ctx, most, err);
}

static enum status add_due(void *ctx, const struct key *list, const bool *done, size_t count,
                           uint64_t *given_up, struct error *err) {
  return store_keys_due_add(ctx, list, done, count, given_up, err);
}

static bool has(void *ctx, struct span id) {
  return store_keys_due_has(ctx, id);
}

static uint64_t count_due(void *ctx) {
  return store_keys_due_count(ctx);
}

static enum status read_due(void *ctx, struct key *out, size_t max, size_t *count,
                            struct error *err) {
  return store_keys_due_read(ctx, out, max, count, err);
}

static enum status drop_due(void *ctx, struct error *err) {
  return store_keys_due_drop(ctx, err);
}

struct keys_due keys_due_in(struct store *s) {
  return (struct keys_due){s, open_due, add_due, has, count_due, read_due, drop_due};
}
