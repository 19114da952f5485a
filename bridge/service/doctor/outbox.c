/* The folder, what its file system can, and who holds it.
 * One thread; a crash leaves a file or two in tmp, which the next holder of the lock removes. */
#include "bridge/base/denial.h"
#include "bridge/base/durable.h"
#include "bridge/base/words.h"
#include "bridge/outbox/store.h"
#include "bridge/service/doctor/parts.h"
#include "bridge/service/health/health_rules.h"
#include "bridge/service/typed_hint.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define INODES_FEW 10000

/* ---- the folders ---- */

static const char *const folders[] = {".",    "pending",    "dlq",
                                      "sent", ".busbridge", ".busbridge/tmp"};

static bool writable(int outbox, const char *name) {
  return faccessat(outbox, name, R_OK | W_OK | X_OK, AT_EACCESS) == 0;
}

/* The first folder of the outbox that is there and fails the test. */
static const char *first_that(const struct doctor *d, bool (*wrong)(int outbox, const char *name)) {
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
    if (faccessat(home_outbox(d->home), folders[i], F_OK, AT_EACCESS) == 0 &&
        wrong(home_outbox(d->home), folders[i]))
      return folders[i];
  return NULL;
}

static bool unwritable(int outbox, const char *name) {
  return !writable(outbox, name);
}

/* Entries are exchanged between them; what goes to dlq/ and sent/ may be copied. */
static bool elsewhere(int outbox, const char *name) {
  struct stat top, one;
  if (strcmp(name, "dlq") == 0 || strcmp(name, "sent") == 0) return false;
  return fstat(outbox, &top) == 0 && fstatat(outbox, name, &one, 0) == 0 &&
         top.st_dev != one.st_dev;
}

/* Never "give it all to this user": it may be this user that is the wrong one. */
static void unwritable_found(struct doctor *d, const char *path, const char *name) {
  struct denial denial;
  char whole[PATH_MAX];
  snprintf(whole, sizeof whole, "%s%s%s", path, strcmp(name, ".") ? "/" : "",
           strcmp(name, ".") ? name : "");
  denial_of(whole, R_OK | W_OK | X_OK, &denial);
  doctor_found(d, "outbox", REPORT_FAILED, "%s is not writable: %s", whole, denial.what);
  doctor_next(d, "%s. The worker must run as a user who may write there", denial.remedy);
}

static void check_folder(struct doctor *d) {
  const char *path = store_name(d->store), *wrong = first_that(d, unwritable);
  long uid = (long)geteuid();
  if (wrong) {
    unwritable_found(d, path, wrong);
  } else if ((wrong = first_that(d, elsewhere))) {
    doctor_found(d, "outbox", REPORT_FAILED, "%s/%s lies on another file system than the outbox",
                 path, wrong);
    doctor_next(
        d,
        "Mount the outbox as one file system: entries are exchanged between its folders; only dlq/ and "
        "sent/ may lie elsewhere");
  } else {
    doctor_found(d, "outbox", REPORT_OK, "%s, writable for uid %ld, %s", path, uid,
                 store_id(d->store)[0] ? store_id(d->store)
                                       : "no worker has been started on it yet");
  }
}

static void check_space(struct doctor *d) {
  struct store_space space;
  struct limits limits;
  limits_read(d->settings, &limits);
  store_space(d->store, &space);
  if (!space.known) {
    doctor_found(d, "disk space", REPORT_WARNING, "the file system does not tell");
    return;
  }
  bool counted = space.files >= 0;
  bool none = space.bytes == 0 || space.files == 0;
  bool few = space.bytes < limits.disk_bytes || (counted && space.files < INODES_FEW);
  char inodes[40] = "as many inodes as wanted";
  if (counted) snprintf(inodes, sizeof inodes, "%lld inodes", (long long)space.files);
  doctor_found(d, "disk space",
               none  ? REPORT_FAILED
               : few ? REPORT_WARNING
                     : REPORT_OK,
               "%lld MB and %s free", (long long)(space.bytes / 1000000), inodes);
  if (few)
    doctor_next(
        d,
        "Make room: producers cannot write events on a full disk. health.disk_warning is where this warns");
}

/* ---- the file system ---- */

static enum status make_probe(struct doctor *d, const char *name, struct error *err) {
  struct stat st;
  enum status made = durable_write_new(home_tmp(d->home), name, SPAN("doctor\n"), NULL, err);
  if (made != ST_OK || fstatat(home_tmp(d->home), name, &st, AT_SYMLINK_NOFOLLOW) != 0) return made;
  /* The kernel stamps with a tick of up to 10 ms; a network file system may stamp by its server's
   * clock. */
  d->skew_us =
      (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 - clock_wall_us(d->clock);
  return ST_OK;
}

/* A crash in between leaves files that the next holder of the lock removes; one that comes now may
 * take ours. */
static enum status probe_exchange(struct doctor *d, struct error *err) {
  char a[60], b[60];
  snprintf(a, sizeof a, "doctor-a.%ld.tmp", (long)getpid());
  snprintf(b, sizeof b, "doctor-b.%ld.tmp", (long)getpid());
  enum status st = make_probe(d, a, err);
  if (st != ST_OK) return st;
  st = make_probe(d, b, err);
  if (st == ST_OK) st = durable_exchange(home_tmp(d->home), a, home_tmp(d->home), b, err);
  enum status gone = durable_unlink(home_tmp(d->home), a, NULL);
  gone = durable_unlink(home_tmp(d->home), b, NULL);
  (void)gone;
  return st;
}

static void check_file_system(struct doctor *d) {
  struct error err = {0};
  if (home_tmp(d->home) < 0 || !writable(home_tmp(d->home), ".")) {
    doctor_found(d, "file system", REPORT_SKIPPED,
                 home_tmp(d->home) < 0
                     ? "not tried: there is no .busbridge/tmp yet, the worker makes it"
                     : "not tried: .busbridge/tmp is not writable");
    return;
  }
  switch (probe_exchange(d, &err)) {
  case ST_OK:
    doctor_found(d, "file system", REPORT_OK, "files are written, synced and exchanged");
    return;
  case ST_NOT_FOUND:
    doctor_found(d, "file system", REPORT_SKIPPED, "a worker that starts cleared the probe");
    return;
  case ST_UNSUPPORTED:
    doctor_found(d, "file system", REPORT_WARNING, "it cannot exchange two files (renameat2)");
    doctor_next(
        d,
        "Put the outbox on ext4, xfs, btrfs or tmpfs: elsewhere a worker that was stopped and wakes up "
        "late could bring back an entry");
    return;
  default:
    doctor_found(d, "file system", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "Fix the file system under %s", store_name(d->store));
  }
}

static void check_worker(struct doctor *d) {
  d->holder = store_holder(d->store);
  if (d->holder > 0)
    doctor_found(d, "worker", REPORT_OK, "pid %lld holds the outbox", (long long)d->holder);
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
    doctor_found(d, "set aside", REPORT_OK, "no entry that the file system refuses to change");
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
  if (unread) {
    doctor_found(d, "typed outbox", REPORT_WARNING,
                 "%s in %s/pending, the older typed bus's own outbox, which is not read",
                 counted_text(unread, "file waits", "files wait", number), folder);
    doctor_next(d, "outbox.typed = %s publishes them, however old they are; else move them away",
                folder);
  } else if (!typed_folder(d->settings)) {
    doctor_found(d, "typed outbox", REPORT_OK, "outbox.typed is off");
  } else if (!strcmp(setting_text(d->settings, SETTING_REDIS_URL), "off")) {
    doctor_found(
        d, "typed outbox", REPORT_WARNING,
        "%s is drained too, and redis.url is off: an event that comes by both buses may be "
        "published twice",
        typed_folder(d->settings));
    doctor_next(d, "Set redis.url, or switch the typed bus's own bridge off");
  } else {
    doctor_found(d, "typed outbox", REPORT_OK, "%s is drained too", typed_folder(d->settings));
  }
}

static const char *advice(enum status st) {
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
  if (st == ST_OK) st = home_open(d->plan.outbox, &d->home, &err);
  if (st != ST_OK) {
    doctor_found(d, "outbox", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "%s", advice(st));
    return;
  }
  check_folder(d);
  check_space(d);
  check_file_system(d);
  check_worker(d);
  check_pause(d);
  check_aside(d);
  check_typed(d);
}
