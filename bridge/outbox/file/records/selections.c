/* Frozen selections as files. The owner's thread makes and removes them; a crash leaves each whole,
 * or not at all, but for half a line at its end. */
#include "bridge/outbox/file/records/selections.h"

#include "bridge/base/text/words.h"
#include "bridge/outbox/file/site/site.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PREFIX "replay-"
#define LAST "selections"

struct draft {
  char name[64]; /* in tmp */
  int fd;        /* -1: nothing is on disk yet */
};

static void file_of(uint64_t number, char out[64]) {
  snprintf(out, 64, PREFIX "%llu", (unsigned long long)number);
}

/* ---- making one ---- */

enum status fs_draft_begin(struct fs_site *s, void **out, struct error *err) {
  struct draft *d = malloc(sizeof *d);
  if (!d) return error_set(err, ST_NO_MEMORY, "no memory for a selection");
  d->fd = -1;
  snprintf(d->name, sizeof d->name, "replay.%ld.%016llx.tmp", (long)getpid(),
           (unsigned long long)s->clock->random(s->clock->ctx));
  *out = d;
  return ST_OK;
}

enum status fs_draft_add(struct fs_site *s, void *draft, struct span text, struct error *err) {
  struct draft *d = draft;
  int tmp = state_tmp(s->state);
  if (d->fd >= 0) return durable_append_sync(d->fd, text, err);
  enum status st = durable_write_new(tmp, d->name, text, NULL, err);
  if (st != ST_OK) return st;
  d->fd = openat(tmp, d->name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  return d->fd >= 0 ? ST_OK : error_sys(err, errno, "opening %s", d->name);
}

/* One more than any that was used. A damaged file counts as none: those that lie there are looked
 * at too. */
static enum status take_number(struct fs_site *s, uint64_t *number, struct error *err) {
  uint64_t used[SELECTIONS_MOST], last = 0;
  size_t count;
  struct buffer text = {0};
  enum status st = fs_selections(s, used, &count, err);
  if (st != ST_OK) return st;
  if (file_read(state_folder(s->state), LAST, 100, &text, NULL) == ST_OK)
    (void)number_parse(span_trim(buffer_span(&text)), INT64_MAX - 1, &last);
  *number = (count && used[count - 1] > last ? used[count - 1] : last) + 1;
  buffer_clear(&text);
  buffer_printf(&text, "%llu\n", (unsigned long long)*number);
  st = buffer_status(&text, err);
  if (st == ST_OK)
    st =
        durable_replace(state_tmp(s->state), state_folder(s->state), LAST, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

enum status fs_draft_commit(struct fs_site *s, void *draft, uint64_t *number, struct error *err) {
  struct draft *d = draft;
  char file[64];
  enum status st = take_number(s, number, err);
  if (st != ST_OK) return st;
  file_of(*number, file);
  int own;
  st = durable_own_folder(state_folder(s->state), &own, err);
  if (st != ST_OK) return st;
  st = durable_move(state_tmp(s->state), d->name, state_folder(s->state), file, err);
  if (st == ST_OK) {
    close(d->fd);
    d->fd = -1;
  }
  return durable_sync_end(own, st, err);
}

void fs_draft_close(struct fs_site *s, void *draft) {
  struct draft *d = draft;
  if (d->fd >= 0) {
    close(d->fd);
    enum status st = durable_unlink(state_tmp(s->state), d->name, NULL);
    (void)st; /* tmp is emptied at the next start */
  }
  free(d);
}

/* ---- going through one ---- */

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

enum status fs_selections(struct fs_site *s, uint64_t numbers[SELECTIONS_MOST], size_t *count,
                          struct error *err) {
  int folder = state_folder(s->state);
  *count = 0;
  int fd = folder < 0 ? -1 : openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return ST_OK;
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) {
    int e = errno;
    if (fd >= 0) close(fd);
    return error_sys(err, e, "reading .busbridge");
  }
  for (struct dirent *e; *count < SELECTIONS_MOST && (e = readdir(dir));) {
    struct span name = span_of(e->d_name);
    const size_t prefix = sizeof PREFIX - 1;
    if (!span_starts(name, PREFIX)) continue;
    if (number_parse((struct span){name.ptr + prefix, name.len - prefix}, INT64_MAX - 1,
                     &numbers[*count]))
      ++*count;
  }
  closedir(dir);
  if (*count) qsort(numbers, *count, sizeof *numbers, by_number);
  return ST_OK;
}

static enum status open_one(struct fs_site *s, uint64_t number, int how, int *fd, struct stat *is,
                            struct error *err) {
  int folder = state_folder(s->state);
  char file[64];
  file_of(number, file);
  *fd = folder < 0 ? -1 : openat(folder, file, how | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (*fd < 0 && (folder < 0 || errno == ENOENT))
    return error_set(err, ST_NOT_FOUND, "There is no unfinished selection %llu",
                     (unsigned long long)number);
  if (*fd < 0) return error_sys(err, errno, "opening %s", file);
  if (fstat(*fd, is) == 0) return ST_OK;
  enum status st = error_sys(err, errno, "looking at %s", file);
  close(*fd);
  return st;
}

enum status fs_selection_size(struct fs_site *s, uint64_t number, uint64_t *size,
                              struct error *err) {
  struct stat is;
  int fd;
  enum status st = open_one(s, number, O_RDONLY, &fd, &is, err);
  if (st != ST_OK) return st;
  *size = (uint64_t)is.st_size;
  close(fd);
  return ST_OK;
}

enum status fs_selection_read(struct fs_site *s, uint64_t number, uint64_t at, size_t most,
                              struct buffer *out, struct error *err) {
  struct stat is;
  int fd;
  enum status st = open_one(s, number, O_RDONLY, &fd, &is, err);
  if (st != ST_OK) return st;
  buffer_reserve(out, most);
  for (size_t got = 0; st == ST_OK && !out->failed && got < most;) {
    ssize_t n = pread(fd, out->ptr + out->len, most - got, (off_t)(at + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) st = error_sys(err, errno, "reading the selection %llu", (unsigned long long)number);
    if (n <= 0) break;
    out->len += (size_t)n;
    got += (size_t)n;
  }
  close(fd);
  return st == ST_OK ? buffer_status(out, err) : st;
}

enum status fs_selection_add(struct fs_site *s, uint64_t number, struct span text,
                             struct error *err) {
  struct buffer line = {0};
  struct stat is;
  char last = '\n';
  int fd;
  enum status st = open_one(s, number, O_RDWR | O_APPEND, &fd, &is, err);
  if (st != ST_OK) return st;
  if (is.st_size > 0 && pread(fd, &last, 1, is.st_size - 1) == 1 && last != '\n')
    buffer_add_char(&line, '\n');
  buffer_add(&line, text);
  st = buffer_status(&line, err);
  if (st == ST_OK) st = durable_append_sync(fd, buffer_span(&line), err);
  buffer_release(&line);
  close(fd);
  return st;
}

enum status fs_selection_remove(struct fs_site *s, uint64_t number, struct error *err) {
  int folder = state_folder(s->state);
  char file[64];
  file_of(number, file);
  int own;
  enum status st = durable_own_folder(folder, &own, err);
  if (st != ST_OK) return st;
  return durable_sync_end(own, durable_unlink(folder, file, err), err);
}
