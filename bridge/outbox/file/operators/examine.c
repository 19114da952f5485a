/* What a doctor is told of the place: may its folders be written, and does their file system do
 * what moves need? Any thread; a crash leaves a file or two in tmp, which the next holder of the
 * lock removes. */
#include "bridge/base/disk/denial.h"
#include "bridge/outbox/file/site/site.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- the folders ---- */

#define FOLDERS_MOST 8

/* Those that a side may have, by name: itself, its places, and .busbridge. Returns how many. */
static size_t folders_of(enum side side, const char *names[FOLDERS_MOST]) {
  size_t count = 0;
  names[count++] = ".";
  for (unsigned p = PLACE_PENDING; p < PLACES; p++)
    if (place_side((enum place)p) == side) names[count++] = place_folder((enum place)p);
  names[count++] = ".busbridge";
  names[count++] = ".busbridge/tmp";
  return count;
}

/* Entries are exchanged between them; what goes to these may be copied. */
static bool may_be_elsewhere(const char *name) {
  return strcmp(name, place_folder(PLACE_DLQ)) == 0 ||
         strcmp(name, place_folder(PLACE_SENT)) == 0 ||
         strcmp(name, place_folder(PLACE_TYPED_ERRORED)) == 0;
}

static bool unwritable(int outbox, const char *name) {
  return faccessat(outbox, name, R_OK | W_OK | X_OK, AT_EACCESS) != 0;
}

/* A link tells of the folder that it leads to. */
static bool elsewhere(int outbox, const char *name) {
  struct stat top, one;
  if (may_be_elsewhere(name)) return false;
  if (folder_elsewhere(outbox, name)) return true;
  return fstat(outbox, &top) == 0 && fstatat(outbox, name, &one, 0) == 0 &&
         top.st_dev != one.st_dev;
}

/* No place is looked for behind a link. */
static bool linked(int outbox, const char *name) {
  struct stat one;
  return *name != '.' && fstatat(outbox, name, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISLNK(one.st_mode);
}

/* The first folder that is there and fails the test. */
static const char *first_that(const struct fs_site *s, enum side side,
                              bool (*wrong)(int outbox, const char *name)) {
  const char *folders[FOLDERS_MOST];
  size_t count = folders_of(side, folders);
  int outbox = state_outbox(fs_side(s, side));
  for (size_t i = 0; i < count; i++)
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

static void say_elsewhere(const char *path, const char *name, enum side side,
                          struct examined *out) {
  out->verdict = EXAMINED_FAILED;
  buffer_printf(&out->text, "%s/%s lies on another file system than the outbox", path, name);
  buffer_printf(
      &out->next,
      "Mount the outbox as one file system: entries are exchanged between its folders; only %s/ "
      "and sent/ may lie elsewhere",
      place_folder(side == SIDE_TYPED ? PLACE_TYPED_ERRORED : PLACE_DLQ));
}

/* True: something is wrong with it, and said. */
static bool is_amiss(const struct fs_site *s, enum side side, struct examined *out) {
  const char *path = state_path(fs_side(s, side)), *wrong;
  if ((wrong = first_that(s, side, unwritable))) {
    say_unwritable(path, wrong, out);
  } else if ((wrong = first_that(s, side, elsewhere))) {
    say_elsewhere(path, wrong, side, out);
  } else if ((wrong = first_that(s, side, linked))) {
    out->verdict = EXAMINED_FAILED;
    buffer_printf(&out->text, "%s/%s is a symbolic link, which is not followed", path, wrong);
    buffer_add_z(&out->next, "Put the folder itself there, or mount it there (mount --bind)");
  }
  return wrong;
}

static void examine_place(struct fs_site *s, struct examined *out) {
  const char *id = state_id(s->state);
  if (!is_amiss(s, SIDE_FLAT, out))
    buffer_printf(&out->text, "%s, writable for uid %ld, %s", state_path(s->state), (long)geteuid(),
                  *id ? id : "no worker has been started on it yet");
}

/* ---- the second intake ---- */

/* Its lock is its own: a worker on another outbox may have it, and ours may have been started
 * without it. */
static void examine_second_lock(struct fs_site *s, struct examined *out) {
  int64_t worker = state_lock_holder(s->state), holder = state_lock_holder(s->typed);
  if (holder > 0 && holder != worker) {
    out->verdict = EXAMINED_FAILED;
    buffer_printf(&out->text, "pid %lld holds %s, and not this outbox", (long long)holder,
                  state_path(s->typed));
    buffer_add_z(&out->next, "Stop that worker, or leave it to that one: clear outbox.typed here");
  } else if (worker > 0 && !holder) {
    out->verdict = EXAMINED_DOUBTFUL;
    buffer_printf(&out->text, "the worker, pid %lld, was started without it: %s is not read",
                  (long long)worker, state_path(s->typed));
    buffer_add_z(&out->next, "Restart the worker with outbox.typed set");
  }
}

static void examine_second(struct fs_site *s, struct examined *out) {
  const char *path = s->typed ? state_path(s->typed) : "";
  if (!s->typed) {
    out->verdict = EXAMINED_NOT;
    buffer_add_z(&out->text, "there is none");
    return;
  }
  if (is_amiss(s, SIDE_TYPED, out)) return;
  examine_second_lock(s, out);
  if (out->text.len) return;
  if (faccessat(fs_root(s, PLACE_TYPED_PENDING), place_folder(PLACE_TYPED_PENDING), F_OK,
                AT_EACCESS)) {
    out->verdict = EXAMINED_DOUBTFUL;
    buffer_printf(&out->text, "there is no pending/ in %s, so nothing of it is read", path);
    buffer_add_z(&out->next, "Set outbox.typed to the folder that has pending/ in it");
    return;
  }
  buffer_printf(&out->text, "%s, writable for uid %ld", path, (long)geteuid());
}

/* ---- the file system ---- */

static enum status make_probe(struct fs_site *s, int tmp, const char *name, struct examined *out,
                              struct error *err) {
  struct stat st;
  enum status made = durable_write_new(tmp, name, SPAN("doctor\n"), NULL, err);
  if (made != ST_OK || fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return made;
  /* The kernel stamps with a tick of up to 10 ms; a network file system may stamp by its server's
   * clock. */
  out->skew_us = fs_stamp_of(&st).mtime_ns / 1000 - clock_wall_us(s->clock);
  return ST_OK;
}

/* A worker that comes now may take ours. */
static enum status try_exchange(struct fs_site *s, int tmp, struct examined *out,
                                struct error *err) {
  char a[60], b[60];
  snprintf(a, sizeof a, "doctor-a.%ld.tmp", (long)getpid());
  snprintf(b, sizeof b, "doctor-b.%ld.tmp", (long)getpid());
  enum status st = make_probe(s, tmp, a, out, err);
  if (st != ST_OK) return st;
  st = make_probe(s, tmp, b, out, err);
  if (st == ST_OK) st = durable_exchange(tmp, a, tmp, b, err);
  enum status gone = durable_unlink(tmp, a, NULL);
  gone = durable_unlink(tmp, b, NULL);
  (void)gone;
  return st;
}

/* Between hosts; on one host locks always hold. */
enum locks { LOCKS_HOLD, LOCKS_MAYBE, LOCKS_NOT_ASKED };
static const struct file_system {
  long magic; /* statfs(2) */
  const char *name;
  enum locks locks;
} file_systems[] = {{0xEF53, "ext4", LOCKS_NOT_ASKED},
                    {0x58465342, "xfs", LOCKS_NOT_ASKED},
                    {0x9123683E, "btrfs", LOCKS_NOT_ASKED},
                    {0x01021994, "tmpfs", LOCKS_NOT_ASKED},
                    {0x794C7630, "overlayfs", LOCKS_NOT_ASKED},
                    {0x6969, "NFS", LOCKS_MAYBE},
                    {0x00C36400, "CephFS", LOCKS_HOLD},
                    {0x01161970, "GFS2", LOCKS_HOLD},
                    {0x7461636F, "OCFS2", LOCKS_HOLD},
                    {0x0BD00BD0, "Lustre", LOCKS_MAYBE},
                    {0xFE534D42, "SMB", LOCKS_MAYBE},
                    {0xFF534D42, "SMB", LOCKS_MAYBE},
                    {0x517B, "SMB", LOCKS_MAYBE},
                    {0x65735546, "FUSE", LOCKS_MAYBE},
                    {0x01021997, "9p", LOCKS_MAYBE}};

/* NULL: one that is not in the list. */
static const struct file_system *file_system_of(int folder) {
  struct statfs st;
  if (fstatfs(folder, &st) != 0) return NULL;
  for (size_t i = 0; i < sizeof file_systems / sizeof *file_systems; i++)
    if (((unsigned long)st.f_type & 0xFFFFFFFF) == (unsigned long)file_systems[i].magic)
      return &file_systems[i];
  return NULL;
}

/* Matters where workers of several hosts share the outbox (--standby). */
static void say_locks(int folder, struct examined *out) {
  const struct file_system *f = file_system_of(folder);
  if (!f) return;
  buffer_printf(&out->text, "; %s%s", f->name,
                f->locks == LOCKS_HOLD    ? ", whose locks hold between hosts"
                : f->locks == LOCKS_MAYBE ? ", whose locks may not hold between hosts"
                                          : "");
  if (f->locks != LOCKS_MAYBE) return;
  if (out->verdict == EXAMINED_FINE) out->verdict = EXAMINED_DOUBTFUL;
  buffer_printf(&out->next,
                "%sWhere workers of several hosts share it, see STANDBY in busbridge-worker(8)",
                out->next.len ? ". " : "");
}

static void say_verdict(struct examined *out, enum examined_verdict verdict, const char *text,
                        const char *next) {
  out->verdict = verdict;
  buffer_add_z(&out->text, text);
  buffer_add_z(&out->next, next);
}

static void examine_changes(struct fs_site *s, enum side side, struct examined *out) {
  struct error err = {0};
  int tmp = state_tmp(fs_side(s, side));
  if (tmp < 0) {
    say_verdict(out, EXAMINED_NOT, "not tried: there is no .busbridge/tmp yet, the worker makes it",
                "");
    return;
  }
  if (unwritable(tmp, ".")) {
    say_verdict(out, EXAMINED_NOT, "not tried: .busbridge/tmp is not writable", "");
    return;
  }
  switch (try_exchange(s, tmp, out, &err)) {
  case ST_OK:
    say_verdict(out, EXAMINED_FINE, "files are written, synced and exchanged", "");
    say_locks(tmp, out);
    return;
  case ST_NOT_FOUND:
    say_verdict(out, EXAMINED_NOT, "a worker that starts cleared the probe", "");
    return;
  case ST_UNSUPPORTED:
    say_verdict(
        out, EXAMINED_DOUBTFUL, "it cannot exchange two files (renameat2)",
        "Put the outbox on ext4, xfs, btrfs or tmpfs: elsewhere a worker that was stopped and "
        "wakes up late could bring back an entry");
    say_locks(tmp, out);
    return;
  default:
    say_verdict(out, EXAMINED_FAILED, err.text, "");
    buffer_printf(&out->next, "Fix the file system under %s", state_path(fs_side(s, side)));
  }
}

void fs_examine(struct fs_site *s, enum examination which, struct examined *out) {
  static const char *const checks[] = {[EXAMINE_PLACE] = "outbox",
                                       [EXAMINE_CHANGES] = "file system",
                                       [EXAMINE_SECOND] = "typed outbox",
                                       [EXAMINE_SECOND_CHANGES] = "typed file system"};
  if (which >= EXAMINE_FURTHER) return;
  out->check = checks[which];
  switch (which) {
  case EXAMINE_PLACE: examine_place(s, out); return;
  case EXAMINE_CHANGES: examine_changes(s, SIDE_FLAT, out); return;
  case EXAMINE_SECOND_CHANGES:
    if (s->typed) {
      examine_changes(s, SIDE_TYPED, out);
      return;
    }
    break;
  default: break;
  }
  examine_second(s, out);
}
