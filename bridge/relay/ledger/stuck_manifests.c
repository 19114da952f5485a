/* Manifests that cannot be renamed or removed: tried twice, then listed and tried again later.
 * Publisher and finisher. A crash leaves them in the folder, where the next start meets them.
 * Publisher and finisher are the threads. */
#include "bridge/relay/ledger/stuck_manifests.h"

#include "bridge/relay/parts.h"

static bool same(const struct manifest_name *a, const struct manifest_name *b) {
  return a->number == b->number && !strcmp(a->digest, b->digest);
}

/* Lock held. count: it is none of them. */
static size_t find_stuck(const struct stuck *s, const struct manifest_name *name) {
  size_t i = 0;
  while (i < s->count && !same(&s->names[i], name)) i++;
  return i;
}

static void say_stuck(struct relay *r, const char *file, const struct error *why) {
  log_write(
      r->parts.log, LOG_WARNING, "relay", "manifest_stuck",
      FIELDS(F_TEXT("file", file), F_TEXT("error", why->text)),
      "The list of a batch cannot be changed; nothing waits for it, and it is tried again each "
      "flush.interval. %s",
      store_remedy(r->parts.store, why->sys));
}

/* err: of the try that failed. */
static enum status keep_stuck(struct relay *r, const struct manifest_name *name,
                              struct error *err) {
  char file[MANIFEST_LABEL];
  struct stuck *s = &r->stuck;
  manifest_label(name, file);
  if (!store_hinders_one(r->parts.store, err)) return err->status;
  mutex_lock(&r->lock);
  size_t at = find_stuck(s, name);
  bool fresh = at == s->count, full = at == STUCK_MOST;
  if (!full) s->names[at] = *name;
  if (fresh && !full) s->count++;
  r->status.stuck = s->count;
  snprintf(r->status.stuck_file, sizeof r->status.stuck_file, "%s", file);
  snprintf(r->status.stuck_why, sizeof r->status.stuck_why, "%s", err->text);
  r->status.stuck_remedy = store_remedy(r->parts.store, err->sys);
  mutex_unlock(&r->lock);
  if (full)
    error_prefix(err, "%d manifests cannot be changed, which is the most: %s", STUCK_MOST, file);
  if (fresh && !full) say_stuck(r, file, err);
  return full ? err->status : ST_OK;
}

static void drop_stuck(struct relay *r, const struct manifest_name *name) {
  char file[MANIFEST_LABEL];
  struct stuck *s = &r->stuck;
  mutex_lock(&r->lock);
  size_t at = find_stuck(s, name);
  bool was = at < s->count;
  if (was) s->names[at] = s->names[--s->count];
  r->status.stuck = s->count;
  if (s->count) manifest_label(&s->names[0], r->status.stuck_file);
  mutex_unlock(&r->lock);
  if (!was) return;
  manifest_label(name, file);
  log_write(r->parts.log, LOG_INFO, "relay", "manifest_freed", FIELDS(F_TEXT("file", file)),
            "It could be changed");
}

enum status stuck_settle(struct relay *r, struct manifest_name *name, struct error *err) {
  enum status st = manifest_settle(r->parts.store, name, err);
  if (st != ST_OK) st = manifest_settle(r->parts.store, name, err);
  if (st != ST_OK) return keep_stuck(r, name, err);
  drop_stuck(r, name);
  name->settled = true;
  return ST_OK;
}

enum status stuck_remove(struct relay *r, const struct manifest_name *name, struct error *err) {
  enum status st = manifest_remove(r->parts.store, name, err);
  if (st != ST_OK) st = manifest_remove(r->parts.store, name, err);
  if (st != ST_OK) return keep_stuck(r, name, err);
  drop_stuck(r, name);
  return ST_OK;
}

/* The manifest of the position is kept, renamed as settled. */
void stuck_tend(struct relay *r) {
  struct manifest_name newest = relay_newest_settled(r);
  struct stuck now;
  mutex_lock(&r->lock);
  now = r->stuck;
  mutex_unlock(&r->lock);
  for (size_t i = 0; i < now.count; i++) {
    struct error err = {0};
    enum status st = same(&now.names[i], &newest) ? stuck_settle(r, &newest, &err)
                                                  : stuck_remove(r, &now.names[i], &err);
    (void)st; /* once more the next time */
  }
}
