/* Which release may work on what lies in .busbridge. Its marker, `format`, counts for all of it; a
 * file whose first line tells its own form is asked too. Both come before anything is made or
 * changed. Any thread; it only reads, so a crash leaves nothing. */
#include "bridge/outbox/file/site/forms.h"
#include "bridge/base/disk/durable.h"
#include "bridge/base/text/words.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define THIS "this one (" BUSBRIDGE_VERSION ")"

/* A name that ends in - begins others. Manifests are asked by the journal, which reads two forms.
 * The rest has no form of its own (id, ledger, typed, keys-due, selections, audit.log), is made
 * anew where it is another's (hands), or is only compared with what is in force (order, schemas): a
 * release that writes those otherwise counts the marker up. */
static const struct {
  const char *file, *head;
  uint64_t most;
} forms[] = {{"aside", "busbridge-aside ", 1}, {"holds", "busbridge-holds ", 1},
             {"ids", "busbridge-ids ", 1},     {"metrics", "busbridge-metrics ", 1},
             {"paused", "{\"version\":", 1},   {"replay-", "{\"busbridge-selection\":", 1}};

static bool number_at(struct span text, uint64_t *number) {
  size_t digits = 0;
  text = span_trim(text);
  while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') digits++;
  return number_parse((struct span){text.ptr, digits}, UINT64_MAX, number);
}

/* What cannot be read, and what is not a file of ours, is told by whoever needs it. */
static enum status check_file(int folder, const char *name, size_t form, struct error *err) {
  char head[80];
  uint64_t number;
  int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  ssize_t len = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
  if (fd >= 0) close(fd);
  struct span text = {head, len < 0 ? 0 : (size_t)len};
  if (!span_starts(text, forms[form].head)) return ST_OK;
  size_t at = strlen(forms[form].head);
  bool known =
      !number_at((struct span){head + at, text.len - at}, &number) || number <= forms[form].most;
  if (known) return ST_OK;
  return error_set(err, ST_UNSUPPORTED,
                   "%s has the form %" PRIu64 " of another release of busbridge; " THIS
                   " reads the form %" PRIu64 ". Start that release; nothing was changed",
                   name, number, forms[form].most);
}

static enum status check_name(int folder, const char *name, struct error *err) {
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < sizeof forms / sizeof *forms; i++) {
    struct span file = span_of(forms[i].file);
    bool begins = file.ptr[file.len - 1] == '-' && span_starts(span_of(name), file.ptr);
    if (begins || span_is(file, name)) st = check_file(folder, name, i, err);
  }
  return st;
}

static enum status check_files(int folder, struct error *err) {
  int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  enum status st = ST_OK;
  if (!dir && fd >= 0) close(fd);
  for (struct dirent *e; dir && st == ST_OK && (e = readdir(dir));)
    st = check_name(folder, e->d_name, err);
  if (dir) closedir(dir);
  return st;
}

static enum status read_marker(int folder, uint64_t *number, struct error *err) {
  struct buffer text = {0};
  struct span release;
  *number = 1; /* 0.1.0 writes none */
  enum status st = file_read(folder, FORMAT_FILE, 200, &text, err);
  struct span rest = span_trim(buffer_span(&text)), word;
  if (st == ST_OK && (!span_word(&rest, &word) || !number_parse(word, UINT64_MAX, number)))
    st =
        error_set(err, ST_INVALID,
                  FORMAT_FILE " does not begin with a number: put it back as it was, or remove it");
  if (st == ST_OK && *number > FORMAT) {
    if (!span_word(&rest, &release)) release = SPAN("another release");
    st = error_set(err, ST_UNSUPPORTED,
                   "the outbox has the format %" PRIu64 ", of busbridge %.*s; " THIS
                   " reads the formats 1 and %d. Start that release; nothing was changed",
                   *number, SPAN_ARGS(release), FORMAT);
  }
  buffer_release(&text);
  return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status forms_check(int folder, struct error *err) {
  uint64_t number;
  enum status st = read_marker(folder, &number, err);
  return st == ST_OK ? check_files(folder, err) : st;
}

bool forms_marked(int folder) {
  uint64_t number;
  return read_marker(folder, &number, NULL) == ST_OK && number == FORMAT;
}
