/* Lists entries in order: names and times of all first, then only as many files as are shown. The
 * reader knows the front of a long backlog; else, and behind it, a pass over the folders finds the
 * names.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/file/operators/describe.h"
#include "bridge/outbox/file/settling/aside.h"

#include <fcntl.h>

#define SHORT_LIST 500 /* entries that the front may serve */
/* Names a pass keeps, whatever is wanted: the first may be files that are not ours */
#define PASS_LEAST 500
#define FRONTS 8u /* so many times it is asked: most it knew may be files that are not ours */

struct list {
  struct fs_look look;
  struct fs_names names;
  struct fs_cursor cursor;
  enum place place;
  const struct store_range *range; /* NULL: any time */
  size_t limit;                    /* entries wanted, 0 = all */
  unsigned rounds;                 /* windows before this one */
  uint64_t total;
  int64_t kept_ns; /* mtime of the name that was kept last */
  bool failed;     /* memory */
};

/* A dead letter keeps its time of arrival, which is not what is asked for. */
static bool in_range(const struct list *l, const struct stamp *stamp) {
  const struct store_range *r = l->range;
  int64_t us = stamp->mtime_ns / 1000;
  if (!r || fs_shelf(l->place) == SHELF_DEAD) return true;
  return (r->since_us == TIME_NONE || us >= r->since_us) &&
         (r->until_us == TIME_NONE || us <= r->until_us);
}

static bool list_name(void *ctx, const char *name, unsigned char type) {
  struct list *l = ctx;
  struct stat st;
  (void)type;
  if (!name_is_entry(name)) return true;
  if (fstatat(fs_folder(l->look.s->site, l->place), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return true;
  if (!S_ISREG(st.st_mode)) return true;
  bool waits = fs_shelf(l->place) != SHELF_DEAD;
  if (st.st_nlink != 1 && waits && !l->look.all) return true;
  struct stamp stamp = fs_stamp_of(&st);
  if (waits && fs_foreign_known(l->look.s, &stamp)) return true;
  if (fs_not_yet(l->look.s->site, l->place, &stamp) && !l->look.all) return true;
  if (waits && fs_aside_out(l->look.s, l->place, name, &stamp)) return true;
  if (!in_range(l, &stamp)) return true;
  l->total++;
  if (!fs_cursor_before(&l->cursor, stamp.mtime_ns, l->place, name)) return true;
  l->kept_ns = stamp.mtime_ns;
  if (!fs_names_add(&l->names, stamp.mtime_ns, l->place, name, false)) l->failed = true;
  return !l->failed;
}

/* ---- what the reader knows ---- */

static int64_t told_name(void *ctx, enum place place, const char *name) {
  struct list *l = ctx;
  l->place = place;
  l->kept_ns = FS_NOT_THERE;
  list_name(l, name, 0);
  return l->kept_ns;
}

/* True: names are the oldest behind the cursor, more than there is room for. Some it tells twice,
 * so there is room for three times what is wanted. */
static bool list_front(struct list *l) {
  uint64_t pending = 0;
  int64_t known_ns = INT64_MIN;
  bool told = false;
  if (l->range || !l->limit || l->limit > SHORT_LIST || l->rounds >= FRONTS ||
      l->look.s->site->inspect)
    return false;
  l->names.limit = 3 * l->limit;
  for (unsigned tries = 0; tries < 3 && !told && !l->failed; tries++) {
    fs_names_clear(&l->names);
    told = fs_front_tell(l->look.s, l->cursor.mtime_ns, l->names.limit, told_name, l, &known_ns,
                         &pending);
  }
  l->total = pending;
  return told && !l->failed && l->names.cut &&
         l->names.at[0].mtime_ns <= known_ns; /* at[0]: its newest */
}

/* ---- a window of names ---- */

static enum status list_place(struct list *l, enum place place, struct error *err) {
  int folder = fs_folder(l->look.s->site, place);
  if (folder < 0) return ST_OK;
  l->place = place;
  enum status st = folder_walk(folder, list_name, l, err);
  if (st == ST_OK && l->failed) st = error_set(err, ST_NO_MEMORY, "no memory for the list");
  if (st != ST_OK)
    error_prefix(err, "%s/%s", state_path(fs_state(l->look.s->site, place)), place_inside(place));
  return st;
}

/* Only when files that are not ours took the places of a short list is a large window read. */
static void prepare_pass(struct list *l) {
  size_t window = l->look.s->site->c.window, keep = window;
  if (!l->rounds && l->limit && l->limit < window / 2)
    keep = l->limit > PASS_LEAST / 2 ? 2 * l->limit : PASS_LEAST < window ? PASS_LEAST : window;
  l->total = 0;
  l->failed = false;
  fs_names_release(&l->names);
  fs_names_init(&l->names, keep);
}

static enum status list_window(struct list *l, unsigned which, struct error *err) {
  bool front = (which & LIST_PENDING) && !(which & LIST_LOOK) && list_front(l);
  enum status st = ST_OK;
  if (!front) prepare_pass(l);
  for (unsigned p = 0; p < PLACES && st == ST_OK; p++) {
    enum shelf shelf = fs_shelf((enum place)p);
    bool wanted = shelf == SHELF_DEAD ? which & LIST_DEAD
                                      : !front && shelf == SHELF_PENDING && which & LIST_PENDING;
    if (wanted) st = list_place(l, (enum place)p, err);
  }
  if (st == ST_OK) fs_names_finish(&l->names);
  return st;
}

/* Of one that was passed over, where none may be: it is gone, or nothing that could ever be handed
 * out. */
static enum status no_entry(struct list *l, enum place place, const char *name, struct error *err) {
  if (!l->look.all) return ST_OK;
  switch (l->look.got) {
  case FS_UNREADABLE:
    return error_sys(err, l->look.loaded.sys, "reading %s%s", place_path(place), name);
  case FS_FAILED:
    return error_set(err, ST_NO_MEMORY, "no memory or descriptor to read %s%s", place_path(place),
                     name);
  case FS_UNSTABLE:
    return error_set(err, ST_BUSY, "%s%s is being written", place_path(place), name);
  default: return ST_OK;
  }
}

/* ST_END: enough were visited. */
static enum status visit_window(struct list *l, size_t *visited, store_visit_fn visit, void *ctx,
                                uint64_t *skipped, struct error *err) {
  struct entry_info info;
  for (size_t i = 0; i < l->names.count; i++) {
    const struct fs_slot *slot = &l->names.at[i];
    if (l->limit && *visited == l->limit) return ST_END;
    if (!fs_look_at(&l->look, (enum place)slot->place, fs_slot_name(slot), &info)) {
      enum status st = no_entry(l, (enum place)slot->place, fs_slot_name(slot), err);
      if (st != ST_OK) return st;
      ++*skipped;
      continue;
    }
    ++*visited;
    if (!visit(ctx, &info)) return ST_END;
  }
  return l->limit && *visited >= l->limit ? ST_END : ST_OK;
}

enum status fs_list(struct fs_shared *s, unsigned which, const struct store_range *range,
                    size_t limit, store_visit_fn visit, void *ctx, uint64_t *total,
                    struct error *err) {
  struct list l = {.look = {.s = s, .all = which & LIST_ALL},
                   .cursor.mtime_ns = INT64_MIN,
                   .range = range,
                   .limit = limit};
  size_t visited = 0;
  uint64_t skipped = 0;
  enum status st;
  *total = 0;
  fs_look_around(l.look.s->site);
  for (; (st = list_window(&l, which, err)) == ST_OK; l.rounds++) {
    if (!l.rounds) *total = l.total;
    st = visit_window(&l, &visited, visit, ctx, &skipped, err);
    if (st != ST_OK || !l.names.cut) break;
    fs_cursor_set(&l.cursor, &l.names, l.names.count);
    fs_names_clear(&l.names);
  }
  *total = *total > skipped ? *total - skipped : 0;
  fs_names_release(&l.names);
  fs_loaded_release(&l.look.loaded);
  return st == ST_END ? ST_OK : st;
}
