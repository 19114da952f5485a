/* What a process keeps beside an outbox in a folder. A crash leaves the old file or the new one.
 * Any thread. */
#include "bridge/service/process/home.h"

#include "bridge/base/disk/durable.h"
#include "bridge/outbox/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct home {
  int outbox, folder, tmp;
};

static int open_folder(int parent, const char *name) {
  return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

enum status home_open(const char *url, struct home **out, struct error *err) {
  const char *outbox = NULL;
  *out = NULL;
  enum status st = store_address(url, &outbox, err);
  struct home *h = st == ST_OK ? calloc(1, sizeof *h) : NULL;
  if (st == ST_OK && !h)
    st = error_set(err, ST_NO_MEMORY, "no memory for what lies beside the outbox");
  if (st != ST_OK) return st;
  h->outbox = open(outbox, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  h->folder = h->outbox < 0 ? -1 : open_folder(h->outbox, ".busbridge");
  h->tmp = h->folder < 0 ? -1 : open_folder(h->folder, "tmp");
  *out = h;
  return ST_OK;
}

void home_close(struct home *h) {
  if (!h) return;
  if (h->tmp >= 0) close(h->tmp);
  if (h->folder >= 0) close(h->folder);
  if (h->outbox >= 0) close(h->outbox);
  free(h);
}

int home_folder(const struct home *h) {
  return h->folder;
}
int home_tmp(const struct home *h) {
  return h->tmp;
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

enum status home_socket_path(const char *url, struct buffer *out, struct error *err) {
  const char *outbox = NULL;
  enum status st = store_address(url, &outbox, err);
  if (st != ST_OK) return st;
  buffer_printf(out, "%s/.busbridge/control.sock", outbox);
  return buffer_status(out, err);
}
