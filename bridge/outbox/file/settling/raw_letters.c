/* Dead letters whose bytes are not a JSON object: <stem>.raw, unread, beside a descriptor
 * <stem>.json, durable first. A crash between the two leaves the file in the outbox: refused again,
 * it is matched with its descriptor by inode. Many at once, all of one step before any of the next:
 * describe, sync dlq/, move, sync dlq/.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"

#include <fcntl.h>
#include <unistd.h>

#define FOLLOWED 8 /* exchanged that often meanwhile, dlq/ is not usable */

struct pair { /* of names in dlq/ */
  struct fs_failing *m;
  struct stamp stamp; /* it has by now */
  unsigned tried;     /* names */
  bool described;     /* its descriptor lies there */
  bool moved, ended;
  char json[NAME_SIZE], raw[NAME_SIZE];
};

struct letters {
  struct fs_shared *s;
  enum place dead; /* where they go: dlq/, or that of the typed side */
  int dlq;         /* our own descriptor of that folder */
  struct pair *list;
  size_t count;
};

static struct pair *end_of(const struct letters *l) {
  return l->list + l->count;
}

static bool going(const struct pair *p) {
  return fs_going(p->m) && !p->moved && !p->ended;
}

static int from_of(const struct letters *l, const struct pair *p) {
  return fs_folder(l->s->site, p->m->f->ref.place);
}

static bool unchanged(struct letters *l, struct pair *p) {
  return fs_unchanged(l->s->site, p->m->f->ref.place, p->m->name, &p->stamp, &p->m->f->how);
}

static bool there(int folder, const char *name, struct stat *st) {
  return fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Does what lies there describe the file? One that cannot be read and has its time may be the
 * descriptor that an earlier try wrote: it is waited for, a second one would be a second dead
 * letter. raw: bytes lie beside it. Where none do, in a copy that was put back, the inode is
 * another: its time tells. */
static enum status find_descriptor(struct letters *l, struct pair *p, const struct stat *st,
                                   bool raw) {
  bool same_time = fs_stamp_of(st).mtime_ns == p->stamp.mtime_ns;
  struct fs_loaded loaded = {0};
  uint64_t named = 0;
  struct error *err = &p->m->f->error;
  enum fs_read got = fs_load(l->s->site, &loaded, l->dead, p->json, err);
  p->described = got == FS_READ && fs_loaded_parse(&loaded, NULL) == ST_OK &&
                 fs_loaded_is_object(&loaded) && fs_descriptor(&loaded.doc, &named) &&
                 (named == p->stamp.inode || (!raw && same_time));
  bool perhaps = got == FS_UNREADABLE && same_time;
  enum status s = got == FS_FAILED ? err->status : ST_OK;
  if (perhaps) s = error_sys(err, loaded.sys, "reading %s%s", place_path(l->dead), p->json);
  fs_loaded_release(&loaded);
  return s;
}

/* dlq/ lies on another file system. */
static enum status copy_in(int dlq, int from, const char *name, const char *to_name,
                           struct stat *copied, struct error *err) {
  char tmp[NAME_SIZE];
  enum status st = fs_copy(from, name, dlq, tmp, copied, err);
  if (st != ST_OK) return st;
  st = durable_move(dlq, tmp, dlq, to_name, err);
  if (st == ST_OK) return ST_OK;
  enum status gone = durable_unlink(dlq, tmp, NULL);
  (void)gone; /* it goes with what a crash leaves */
  return st;
}

/* ---- describe ---- */

static enum status begin_descriptor(struct letters *l, struct pair *p) {
  struct buffer text = {0};
  struct fs_failing *m = p->m;
  fs_describe_raw(place_side(l->dead), (struct span){p->json, strlen(p->json) - 5}, &p->stamp,
                  &m->f->why, &text);
  enum status st = buffer_status(&text, &m->f->error);
  if (st == ST_OK)
    st = fs_tmp_begin(l->s->site, l->dead, buffer_span(&text), &p->stamp.mtime_ns, m->tmp, &m->fd,
                      &m->f->error);
  m->written = st == ST_OK;
  buffer_release(&text);
  return st;
}

/* An earlier try copied the bytes and did not come to its end, perhaps because the copy's name
 * could not be synced: asked once more, the kernel would say it is. */
static enum status copy_anew(struct letters *l, struct pair *p) {
  return durable_unlink(l->dlq, p->raw, &p->m->f->error);
}

/* A free pair of names, its descriptor begun; or the pair that an earlier try began with. */
static enum status choose_pair(struct letters *l, struct pair *p) {
  uint64_t which[3] = {p->stamp.inode, (uint64_t)p->stamp.size, (uint64_t)p->stamp.mtime_ns};
  uint64_t digest = digest_fixed((struct span){(const char *)which, sizeof which}).lo;
  const char *name = p->m->name;
  struct stat st;
  for (; p->tried < NAME_TRIES; p->tried++) {
    name_try(name, p->tried, digest, ".json", p->json);
    name_with(p->json, ".raw", p->raw);
    bool raw = there(l->dlq, p->raw, &st), json = there(l->dlq, p->json, &st);
    if (!raw && !json) return begin_descriptor(l, p);
    bool ours = json && (!raw || fs_is_copy(from_of(l, p), name, l->dlq, p->raw));
    enum status found = ours ? find_descriptor(l, p, &st, raw) : ST_OK;
    if (found != ST_OK) return found;
    if (p->described) return raw ? copy_anew(l, p) : ST_OK;
  }
  return error_set(&p->m->f->error, ST_EXISTS, "no free name for %s%s", place_path(l->dead), name);
}

static enum status place_descriptor(struct letters *l, struct pair *p) {
  struct fs_failing *m = p->m;
  struct stat copied;
  int tmp = fs_tmp(l->s->site, l->dead);
  m->written = false; /* whatever comes of it */
  enum status st = durable_move(tmp, m->tmp, l->dlq, p->json, &m->f->error);
  bool elsewhere = st == ST_UNSUPPORTED;
  if (elsewhere) st = copy_in(l->dlq, tmp, m->tmp, p->json, &copied, &m->f->error);
  if (elsewhere || st != ST_OK) fs_tmp_drop(l->s->site, l->dead, m->tmp);
  p->described = st == ST_OK;
  return st;
}

static void fail_all(struct letters *l, enum status st, const struct error *err) {
  for (struct pair *p = l->list; p < end_of(l); p++) {
    if (!going(p)) continue;
    p->m->f->status = st;
    p->m->f->error = *err;
  }
}

/* Not where a successor found the descriptor and moved the bytes by it, which is why they are gone.
 */
static void drop_pair(const struct letters *l, const struct pair *p) {
  struct stat moved;
  if (there(l->dlq, p->raw, &moved)) return;
  enum status st = durable_unlink(l->dlq, p->json, NULL);
  (void)st; /* it stays as a dead letter without bytes; replaying it says so */
}

/* Where that fails they go: the kernel says it once, and the next try would take them for durable.
 */
static void sync_descriptors(struct letters *l) {
  struct error err = {0};
  enum status st = fs_sync_held(l->s->site, l->dead, l->dlq, &err);
  for (struct pair *p = l->list; st != ST_OK && p < end_of(l); p++)
    if (going(p) && p->described) drop_pair(l, p);
  if (st != ST_OK) fail_all(l, st, &err);
}

/* Whose name is taken in that moment, by one beside it or by somebody else, gets another one in the
 * next round. */
static void describe_all(struct letters *l, struct fs_failing *const *list,
                         struct durable_file *files) {
  bool more = true, any = false;
  while (more) {
    more = false;
    for (struct pair *p = l->list; p < end_of(l); p++)
      if (going(p) && !p->described) p->m->f->status = choose_pair(l, p);
    fs_failing_wait(l->s->site, list, files, l->count);
    for (struct pair *p = l->list; p < end_of(l); p++) {
      if (!going(p) || !p->m->written) continue;
      enum status st = place_descriptor(l, p);
      more |= st == ST_EXISTS;
      p->tried += st == ST_EXISTS;
      if (st != ST_EXISTS) p->m->f->status = st;
    }
  }
  for (struct pair *p = l->list; p < end_of(l); p++) any |= going(p) && p->described;
  if (any) sync_descriptors(l);
}

/* ---- move ---- */

/* Out of tmp to another file system. A crash before it goes there leaves both, which the next
 * holder of the lock sees. What cannot go is not copied either. ST_AGAIN: dlq/ was exchanged
 * meanwhile, and nothing of it stays there. */
static enum status copy_raw(struct letters *l, struct pair *p, const char *tmp, struct error *err) {
  int from = fs_tmp(l->s->site, l->dead);
  struct stat was;
  enum status st = fs_leave_for_good(l->s->site, p->m->f->ref.place, err);
  if (st == ST_OK) st = copy_in(l->dlq, from, tmp, p->raw, &was, err);
  if (st != ST_OK) return st;
  st = fs_sync_held(l->s->site, l->dead, l->dlq, err);
  bool right = st != ST_OK || fs_in_place(l->s->site, l->dead, l->dlq);
  if (st == ST_OK && right) st = durable_remove_copied(from, tmp, &was, err);
  if (st == ST_OK && right) return fs_sync_fd(l->s->site, from, err);
  if (!folder_has(from, tmp)) return st;
  enum status gone = durable_unlink(l->dlq, p->raw, NULL);
  (void)gone; /* the next try, or the next holder of the lock, sees it */
  if (right) return st;
  drop_pair(l, p);
  return ST_AGAIN;
}

/* Moved unread, by way of tmp, where it is known whether it was the same file: if not, it goes
 * back. */
static enum status move_raw(struct letters *l, struct pair *p) {
  struct fs_failed *f = p->m->f;
  const struct leftover left = {
      .kind = LEFTOVER_BACK, .old = p->stamp, .place = f->ref.place, .name = p->m->name};
  char tmp[NAME_SIZE];
  struct stamp now;
  enum status st = fs_pull(l->s->site, &left, tmp, &now, &f->error);
  if (st == ST_NOT_FOUND) f->how = SETTLED_VANISHED;
  if (st != ST_OK) return st == ST_NOT_FOUND ? ST_OK : st;
  f->how = fs_stamp_alike(&now, &p->stamp) ? SETTLED_GONE : SETTLED_CHANGED;
  if (f->how == SETTLED_GONE)
    st = durable_move(fs_tmp(l->s->site, l->dead), tmp, l->dlq, p->raw, &f->error);
  if (st == ST_UNSUPPORTED) st = copy_raw(l, p, tmp, &f->error);
  if (f->how == SETTLED_GONE && st == ST_OK) return ST_OK;
  /* Which syncs the folder that others left: first where they went. */
  enum status kept = fs_sync_held(l->s->site, l->dead, l->dlq, NULL);
  (void)kept; /* it stays dirty; this one must not stay in tmp */
  enum status back = fs_put_back(l->s->site, f->ref.place, p->m->name, tmp, NULL);
  (void)back; /* else the next holder of the lock does it */
  return st;
}

static void move_all(struct letters *l) {
  for (struct pair *p = l->list; p < end_of(l); p++) {
    struct fs_failed *f = p->m->f;
    if (!going(p)) continue;
    if (unchanged(l, p)) f->status = move_raw(l, p);
    p->moved = f->status == ST_OK && f->how == SETTLED_GONE;
    if (f->status != ST_OK || p->moved) continue;
    drop_pair(l, p);
    p->m->over = true;
  }
}

/* ---- dlq/ may have been exchanged meanwhile ---- */

/* It went along with a folder that was moved away. */
static bool bring_back(struct letters *l, struct pair *p) {
  if (durable_move(l->dlq, p->raw, from_of(l, p), p->m->name, NULL) != ST_OK) return false;
  drop_pair(l, p);
  return true;
}

/* It was taken out and put back, which changed its stamp. */
static void stamp_again(struct letters *l, struct pair *p) {
  struct stat st;
  if (there(from_of(l, p), p->m->name, &st) && st.st_ino == p->stamp.inode)
    p->stamp.ctime_ns = fs_stamp_of(&st).ctime_ns;
}

/* Is it to be tried again, in the folder that lies there now? What failed in that one is left: the
 * next try, which may be the caller's, finds the descriptor. */
static bool go_again(struct letters *l, struct pair *p, bool right) {
  struct fs_failed *f = p->m->f;
  bool failed = f->status != ST_OK, asked = f->status == ST_AGAIN;
  bool again = !p->m->over && (failed ? asked || !right : !right && bring_back(l, p));
  p->ended = !again && !p->moved;
  if (!again) return false;
  if (asked || !failed) stamp_again(l, p);
  if (p->m->written) fs_tmp_drop(l->s->site, l->dead, p->m->tmp);
  p->m->written = false;
  f->status = ST_OK;
  p->tried = 0;
  p->described = p->moved = false;
  return true;
}

static bool end_round(struct letters *l) {
  struct error err = {0};
  bool right = fs_in_place(l->s->site, l->dead, l->dlq), again = false, any = false;
  for (struct pair *p = l->list; p < end_of(l); p++) {
    if (p->ended) continue;
    again |= go_again(l, p, right);
    any |= p->moved;
  }
  enum status st = any ? fs_sync_held(l->s->site, l->dead, l->dlq, &err) : ST_OK;
  for (struct pair *p = l->list; p < end_of(l); p++) {
    if (p->ended || !p->moved) continue;
    p->ended = true;
    fs_dead_figure(l->s, 1);
    p->m->f->status = st;
    if (st != ST_OK) p->m->f->error = err;
  }
  return again;
}

static bool one_round(struct letters *l, struct fs_failing *const *list,
                      struct durable_file *files) {
  struct error err = {0};
  enum status st = fs_hold(l->s->site, l->dead, &l->dlq, &err);
  if (st != ST_OK) {
    fail_all(l, st, &err);
    return false;
  }
  for (struct pair *p = l->list; p < end_of(l); p++)
    if (going(p)) p->m->over = !unchanged(l, p);
  describe_all(l, list, files);
  move_all(l);
  bool again = end_round(l);
  close(l->dlq);
  return again;
}

void fs_dead_raw_all(struct fs_shared *s, struct fs_failing *const *list,
                     struct durable_file *files, size_t count) {
  struct error exchanged;
  static const struct error no_room = {.status = ST_NO_MEMORY, .text = "out of memory"};
  struct letters l = {.s = s, .list = count ? calloc(count, sizeof *l.list) : NULL};
  bool again = l.list != NULL;
  for (size_t i = 0; i < count; i++) {
    if (l.list) l.list[i] = (struct pair){.m = list[i], .stamp = list[i]->f->ref.stamp};
    if (l.list || !fs_going(list[i])) continue;
    list[i]->f->status = no_room.status;
    list[i]->f->error = no_room;
  }
  l.count = l.list ? count : 0;
  if (count) l.dead = place_dead(list[0]->f->ref.place);
  for (unsigned tries = 0; again && tries < FOLLOWED; tries++) again = one_round(&l, list, files);
  if (again)
    fail_all(&l, error_set(&exchanged, ST_IO, "%s is exchanged all the time", place_path(l.dead)),
             &exchanged);
  for (struct pair *p = l.list; p < end_of(&l); p++)
    if (p->m->f->status == ST_NOT_FOUND)
      p->m->f->status = p->m->f->error.status = ST_IO; /* that would be the entry's */
  free(l.list);
}
