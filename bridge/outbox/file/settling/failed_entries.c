/* Refused or dead, many at once. Each passes these steps, all of one step before any of the next:
 *
 *   look   read again: is it still the event that failed?
 *   write  as it is to be, into tmp (not a JSON object: raw_letters.c); a crash leaves files there
 *   wait   that is durable (fsync)
 *   swap   it takes the entry's place; the old bytes lie in tmp, and are removed there for good
 *   move   a dead one, into dlq/; a crash before leaves the dead form in the outbox: whoever reads
 *          it next moves it
 *   sync   the folders, once for all
 *
 * A power loss before sync finds any of these states, for each entry alone: renames are atomic, and
 * what they bring was durable before.
 * Any thread; the finisher's are the many. */
#include "bridge/outbox/file/moves/entry_moves.h"

/* ST_OK: the loaded holds the event of that ref; *now is the ref with the stamp it has by now,
 * except for its mtime, which is its place in the order. ST_AGAIN: it does not, *how says why. */
static enum status read_same(struct fs_site *s, struct fs_loaded *d, const struct fs_ref *ref,
                             const char *name, struct fs_ref *now, enum settled *how,
                             struct error *err) {
  int folder = fs_folder(s, ref->place);
  enum fs_read got = fs_load_again(s, d, ref->place, folder, name, err);
  *now = *ref;
  *how = got == FS_GONE ? SETTLED_VANISHED : SETTLED_CHANGED;
  if (got == FS_FAILED) return err->status;
  if (got == FS_UNREADABLE)
    return error_sys(err, d->sys, "reading %s%s", place_path(ref->place), name);
  if (got == FS_GONE || got == FS_ODD) return ST_AGAIN;
  bool sure = fs_stamp_same(&d->stamp, &ref->stamp) && (!ref->young || !ref->id.len);
  if (sure) return got == FS_READ ? fs_loaded_parse(d, err) : ST_OK;
  enum status st = fs_same(s, d, folder, place_path(ref->place), name, ref, how, err);
  if (st != ST_OK) return st;
  if (*how != SETTLED_GONE || !fs_ours(ref->place, &d->event)) {
    if (*how != SETTLED_VANISHED) *how = SETTLED_CHANGED;
    return ST_AGAIN;
  }
  now->stamp = d->stamp;
  return ST_OK;
}

/* ---- look, write ---- */

static enum status write_form(struct fs_site *s, const struct fs_loaded *d, struct fs_failing *m) {
  struct buffer text = {0};
  struct fs_failed *f = m->f;
  enum status st = fs_failed_form(d, m->name, f, &text, &f->error);
  if (st == ST_OK)
    st = fs_tmp_begin(s, f->ref.place, buffer_span(&text), &f->ref.stamp.mtime_ns, m->tmp, &m->fd,
                      &f->error);
  m->written = st == ST_OK;
  buffer_release(&text);
  return st;
}

static enum status look_again(struct fs_site *s, struct fs_loaded *d, struct fs_failing *m) {
  struct fs_failed *f = m->f;
  if (!name_from(f->ref.name, m->name))
    return error_set(&f->error, ST_INVALID, "\"%.*s\" is not an entry's name",
                     SPAN_ARGS(f->ref.name));
  m->raw = f->dead && fs_of_bytes(f->why.reason); /* not to be parsed again: its stamp will tell */
  if (m->raw) return ST_OK;
  enum status st = read_same(s, d, &f->ref, m->name, &m->now, &f->how, &f->error);
  m->over = st == ST_AGAIN;
  if (st != ST_OK) return m->over ? ST_OK : st;
  m->raw = !fs_loaded_is_object(d);
  if (!m->raw) return write_form(s, d, m);
  return f->dead ? ST_OK : error_set(&f->error, ST_INVALID, "%s is not a JSON object", m->name);
}

/* ---- swap, move ---- */

static void swap(struct fs_shared *s, struct fs_failing *m) {
  struct fs_failed *f = m->f;
  BUG_ON_RULE(S5, !m->written ||
                      m->fd >=
                          0); /* durable, so that no crash leaves half of it in the entry's place */
  m->written = false;         /* whatever the outcome */
  f->status = fs_swap_in(s, &m->now, m->name, m->tmp, &m->put, &f->how, &f->error);
  m->over = f->how != SETTLED_GONE;
}

static void move_all(struct fs_shared *s, struct fs_failing *const *list, struct fs_letter *letters,
                     size_t count) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    struct fs_failing *m = list[i];
    if (fs_going(m) && m->f->dead)
      letters[n++] = (struct fs_letter){
          .place = m->f->ref.place, .name = m->name, .to_name = m->name, .is = m->put};
  }
  fs_move_letters(s, letters, n);
  const struct fs_letter *l = letters;
  for (size_t i = 0; i < count; i++) {
    struct fs_failing *m = list[i];
    if (!fs_going(m) || !m->f->dead) continue;
    m->f->status = l->status;
    m->f->error = l++->error;
  }
}

/* It went away in the middle. */
static void no_error_if_gone(struct fs_failing *m) {
  if (m->raw || !m->f->dead || m->f->status != ST_NOT_FOUND) return;
  m->f->status = ST_OK;
  m->f->how = SETTLED_VANISHED;
  m->over = true;
}

/* ---- sync ---- */

static void fail_going(struct fs_failing *const *list, size_t count, enum status st,
                       const struct error *err) {
  for (size_t i = 0; st != ST_OK && i < count; i++) {
    if (!fs_going(list[i])) continue;
    list[i]->f->status = st;
    list[i]->f->error = *err;
  }
}

static void sync_swapped(struct fs_site *s, enum side side, struct fs_failing *const *list,
                         size_t count) {
  struct error err = {0};
  bool any = false;
  for (size_t i = 0; i < count; i++) any |= fs_going(list[i]);
  fail_going(list, count, any ? fs_sync_swapped(s, side, &err) : ST_OK, &err);
}

static void sync_place(struct fs_site *s, struct fs_failing *const *list, size_t count,
                       enum place place) {
  struct error err = {0};
  bool any = fs_shelf(place) == SHELF_DEAD && atomic_load(&s->dirty[place]);
  for (size_t i = 0; i < count; i++)
    any |= fs_going(list[i]) && (fs_shelf(place) == SHELF_DEAD ? list[i]->f->dead && !list[i]->raw
                                                               : list[i]->f->ref.place == place);
  fail_going(list, count, any ? fs_sync_places(s, place, place, &err) : ST_OK, &err);
}

static void end(struct fs_shared *s, struct fs_failing *m) {
  const struct fs_failed *f = m->f;
  if (m->written) fs_tmp_drop(s->site, f->ref.place, m->tmp);
  if (f->status != ST_OK) return; /* it stays in hand: the caller tries again */
  enum fs_end gone = f->dead ? FS_END_GONE : FS_END_STAYS;
  fs_hand_end(s, f->ref.place, m->name,
              f->how == SETTLED_GONE       ? gone
              : f->how == SETTLED_VANISHED ? FS_END_GONE
                                           : FS_END_AGAIN);
}

/* ---- all of them, each side by itself ---- */

struct room {
  struct fs_failing *all, **list; /* list: objects from the front, raw ones from the back */
  struct durable_file *files;
  struct fs_letter *letters;
};

/* *objects and *raws: how many of each there are. */
static void look_at_all(struct fs_site *s, enum side side, struct fs_failed *failed, size_t count,
                        const struct room *r, size_t *objects, size_t *raws) {
  struct fs_loaded loaded = {0};
  struct error err = {0};
  enum status tmp = fs_side(s, side) ? fs_keep_tmp(s, side, &err) : fs_no_side(&err);
  *objects = *raws = 0;
  for (size_t i = 0; i < count; i++) {
    struct fs_failing *m = &r->all[i];
    if (place_side(failed[i].ref.place) != side) continue;
    *m = (struct fs_failing){.f = &failed[i], .now = failed[i].ref, .fd = -1};
    failed[i].how = SETTLED_CHANGED;
    failed[i].error = err;
    failed[i].status = tmp;
    if (tmp == ST_OK) failed[i].status = look_again(s, &loaded, m);
    r->list[m->raw ? count - ++*raws : (*objects)++] = m;
  }
  fs_loaded_release(&loaded);
}

static void fail(struct fs_shared *s, enum side side, struct fs_failed *failed, size_t count,
                 const struct room *r) {
  size_t objects, raws;
  look_at_all(s->site, side, failed, count, r, &objects, &raws);
  struct fs_failing **all = r->list, **raw = r->list + count - raws;
  fs_failing_wait(s->site, all, r->files, objects);
  for (size_t i = 0; i < objects; i++)
    if (fs_going(all[i])) swap(s, all[i]);
  sync_swapped(s->site, side, all, objects);
  move_all(s, all, r->letters, objects);
  fs_dead_raw_all(s, raw, r->files, raws);
  memmove(all + objects, raw, raws * sizeof *all);
  size_t of_side = objects + raws;
  for (size_t i = 0; i < of_side; i++) no_error_if_gone(all[i]);
  enum place dead = side == SIDE_TYPED ? PLACE_TYPED_ERRORED : PLACE_DLQ;
  sync_place(s->site, all, of_side, dead);
  for (unsigned p = 0; p < PLACES; p++)
    if (place_side((enum place)p) == side && fs_shelf((enum place)p) == SHELF_PENDING)
      sync_place(s->site, all, of_side, (enum place)p);
  for (size_t i = 0; i < of_side; i++) end(s, all[i]);
}

static bool any_of(enum side side, const struct fs_failed *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (place_side(list[i].ref.place) == side) return true;
  return false;
}

void fs_fail_refs(struct fs_shared *s, struct fs_failed *list, size_t count) {
  struct room r = {.all = calloc(count + 1, sizeof *r.all),
                   .list = calloc(count + 1, sizeof *r.list),
                   .files = calloc(count + 1, sizeof *r.files),
                   .letters = calloc(count + 1, sizeof *r.letters)};
  bool room = r.all && r.list && r.files && r.letters;
  for (unsigned side = 0; room && side < SIDES; side++)
    if (any_of((enum side)side, list, count)) fail(s, (enum side)side, list, count, &r);
  for (size_t i = 0; !room && i < count; i++)
    list[i].status = error_set(&list[i].error, ST_NO_MEMORY, "out of memory");
  free(r.all);
  free(r.list);
  free(r.files);
  free(r.letters);
}
