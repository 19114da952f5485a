/* Manifests as files: written without replacing, found by their names. The publisher writes and
 * forgets, the finisher settles; a crash leaves each whole under one of its names, or in tmp/.
 * Any thread reads. */
#include "bridge/outbox/file/records/journal.h"

#include "bridge/base/disk/durable.h"
#include "bridge/base/table.h"
#include "bridge/base/text/words.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

static void file_name(uint64_t number, const char *digest, bool settled, char out[MANIFEST_LABEL]) {
  struct manifest_name name = {.number = number, .settled = settled};
  memcpy(name.digest, digest, MANIFEST_DIGEST);
  manifest_label(&name, out);
}

/* ---- writing ---- */

/* The temporary file has the same name: it cannot be that of another manifest. */
static enum status write_tmp(int tmp, const char *file, struct span text, struct error *err) {
  enum status st = durable_write_new(tmp, file, text, NULL, err);
  if (st != ST_EXISTS) return st;
  /* Left by a try of this run that failed and could not clear up. */
  st = durable_unlink(tmp, file, err);
  return st == ST_OK ? durable_write_new(tmp, file, text, NULL, err) : st;
}

static bool is_same(int folder, const char *file, struct span text) {
  struct buffer there = {0};
  bool same = file_read(folder, file, text.len, &there, NULL) == ST_OK &&
              span_eq(buffer_span(&there), text);
  buffer_release(&there);
  return same;
}

static enum status move_in_place(int folder, int tmp, const char *file, struct span text,
                                 struct error *err) {
  enum status st = durable_move(tmp, file, folder, file, err);
  if (st != ST_EXISTS || !is_same(folder, file, text)) return st;
  /* It lies there since a try of this run whose last step failed. It goes, so that the folder's
   * fsync stands for a rename made after the failed one. Ending here leaves none: nobody counts on
   * it yet. */
  st = durable_unlink(folder, file, err);
  return st == ST_OK ? durable_move(tmp, file, folder, file, err) : st;
}

/* Best effort: what stays in tmp goes when that is emptied, what stays in the folder is in no chain
 * at the next start.
 */
static void take_away(int folder, const char *file) {
  enum status st = durable_unlink(folder, file, NULL);
  (void)st;
}

static enum status put_in_place(int folder, int tmp, const char *file, struct span text,
                                struct error *err) {
  int own = -1;
  enum status st = write_tmp(tmp, file, text, err);
  if (st != ST_OK) return st;
  st = durable_own_folder(folder, &own, err);
  if (st == ST_OK) st = move_in_place(folder, tmp, file, text, err);
  if (st != ST_OK) {
    take_away(tmp, file);
    if (own >= 0) close(own);
    return st;
  }
  st = durable_sync_end(own, ST_OK, err);
  if (st != ST_OK) take_away(folder, file);
  return st;
}

enum status journal_write(int folder, int tmp, struct manifest *m, const char *nonce,
                          struct error *err) {
  struct buffer text = {0};
  char file[MANIFEST_LABEL];
  m->fit = journal_print(m, nonce, &text);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK && m->fit < m->count)
    st = error_set(err, ST_TOO_LARGE, "%zu of %zu entries fill a manifest of %d bytes", m->fit,
                   m->count, MANIFEST_MOST);
  if (st != ST_OK) goto out;
  journal_digest(buffer_span(&text), m->digest);
  file_name(m->number, m->digest, false, file);
  st = put_in_place(folder, tmp, file, buffer_span(&text), err);
out:
  buffer_release(&text);
  return st;
}

/* ---- finding ---- */

enum likeness { NOT_OURS, MALFORMED, OURS };

static enum likeness name_parse(const char *file, struct manifest_name *out) {
  struct span rest = span_of(file);
  char again[MANIFEST_LABEL];
  out->settled = span_starts(rest, "settled-");
  if (!out->settled && !span_starts(rest, "batch-")) return NOT_OURS;
  size_t before = out->settled ? strlen("settled-") : strlen("batch-");
  rest = (struct span){rest.ptr + before, rest.len - before};
  const char *dash = memchr(rest.ptr, '-', rest.len);
  if (!dash ||
      !number_parse((struct span){rest.ptr, (size_t)(dash - rest.ptr)}, UINT64_MAX, &out->number) ||
      !manifest_digest_valid(span_of(dash + 1)))
    return MALFORMED;
  memcpy(out->digest, dash + 1, MANIFEST_DIGEST);
  manifest_label(out, again); /* a number has one way to be written */
  return strcmp(file, again) == 0 ? OURS : MALFORMED;
}

static int in_order(const void *a, const void *b) {
  const struct manifest_name *x = a, *y = b;
  if (x->number != y->number) return x->number < y->number ? -1 : 1;
  if (x->settled != y->settled) return x->settled ? -1 : 1;
  return strcmp(x->digest, y->digest);
}

struct listing {
  struct manifest_name *at;
  size_t count, cap;
};

static int64_t written_ms(int folder, const char *file) {
  struct stat st;
  if (fstatat(folder, file, &st, AT_SYMLINK_NOFOLLOW) < 0) return 0;
  return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

/* One of a later release is not taken for an uncommitted one, which a start removes. */
static enum status check_form(int folder, const char *file, struct error *err) {
  char head[64];
  int fd = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ELOOP)) return ST_OK; /* gone, or no manifest */
  ssize_t len = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
  int e = errno;
  if (fd >= 0) close(fd);
  if (len < 0 && fd >= 0 && e == EISDIR) return ST_OK;
  if (len < 0) return error_sys(err, e, "reading %s", file);
  enum status st = journal_readable((struct span){head, (size_t)len}, err);
  if (st != ST_OK) error_prefix(err, ".busbridge/%s", file);
  return st;
}

static enum status add_name(struct listing *l, int folder, const char *file, struct error *err) {
  struct manifest_name name = {0};
  switch (name_parse(file, &name)) {
  case NOT_OURS: return ST_OK;
  case MALFORMED: return error_set(err, ST_INVALID, "%s is not the name of a manifest", file);
  case OURS: break;
  }
  enum status st = check_form(folder, file, err);
  if (st != ST_OK) return st;
  if (l->count == l->cap) {
    size_t cap = l->cap ? l->cap * 2 : 8;
    struct manifest_name *grown = realloc(l->at, cap * sizeof *grown);
    if (!grown) return error_set(err, ST_NO_MEMORY, "out of memory (%zu manifests)", l->count);
    l->at = grown;
    l->cap = cap;
  }
  name.written_ms = written_ms(folder, file);
  l->at[l->count++] = name;
  return ST_OK;
}

static enum status list_dir(DIR *dir, struct listing *l, struct error *err) {
  for (;;) {
    errno = 0;
    struct dirent *d = readdir(dir);
    if (!d) return errno ? error_sys(err, errno, "listing the manifests") : ST_OK;
    enum status st = add_name(l, dirfd(dir), d->d_name, err);
    if (st != ST_OK) return st;
  }
}

enum status journal_list(int folder, struct manifest_name **list, size_t *count,
                         struct error *err) {
  struct listing l = {0};
  *list = NULL;
  *count = 0;
  int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) {
    int e = errno;
    if (fd >= 0) close(fd);
    return error_sys(err, e, "listing the manifests");
  }
  enum status st = list_dir(dir, &l, err);
  closedir(dir);
  if (st != ST_OK) {
    free(l.at);
    return st;
  }
  if (l.count) qsort(l.at, l.count, sizeof *l.at, in_order);
  *list = l.at;
  *count = l.count;
  return ST_OK;
}

/* ---- reading, and what becomes of it ---- */

static enum status read_checked(struct span text, const struct manifest_name *name,
                                struct manifest *out, struct error *err) {
  char digest[MANIFEST_DIGEST];
  journal_digest(text, digest);
  if (strcmp(digest, name->digest) != 0 && journal_readable(text, err) != ST_OK)
    return ST_UNSUPPORTED; /* which may make its digests otherwise */
  if (strcmp(digest, name->digest) != 0)
    return error_set(err, ST_INVALID, "its content is not what was written (its digest is %s)",
                     digest);
  enum status st = journal_parse(text, out, err);
  if (st != ST_OK || out->number == name->number) return st;
  error_set(err, ST_INVALID, "it is that of batch %" PRIu64, out->number);
  manifest_release(out);
  return ST_INVALID;
}

enum status journal_read(int folder, const struct manifest_name *name, struct manifest *out,
                         struct error *err) {
  struct buffer text = {0};
  char file[MANIFEST_LABEL];
  *out = (struct manifest){0};
  manifest_label(name, file);
  enum status st = file_read(folder, file, MANIFEST_MAX, &text, err);
  if (st == ST_TOO_LARGE) st = error_set(err, ST_INVALID, "%s is larger than any manifest", file);
  if (st == ST_OK) {
    st = read_checked(buffer_span(&text), name, out, err);
    if (st != ST_OK) error_prefix(err, "%s", file);
  }
  buffer_release(&text);
  return st;
}

/* Both are there, as after a copy of the folder was put back over it: one is enough, if it can be
 * read. */
static enum status drop_twin(int folder, const struct manifest_name *name, const char *batch,
                             struct error *err) {
  struct manifest_name settled = *name;
  struct manifest m;
  settled.settled = true;
  enum status st = journal_read(folder, &settled, &m, err);
  if (st != ST_OK) return st;
  manifest_release(&m);
  return durable_unlink(folder, batch, err);
}

enum status journal_settle(int folder, const struct manifest_name *name, struct error *err) {
  char batch[MANIFEST_LABEL], settled[MANIFEST_LABEL];
  file_name(name->number, name->digest, false, batch);
  file_name(name->number, name->digest, true, settled);
  int own;
  enum status st = durable_own_folder(folder, &own, err);
  if (st != ST_OK) return st;
  st = durable_move(folder, batch, folder, settled, err);
  if (st == ST_EXISTS) st = drop_twin(folder, name, batch, err);
  if (st == ST_NOT_FOUND && faccessat(folder, settled, F_OK, AT_SYMLINK_NOFOLLOW) == 0) st = ST_OK;
  return durable_sync_end(own, st, err);
}

enum status journal_remove(int folder, const struct manifest_name *name, struct error *err) {
  char file[MANIFEST_LABEL];
  int own;
  manifest_label(name, file);
  enum status st = durable_own_folder(folder, &own, err);
  if (st != ST_OK) return st;
  st = durable_unlink(folder, file, err);
  /* Also when it was gone: the call that removed it may have failed here. */
  return durable_sync_end(own, st == ST_NOT_FOUND ? ST_OK : st, err);
}

/* Empty ids and doubles are left out: what is looked up finds the first of its name, which stands
 * for all. */
static enum status index_ids(struct table *index, const struct span *ids, size_t count,
                             struct error *err) {
  for (size_t i = 0; i < count; i++) {
    enum status st = ids[i].len ? table_put(index, ids[i], (void *)&ids[i]) : ST_OK;
    if (st == ST_NO_MEMORY) return error_set(err, st, "out of memory");
  }
  return ST_OK;
}

static void mark_named(const struct table *index, const struct manifest *m, const struct span *ids,
                       bool *named) {
  for (size_t i = 0; i < m->count; i++) {
    const struct span *found = m->entries[i].id.len ? table_get(index, m->entries[i].id) : NULL;
    if (found) named[found - ids] = true;
  }
}

enum status journal_names(int folder, const struct span *ids, size_t count, bool *named,
                          struct error *err) {
  struct manifest_name *list = NULL;
  struct table index = {0};
  size_t manifests = 0;
  memset(named, 0, count * sizeof *named);
  enum status st = index_ids(&index, ids, count, err);
  if (st == ST_OK && folder >= 0) st = journal_list(folder, &list, &manifests, err);
  for (size_t i = 0; st == ST_OK && i < manifests; i++) {
    struct manifest m = {0};
    if (list[i].settled) continue;
    st = journal_read(folder, &list[i], &m, err);
    if (st == ST_OK) mark_named(&index, &m, ids, named);
    if (st == ST_NOT_FOUND) st = ST_OK; /* settled or removed meanwhile */
    manifest_release(&m);
  }
  for (size_t i = 0; st == ST_OK && i < count; i++) {
    const struct span *first = ids[i].len ? table_get(&index, ids[i]) : NULL;
    if (first) named[i] = named[first - ids];
  }
  table_release(&index);
  free(list);
  return st;
}
