/* The copy of the dead letters that are about to be purged: one JSON object a line, durable before
 * the first of them goes.
 * The command's one thread; a crash leaves part of the copy, and every dead letter. */
#include "admin/bulk/bulk_parts.h"
#include "bridge/base/disk/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

struct copy {
  struct admin *admin; /* where it goes to standard output; else NULL */
  int folder, fd;
  char name[NAME_MAX + 1];
};

static enum status copy_open(struct copy *c, const char *path, struct error *err) {
  struct buffer folder = {0};
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  c->fd = -1;
  if (!*name || strlen(name) > NAME_MAX)
    return error_set(err, ST_INVALID, "--export %s: expected a file", path);
  snprintf(c->name, sizeof c->name, "%s", name);
  buffer_append(&folder, slash ? path : ".", slash > path ? (size_t)(slash - path) : 1);
  c->folder = open(buffer_z(&folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  enum status st =
      c->folder < 0 ? error_sys(err, errno, "--export: the folder %s", buffer_z(&folder)) : ST_OK;
  buffer_release(&folder);
  if (st == ST_NOT_FOUND)
    err->status = st = ST_IO; /* of the file: a failure, not an answer that is empty */
  if (st != ST_OK) return st;
  st = durable_write_new(c->folder, c->name, (struct span){"", 0}, NULL, err);
  if (st == ST_EXISTS)
    return error_set(err, ST_EXISTS, "%s is there already; --export makes a new file", path);
  if (st != ST_OK) return error_prefix(err, "--export %s", path);
  c->fd = openat(c->folder, c->name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  return c->fd < 0 ? error_sys(err, errno, "opening %s", path) : ST_OK;
}

/* What is not whole goes, where it can: nothing was purged. */
static void copy_close(struct copy *c, bool whole) {
  if (c->fd >= 0) {
    close(c->fd);
    enum status st = whole ? ST_OK : durable_unlink(c->folder, c->name, NULL);
    (void)st;
  }
  if (c->folder >= 0) close(c->folder);
}

/* What could not be written there is said by admin_flush. */
static enum status print_lines(struct copy *c, struct span lines, struct error *err) {
  buffer_add(&c->admin->out, lines);
  return admin_flush(c->admin) == CODE_OK
             ? ST_OK
             : error_set(err, ST_IO, "standard output does not take the copy");
}

static enum status write_lines(struct bulk_going *g, struct copy *c, struct error *err) {
  uint32_t list = answer_node(&g->doc, 0, "entries"), node = JSON_NONE;
  struct buffer lines = {0};
  while (list != JSON_NONE && answer_each(&g->doc, list, &node)) {
    buffer_add(&lines, json_slice(&g->doc, node));
    buffer_add_char(&lines, '\n');
  }
  enum status st = buffer_status(&lines, err);
  if (st == ST_OK && lines.len > 0)
    st = c->admin ? print_lines(c, buffer_span(&lines), err)
                  : durable_append_sync(c->fd, buffer_span(&lines), err);
  if (st != ST_OK) error_prefix(err, "nothing was purged; --export %s", c->name);
  buffer_release(&lines);
  return st;
}

static enum status copy_all(struct bulk_going *g, struct copy *c, struct error *err) {
  struct buffer from = {0};
  enum status st;
  do {
    if (interrupts()) {
      st = error_set(err, ST_CANCELLED, "interrupted while exporting; nothing was purged");
      break;
    }
    buffer_clear(&g->json);
    st = client_bulk_entries(g->client, g->selection, buffer_z(&from), &g->json, err);
    if (st == ST_OK) st = bulk_read(g, err);
    if (st == ST_OK) st = write_lines(g, c, err);
    buffer_clear(&from);
  } while (st == ST_OK && answer_text(&g->doc, 0, "next", &from) && from.len > 0);
  buffer_release(&from);
  return st;
}

enum status bulk_export(struct bulk_going *g, const char *path, struct error *err) {
  struct copy c = {.folder = -1, .fd = -1};
  if (strcmp(path, "-") == 0) {
    c.admin = g->bulk->admin;
    return copy_all(g, &c, err);
  }
  enum status st = copy_open(&c, path, err);
  if (st == ST_OK) st = copy_all(g, &c, err);
  if (st == ST_OK) st = durable_sync_folder(c.folder, err);
  copy_close(&c, st == ST_OK);
  return st;
}
