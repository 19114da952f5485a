/* The kernel tells that a folder could not be written once per open file, to whoever syncs it
 * first. Whatever changes .busbridge is told by a descriptor of its own, though another thread
 * syncs the folder in between by the one that all share. The linker puts the calls below before the
 * system's: they tell errors as Linux does (errseq_t). */
#include "bridge/outbox/file/records/keys_due.h"
#include "bridge/outbox/file/site/state.h"
#include "tests/unit/manifest_box.h"

enum { FDS = 1024 };

static struct kernel {
  ino_t folder;         /* the one that has errors */
  unsigned epoch, told; /* of its errors: the last one, the last that somebody was told */
  unsigned seen[FDS];   /* per open file */
} kernel;

static bool is_it(int fd) {
  struct stat st;
  return kernel.folder && fd >= 0 && fd < FDS && fstat(fd, &st) == 0 && st.st_ino == kernel.folder;
}

int __real_openat64(int folder, const char *name, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *name, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *name, int flags, mode_t mode) {
  int fd = __real_openat64(folder, name, flags, mode);
  if (is_it(fd)) kernel.seen[fd] = kernel.told == kernel.epoch ? kernel.epoch : kernel.epoch - 1;
  return fd;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
  if (!is_it(fd) || kernel.seen[fd] == kernel.epoch) return 0;
  kernel.seen[fd] = kernel.told = kernel.epoch;
  errno = EIO;
  return -1;
}

struct told_box {
  char path[200];
  struct state *state;
  struct manifest m;
  bool met;
  struct error err;
};

/* Before the call's own sync: what it did could not be written, and another thread is told. */
static int lose(void *ctx, enum durable_op op, const char *name, bool after) {
  struct told_box *b = ctx;
  if (op != DURABLE_FSYNC || after || b->met) return 0;
  if (strcmp(name, "folder") != 0 && strcmp(name, "made") != 0) return 0;
  b->met = true;
  kernel.epoch++;
  assert_int_equal(fsync(state_folder(b->state)), -1);
  assert_int_equal(fsync(state_folder(b->state)), 0);
  return 0;
}

static enum status write_batch(struct told_box *b) {
  return journal_write(state_folder(b->state), state_tmp(b->state), &b->m, NONCE, &b->err);
}
static enum status settle_batch(struct told_box *b) {
  const struct manifest_name name = name_of(&b->m, false);
  return journal_settle(state_folder(b->state), &name, &b->err);
}
static enum status remove_batch(struct told_box *b) {
  const struct manifest_name name = name_of(&b->m, false);
  return journal_remove(state_folder(b->state), &name, &b->err);
}
static enum status write_note(struct told_box *b) {
  return state_note_write(b->state, NOTE_ORDER, SPAN("x"), &b->err);
}
static enum status remove_note(struct told_box *b) {
  return state_note_remove(b->state, NOTE_ORDER, &b->err);
}
static enum status add_due(struct told_box *b) {
  const struct key key = {.id = SPAN("a"), .place = SPAN("p")};
  struct fs_keys_due *due;
  uint64_t given_up = 0;
  bool done = false;
  enum status st = fs_keys_due_open(state_folder(b->state), 100, false, NULL, &due, &b->err);
  assert_int_equal(st, ST_OK);
  st = fs_keys_due_add(due, &key, &done, 1, &given_up, &b->err);
  fs_keys_due_close(due);
  return st;
}
static enum status replace_file(struct told_box *b) {
  return durable_replace(state_tmp(b->state), state_folder(b->state), "x", SPAN("x"), &b->err);
}
static enum status make_folder(struct told_box *b) {
  int fd;
  enum status st = durable_folder(state_folder(b->state), "made", 0770, &fd, &b->err);
  if (fd >= 0) close(fd);
  return st;
}

typedef enum status (*call_fn)(struct told_box *b);

static void told(call_fn prepare, call_fn call) {
  struct told_box b = {.m = sample()};
  struct stat st;
  folder_make(b.path, sizeof b.path, "told");
  assert_int_equal(state_open(b.path, true, &clock_system, &b.state, &b.err), ST_OK);
  if (prepare) assert_int_equal(prepare(&b), ST_OK);
  assert_int_equal(fstat(state_folder(b.state), &st), 0);
  kernel = (struct kernel){.folder = st.st_ino};
  durable_set_hook(lose, &b);
  enum status said = call(&b);
  durable_set_hook(NULL, NULL);
  kernel.folder = 0;
  assert_true(b.met);
  assert_int_equal(said, ST_IO);
  state_close(b.state);
  assert_int_equal(folder_remove(b.path), 0);
}

TEST(a_manifest_is_told_of_its_own_error) {
  told(NULL, write_batch);
  told(write_batch, settle_batch);
  told(write_batch, remove_batch);
}
TEST(so_is_a_note) {
  told(NULL, write_note);
  told(write_note, remove_note);
}
TEST(so_is_what_is_due_to_redis) {
  told(NULL, add_due);
}
TEST(so_is_a_file_that_is_replaced_and_a_folder_that_is_made) {
  told(NULL, replace_file);
  told(NULL, make_folder);
}
