/* The folder .busbridge: the outbox's id, its lock, and whether both are still ours. A crash frees
 * the lock; it leaves an id whole or none, and perhaps a file in tmp.
 * One thread, but for the questions that state.h names. */
#include "bridge/outbox/file/site/state.h"

#include "bridge/base/disk/denial.h"
#include "bridge/base/disk/durable.h"
#include "bridge/base/stop.h"
#include "bridge/base/text/words.h"
#include "bridge/base/thread.h"
#include "bridge/outbox/file/site/forms.h"
#include "bridge/outbox/rules.h"
#include "bridge/outbox/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 50
#define HOST_TEXT 65

struct state {
  char *path;
  char id[37];
  char nonce[37]; /* of this run, while the lock is held */
  int outbox, folder, tmp;
  int lock; /* descriptor that carries the flock, or -1 */
  bool create;
  struct mutex keeping; /* tmp is replaced under it */
  bool tmp_remade;      /* and nobody has been told */
  const struct clock *clock;
};

/* ---- the folders and the id ---- */

static enum status denied(struct error *err, int errnum, const char *what, const char *path,
                          int mode) {
  enum status st = error_sys(err, errnum, "%s %s", what, path);
  error_denied(err, path, mode);
  return st;
}

static enum status open_outbox(struct state *s, struct error *err) {
  s->outbox = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (s->outbox < 0 && errno == ENOENT)
    return error_set(err, ST_NOT_FOUND,
                     "the outbox folder %s is missing; make it with: mkdir -p '%s'", s->path,
                     s->path);
  if (s->outbox < 0 && errno == ENOTDIR)
    return error_set(err, ST_INVALID, "the outbox %s is not a folder; set outbox.url to file:DIR",
                     s->path);
  if (s->outbox < 0) return denied(err, errno, "opening the outbox folder", s->path, R_OK | X_OK);
  if (!s->create || faccessat(s->outbox, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0) return ST_OK;
  return denied(err, errno, "writing into the outbox folder", s->path, R_OK | W_OK | X_OK);
}

/* Who only looks may do so without a right to the marker: whatever it cannot read says so itself.
 */
static enum status check_forms(const struct state *s, int folder, struct error *err) {
  struct error why = {0};
  enum status st = forms_check(folder, &why);
  if (st == ST_OK || (st == ST_DENIED && !s->create)) return ST_OK;
  if (st == ST_DENIED) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.busbridge/" FORMAT_FILE, s->path);
    return denied(err, why.sys, "reading", path, R_OK);
  }
  error_prefix(&why, "%s/.busbridge", s->path);
  if (err) *err = why;
  return st;
}

/* Before anything is made in it. */
static enum status check_before(const struct state *s, struct error *err) {
  int folder = openat(s->outbox, ".busbridge", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return ST_OK; /* there is none, or opening it says why not */
  enum status st = check_forms(s, folder, err);
  close(folder);
  return st;
}

static enum status make_folders(struct state *s, struct error *err) {
  enum status st = durable_folder(s->outbox, ".busbridge", 0770, &s->folder, err);
  if (st == ST_OK) st = durable_folder(s->folder, "tmp", 0770, &s->tmp, err);
  if (st == ST_OK) return st;
  error_prefix(err, "in the outbox folder %s", s->path);
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/.busbridge%s", s->path, s->folder < 0 ? "" : "/tmp");
  error_denied(err, path, R_OK | W_OK | X_OK);
  return st;
}

static void find_folders(struct state *s) {
  int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  s->folder = openat(s->outbox, ".busbridge", flags);
  if (s->folder >= 0) s->tmp = openat(s->folder, "tmp", flags);
}

static bool is_uuid(struct span t) {
  if (t.len != 36) return false;
  for (size_t i = 0; i < t.len; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? t.ptr[i] != '-' : !strchr("0123456789abcdef", t.ptr[i])) return false;
  }
  return true;
}

static enum status read_id(struct state *s, struct error *err) {
  struct buffer text = {0};
  enum status st = file_read(s->folder, "id", 4096, &text, err);
  struct span id = span_trim(buffer_span(&text));
  if (st == ST_OK && !is_uuid(id))
    st = error_set(
        err, ST_INVALID,
        "%s/.busbridge/id does not hold a uuid; restore it (it names the outbox's position in "
        "Kafka)",
        s->path);
  if (st == ST_OK) memcpy(s->id, id.ptr, id.len);
  buffer_release(&text);
  if (st != ST_DENIED || !err) return st;
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/.busbridge/id", s->path);
  return denied(err, err->sys, "reading", path, R_OK);
}

/* Two that make it at the same moment agree: the move replaces nothing, and what lies there is read
 * back. A crash leaves a file in tmp. */
static enum status make_id(struct state *s, struct error *err) {
  char id[40], tmp[60];
  uuid_make(s->clock, id);
  snprintf(tmp, sizeof tmp, "id.%s", id);
  memcpy(id + 36, "\n", 2);
  enum status st = durable_write_new(s->tmp, tmp, span_of(id), NULL, err);
  if (st != ST_OK) return st;
  int own = -1;
  st = durable_own_folder(s->folder, &own, err);
  if (st == ST_OK) st = durable_move(s->tmp, tmp, s->folder, "id", err);
  if (st != ST_OK) {
    enum status gone = durable_unlink(s->tmp, tmp, NULL);
    (void)gone;
  }
  if (own >= 0) st = durable_sync_end(own, st, err);
  return st == ST_EXISTS ? ST_OK : st;
}

static enum status open_id(struct state *s, struct error *err) {
  if (s->folder < 0) return ST_OK;
  enum status st = read_id(s, err);
  if (st != ST_NOT_FOUND) return st;
  if (!s->create) return ST_OK;
  st = make_id(s, err);
  return st == ST_OK ? read_id(s, err) : st;
}

enum status state_renew_id(struct state *s, struct error *err) {
  char id[40];
  BUG_ON_RULE(S16, s->lock < 0 || s->tmp < 0);
  uuid_make(s->clock, id);
  memcpy(id + 36, "\n", 2);
  enum status st = state_replace(s, "id", span_of(id), err);
  return st == ST_OK ? read_id(s, err) : st;
}

enum status state_open(const char *path, bool create, const struct clock *clock, struct state **out,
                       struct error *err) {
  *out = NULL;
  struct state *s = calloc(1, sizeof *s);
  if (!s) return error_set(err, ST_NO_MEMORY, "no memory for the outbox's state");
  s->outbox = s->folder = s->tmp = s->lock = -1;
  s->create = create;
  mutex_init(&s->keeping);
  s->clock = clock;
  s->path = strdup(path);
  enum status st =
      s->path ? open_outbox(s, err) : error_set(err, ST_NO_MEMORY, "no memory for a path");
  if (st == ST_OK) st = check_before(s, err);
  if (st == ST_OK && create) st = make_folders(s, err);
  if (st == ST_OK && !create) find_folders(s);
  if (st == ST_OK) st = open_id(s, err);
  if (st != ST_OK) {
    state_close(s);
    return st;
  }
  *out = s;
  return ST_OK;
}

void state_close(struct state *s) {
  if (!s) return;
  state_unlock(s);
  if (s->tmp >= 0) close(s->tmp);
  if (s->folder >= 0) close(s->folder);
  if (s->outbox >= 0) close(s->outbox);
  mutex_destroy(&s->keeping);
  free(s->path);
  free(s);
}

const char *state_path(const struct state *s) {
  return s->path;
}
const char *state_id(const struct state *s) {
  return s->id;
}
int state_outbox(const struct state *s) {
  return s->outbox;
}
int state_folder(const struct state *s) {
  return s->folder;
}
int state_tmp(const struct state *s) {
  return s->tmp;
}

/* ---- the lock ---- */

struct holder {
  char text[256];
  struct span pid, host, since, nonce; /* empty when the text is not ours */
};

static void read_holder(int folder, struct holder *h) {
  *h = (struct holder){0};
  struct buffer text = {0};
  if (file_read(folder, "lock", sizeof h->text - 1, &text, NULL) == ST_OK &&
      text.len < sizeof h->text) {
    if (text.len) memcpy(h->text, text.ptr, text.len);
    struct span rest = span_trim((struct span){h->text, text.len});
    bool whole = span_word(&rest, &h->pid) && span_word(&rest, &h->host) &&
                 span_word(&rest, &h->since) && span_word(&rest, &h->nonce);
    if (!whole) h->pid = h->host = h->since = h->nonce = (struct span){NULL, 0};
  }
  buffer_release(&text);
}

static enum status busy(const struct state *s, struct error *err) {
  struct holder h;
  read_holder(s->folder, &h);
  const char *advice =
      "stop it first (busbridge-worker answers SIGTERM) or use the CLI, which talks to it";
  if (!h.pid.len)
    return error_set(err, ST_BUSY, "the outbox %s is held by another process; %s", s->path, advice);
  return error_set(err, ST_BUSY, "the outbox %s is held by pid %.*s on %.*s since %.*s; %s",
                   s->path, SPAN_ARGS(h.pid), SPAN_ARGS(h.host), SPAN_ARGS(h.since), advice);
}

static bool same_file(int fd, int folder, const char *name) {
  struct stat a, b;
  return fstat(fd, &a) == 0 && fstatat(folder, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
         a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* ST_AGAIN: someone holds it. The file may be replaced between open and flock: then it is not the
 * lock any more. */
static enum status try_lock(struct state *s, struct error *err) {
  enum status st = durable_write_new(s->folder, "lock", SPAN(""), NULL, err);
  if (st != ST_OK && st != ST_EXISTS) {
    error_prefix(err, "in %s/.busbridge", s->path);
    return st;
  }
  int fd = openat(s->folder, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening %s/.busbridge/lock", s->path);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && same_file(fd, s->folder, "lock")) {
    s->lock = fd;
    return ST_OK;
  }
  int e = errno;
  close(fd);
  if (e == EWOULDBLOCK || e == EINTR || e == 0) return ST_AGAIN;
  return error_sys(err, e, "locking %s/.busbridge/lock", s->path);
}

static void own_host(char out[HOST_TEXT]) {
  if (gethostname(out, HOST_TEXT - 1) != 0 || !out[0]) memcpy(out, "?", 2);
}

/* Not fsynced: after a power loss the flock is gone too. */
static enum status sign(struct state *s, struct error *err) {
  char host[HOST_TEXT] = "", time[TIME_TEXT], text[256];
  own_host(host);
  uuid_make(s->clock, s->nonce);
  int len = snprintf(text, sizeof text, "%ld %s %s %s\n", (long)getpid(), host,
                     time_format(clock_wall_us(s->clock), time), s->nonce);
  if (ftruncate(s->lock, 0) == 0 && pwrite(s->lock, text, (size_t)len, 0) == len) return ST_OK;
  return error_sys(err, errno, "writing %s/.busbridge/lock", s->path);
}

/* A full disk must not keep from publishing, which frees it: else the next start writes it. */
static void mark_format(struct state *s) {
  char text[60];
  if (forms_marked(s->folder)) return;
  snprintf(text, sizeof text, "%d %s\n", FORMAT, BUSBRIDGE_VERSION);
  enum status st = state_replace(s, FORMAT_FILE, span_of(text), NULL);
  (void)st;
}

enum status state_lock(struct state *s, int64_t wait_ms, struct error *err) {
  BUG_ON(s->lock >= 0);
  if (s->folder < 0)
    return error_set(err, ST_NOT_FOUND, "%s/.busbridge is missing; start busbridge-worker once",
                     s->path);
  for (int64_t waited = 0;; waited += POLL_MS) {
    errno = 0;
    enum status st = try_lock(s, err);
    if (st == ST_OK) break;
    if (st != ST_AGAIN) return st;
    if (waited >= wait_ms) return busy(s, err);
    sleep_ms(POLL_MS, NULL);
  }
  enum status st = check_forms(s, s->folder, err); /* its last holder may have been a later one */
  if (st == ST_OK) st = sign(s, err);
  if (st == ST_OK && s->id[0]) st = read_id(s, err);
  if (st == ST_OK && s->create) mark_format(s);
  if (st != ST_OK) state_unlock(s);
  return st;
}

/* The flock goes with the descriptor; the text stays, it says who was last. */
void state_unlock(struct state *s) {
  if (s->lock >= 0) close(s->lock);
  s->lock = -1;
}

/* ---- is it still ours ---- */

static bool same_folder(int fd, const struct stat *named) {
  struct stat held;
  return fstat(fd, &held) == 0 && held.st_ino == named->st_ino && held.st_dev == named->st_dev;
}

/* By path: another folder in the outbox's place is another outbox, whose lock and identity are not
 * ours. */
static enum status check_outbox(const struct state *s, struct error *err) {
  struct stat named;
  if (stat(s->path, &named) == 0) {
    if (same_folder(s->outbox, &named)) return ST_OK;
    return error_set(
        err, ST_BUSY,
        "another folder lies in the place of the outbox %s (mounted, unmounted or replaced): its "
        "lock and its position in Kafka went with the old one; this worker ends",
        s->path);
  }
  if (errno != ENOENT && errno != ENOTDIR)
    return error_sys(err, errno, "looking at the outbox %s", s->path);
  return error_set(err, ST_BUSY,
                   "the outbox %s is gone (removed, moved away or unmounted); this worker ends",
                   s->path);
}

static enum status check_folder(const struct state *s, struct error *err) {
  struct stat named;
  if (fstatat(s->outbox, ".busbridge", &named, AT_SYMLINK_NOFOLLOW) == 0) {
    if (same_folder(s->folder, &named)) return ST_OK;
    return error_set(
        err, ST_BUSY,
        "another .busbridge lies in %s: the lock went with the old one; this worker ends", s->path);
  }
  if (errno != ENOENT) return error_sys(err, errno, "looking at %s/.busbridge", s->path);
  return error_set(
      err, ST_BUSY,
      "%s/.busbridge is gone, and with it the lock and the outbox's position in Kafka; this "
      "worker ends. Put it back before the next one is started",
      s->path);
}

static enum status check_lock(const struct state *s, struct error *err) {
  struct stat named;
  char text[sizeof((struct holder *)0)->text];
  if (fstatat(s->folder, "lock", &named, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
    return error_sys(err, errno, "looking at %s/.busbridge/lock", s->path);
  ssize_t n = same_file(s->lock, s->folder, "lock") ? pread(s->lock, text, sizeof text, 0) : 0;
  if (n < 0) return error_sys(err, errno, "reading %s/.busbridge/lock", s->path);
  if (memmem(text, (size_t)n, s->nonce, strlen(s->nonce))) return ST_OK;
  return error_set(
      err, ST_BUSY,
      "another worker took the outbox over (its lock is not ours any more); this one ends");
}

/* The descriptor is replaced in place: other threads may be using it. */
static enum status remake_tmp(struct state *s, struct error *err) {
  int fd;
  enum status st = durable_folder(s->folder, "tmp", 0770, &fd, err);
  if (st == ST_OK && dup3(fd, s->tmp, O_CLOEXEC) < 0) st = error_sys(err, errno, "taking it over");
  if (fd >= 0) close(fd);
  if (st == ST_OK) s->tmp_remade = true;
  if (st == ST_NOT_FOUND) st = error_set(err, ST_IO, "it cannot be made again");
  if (st != ST_OK) error_prefix(err, "%s/.busbridge/tmp", s->path);
  return st;
}

enum status state_keep_tmp(struct state *s, bool *remade, struct error *err) {
  struct error local = {0};
  struct stat named;
  enum status st = ST_OK;
  if (s->tmp < 0)
    return error_set(err, ST_NOT_FOUND, "%s/.busbridge/tmp is missing; start busbridge-worker once",
                     s->path);
  mutex_lock(&s->keeping);
  bool in_place =
      fstatat(s->folder, "tmp", &named, AT_SYMLINK_NOFOLLOW) == 0 && same_folder(s->tmp, &named);
  if (!in_place) st = remake_tmp(s, err ? err : &local);
  if (remade) {
    *remade = s->tmp_remade;
    s->tmp_remade = false;
  }
  mutex_unlock(&s->keeping);
  return st;
}

/* Gone from tmp: whoever owns the outbox by now has cleared it. */
static enum status cleared_away(struct state *s, const char *name, struct error *err) {
  enum status st = s->lock >= 0 ? state_check(s, err) : ST_OK;
  return st == ST_OK ? error_set(err, ST_IO, "the new %s was removed from tmp", name) : st;
}

/* S16. It lies in tmp before the lock is looked at: a worker that stands still behind that look,
 * and wakes when another one has the outbox, finds it cleared away and replaces nothing. Its name
 * is not another's, though in containers all have one pid. */
enum status state_replace(struct state *s, const char *name, struct span content,
                          struct error *err) {
  char tmp[300];
  enum status st = state_keep_tmp(s, NULL, err);
  if (st != ST_OK) return st;
  snprintf(tmp, sizeof tmp, "%s.%016llx.tmp", name,
           (unsigned long long)s->clock->random(s->clock->ctx));
  st = durable_write_new(s->tmp, tmp, content, NULL, err);
  if (st != ST_OK) return st;
  int own = -1;
  st = durable_own_folder(s->folder, &own, err);
  if (st == ST_OK && s->lock >= 0) st = state_check(s, err);
  if (st == ST_OK) st = durable_rename(s->tmp, tmp, s->folder, name, err);
  if (st == ST_OK) return durable_sync_end(own, st, err);
  if (own >= 0) close(own);
  if (st == ST_NOT_FOUND) return cleared_away(s, name, err);
  enum status gone = durable_unlink(s->tmp, tmp, NULL);
  (void)gone; /* removed at the next start */
  return st;
}

/* No descriptor is needed for it: that they are used up is no sign of another owner. */
enum status state_check(struct state *s, struct error *err) {
  if (s->lock < 0)
    return error_set(err, ST_BUSY, "the outbox %s is not held by this process", s->path);
  enum status st = check_outbox(s, err);
  if (st == ST_OK) st = check_folder(s, err);
  if (st == ST_OK) st = check_lock(s, err);
  return st == ST_OK && s->tmp >= 0 ? state_keep_tmp(s, NULL, err) : st;
}

/* A shared lock for an instant tells; state_lock polls, so it does not mind. */
static bool is_held(const struct state *s) {
  if (s->folder < 0) return false;
  if (s->lock >= 0) return true;
  int fd = openat(s->folder, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  bool held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
  close(fd);
  return held;
}

/* It is written a moment after the lock is taken: until then nobody is known. */
bool state_lock_owner(const struct state *s, struct store_owner *out) {
  struct holder h;
  uint64_t pid;
  char here[HOST_TEXT] = "";
  if (!is_held(s)) return false;
  read_holder(s->folder, &h);
  if (!number_parse(h.pid, INT32_MAX, &pid) || !pid) return true;
  out->pid = (int64_t)pid;
  own_host(here);
  snprintf(out->host, sizeof out->host, "%.*s", SPAN_ARGS(h.host));
  out->here = strcmp(out->host, here) == 0;
  if (!time_parse(h.since, &out->since_us)) out->since_us = TIME_NONE;
  return true;
}

int64_t state_lock_holder(const struct state *s) {
  struct store_owner owner = {.pid = -1};
  if (s->lock >= 0) return getpid();
  return state_lock_owner(s, &owner) ? owner.pid : 0;
}
