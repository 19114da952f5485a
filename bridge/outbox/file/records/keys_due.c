/* Ids that Redis has yet to be told, in .busbridge/keys-due; a full file becomes keys-due-<n>, and
 * goes when all of it was told. A crash may leave half a last line, which is cut off, or ids that
 * are told twice, which does no harm.
 * One thread at a time, but for the questions that keys_due.h names. */
#include "bridge/outbox/file/records/keys_due.h"

#include "bridge/base/disk/durable.h"
#include "bridge/base/table.h"
#include "bridge/base/text/words.h"
#include "bridge/base/thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CHUNK (256 * 1024) /* read at a time; a line has less than a thousand bytes */

/* One file. The last one of the list is keys-due itself, the others wait in keys-due-<number>,
 * oldest first. */
struct part {
  char name[32];
  unsigned number; /* 0: keys-due */
  int fd;
  off_t told;   /* up to here Redis knows them */
  size_t count; /* ids after that */
  struct digest_set ids;
};

struct fs_keys_due {
  struct mutex lock; /* of parts, their counts and ids */
  int folder;
  size_t part_max;
  bool inspect;
  struct log *log;
  struct part parts[DUE_PARTS + 1];
  size_t part_count;
  bool torn; /* an append failed and may have left half a line */
  /* the last fs_keys_due_read */
  struct buffer chunk;
  size_t read_count;
  off_t read_end;
};

/* ---- lines ---- */

/* A word that can stand in a line: not empty, no blank, no control byte. */
static bool writable(struct span s, size_t max) {
  for (size_t i = 0; i < s.len; i++)
    if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f) return false;
  return s.len > 0 && s.len <= max;
}

/* "<id> <place>"; anything else (half a line of a failed append) is not a line. */
static bool parse_line(struct span line, struct key *out) {
  const char *blank = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
  if (!blank) return false;
  out->id = (struct span){line.ptr, (size_t)(blank - line.ptr)};
  out->place = (struct span){blank + 1, line.len - out->id.len - 1};
  return writable(out->id, 256) && (out->place.len == 0 || writable(out->place, 512));
}

/* Whole lines of the part from offset on, at most max keys; *end is where they end, == from at the
 * end of the file. */
static enum status read_lines(struct fs_keys_due *d, const struct part *p, off_t from,
                              struct key *out, size_t max, size_t *count, off_t *end,
                              struct error *err) {
  buffer_clear(&d->chunk);
  buffer_reserve(&d->chunk, CHUNK);
  enum status st = buffer_status(&d->chunk, err);
  if (st != ST_OK) return st;
  ssize_t got;
  do got = pread(p->fd, d->chunk.ptr, CHUNK, from);
  while (got < 0 && errno == EINTR);
  if (got < 0) return error_sys(err, errno, "reading %s", p->name);
  struct span rest = {d->chunk.ptr, (size_t)got};
  const char *newline;
  *count = 0;
  while (*count < max && rest.len > 0 && (newline = memchr(rest.ptr, '\n', rest.len))) {
    struct span line = {rest.ptr, (size_t)(newline - rest.ptr)};
    *count += parse_line(line, &out[*count]);
    rest = (struct span){newline + 1, rest.len - line.len - 1};
  }
  *end = from + (rest.ptr - d->chunk.ptr);
  if (*end == from && got == CHUNK) *end = from + got; /* no line of ours is that long */
  return ST_OK;
}

/* ---- parts ---- */

static void part_release(struct part *p) {
  if (p->fd >= 0) close(p->fd);
  digest_set_release(&p->ids);
}

/* The ids of a file that an earlier run left; half a line at its end is cut off. */
static enum status part_load(struct fs_keys_due *d, struct part *p, struct error *err) {
  enum { BATCH = 1000 };
  struct key *keys = malloc(BATCH * sizeof *keys);
  if (!keys) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = ST_OK;
  off_t at = 0, end = 0;
  for (;;) {
    size_t count = 0;
    st = read_lines(d, p, at, keys, BATCH, &count, &end, err);
    for (size_t i = 0; st == ST_OK && i < count; i++)
      st = digest_set_add(&p->ids, digest_of(keys[i].id));
    if (st == ST_NO_MEMORY) error_set(err, st, "out of memory");
    if (st != ST_OK || end == at) break;
    p->count += count;
    at = end;
  }
  free(keys);
  if (st == ST_OK && !d->inspect && lseek(p->fd, 0, SEEK_END) > at && ftruncate(p->fd, at) < 0)
    st = error_sys(err, errno, "cutting half a line off %s", p->name);
  return st;
}

/* Open folder/name as the next part. An empty or missing keys-due is not a part; it is made with
 * the first line. */
static enum status part_open(struct fs_keys_due *d, unsigned number, bool create,
                             struct error *err) {
  struct part p = {.number = number};
  if (number)
    snprintf(p.name, sizeof p.name, "keys-due-%u", number);
  else
    snprintf(p.name, sizeof p.name, "keys-due");
  int own = -1, how = d->inspect ? O_RDONLY : O_RDWR | O_APPEND | (create ? O_CREAT : 0);
  enum status st = create ? durable_own_folder(d->folder, &own, err) : ST_OK;
  if (st != ST_OK) return st;
  p.fd = openat(d->folder, p.name, how | O_CLOEXEC | O_NOFOLLOW, 0660);
  if (p.fd < 0) {
    st = !create && errno == ENOENT ? ST_OK : error_sys(err, errno, "opening %s", p.name);
    if (own >= 0) close(own);
    return st;
  }
  st = create ? durable_sync_end(own, ST_OK, err) : part_load(d, &p, err);
  if (st == ST_OK && d->part_count > DUE_PARTS)
    st = error_set(err, ST_INVALID, "more than %d parts of keys-due", DUE_PARTS);
  if (st != ST_OK) {
    part_release(&p);
    return st;
  }
  BUG_ON(d->part_count > DUE_PARTS);
  mutex_lock(&d->lock);
  d->parts[d->part_count++] = p;
  mutex_unlock(&d->lock);
  return ST_OK;
}

/* Take the first part out, on disk too. When that fails it stays there, to be told again by the
 * next run: no harm. */
static enum status remove_first(struct fs_keys_due *d, struct error *err) {
  struct part *p = &d->parts[0];
  BUG_ON(d->inspect || !d->part_count);
  int own;
  enum status st = durable_own_folder(d->folder, &own, err);
  if (st != ST_OK) return st;
  st = durable_sync_end(own, durable_unlink(d->folder, p->name, err), err);
  if (st != ST_OK) return st;
  mutex_lock(&d->lock);
  part_release(p);
  d->part_count--;
  memmove(p, p + 1, d->part_count * sizeof *p);
  mutex_unlock(&d->lock);
  d->read_count = 0;
  return ST_OK;
}

static bool give_up_first(struct fs_keys_due *d, uint64_t *given_up) {
  size_t count = d->parts[0].count;
  struct error err = {0};
  if (remove_first(d, &err) != ST_OK) {
    log_write(d->log, LOG_WARNING, "keys", "keys_due_full", FIELDS(F_TEXT("error", err.text)),
              "More idempotency keys wait for Redis than should, and the oldest cannot be removed");
    return false;
  }
  *given_up += count;
  return true;
}

/* keys-due is full: it becomes keys-due-<n>, so that the next line begins a new one. When that
 * cannot be it grows on, and the next batch tries again. */
static void begin_new_part(struct fs_keys_due *d, uint64_t *given_up) {
  struct error err = {0};
  char name[32];
  while (d->part_count >= DUE_PARTS)
    if (!give_up_first(d, given_up)) return;
  BUG_ON(!d->part_count);
  struct part *last = &d->parts[d->part_count - 1];
  unsigned number = d->part_count > 1 ? last[-1].number + 1 : 1;
  snprintf(name, sizeof name, "keys-due-%u", number);
  int own;
  if (durable_own_folder(d->folder, &own, &err) != ST_OK) return;
  enum status moved = durable_move(d->folder, last->name, d->folder, name, &err);
  enum status st = durable_sync_end(own, moved, &err);
  if (moved != ST_OK) return;
  /* Not on disk yet when the sync fails: after a crash keys-due has the old name, and the same
   * lines. */
  (void)st;
  last->number = number;
  memcpy(last->name, name, sizeof name);
}

/* ---- opening ---- */

static int by_number(const void *a, const void *b) {
  unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return (x > y) - (x < y);
}

/* Numbers of keys-due-<n> in the folder, rising. */
static enum status list_parts(int folder, unsigned numbers[DUE_PARTS], size_t *count,
                              struct error *err) {
  int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (!dir) {
    enum status st = error_sys(err, errno, "listing the folder of keys-due");
    if (fd >= 0) close(fd);
    return st;
  }
  struct dirent *e;
  *count = 0;
  while ((e = readdir(dir))) {
    uint64_t n;
    if (strncmp(e->d_name, "keys-due-", 9) != 0 || e->d_name[9] == '0') continue;
    if (number_parse(span_of(e->d_name + 9), 999999999, &n) && *count < DUE_PARTS)
      numbers[(*count)++] = (unsigned)n;
  }
  closedir(dir);
  qsort(numbers, *count, sizeof numbers[0], by_number);
  return ST_OK;
}

enum status fs_keys_due_open(int folder, size_t most, bool inspect, struct log *log,
                             struct fs_keys_due **out, struct error *err) {
  unsigned numbers[DUE_PARTS];
  size_t count = 0;
  struct fs_keys_due *d = calloc(1, sizeof *d);
  if (!d) return error_set(err, ST_NO_MEMORY, "out of memory");
  mutex_init(&d->lock);
  d->folder = folder;
  d->part_max = most > DUE_PARTS ? most / DUE_PARTS : 1;
  d->inspect = inspect;
  d->log = log;
  enum status st = list_parts(folder, numbers, &count, err);
  for (size_t i = 0; st == ST_OK && i < count; i++) st = part_open(d, numbers[i], false, err);
  if (st == ST_OK) st = part_open(d, 0, false, err);
  if (st != ST_OK) {
    fs_keys_due_close(d);
    return st;
  }
  *out = d;
  return ST_OK;
}

void fs_keys_due_close(struct fs_keys_due *d) {
  if (!d) return;
  for (size_t i = 0; i < d->part_count; i++) part_release(&d->parts[i]);
  buffer_release(&d->chunk);
  mutex_destroy(&d->lock);
  free(d);
}

/* ---- use ---- */

static size_t add_lines(const struct fs_keys_due *d, const struct key *list, const bool *done,
                        size_t count, struct buffer *text) {
  size_t lines = 0;
  if (d->torn) buffer_add_char(text, '\n'); /* ends the half line, which then does not count */
  for (size_t i = 0; i < count; i++) {
    if (done[i] || !writable(list[i].id, 256)) continue;
    buffer_add(text, list[i].id);
    buffer_add_char(text, ' ');
    if (writable(list[i].place, 512)) buffer_add(text, list[i].place);
    buffer_add_char(text, '\n');
    lines++;
  }
  return lines;
}

/* The lines are on disk: know them. Without memory they are not known to fs_keys_due_has, but told
 * to Redis all the same. */
static void remember_keys(struct fs_keys_due *d, const struct key *list, const bool *done,
                          size_t count, size_t lines) {
  BUG_ON(!d->part_count);
  struct part *p = &d->parts[d->part_count - 1];
  mutex_lock(&d->lock);
  for (size_t i = 0; i < count; i++)
    if (!done[i] && digest_set_add(&p->ids, digest_of(list[i].id)) != ST_OK) break;
  p->count += lines;
  mutex_unlock(&d->lock);
}

enum status fs_keys_due_add(struct fs_keys_due *d, const struct key *list, const bool *done,
                            size_t count, uint64_t *given_up, struct error *err) {
  struct buffer text = {0};
  BUG_ON(d->inspect);
  size_t lines = add_lines(d, list, done, count, &text);
  enum status st = buffer_status(&text, err);
  if (st != ST_OK || lines == 0) goto out;
  bool begun = d->part_count > 0 && d->parts[d->part_count - 1].number == 0;
  if (begun && d->parts[d->part_count - 1].count >= d->part_max) begin_new_part(d, given_up);
  begun = d->part_count > 0 && d->parts[d->part_count - 1].number == 0;
  if (!begun) st = part_open(d, 0, true, err);
  if (st != ST_OK) goto out;
  st = durable_append_sync(d->parts[d->part_count - 1].fd, buffer_span(&text), err);
  d->torn = st != ST_OK;
  if (st == ST_OK) remember_keys(d, list, done, count, lines);
out:
  buffer_release(&text);
  return st;
}

bool fs_keys_due_has(struct fs_keys_due *d, struct span id) {
  bool has = false;
  mutex_lock(&d->lock);
  if (d->part_count > 0) {
    struct digest digest = digest_of(id);
    for (size_t i = 0; i < d->part_count && !has; i++)
      has = digest_set_has(&d->parts[i].ids, digest);
  }
  mutex_unlock(&d->lock);
  return has;
}

uint64_t fs_keys_due_count(struct fs_keys_due *d) {
  uint64_t due = 0;
  mutex_lock(&d->lock);
  for (size_t i = 0; i < d->part_count; i++) due += d->parts[i].count;
  mutex_unlock(&d->lock);
  return due;
}

enum status fs_keys_due_read(struct fs_keys_due *d, struct key *out, size_t max, size_t *count,
                             struct error *err) {
  *count = 0;
  while (d->part_count > 0) {
    struct part *p = &d->parts[0];
    enum status st = read_lines(d, p, p->told, out, max, count, &d->read_end, err);
    if (st != ST_OK) return st;
    d->read_count = *count;
    if (*count > 0) return ST_OK;
    if (d->read_end > p->told)
      p->told = d->read_end; /* no line at all among these bytes */
    else if ((st = remove_first(d, err)) != ST_OK)
      return st;
  }
  return ST_OK;
}

enum status fs_keys_due_drop(struct fs_keys_due *d, struct error *err) {
  BUG_ON(d->part_count == 0 || d->read_count == 0);
  struct part *p = &d->parts[0];
  mutex_lock(&d->lock);
  p->told = d->read_end;
  p->count -= d->read_count < p->count ? d->read_count : p->count;
  bool last = p->count == 0;
  mutex_unlock(&d->lock);
  d->read_count = 0;
  return last ? remove_first(d, err) : ST_OK;
}
