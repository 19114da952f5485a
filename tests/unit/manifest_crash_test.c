/* Manifests where a call fails or the process ends: the whole one is there, or none. */
#include "tests/unit/manifest_box.h"

#include <sys/wait.h>

/* ---- faults: each call of each function fails once, before it was made and after ---- */

static enum status run_write(const struct room *p, struct manifest *m) {
  return journal_write(p->in, p->to, m, NONCE, NULL);
}

static enum status run_settle(const struct room *p, struct manifest *m) {
  struct manifest_name n = name_of(m, false);
  return journal_settle(p->in, &n, NULL);
}

static enum status run_remove(const struct room *p, struct manifest *m) {
  struct manifest_name n = name_of(m, false);
  return journal_remove(p->in, &n, NULL);
}

static void empty(int folder) {
  struct dirent *d;
  DIR *dir = fdopendir(opened(folder, "."));
  assert_non_null(dir);
  while ((d = readdir(dir)))
    if (d->d_name[0] != '.') unlinkat(folder, d->d_name, 0);
  closedir(dir);
}

/* How many there are; each is whole. */
static size_t count_whole(const struct room *p) {
  struct manifest_name *list = NULL;
  size_t count = 0;
  assert_int_equal(journal_list(p->in, &list, &count, NULL), ST_OK);
  for (size_t i = 0; i < count; i++) {
    struct manifest got;
    assert_int_equal(journal_read(p->in, &list[i], &got, NULL), ST_OK);
    assert_int_equal(got.count, 2);
    manifest_release(&got);
  }
  free(list);
  return count;
}

struct step {
  enum status (*run)(const struct room *p, struct manifest *m);
  bool written; /* the manifest is there before */
  size_t least, most, end;
};
static const struct step steps[] = {
    {run_write, false, 0, 1, 1}, {run_settle, true, 1, 2, 1}, {run_remove, true, 0, 1, 0}};

/* The step again, without faults, comes to its end. */
static void run_again(const struct room *p, const struct step *s, struct manifest *m, int plain) {
  struct hook h = {.plain = plain};
  durable_set_hook(on_point, &h);
  assert_int_equal(s->run(p, m), ST_OK);
  durable_set_hook(NULL, NULL);
  assert_int_equal(count_whole(p), s->end);
  if (s->end) assert_one(p, m, s->run == run_settle);
  assert_int_equal(entries(p->to), 0);
}

static void prepare(const struct room *p, const struct step *s, struct manifest *m) {
  empty(p->in);
  empty(p->to);
  *m = sample();
  if (s->written) write_whole(p, m);
}

static bool fail_at(const struct room *p, const struct step *s, struct hook h) {
  struct manifest m;
  prepare(p, s, &m);
  durable_set_hook(on_point, &h);
  enum status st = s->run(p, &m);
  durable_set_hook(NULL, NULL);
  size_t whole = count_whole(p);
  assert_in_range(whole, s->least, s->most);
  /* Clearing up may fail unseen; nothing else may. */
  if (st == ST_OK) assert_int_equal(whole, s->end);
  if (h.hit && h.op == DURABLE_FSYNC) assert_int_not_equal(st, ST_OK);
  if (!h.hit) assert_int_equal(st, ST_OK);
  run_again(p, s, &m, h.plain);
  return h.hit;
}

CASE(each_failure_leaves_the_whole_manifest_or_none) {
  static const int errors[] = {EIO, ENOSPC, EROFS, EDQUOT};
  int failed = 0;
  for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++)
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++)
      for (int plain = 0; plain < 2; plain++)
        for (int for_ever = 0; for_ever < 2; for_ever++)
          for (int at = 1;; at++, failed++)
            if (!fail_at(*state, &steps[s],
                         (struct hook){.at = at,
                                       .err = errors[e],
                                       .plain = plain ? EINVAL : 0,
                                       .for_ever = for_ever}))
              break;
  assert_true(failed > 200);
}

static bool crash_at(const struct room *p, const struct step *s, int at, int plain) {
  struct manifest m;
  int status;
  prepare(p, s, &m);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct hook h = {.at = at, .exits = true, .plain = plain};
    durable_set_hook(on_point, &h);
    _exit(s->run(p, &m) == ST_OK ? 0 : 1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  bool crashed = WEXITSTATUS(status) == 42;
  if (!crashed) assert_int_equal(WEXITSTATUS(status), 0);
  assert_in_range(count_whole(p), s->least, s->most);
  if (s->run == run_write)
    journal_digest(SPAN(""), m.digest); /* what the child filled in is not ours */
  run_again(p, s, &m, plain);
  return crashed;
}

CASE(the_end_anywhere_leaves_the_whole_manifest_or_none) {
  int crashed = 0;
  for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++)
    for (int plain = 0; plain < 2; plain++)
      for (int at = 1; crash_at(*state, &steps[s], at, plain ? EINVAL : 0); at++) crashed++;
  assert_true(crashed > 20);
}

CASE(what_is_there_under_the_name_is_not_overwritten) {
  struct room *p = *state;
  struct manifest m = sample();
  struct buffer text = {0};
  char file[80];
  journal_print(&m, NONCE, &text);
  journal_digest(buffer_span(&text), m.digest);
  struct manifest_name n = name_of(&m, false);
  file_of(&n, file);
  put(p->in, file, "something else");
  assert_int_equal(run_write(p, &m), ST_EXISTS);
  assert_true(is_text(p->in, file, "something else"));
  assert_int_equal(entries(p->to), 0);
  buffer_release(&text);
}

/* The rename that a failed fsync stood for is made anew, so that the next fsync is one of it. */
CASE(a_retry_does_not_lean_on_the_failed_fsync) {
  struct room *p = *state;
  struct manifest m = sample();
  struct hook h = {.at = 9, .err = EIO};
  durable_set_hook(on_point, &h);
  assert_int_equal(run_write(p, &m), ST_IO);
  assert_string_equal(h.order, "O+W+F+R+FU+"); /* the folder's; it is taken away */
  assert_int_equal(entries(p->in), 0);
  h = (struct hook){.at = 9, .err = EIO, .for_ever = true};
  assert_int_equal(run_write(p, &m), ST_IO);
  assert_string_equal(h.order, "O+W+F+R+FU"); /* or cannot be */
  assert_int_equal(entries(p->in), 1);
  h = (struct hook){0};
  assert_int_equal(run_write(p, &m), ST_OK);
  assert_string_equal(h.order, "O+W+F+RU+R+F+");
  assert_one(p, &m, false);
}
