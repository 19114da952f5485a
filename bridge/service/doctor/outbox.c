/* The outbox, what it lies on can do, and who holds it.
 * One thread; a crash leaves what store_examine tries, which the next holder of the lock removes.
 */
#include "bridge/base/text/words.h"
#include "bridge/outbox/store.h"
#include "bridge/service/doctor/parts.h"
#include "bridge/service/health/health_rules.h"
#include "bridge/service/typed_hint.h"

#define INODES_FEW 10000

/* False: there is no such examination. */
static bool examine(struct doctor *d, enum examination which) {
  static const enum report_verdict verdicts[] = {[EXAMINED_FINE] = REPORT_OK,
                                                 [EXAMINED_DOUBTFUL] = REPORT_WARNING,
                                                 [EXAMINED_FAILED] = REPORT_FAILED,
                                                 [EXAMINED_NOT] = REPORT_SKIPPED};
  _Static_assert(sizeof verdicts / sizeof *verdicts == EXAMINED_NOT + 1, "a verdict for each");
  struct examined told;
  store_examine(d->store, which, &told);
  if (told.check) doctor_found(d, told.check, verdicts[told.verdict], "%s", buffer_z(&told.text));
  if (told.next.len) doctor_next(d, "%s", buffer_z(&told.next));
  if (which == EXAMINE_CHANGES && told.skew_us != TIME_NONE) d->skew_us = told.skew_us;
  buffer_release(&told.text);
  buffer_release(&told.next);
  return told.check;
}

static void check_space(struct doctor *d) {
  struct store_space space;
  struct limits limits;
  limits_read(d->settings, &limits);
  store_space(d->store, &space);
  if (!space.known) {
    doctor_found(d, "disk space", REPORT_SKIPPED, "nobody tells how much is free there");
    return;
  }
  bool counted = space.entries >= 0;
  bool none = space.bytes == 0 || space.entries == 0;
  bool few = space.bytes < limits.disk_bytes || (counted && space.entries < INODES_FEW);
  char inodes[40] = "";
  if (counted) snprintf(inodes, sizeof inodes, " and %lld inodes", (long long)space.entries);
  doctor_found(d, "disk space",
               none  ? REPORT_FAILED
               : few ? REPORT_WARNING
                     : REPORT_OK,
               "%lld MB%s free", (long long)(space.bytes / 1000000), inodes);
  if (few)
    doctor_next(
        d, "Make room: producers cannot write events on a full disk. health.disk_warning is where "
           "this warns");
}

static void check_worker(struct doctor *d) {
  struct store_owner owner;
  char who[STORE_OWNER_TEXT], others[STORE_STANDBY_TEXT];
  d->holder = store_owner(d->store, &owner) ? owner.pid : 0;
  store_standby_words(d->store, others);
  if (d->holder > 0)
    doctor_found(d, "worker", REPORT_OK, "pid %lld holds the outbox%s%s%s", (long long)d->holder,
                 store_owner_where(&owner, who), *others ? "; " : "", others);
  else if (d->holder < 0)
    doctor_found(d, "worker", REPORT_OK, "somebody holds the outbox");
  else
    doctor_found(d, "worker", REPORT_OK, "none runs: nobody holds the outbox");
}

static void check_pause(struct doctor *d) {
  struct store_pause pause;
  store_pause_read(d->store, &pause);
  if (!pause.on) {
    doctor_found(d, "pause", REPORT_OK, "publishing is not paused");
    return;
  }
  doctor_found(d, "pause", REPORT_WARNING, "publishing is paused by %s%s%s",
               *pause.by ? pause.by : "somebody", *pause.reason ? ": " : "", pause.reason);
  doctor_next(d, "busbridge resume");
}

struct aside_seen {
  uint64_t count;
  char first[400], next[200];
};

static bool see_aside(void *ctx, const struct aside_info *info) {
  struct aside_seen *seen = ctx;
  if (seen->count++ > 0) return true;
  store_aside_words(info, seen->first, sizeof seen->first);
  snprintf(seen->next, sizeof seen->next, "%s", info->remedy);
  return true;
}

/* A list that cannot be read ends the worker at its start. */
static void check_aside(struct doctor *d) {
  const struct store_config config = {
      .window = 1,
      .max_entry_bytes = (size_t)setting_number(d->settings, SETTING_OUTBOX_MAX_ENTRY_BYTES)};
  struct aside_seen seen = {0};
  struct error err = {0};
  enum status st = store_begin(d->store, &config, &err);
  if (st == ST_OK) st = store_asides(d->store, 0, see_aside, &seen, &err);
  if (st != ST_OK) {
    doctor_found(d, "set aside", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "See SET ASIDE in busbridge-outbox(5)");
  } else if (!seen.count) {
    doctor_found(d, "set aside", REPORT_OK, "every entry can be changed");
  } else {
    char count[COUNTED_TEXT];
    doctor_found(
        d, "set aside", REPORT_WARNING, "%s, all others go on: %s%s",
        counted_text(seen.count, "entry cannot be changed", "entries cannot be changed", count),
        seen.first, seen.count == 1 ? "" : ", ...");
    doctor_next(d, "%s. All of them: busbridge list --type aside", seen.next);
  }
}

/* The second intake. */
static void check_typed(struct doctor *d) {
  char folder[PATH_MAX], number[COUNTED_TEXT];
  uint64_t unread = typed_unread(d->settings, folder);
  const char *set = typed_folder(d->settings);
  if (set) {
    examine(d, EXAMINE_SECOND);
    examine(d, EXAMINE_SECOND_CHANGES);
  }
  if (unread) {
    doctor_found(d, "typed outbox", REPORT_WARNING,
                 "%s in %s/pending, the older typed bus's own outbox, which is not read",
                 counted_text(unread, "file waits", "files wait", number), folder);
    doctor_next(d, "outbox.typed = %s publishes them, however old they are; else move them away",
                folder);
  } else if (!set) {
    doctor_found(d, "typed outbox", REPORT_OK, "outbox.typed is off");
  } else if (!strcmp(setting_text(d->settings, SETTING_REDIS_URL), "off")) {
    doctor_found(d, "typed twins", REPORT_WARNING,
                 "redis.url is off: an event that comes by both buses may be published twice");
    doctor_next(d, "Set redis.url, or switch the typed bus's own bridge off");
  }
}

static const char *advice(const char *url, enum status st) {
  if (!store_path(url)) return "Do what it says, or set outbox.url to the right database";
  switch (st) {
  case ST_NOT_FOUND:
    return "Make the folder, or set outbox.url to the one where the application writes";
  case ST_DENIED:
    return "The worker, and this command, must run as a user who may read and write there";
  default: return "Fix it, or set outbox.url to the right folder";
  }
}

void doctor_check_outbox(struct doctor *d) {
  struct error err = {0};
  const struct store_options options = {.clock = d->clock, .typed = typed_folder(d->settings)};
  enum status st = store_open(d->plan.outbox, &options, &d->store, &err);
  if (st != ST_OK) {
    doctor_found(d, "outbox", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "%s", advice(d->plan.outbox, st));
    return;
  }
  examine(d, EXAMINE_PLACE);
  check_space(d);
  examine(d, EXAMINE_CHANGES);
  for (unsigned which = EXAMINE_FURTHER; examine(d, (enum examination)which); which++) {
  }
  check_worker(d);
  check_pause(d);
  check_aside(d);
  check_typed(d);
}
