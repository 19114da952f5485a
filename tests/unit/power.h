/* power.h - a disk that loses its power: what was not fsynced is gone, in every combination.
 *
 * It lies below bridge/base/disk/durable.c: the linker puts it in front of the system calls
 * (--wrap, see tests/CMakeLists.txt), which it makes in a real folder and writes down, in the one
 * order in which they were made. Afterwards power_next brings the folder into each state that the
 * disk may show when the power went before the n-th call that changes something, for every n:
 *
 * - Bytes (and the mtime) of a file that were not fsynced since are as they were at its last fsync,
 * half written, zeros, or as new.
 * - A change of a folder is whole or not at all, a rename too. What happened in a folder is durable
 * with the folder's fsync, a rename with that of its target; where only the source was synced the
 * file may have no name left. Changes that concern the same file or the same name keep their order,
 * all others are there or not in any combination. What lies in a folder that is not there is not
 * there.
 *
 * What the world outside of the machine saw is written down among the calls (power_mark). Inodes
 * stay what they are, since files are moved and never copied: a removed one waits in a folder
 * beside; ctimes are new. Folders of other file systems are told (power_disk) before. Hard links
 * are not in it (the way of file systems that cannot rename without replacing), nor what is written
 * through a mapping. */
#ifndef TESTS_UNIT_POWER_H
#define TESTS_UNIT_POWER_H

#include "tests/unit/power_calls.h"

/* ---- what is durable before the n-th call ---- */

static bool power_bound(const struct power_call *x, const struct power_call *y) {
  bool names = x->from == y->from || x->from == y->to || x->to == y->from || x->to == y->to;
  bool files = x->file == y->file || x->file == y->other ||
               (x->other && (x->other == y->file || x->other == y->other));
  return names || files;
}

/* Both: the durable state, and one that may be found. */
static void power_apply(const struct power_op *op, bool there) {
  const struct power_call *c = &op->call;
  size_t *from = &power.names[c->from].there, *to = &power.names[c->to].there;
  if (!there) {
    if (op->source_synced && *from == c->file) *from = 0;
  } else if (c->kind == POWER_CREATE) {
    *from = c->file;
  } else if (c->kind == POWER_REMOVE) {
    if (*from == c->file) *from = 0;
  } else {
    if (c->kind == POWER_EXCHANGE || *from == c->file) *from = c->other;
    *to = c->file;
  }
}

static bool power_in(size_t name, const char *folder) {
  const char *path = power.names[name].path, *end = strrchr(path, '/');
  return (size_t)(end - path) == strlen(folder) && strncmp(path, folder, strlen(folder)) == 0;
}

static void power_found_durable(bool begin) {
  for (size_t i = 0; i < power.name_count; i++)
    if (begin)
      power.names[i].there = power.names[i].durable;
    else
      power.names[i].durable = power.names[i].there;
}

/* What happened in the folder is durable, and what that rests on. */
static void power_folder_synced(const char *folder) {
  for (size_t i = power.op_count; i-- > 0;) {
    struct power_op *op = &power.ops[i];
    const struct power_call *c = &op->call;
    bool into = !op->lost[1] && power_in(c->to, folder);
    if (into || (c->kind == POWER_EXCHANGE && !op->lost[0] && power_in(c->from, folder)))
      op->forced = true;
    if (c->kind == POWER_RENAME && power_in(c->from, folder)) op->source_synced = true;
    for (size_t later = i + 1; later < power.op_count; later++)
      if (power.ops[later].forced && power_bound(c, &power.ops[later].call)) op->forced = true;
  }
  size_t left = 0;
  power_found_durable(true);
  for (size_t i = 0; i < power.op_count; i++)
    if (power.ops[i].forced)
      power_apply(&power.ops[i], true);
    else
      power.ops[left++] = power.ops[i];
  power.op_count = left;
  power_found_durable(false);
}

static void power_folder_lost(const char *folder) {
  for (size_t i = 0; i < power.op_count; i++) {
    struct power_op *op = &power.ops[i];
    op->lost[0] |= power_in(op->call.from, folder);
    op->lost[1] |= power_in(op->call.to, folder);
  }
}

static void power_replay_one(const struct power_call *c) {
  struct power_file *f = &power.files[c->file];
  switch (c->kind) {
  case POWER_CREATE:
  case POWER_REMOVE:
  case POWER_RENAME:
  case POWER_EXCHANGE:
    assert_true(power.op_count < POWER_OPS);
    power.ops[power.op_count++] = (struct power_op){.call = *c};
    return;
  case POWER_WRITE: f->live = c->value; return;
  case POWER_SYNC:
    if (c->file)
      f->durable = f->live;
    else
      power_folder_synced(power.names[c->from].path);
    return;
  case POWER_LOST: power_folder_lost(power.names[c->from].path); return;
  case POWER_MARK: power.mark = c->value; return;
  }
}

static void power_replay(size_t calls) {
  power.op_count = power.dirty_count = power.mark = 0;
  for (size_t i = 0; i < power.name_count; i++) power.names[i].durable = power.names[i].start;
  for (size_t i = 1; i <= power.file_count; i++)
    power.files[i].durable = power.files[i].live = power.files[i].start;
  for (size_t i = 0; i < calls; i++) power_replay_one(&power.calls[i]);
  for (size_t i = 1; i <= power.file_count; i++)
    if (power.files[i].durable != power.files[i].live) power.dirty[power.dirty_count++] = i;
}

/* ---- one state ---- */

/* Is this change there, by the number of the choice? */
static bool power_chosen(size_t i, size_t number) {
  size_t n = power.op_count;
  if (n <= POWER_FULL) return number >> i & 1;
  if (number <= n) return i < number;              /* the first ones: none, ..., all of them */
  if (number <= 2 * n) return i != number - n - 1; /* all but one, and what rests on it */
  return i == number - 2 * n - 1;                  /* one, if it rests on nothing */
}

static size_t power_choices(void) {
  size_t n = power.op_count;
  return n <= POWER_FULL ? (size_t)1 << n : 3 * n + 1;
}

/* What rests on a change that is not there is not there. */
static void power_choose(size_t number) {
  bool there[POWER_OPS];
  power_found_durable(true);
  for (size_t i = 0; i < power.op_count; i++) {
    there[i] = power_chosen(i, number);
    for (size_t before = 0; there[i] && before < i; before++)
      there[i] = there[before] || !power_bound(&power.ops[i].call, &power.ops[before].call);
    power_apply(&power.ops[i], there[i]);
  }
}

/* All files that are not synced the same way; or one of them as new and all others as they were; or
 * the reverse. */
static size_t power_ways(void) {
  return power.dirty_count == 0 ? 1
                                : POWER_BYTES + (power.dirty_count > 1 ? 2 * power.dirty_count : 0);
}

enum { POWER_OLD, POWER_HALF, POWER_ZEROS, POWER_NEW };
static unsigned power_way(size_t file, size_t bytes) {
  const struct power_file *f = &power.files[file];
  if (f->durable == f->live) return POWER_NEW;
  if (bytes < POWER_BYTES) return (unsigned)bytes;
  bool it = power.dirty[(bytes - POWER_BYTES) / 2] == file, reverse = (bytes - POWER_BYTES) % 2;
  return it != reverse ? POWER_NEW : POWER_OLD;
}

static uint64_t power_mix(uint64_t hash, uint64_t value) {
  for (unsigned i = 0; i < 8; i++)
    hash = (hash ^ (value >> (8 * i) & 255)) * UINT64_C(1099511628211);
  return hash;
}

static uint64_t power_hash(size_t bytes, bool whole) {
  uint64_t hash = power_mix(power_mix(UINT64_C(14695981039346656037), power.mark), whole);
  for (size_t i = 0; i < power.name_count; i++) {
    size_t file = power.names[i].there;
    if (!file) continue;
    unsigned way = power_way(file, bytes);
    size_t text = way == POWER_OLD ? power.files[file].durable : power.files[file].live;
    hash = power_mix(power_mix(hash, i << 32 | file),
                     way == POWER_OLD ? text << 2 | POWER_NEW : text << 2 | way);
  }
  return hash ? hash : 1;
}

static bool power_is_new(uint64_t hash) {
  size_t at = hash % POWER_STATES;
  while (power.seen[at] && power.seen[at] != hash) at = (at + 1) % POWER_STATES;
  if (power.seen[at]) return false;
  assert_true(++power.seen_count < POWER_STATES / 2);
  power.seen[at] = hash;
  return true;
}

static size_t power_alike(const struct power_text *a, const struct power_text *b) {
  size_t n = 0;
  while (n < a->len && n < b->len && a->bytes[n] == b->bytes[n]) n++;
  return n;
}

/* Only what was added since the last fsync is lost, unless more was changed. */
static void power_bytes(const struct power_file *f, const char *path, unsigned way) {
  const struct power_text *old = &power.texts[f->durable], *now = &power.texts[f->live],
                          *t = way == POWER_OLD ? old : now;
  size_t safe = power_alike(old, now),
         len = way == POWER_HALF ? safe + (now->len - safe) / 2 : t->len;
  struct timespec times[2] = {t->mtime, t->mtime};
  int fd = __real_openat64(AT_FDCWD, path, O_RDWR | O_TRUNC | O_CLOEXEC, 0);
  assert_true(fd >= 0);
  size_t whole = way == POWER_ZEROS ? safe : len;
  if (whole) assert_int_equal(__real_pwrite64(fd, t->bytes, whole, 0), (ssize_t)whole);
  assert_int_equal(__real_ftruncate64(fd, (off_t)len), 0);
  if (t->mtime.tv_sec) assert_int_equal(__real_futimens(fd, times), 0);
  close(fd);
}

static bool power_stays(const char *path) {
  for (size_t i = 0; i < power.name_count; i++)
    if (power.names[i].there && power.files[power.names[i].there].folder &&
        !strcmp(power.names[i].path, path))
      return true;
  return false;
}

static int power_take_away(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)type;
  if (ftw->level == 0 || (S_ISDIR(st->st_mode) && power_stays(path))) return 0;
  size_t file = power_known(st);
  if (!file || S_ISDIR(st->st_mode)) return remove(path);
  power_to_vault(path, file);
  return 0;
}

static void power_place(const struct power_name *n, size_t bytes) {
  const struct power_file *f = &power.files[n->there];
  char kept[POWER_PATH + 24], real[POWER_PATH];
  if (!n->there) return;
  power_real(n->path, real);
  if (f->folder) {
    assert_true(mkdir(real, 0770) == 0 || errno == EEXIST || errno == ENOENT);
    return;
  }
  snprintf(kept, sizeof kept, "%s/%zu", power_disk_of(n->path)->vault, n->there);
  if (rename(kept, real) == 0)
    power_bytes(f, real, power_way(n->there, bytes));
  else
    assert_int_equal(errno, ENOENT); /* its folder is not there */
}

static void power_put(size_t bytes) {
  nftw(power.disks[0].seen, power_take_away, 8, FTW_DEPTH | FTW_PHYS);
  for (size_t i = 0; i < power.name_count; i++) power_place(&power.names[i], bytes);
}

/* ---- all of them ---- */

struct power_walk {
  size_t at;            /* so many calls were made */
  size_t number, bytes; /* which of the states they may have left */
  bool whole, begun;    /* whole: all of them, the process had come to its end */
  size_t states, left_out;
  size_t sample; /* one of so many, 0: all */
  size_t from;   /* not before this call */
  uint64_t seed;
  size_t mark;
};

static void power_begin_at(struct power_walk *w, size_t at) {
  w->at = at;
  w->number = w->bytes = 0;
  w->whole = at == power.call_count;
  power_replay(at);
}

static bool power_advance(struct power_walk *w) {
  if (!w->begun) {
    w->begun = true;
    power_begin_at(w, w->from);
    return true;
  }
  if (++w->bytes < power_ways()) return true;
  w->bytes = 0;
  if (++w->number < power_choices()) return true;
  if (w->at == power.call_count) return false;
  power_begin_at(w, w->at + 1);
  return true;
}

/* One of each `sample` states, and one of the first four: drawn by their hashes alone a short list
 * could leave all out.
 */
static bool power_is_drawn(const struct power_walk *w) {
  size_t n = w->states + w->left_out, block, first = w->sample < 4 ? w->sample : 4;
  if (w->sample <= 1) return true;
  block = n / w->sample;
  return n % w->sample == (block ? power_mix(block, w->seed) % w->sample : w->seed % first);
}

/* The folder is in the next state that it was not in yet; false: there is no other. Nobody has
 * anything open in it. */
static inline bool power_next(struct power_walk *w) {
  while (power_advance(w)) {
    power_choose(w->number);
    uint64_t hash = power_hash(w->bytes, w->whole);
    if (!power_is_new(hash)) continue;
    if (!power_is_drawn(w)) {
      w->left_out++;
      continue;
    }
    power_put(w->bytes);
    w->mark = power.mark;
    w->states++;
    return true;
  }
  return false;
}

/* What was written down so far, to go on from it more than once. */
struct power_saved {
  struct power_call *calls;
  size_t call_count, name_count, file_count, text_count;
};
static inline struct power_saved power_save(void) {
  struct power_saved s = {NULL, power.call_count, power.name_count, power.file_count,
                          power.text_count};
  s.calls = calloc(s.call_count, sizeof *s.calls);
  assert_non_null(s.calls);
  memcpy(s.calls, power.calls, s.call_count * sizeof *s.calls);
  return s;
}
static inline void power_restore(const struct power_saved *s) {
  for (size_t i = s->text_count + 1; i <= power.text_count; i++) free(power.texts[i].bytes);
  memcpy(power.calls, s->calls, s->call_count * sizeof *s->calls);
  power.call_count = s->call_count;
  power.name_count = s->name_count;
  power.file_count = s->file_count;
  power.text_count = s->text_count;
  power.seen_count = 0;
  memset(power.seen, 0, POWER_STATES * sizeof *power.seen);
}

/* Instead of the power the process alone is gone, after that many calls: all is as it saw it, and
 * no more durable than it was. What comes is written down behind it; power_next begins there. */
static inline void power_kill(struct power_walk *w, size_t calls) {
  power_replay(calls);
  power_choose(power.op_count <= POWER_FULL ? power_choices() - 1 : power.op_count);
  power_put(POWER_NEW);
  w->mark = power.mark;
  w->from = power.call_count = calls;
  power.on = true;
}

/* For whoever looks into a failure: what was done up to then, and what lies where. */
static inline void power_show(const struct power_walk *w) {
  static const char *const words[] = {
      "create", "remove", "rename", "exchange", "write", "sync", "sync of what is lost", "mark"};
  static const char *const ways[] = {"old", "half", "zeros", "new"};
  size_t root = strlen(power.disks[0].seen) + 1;
  for (size_t i = 0; i < w->at; i++) {
    const struct power_call *c = &power.calls[i];
    bool folders =
        c->kind <= POWER_EXCHANGE || ((c->kind == POWER_SYNC || c->kind == POWER_LOST) && !c->file);
    printf("  %zu %s %zu", i + 1, words[c->kind], c->file);
    if (folders)
      printf(" %s",
             strlen(power.names[c->from].path) > root ? power.names[c->from].path + root : ".");
    if (c->to != c->from && c->kind <= POWER_EXCHANGE)
      printf(" %s", power.names[c->to].path + root);
    printf("\n");
  }
  printf("  the power went after these %zu calls; state %zu.%zu\n", w->at, w->number, w->bytes);
  for (size_t i = 0; i < power.name_count; i++)
    if (power.names[i].there)
      printf("  %s: %zu (%s)\n", power.names[i].path + root, power.names[i].there,
             ways[power_way(power.names[i].there, w->bytes)]);
}

#endif
