/* What a doctor is told of the place: may its folders be written, and does their file system do
 * what moves need? Any thread; a crash leaves a file or two in tmp, which the next holder of the
 * lock removes. */
#include "bridge/base/denial.h"
#include "bridge/outbox/file/site/site.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the folders ---- */

static const char *const folders[] = {".",    "pending",    "dlq",
                                      "sent", ".busbridge", ".busbridge/tmp"};

static bool unwritable(int outbox, const char *name) {
  return faccessat(outbox, name, R_OK | W_OK | X_OK, AT_EACCESS) != 0;
}

/* Entries are exchanged between them; what goes to dlq/ and sent/ may be copied. A link tells of
 * the folder that it leads to. */
static bool elsewhere(int outbox, const char *name) {
  struct stat top, one;
  if (strcmp(name, "dlq") == 0 || strcmp(name, "sent") == 0) return false;
  if (folder_elsewhere(outbox, name)) return true;
  return fstat(outbox, &top) == 0 && fstatat(outbox, name, &one, 0) == 0 &&
         top.st_dev != one.st_dev;
}

/* The first folder that is there and fails the test. */
static const char *first_that(int outbox, bool (*wrong)(int outbox, const char *name)) {
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
    if (faccessat(outbox, folders[i], F_OK, AT_EACCESS) == 0 && wrong(outbox, folders[i]))
      return folders[i];
  return NULL;
}

/* Never "give it all to this user": it may be this user that is the wrong one. */
static void say_unwritable(const char *path, const char *name, struct examined *out) {
  struct denial denial;
  char whole[PATH_MAX];
  bool top = strcmp(name, ".") == 0;
  snprintf(whole, sizeof whole, "%s%s%s", path, top ? "" : "/", top ? "" : name);
  denial_of(whole, R_OK | W_OK | X_OK, &denial);
  out->verdict = EXAMINED_FAILED;
  buffer_printf(&out->text, "%s is not writable: %s", whole, denial.what);
  buffer_printf(&out->next, "%s. The worker must run as a user who may write there", denial.remedy);
}

static void examine_place(struct fs_site *s, struct examined *out) {
  const char *path = state_path(s->state), *id = state_id(s->state);
  int outbox = state_outbox(s->state);
  const char *wrong = first_that(outbox, unwritable);
  if (wrong) {
    say_unwritable(path, wrong, out);
    return;
  }
  wrong = first_that(outbox, elsewhere);
  if (wrong) {
    out->verdict = EXAMINED_FAILED;
    buffer_printf(&out->text, "%s/%s lies on another file system than the outbox", path, wrong);
    buffer_add_z(
        &out->next,
        "Mount the outbox as one file system: entries are exchanged between its folders; only dlq/ and "
        "sent/ may lie elsewhere");
    return;
  }
  buffer_printf(&out->text, "%s, writable for uid %ld, %s", path, (long)geteuid(),
                *id ? id : "no worker has been started on it yet");
}

/* ---- the file system ---- */

static enum status make_probe(struct fs_site *s, const char *name, struct examined *out,
                              struct error *err) {
  struct stat st;
  int tmp = state_tmp(s->state);
  enum status made = durable_write_new(tmp, name, SPAN("doctor\n"), NULL, err);
  if (made != ST_OK || fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return made;
  /* The kernel stamps with a tick of up to 10 ms; a network file system may stamp by its server's
   * clock. */
  out->skew_us = fs_stamp_of(&st).mtime_ns / 1000 - clock_wall_us(s->clock);
  return ST_OK;
}

/* A worker that comes now may take ours. */
static enum status try_exchange(struct fs_site *s, struct examined *out, struct error *err) {
  char a[60], b[60];
  int tmp = state_tmp(s->state);
  snprintf(a, sizeof a, "doctor-a.%ld.tmp", (long)getpid());
  snprintf(b, sizeof b, "doctor-b.%ld.tmp", (long)getpid());
  enum status st = make_probe(s, a, out, err);
  if (st != ST_OK) return st;
  st = make_probe(s, b, out, err);
  if (st == ST_OK) st = durable_exchange(tmp, a, tmp, b, err);
  enum status gone = durable_unlink(tmp, a, NULL);
  gone = durable_unlink(tmp, b, NULL);
  (void)gone;
  return st;
}

static void say(struct examined *out, enum examined_verdict verdict, const char *text,
                const char *next) {
  out->verdict = verdict;
  buffer_add_z(&out->text, text);
  buffer_add_z(&out->next, next);
}

static void examine_changes(struct fs_site *s, struct examined *out) {
  struct error err = {0};
  int tmp = state_tmp(s->state);
  if (tmp < 0) {
    say(out, EXAMINED_NOT, "not tried: there is no .busbridge/tmp yet, the worker makes it", "");
    return;
  }
  if (unwritable(tmp, ".")) {
    say(out, EXAMINED_NOT, "not tried: .busbridge/tmp is not writable", "");
    return;
  }
  switch (try_exchange(s, out, &err)) {
  case ST_OK: say(out, EXAMINED_FINE, "files are written, synced and exchanged", ""); return;
  case ST_NOT_FOUND: say(out, EXAMINED_NOT, "a worker that starts cleared the probe", ""); return;
  case ST_UNSUPPORTED:
    say(out, EXAMINED_DOUBTFUL, "it cannot exchange two files (renameat2)",
        "Put the outbox on ext4, xfs, btrfs or tmpfs: elsewhere a worker that was stopped and wakes up "
        "late could bring back an entry");
    return;
  default:
    say(out, EXAMINED_FAILED, err.text, "");
    buffer_printf(&out->next, "Fix the file system under %s", state_path(s->state));
  }
}

void fs_examine(struct fs_site *s, enum examination which, struct examined *out) {
  if (which == EXAMINE_PLACE)
    examine_place(s, out);
  else
    examine_changes(s, out);
}
