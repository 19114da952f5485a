/* What a process keeps beside an outbox, in it where it is a folder. A crash leaves the old file or
 * the new one. Any thread. */
#include "bridge/service/process/home.h"

#include "bridge/base/disk/durable.h"
#include "bridge/base/table.h"
#include "bridge/base/text/words.h"
#include "bridge/outbox/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKET "control.sock"
#define READABLE 40

struct home {
  int folder, tmp;
  struct buffer path, socket;
};

static int open_folder(int parent, const char *name) {
  return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- what it is called, of an outbox that is no folder ---- */

/* Passwords change, and are nobody's to guess from a name. Unlike what people are shown, it tells
 * all else apart: of //USER:PASSWORD@HOST/...?QUERY everything else stays. */
static void add_url(const char *url, struct buffer *out) {
  const char *rest = url + strcspn(url, "@/?");
  size_t user = strcspn(url, ":@/?");
  struct buffer query = {0};
  if (*rest == '@')
    buffer_append(out, url, user);
  else
    rest = url;
  size_t host = strcspn(rest, "?");
  buffer_append(out, rest, host);
  buffer_printf(&query, "//%s", rest + host);
  url_show(out, buffer_span(&query));
  buffer_release(&query);
}

/* A path is the same by whatever way it is named. */
static void add_identity(const char *address, struct buffer *out) {
  bool is_url = strncmp(address, "//", 2) == 0;
  char *path = is_url ? NULL : realpath(address, NULL);
  if (is_url)
    add_url(address + 2, out);
  else
    buffer_add_z(out, path ? path : address);
  free(path);
}

/* The last word of its path: what people know it by. */
static void add_readable(struct span shown, struct buffer *out) {
  size_t end = 0, begin;
  while (end < shown.len && shown.ptr[end] != '?') end++;
  while (end && shown.ptr[end - 1] == '/') end--;
  for (begin = end; begin && !strchr("/@:", shown.ptr[begin - 1]);) begin--;
  if (end - begin > READABLE) end = begin + READABLE;
  for (size_t i = begin; i < end; i++) {
    char c = shown.ptr[i];
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || (c == '.' && i > begin);
    buffer_add_char(out, plain ? c : '_');
  }
}

/* "orders-0123456789abcdef" */
static void add_name(const char *url, struct buffer *out) {
  const char *address = strchr(url, ':');
  struct buffer whole = {0}, shown = {0};
  address = address ? address + 1 : url;
  buffer_append(&whole, url, (size_t)(address - url));
  add_identity(address, &whole);
  url_show(&shown, span_of(address));
  struct digest d = digest_fixed(buffer_span(&whole));
  add_readable(buffer_span(&shown), out);
  buffer_printf(out, "-%016llx", (unsigned long long)d.lo);
  buffer_release(&whole);
  buffer_release(&shown);
}

/* ---- where it is ---- */

static void place_of(const char *dir, const char *url, struct buffer *path) {
  buffer_clear(path);
  buffer_printf(path, "%s/", dir);
  add_name(url, path);
}

static bool is_there(struct buffer *place, const char *file) {
  struct buffer path = {0};
  struct stat st;
  buffer_printf(&path, "%s%s%s", buffer_z(place), *file ? "/" : "", file);
  bool there = !path.failed && lstat(buffer_z(&path), &st) == 0;
  buffer_release(&path);
  return there;
}

/* Of several the one where a worker is, else one that was made, else the likeliest. */
static void find_place(const struct settings *settings, const char *url, struct buffer *path) {
  static const char *const marks[] = {SOCKET, ""};
  const char *dirs[STATE_DIRS];
  size_t count = settings_state_dirs(settings, dirs);
  for (size_t mark = 0; mark < 2; mark++)
    for (size_t i = 0; i < count; i++) {
      place_of(dirs[i], url, path);
      if (is_there(path, marks[mark])) return;
    }
  place_of(dirs[0], url, path);
}

static enum status find(const struct settings *settings, struct buffer *path, struct error *err) {
  const char *url = setting_text(settings, SETTING_OUTBOX_URL), *outbox = store_path(url);
  if (outbox)
    buffer_printf(path, "%s/.busbridge", outbox);
  else
    find_place(settings, url, path);
  return buffer_status(path, err);
}

/* ---- made for the owner ---- */

/* dir is everybody's who may be there, the folder in it the owner's and its group's. */
static enum status make_in(const char *dir, const char *name, struct error *err) {
  int parent = -1, fd = -1, tmp = -1;
  enum status st = ST_OK;
  if (mkdir(dir, 0755) != 0 && errno != EEXIST) return error_sys(err, errno, "%s", dir);
  parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) st = error_sys(err, errno, "%s", dir);
  if (st == ST_OK) st = durable_folder(parent, name, 0770, &fd, err);
  if (st == ST_OK) st = durable_folder(fd, "tmp", 0770, &tmp, err);
  if (st == ST_OK && faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0)
    st = error_sys(err, errno, "%s/%s", dir, name);
  if (tmp >= 0) close(tmp);
  if (fd >= 0) close(fd);
  if (parent >= 0) close(parent);
  return st;
}

/* In the first folder where that can be done. */
static enum status make(const struct settings *settings, const char *url, struct buffer *path,
                        struct error *err) {
  const char *dirs[STATE_DIRS];
  struct error first = {0}, why = {0};
  size_t count = settings_state_dirs(settings, dirs);
  for (size_t i = 0; i < count; i++) {
    place_of(dirs[i], url, path);
    const char *name = strrchr(buffer_z(path), '/');
    if (make_in(dirs[i], name + 1, &why) == ST_OK) return buffer_status(path, err);
    if (!i) first = why;
  }
  return error_set(err, first.status,
                   "The socket and the figures of this outbox need a folder: %s; set state.dir to "
                   "one that this user may write",
                   first.text);
}

enum status home_open(const struct settings *settings, bool wanted, struct home **out,
                      struct error *err) {
  const char *url = setting_text(settings, SETTING_OUTBOX_URL);
  struct home *h = calloc(1, sizeof *h);
  *out = NULL;
  if (!h) return error_set(err, ST_NO_MEMORY, "no memory for what lies beside the outbox");
  h->folder = h->tmp = -1;
  enum status st = wanted && !store_path(url) ? make(settings, url, &h->path, err)
                                              : find(settings, &h->path, err);
  if (st == ST_OK) {
    buffer_printf(&h->socket, "%s/" SOCKET, buffer_z(&h->path));
    buffer_z(&h->socket); /* ends it */
    st = buffer_status(&h->socket, err);
  }
  if (st != ST_OK) {
    home_close(h);
    return st;
  }
  h->folder = open_folder(AT_FDCWD, buffer_z(&h->path));
  h->tmp = h->folder < 0 ? -1 : open_folder(h->folder, "tmp");
  *out = h;
  return ST_OK;
}

void home_close(struct home *h) {
  if (!h) return;
  if (h->tmp >= 0) close(h->tmp);
  if (h->folder >= 0) close(h->folder);
  buffer_release(&h->path);
  buffer_release(&h->socket);
  free(h);
}

int home_folder(const struct home *h) {
  return h->folder;
}
int home_tmp(const struct home *h) {
  return h->tmp;
}
const char *home_socket(const struct home *h) {
  return h->socket.ptr;
}

enum status home_read(const struct home *h, const char *file, size_t most, struct buffer *out,
                      struct error *err) {
  return h->folder < 0 ? ST_NOT_FOUND : file_read(h->folder, file, most, out, err);
}

/* By way of tmp, as all that lies there: what a crash leaves is removed by the next owner. Somebody
 * may have removed tmp, so it is looked for each time. */
enum status home_replace(const struct home *h, const char *file, struct span content,
                         struct error *err) {
  int tmp = -1;
  enum status st = durable_folder(h->folder, "tmp", 0770, &tmp, err);
  if (st == ST_OK) st = durable_replace(tmp, h->folder, file, content, err);
  if (tmp >= 0) close(tmp);
  return st;
}

enum status home_socket_path(const struct settings *settings, struct buffer *out,
                             struct error *err) {
  enum status st = find(settings, out, err);
  buffer_add_z(out, "/" SOCKET);
  return st == ST_OK ? buffer_status(out, err) : st;
}
