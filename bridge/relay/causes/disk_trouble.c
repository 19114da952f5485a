/* What keeps the outbox from being read or changed, told in one way by all stages: the door that
 * health shows, its remedy, the log's line. kafka_away.c does it for Kafka.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/disk/denial.h"
#include "bridge/relay/parts.h"

static void tell_trouble(struct relay *r, enum disk_side side, const struct error *err,
                         const char *remedy) {
  const struct log_field *fields = FIELDS(F_TEXT("error", err->text));
  if (side == DISK_READING)
    log_write(r->parts.log, LOG_ERROR, "relay", "outbox_unreadable", fields,
              "The outbox cannot be read. %s", remedy);
  else if (side == DISK_UNSYNCED)
    log_write(
        r->parts.log, LOG_ERROR, "relay", "outbox_sync_failed", fields,
        "What was settled could not be made durable. %s, which settles this run's batches again",
        remedy);
  else
    log_write(r->parts.log, LOG_ERROR, "relay", "outbox_write_failed", fields,
              "The outbox cannot be changed. %s", remedy);
}

/* Where it lies in folders the system's word decides. */
static const char *remedy_of(const struct relay *r, const struct error *err) {
  const struct store *s = r->parts.store;
  return store_traits(s)->at_path ? sys_remedy(err->sys) : store_remedy(s, err->sys);
}

/* A second stage that meets the same adds no line. */
void disk_trouble(struct relay *r, enum disk_side side, const struct error *err) {
  char remedy[sizeof r->status.breakers[0].remedy];
  if (side == DISK_UNSYNCED)
    snprintf(remedy, sizeof remedy, "Relaying goes on; fix the disk, then restart the worker");
  else if (disk_refuses(r, DISK_UNSYNCED)) /* which stays, and so must its remedy */
    snprintf(remedy, sizeof remedy, "%s, then restart the worker. Nothing is lost",
             remedy_of(r, err));
  else
    snprintf(remedy, sizeof remedy, "%s. Nothing is lost: everything waits and goes on by itself",
             remedy_of(r, err));
  mutex_lock(&r->lock);
  unsigned had = atomic_fetch_or(&r->disk_sides, side), same = DISK_WRITING | DISK_SETTLING;
  struct breaker_view *view = status_breaker(r, "outbox", BREAKER_OPEN, err->text, remedy);
  if (view) view->sys = err->sys;
  mutex_unlock(&r->lock);
  if (!(had & (side & same ? same : side))) tell_trouble(r, side, err, remedy);
}

void disk_works(struct relay *r, enum disk_side side) {
  if (!disk_refuses(r, side)) return;
  mutex_lock(&r->lock);
  unsigned left = atomic_fetch_and(&r->disk_sides, ~(unsigned)side) & ~(unsigned)side;
  if (!left) status_breaker(r, "outbox", BREAKER_CLOSED, "", "");
  mutex_unlock(&r->lock);
  if (side == DISK_READING)
    log_write(r->parts.log, LOG_INFO, "relay", "outbox_readable", NO_FIELDS,
              "The outbox can be read again");
}

bool disk_refuses(struct relay *r, enum disk_side side) {
  return atomic_load(&r->disk_sides) & side;
}
