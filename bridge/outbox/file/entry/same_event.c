/* S4. Is it still the event that was read? An equal stamp says yes; another stamp says nothing,
 * since a chmod, a touch, a hard link made by a backup or the same bytes written again change it
 * too: then the event inside decides.
 * Any thread; it only reads, so a crash leaves nothing. */
#include "bridge/base/stop.h"
#include "bridge/event/same.h"
#include "bridge/outbox/file/entry/entry_file.h"

enum { WRITTEN_TRIES = 20, WRITTEN_WAIT_MS = 5 };

/* The old bus works on the same outbox: what it marked while we had it goes out like any other. */
static void tell_dispatched(struct fs_site *s, const char *shown, const char *name) {
  if (atomic_exchange(&s->dispatched_said, true)) return;
  log_write(s->log, LOG_WARNING, "outbox", "entry_dispatched",
            FIELDS(F_TEXT("place", shown), F_TEXT("file", name)),
            "An entry became dispatched while it was on its way to Kafka: another bus flushes this "
            "outbox too; set NOVELER_DISABLE_BACKGROUND_FLUSH=1 in its environment. Said once");
}

static enum settled compare_files(struct fs_loaded *d, const struct fs_ref *ref) {
  const struct published was = {ref->id, ref->content};
  if (!fs_loaded_is_object(d) || !ref->id.len) return SETTLED_CHANGED;
  switch (event_same(&d->doc, &d->event, d->lifting, d->typed, &d->arena, &was)) {
  case SAME_EVENT: return SETTLED_GONE;
  case SAME_ID: return SETTLED_REUSED;
  case ANOTHER_EVENT: break;
  }
  return SETTLED_CHANGED;
}

/* Whoever writes leaves a ctime of now; one that is ahead of the clock is of before it was set
 * back. */
static bool may_be_written(const struct fs_site *s, const struct fs_loaded *d) {
  int64_t age_us = clock_wall_us(s->clock) - d->stamp.ctime_ns / 1000,
          settle_us = s->c.settle_ms * 1000;
  return age_us < settle_us && age_us > -settle_us;
}

/* ST_AGAIN: it is not a whole text, and may become one. */
static enum status look_inside(struct fs_site *s, struct fs_loaded *d, int folder,
                               const char *shown, const char *name, const struct fs_ref *ref,
                               enum settled *how, struct error *err) {
  enum fs_read got = fs_load_again(s, d, ref->place, folder, name, err);
  *how = got == FS_GONE ? SETTLED_VANISHED : SETTLED_CHANGED;
  switch (got) {
  case FS_FAILED: return err->status;
  case FS_UNREADABLE: return error_sys(err, d->sys, "reading %s%s again", shown, name);
  case FS_UNSTABLE: return ST_AGAIN;
  case FS_GONE:
  case FS_ODD:
  case FS_TOO_LARGE: return ST_OK;
  case FS_READ: break;
  }
  enum status st = fs_loaded_parse(d, err);
  if (st != ST_OK) return st;
  if (d->doc.fault != JSON_OK && may_be_written(s, d)) return ST_AGAIN;
  *how = compare_files(d, ref);
  if (*how != SETTLED_CHANGED && d->event.status == EVENT_DISPATCHED)
    tell_dispatched(s, shown, name);
  return ST_OK;
}

enum status fs_same(struct fs_site *s, struct fs_loaded *d, int folder, const char *shown,
                    const char *name, const struct fs_ref *ref, enum settled *how,
                    struct error *err) {
  enum status st = look_inside(s, d, folder, shown, name, ref, how, err);
  for (unsigned tries = 0; st == ST_AGAIN && tries < WRITTEN_TRIES; tries++) {
    sleep_ms(WRITTEN_WAIT_MS, NULL);
    st = look_inside(s, d, folder, shown, name, ref, how, err);
  }
  if (st != ST_AGAIN) return st;
  return error_set(err, ST_BUSY, "%s%s is being written while it is settled", shown, name);
}
