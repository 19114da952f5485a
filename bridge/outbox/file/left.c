/* What a crash left in .busbridge/tmp: the names that say what each file was to become, and whether
 * it is removed or brought back. The holder of the lock; a crash here leaves a file where it was or
 * where it belongs. */
#include "bridge/outbox/file/left.h"

#include "bridge/base/durable.h"
#include "bridge/base/table.h"
#include "bridge/outbox/file/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORM "%llx-%llx-%llx-%llx-%u-"
enum { ENDING = sizeof ".json" - 1, WORD = sizeof "swap-" - 1 };
#define LEFT_LONG_US INT64_C(60000000) /* what is on its way stays far shorter */
#define TEXT_MOST (64u << 20)          /* larger ones are not entries */

static const char words[][WORD + 1] = {
    [LEFT_SWAP] = "swap-", [LEFT_GONE] = "gone-", [LEFT_SENT] = "sent-", [LEFT_BACK] = "back-"};

_Static_assert(sizeof words / sizeof *words == LEFT_BACK + 1, "a word for each kind");

uint64_t left_id(struct span id) {
  if (!id.len) return 0;
  uint64_t digest = digest_fixed(id).lo;
  return digest ? digest : 1;
}

bool left_same(const struct stamp *a, const struct stamp *b) {
  return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

void left_name(const struct left *l, char out[NAME_SIZE]) {
  int head = snprintf(out, NAME_SIZE, "%s" FORM, words[l->kind], (unsigned long long)l->content,
                      (unsigned long long)l->old.inode, (unsigned long long)l->old.size,
                      (unsigned long long)l->old.mtime_ns, (unsigned)l->place);
  BUG_ON_RULE(S7, head < 0 || head + ENDING >= NAME_SIZE || l->place > PLACE_SENT);
  size_t room = NAME_SIZE - 1 - (size_t)head, len = strlen(l->name);
  BUG_ON_RULE(S7, len <= ENDING || strcmp(l->name + len - ENDING, ".json") != 0);
  bool cut = len > room;
  size_t stem = cut ? room - ENDING : len - ENDING;
  memcpy(out + head, l->name, stem);
  memcpy(out + (size_t)head + stem, ".json", ENDING + 1);
  if (out[head] == '.') out[head] = '_'; /* a hidden name would stay hidden when it comes back */
}

static bool parse(const char *file, struct left *l) {
  unsigned long long content, inode, size, mtime_ns;
  unsigned place, kind = 0;
  int at = -1;
  while (kind < sizeof words / sizeof *words && strncmp(file, words[kind], WORD) != 0) kind++;
  if (kind == sizeof words / sizeof *words) return false;
  file += WORD;
  if (sscanf(file, FORM "%n", &content, &inode, &size, &mtime_ns, &place, &at) != 5 || at < 0)
    return false;
  if (place > PLACE_SENT || !name_is_entry(file + at)) return false;
  *l = (struct left){.kind = (enum left_kind)kind,
                     .content = content,
                     .old = {.inode = inode, .size = (int64_t)size, .mtime_ns = (int64_t)mtime_ns},
                     .place = (enum place)place,
                     .name = file + at};
  return true;
}

bool left_is(const char *file) {
  struct left l;
  return parse(file, &l);
}

static struct stamp stamp_of(const struct stat *st) {
  return (struct stamp){.inode = st->st_ino,
                        .size = st->st_size,
                        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
}

static void remove_file(int tmp, const char *file) {
  enum status st = durable_unlink(tmp, file, NULL);
  (void)st; /* it stays until next time */
}

static enum status to_free_name(int tmp, const char *file, int folder, const char *name) {
  char target[NAME_SIZE];
  return fs_to_free_name(tmp, file, folder, name, target, NULL);
}

/* As it would have been: exchanged back where our text still lies, else beside what lies there. A
 * crash in between leaves our own text in tmp. */
static enum status bring_back(int tmp, int folder, const char *file, const struct left *l) {
  struct stat now;
  bool ours = l->kind == LEFT_SWAP && fstatat(folder, l->name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
              now.st_ino == l->content;
  if (!ours) return to_free_name(tmp, file, folder, l->name);
  enum status st = durable_exchange(tmp, file, folder, l->name, NULL);
  if (st == ST_OK) remove_file(tmp, file);
  return st;
}

enum is { IS_DONE, IS_OTHER, IS_UNCLEAR };

/* The id inside decides; what is not an entry is not the one. */
static enum is judge_id(int tmp, const char *file, uint64_t id) {
  struct buffer text = {0};
  struct json_doc doc = {0};
  struct arena arena = {0};
  struct event event = {.payload = JSON_NONE};
  enum is is = IS_UNCLEAR;
  enum status st = file_read(tmp, file, TEXT_MOST, &text, NULL);
  if (st == ST_TOO_LARGE || st == ST_INVALID) is = IS_OTHER;
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&text), NULL);
  if (st == ST_INVALID) is = IS_OTHER;
  if (st == ST_OK) {
    enum reason reason = event_parse(&doc, &arena, &event, NULL);
    is = reason == REASON_NO_MEMORY ? IS_UNCLEAR : left_id(event.id) == id ? IS_DONE : IS_OTHER;
  }
  json_doc_release(&doc);
  arena_release(&arena);
  buffer_release(&text);
  return is;
}

static enum is judge(int tmp, const char *file, const struct left *l, const struct stat *st) {
  struct stamp now = stamp_of(st);
  switch (l->kind) {
  case LEFT_SWAP: /* our own text, not exchanged or exchanged back, or the bytes that were read */
    return now.inode == l->content || left_same(&now, &l->old) ? IS_DONE : IS_OTHER;
  case LEFT_GONE:
  case LEFT_SENT:
    if (l->content) return judge_id(tmp, file, l->content);
    return left_same(&now, &l->old) ? IS_DONE : IS_OTHER;
  case LEFT_BACK: break;
  }
  return IS_OTHER;
}

static int open_place(int outbox, enum place place) {
  char folder[16];
  if (place == PLACE_FLAT) return openat(outbox, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  snprintf(folder, sizeof folder, "%s", place_path(place));
  folder[strlen(folder) - 1] = '\0'; /* its slash */
  return openat(outbox, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void bring(int tmp, int outbox, const char *file, const struct left *l, bool done) {
  int folder = open_place(outbox, done ? PLACE_SENT : l->place);
  if (folder < 0) return;
  enum status st =
      done ? to_free_name(tmp, file, folder, l->name) : bring_back(tmp, folder, file, l);
  if (st == ST_OK) st = durable_sync_folder(folder, NULL);
  (void)st; /* else it is found where it was, or where it is now */
  close(folder);
}

void left_clear(int tmp, int outbox, const char *file) {
  struct left l;
  struct stat st;
  if (fstatat(tmp, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || left_return(tmp, outbox, file)) return;
  if (!parse(file, &l)) {
    remove_file(tmp, file);
    return;
  }
  switch (judge(tmp, file, &l, &st)) {
  case IS_UNCLEAR: break;
  case IS_OTHER: bring(tmp, outbox, file, &l, false); break;
  case IS_DONE:
    if (l.kind == LEFT_SENT)
      bring(tmp, outbox, file, &l, true);
    else
      remove_file(tmp, file);
    break;
  }
}

uint64_t state_left(const struct state *s, int64_t now_us) {
  struct stat st;
  uint64_t count = 0;
  int fd = state_tmp(s) < 0 ? -1 : openat(state_tmp(s), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d && fd >= 0) close(fd);
  for (struct dirent *e; d && (e = readdir(d));)
    if (left_is(e->d_name) && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
      count += now_us - ((int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000) >=
               LEFT_LONG_US;
  if (d) closedir(d);
  return count;
}
