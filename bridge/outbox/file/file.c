/* An outbox of files is opened, begun and closed, part by part. One thread, nobody else uses it
 * meanwhile. A crash leaves a folder that is there or not. */
#include "bridge/outbox/file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum status open_folder(struct fs_site *s, enum place place, bool make, struct error *err) {
  int root = fs_root(s, place), fd = -1;
  const char *name = place_folder(place);
  enum status st = ST_OK;
  if (make)
    st = durable_folder(root, name, 0770, &fd, err);
  else
    fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (st == ST_OK && fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
    st = error_sys(err, errno, "opening the folder %s", name);
  if (st != ST_OK) {
    error_prefix(err, "in the outbox %s", state_path(fs_state(s, place)));
    return st;
  }
  atomic_store(&s->folder[place], fd);
  return ST_OK;
}

static enum status open_folders(struct fs_site *s, struct error *err) {
  bool change = !s->inspect;
  enum status st = change ? fs_check_mounts(s, SIDE_FLAT, err) : ST_OK;
  if (st == ST_OK && change) st = fs_check_mounts(s, SIDE_TYPED, err);
  for (unsigned p = PLACE_PENDING; p < PLACES && st == ST_OK; p++) {
    enum shelf shelf = fs_shelf((enum place)p);
    bool needed = shelf == SHELF_DEAD || (shelf == SHELF_SENT && s->c.keep_sent);
    if (fs_state(s, (enum place)p)) st = open_folder(s, (enum place)p, change && needed, err);
  }
  return st;
}

static struct fs *make_fs(const struct store_options *options) {
  struct fs *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  struct fs_site *site = &s->site;
  struct fs_shared *shared = &s->shared;
  struct fs_reader *reader = &s->reader;
  *site = (struct fs_site){.inspect = !options->create,
                           .clock = options->clock,
                           .log = options->log,
                           .lifting = options->lifting};
  for (unsigned p = 0; p < PLACES; p++) atomic_init(&site->folder[p], -1);
  mutex_init(&site->taking);
  mutex_init(&site->syncing);
  shared->site = site;
  shared->wake_fd = -1;
  shared->wanted = 1; /* the first scan */
  shared->figures.head_ns = shared->figures.parked_ns = INT64_MAX;
  shared->known_ns = INT64_MIN;
  mutex_init(&shared->lock);
  reader->site = site;
  reader->shared = shared;
  reader->inotify = -1;
  for (unsigned p = 0; p < PLACES; p++) reader->watch[p] = -1;
  reader->sent_swept_us = TIME_NONE;
  reader->clock_offset_us = clock_wall_us(site->clock) - clock_mono_ns(site->clock) / 1000;
  s->finisher.site = site;
  s->finisher.shared = shared;
  return s;
}

static void release_reader(struct fs_reader *s) {
  fs_watch_close(s);
  fs_growing_release(s);
  free(s->group.at);
  arena_release(&s->group.arena);
  fs_loaded_release(&s->loaded);
  digest_set_release(&s->told);
  digest_set_release(&s->said);
  digest_set_release(&s->refused);
}

static void release_shared(struct fs_shared *s) {
  wake_close(s->wake_fd);
  fs_shared_release(s);
  fs_names_release(&s->names);
  fs_names_release(&s->queue);
  fs_names_release(&s->parked);
  fs_names_release(&s->ahead);
  digest_set_release(&s->foreign);
  mutex_destroy(&s->lock);
}

static void release_site(struct fs_site *s) {
  for (unsigned p = PLACE_PENDING; p < PLACES; p++)
    if (fs_folder(s, (enum place)p) >= 0) close(fs_folder(s, (enum place)p));
  mutex_destroy(&s->taking);
  mutex_destroy(&s->syncing);
  state_close(s->typed);
  state_close(s->state);
}

void fs_close(void *impl) {
  struct fs *s = impl;
  if (!s) return;
  release_reader(&s->reader);
  fs_keys_due_close(s->due);
  fs_aside_release(&s->finisher);
  release_shared(&s->shared);
  release_site(&s->site);
  free(s);
}

/* ---- the typed side ---- */

/* Is it that folder, or does it lie in it? By what they are, so that neither a link nor a mount
 * hides it. */
static bool lies_in(int folder, const struct stat *top) {
  struct stat here, above = {0};
  int fd = openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  bool in = false;
  while (fd >= 0 && !in && fstat(fd, &here) == 0 && !folder_same(&here, &above)) {
    in = folder_same(&here, top);
    above = here;
    int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    fd = up;
  }
  if (fd >= 0) close(fd);
  return in;
}

/* Looked at before anything is made in it. */
static enum status check_apart(const struct fs_site *s, const char *path, struct error *err) {
  struct stat outbox, typed;
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && errno == ENOTDIR)
    return error_set(
        err, ST_INVALID,
        "outbox.typed: %s is not a folder; name that of the typed bus (with pending/ in it)", path);
  bool known = fd >= 0 && fstat(fd, &typed) == 0 && fstat(fs_folder(s, PLACE_FLAT), &outbox) == 0;
  bool in = known && lies_in(fd, &outbox);
  bool holds = known && lies_in(fs_folder(s, PLACE_FLAT), &typed);
  if (fd >= 0) close(fd);
  if (!in && !holds) return ST_OK; /* opening it says what else is wrong */
  return error_set(err, ST_INVALID,
                   "outbox.typed: %s %s the outbox %s; name the folder of the typed bus, which is "
                   "another one (with pending/ in it)",
                   path,
                   in && holds ? "is"
                   : in        ? "lies in"
                               : "holds",
                   state_path(s->state));
}

static enum status open_typed(struct fs_site *s, const struct store_options *options,
                              struct error *err) {
  if (!options->typed) return ST_OK;
  enum status st = check_apart(s, options->typed, err);
  if (st != ST_OK) return st;
  st = state_open(options->typed, options->create, options->clock, &s->typed, err);
  if (st != ST_OK) error_prefix(err, "outbox.typed");
  return st;
}

enum status fs_open(const char *address, const struct store_options *options, void **out,
                    struct error *err) {
  struct fs *s = make_fs(options);
  if (!s) return error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  enum status st = state_open(address, options->create, options->clock, &s->site.state, err);
  if (st == ST_OK) {
    atomic_store(&s->site.folder[PLACE_FLAT], state_outbox(s->site.state));
    st = open_typed(&s->site, options, err);
  }
  if (st != ST_OK) {
    fs_close(s);
    return st;
  }
  *out = s;
  return ST_OK;
}

enum status fs_begin(void *impl, const struct store_config *config, struct error *err) {
  struct fs *s = impl;
  struct fs_site *site = &s->site;
  struct fs_shared *shared = &s->shared;
  site->c = *config;
  if (!site->c.window) site->c.window = 1;
  fs_names_init(&shared->names, site->c.window);
  fs_names_init(&shared->queue, site->c.window);
  fs_names_init(&shared->parked, FS_FRONT);
  fs_names_init(&shared->ahead, FS_FRONT);
  enum status st = open_folders(site, err);
  if (st == ST_OK) st = fs_aside_open(&s->finisher, err);
  if (st != ST_OK || site->inspect) return st;
  fs_sync_targets(site);
  shared->wake_fd = wake_open();
  if (shared->wake_fd < 0) return error_sys(err, errno, "opening an eventfd");
  fs_watch_open(&s->reader);
  return ST_OK;
}
