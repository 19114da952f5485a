/* The names of what lies in .busbridge/tmp, and how many lie there too long. Any thread.
 * A crash leaves nothing. */
#include "bridge/outbox/file/moves/leftover.h"

#include "bridge/base/table.h"
#include "bridge/base/text/escape.h"
#include "bridge/outbox/file/site/site.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORM "%llx-%llx-%llx-%llx-%u-"
enum { ENDING = sizeof ".json" - 1, WORD = sizeof "swap-" - 1 };
#define LEFT_LONG_US INT64_C(60000000) /* what is on its way stays far shorter */

static const char words[][WORD + 1] = {[LEFTOVER_SWAP] = "swap-",
                                       [LEFTOVER_GONE] = "gone-",
                                       [LEFTOVER_SENT] = "sent-",
                                       [LEFTOVER_BACK] = "back-"};

_Static_assert(sizeof words / sizeof *words == LEFTOVER_BACK + 1, "a word for each kind");

uint64_t leftover_id(struct span id) {
  if (!id.len) return 0;
  uint64_t hash = fixed_hash(id);
  return hash ? hash : 1;
}

/* "%llx-" */
static char *add_hex(char *to, uint64_t n) {
  unsigned bits = (64 - (unsigned)__builtin_clzll(n | 1) + 3) / 4 * 4;
  while (bits) *to++ = hex_digit((unsigned)(n >> (bits -= 4)));
  *to++ = '-';
  return to;
}

/* What is before the name: as FORM, whose printf for each entry cost a tenth of its way. */
static size_t add_head(const struct leftover *l, char out[NAME_SIZE]) {
  memcpy(out, words[l->kind], WORD);
  char *to = add_hex(out + WORD, l->content);
  to = add_hex(to, l->old.inode);
  to = add_hex(to, (uint64_t)l->old.size);
  to = add_hex(to, (uint64_t)l->old.mtime_ns);
  to = add_hex(to, l->place);
  return (size_t)(to - out);
}
_Static_assert(WORD + 5 * (16 + 1) + ENDING < NAME_SIZE, "a name has room behind its head");

void leftover_name(const struct leftover *l, char out[NAME_SIZE]) {
  BUG_ON_RULE(S7, l->place >= PLACES);
  size_t head = add_head(l, out), room = NAME_SIZE - 1 - head, len = strlen(l->name);
  BUG_ON_RULE(S7, len <= ENDING || strcmp(l->name + len - ENDING, ".json") != 0);
  bool cut = len > room;
  size_t stem = cut ? room - ENDING : len - ENDING;
  memcpy(out + head, l->name, stem);
  memcpy(out + head + stem, ".json", ENDING + 1);
  if (out[head] == '.') out[head] = '_'; /* a hidden name would stay hidden when it comes back */
}

bool leftover_parse(const char *file, struct leftover *l) {
  unsigned long long content, inode, size, mtime_ns;
  unsigned place, kind = 0;
  int at = -1;
  while (kind < sizeof words / sizeof *words && strncmp(file, words[kind], WORD) != 0) kind++;
  if (kind == sizeof words / sizeof *words) return false;
  file += WORD;
  if (sscanf(file, FORM "%n", &content, &inode, &size, &mtime_ns, &place, &at) != 5 || at < 0)
    return false;
  if (place >= PLACES || !name_is_entry(file + at)) return false;
  *l = (struct leftover){
      .kind = (enum leftover_kind)kind,
      .content = content,
      .old = {.inode = inode, .size = (int64_t)size, .mtime_ns = (int64_t)mtime_ns},
      .place = (enum place)place,
      .name = file + at};
  return true;
}

bool leftover_is(const char *file) {
  struct leftover l;
  return leftover_parse(file, &l);
}

bool leftover_cut(const char *file) {
  return strlen(file) == NAME_SIZE - 1;
}

uint64_t leftover_count(const struct state *s, int64_t now_us) {
  struct stat st;
  uint64_t count = 0;
  int fd = state_tmp(s) < 0 ? -1 : openat(state_tmp(s), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d && fd >= 0) close(fd);
  for (struct dirent *e; d && (e = readdir(d));)
    if (leftover_is(e->d_name) && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
      count += now_us - ((int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000) >=
               LEFT_LONG_US;
  if (d) closedir(d);
  return count;
}
