/* Back to pending, many at once. Each passes these steps, all of one step before any of the next:
 *
 *   look     read, and judged by the caller: nothing is touched yet
 *   prepare  its pending form is written to tmp; a crash leaves files there
 *   claim    its name in the outbox is in hand: our own reader leaves it alone until the end
 *   wait     the form in tmp is durable (fsync)
 *   move     out of dlq/ into the outbox, still in the dead form; a crash here leaves that in the
 *            outbox, which whoever reads it next moves back to dlq/: the replay did not happen
 *   swap     the pending form takes its place; the old bytes lie in tmp
 *   sync     both folders, once for all: now it cannot come back
 *
 * move and swap follow each other for each entry. A power loss before sync finds any of these
 * states, for each entry alone: renames are atomic, and the form was durable before. A raw one is
 * moved as its bytes are, and only when that is durable its descriptor goes, else bytes might be
 * left that nothing describes; a crash in between leaves a descriptor without bytes, which the next
 * replay of it finishes.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/operators/describe.h"
#include "bridge/outbox/file/settling/aside.h"

#include <errno.h>
#include <fcntl.h>

struct moving {
  struct fs_shared *s;
  struct letter *letter;
  enum place dead, home; /* from, to */
  char name[NAME_SIZE], target[NAME_SIZE];
  struct stamp stamp; /* of what was judged */
  struct span event, reason;
  char tmp[NAME_SIZE];
  int fd;
  bool written, claimed;
};

static bool going(const struct moving *m) {
  return m->letter->status == ST_OK;
}

static enum status gone(const struct moving *m, struct error *err) {
  return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(m->dead), m->name);
}

static enum status claim(struct fs_shared *s, enum place place, const char *name,
                         struct error *err) {
  enum status st = fs_hand_take(s, place, name, INT64_MAX, false);
  if (st == ST_EXISTS)
    return error_set(err, ST_BUSY, "%s%s is on its way to Kafka", place_path(place), name);
  return st == ST_OK ? st : error_set(err, st, "no memory to replay %s", name);
}

/* ---- look ---- */

static bool look_at_letter(struct moving *m, struct fs_look *l, struct entry_info *info) {
  struct letter *letter = m->letter;
  if (!fs_letter_look(l, letter, &m->dead, m->name, info)) return false;
  m->home = place_home(m->dead);
  /* It may be missing on the typed side, or another one lies there that the reader has not taken
   * over yet: what comes back into the old one would be seen by nobody. */
  if (!fs_in_place(l->s->site, m->home, fs_folder(l->s->site, m->home)))
    letter->status = error_set(&letter->error, ST_IO,
                               "%s/%s/ is not there, or was exchanged just now; try again",
                               state_path(fs_state(l->s->site, m->home)), place_folder(m->home));
  else if (!fs_loaded_is_object(&l->loaded))
    letter->status =
        error_set(&letter->error, ST_INVALID, "%s%s is not a JSON object; fix it, then replay it",
                  place_path(m->dead), m->name);
  return letter->status == ST_OK;
}

static void look_at_all(struct moving *list, size_t count, struct fs_look *l, struct arena *ids) {
  struct entry_info info;
  for (size_t i = 0; i < count; i++) {
    struct letter *letter = list[i].letter;
    if (!look_at_letter(&list[i], l, &info)) continue;
    list[i].stamp = l->loaded.stamp;
    letter->raw = info.raw;
    letter->id = arena_span(ids, info.id);
    list[i].event = arena_span(ids, info.name);
    list[i].reason = arena_span(ids, info.reason);
    if (info.id.len && !letter->id.ptr)
      letter->status = error_set(&letter->error, ST_NO_MEMORY, "out of memory");
  }
}

/* ---- prepare: the pending form of the three forms of a dead letter ---- */

static struct span string_member(struct fs_loaded *d, const char *key) {
  struct span text = {NULL, 0};
  uint32_t node = json_member(&d->doc, 0, key);
  if (node != JSON_NONE && d->doc.nodes[node].type == JSON_STRING &&
      !json_text(&d->doc, node, &d->arena, &text))
    text = (struct span){NULL, 0};
  return text;
}

/* The newer producer's form is never rewritten in dlq/: its reader drops a file with any other key.
 */
static enum status newer_form(struct moving *m, struct fs_loaded *d, struct buffer *out,
                              struct error *err) {
  struct span id = string_member(d, "id"), event = string_member(d, "message_name");
  uint32_t payload = json_member(&d->doc, 0, "payload");
  int64_t created;
  if (!event_id_valid(id) || payload == JSON_NONE || d->doc.nodes[payload].type != JSON_OBJECT)
    return error_set(err, ST_INVALID, "%s%s has no usable id and payload; fix it, then replay it",
                     place_path(m->dead), m->name);
  if (!time_parse(string_member(d, "first_failed_at"), &created))
    created = d->stamp.mtime_ns / 1000;
  struct buffer stem = {0};
  event_stem(id, &stem);
  snprintf(m->target, sizeof m->target, "%s.json", buffer_z(&stem));
  struct span inside = json_slice(&d->doc, payload);
  if (place_side(m->dead) == SIDE_TYPED)
    event_write_typed(id, event, inside, created, out);
  else
    event_write(id, event, inside, created, buffer_span(&stem), out);
  enum status st = buffer_status(&stem, err);
  buffer_release(&stem);
  return st == ST_OK ? buffer_status(out, err) : st;
}

static enum status prepare_letter(struct moving *m, struct fs_look *l, struct error *err) {
  struct fs_loaded *d = &l->loaded;
  struct entry_info info;
  struct buffer text = {0};
  if (!look_at_letter(m, l, &info)) return m->letter->status;
  if (!fs_stamp_same(&d->stamp, &m->stamp))
    return error_set(err, ST_NOT_FOUND, "%s changed while it was replayed; try again", m->name);
  fs_name_copy(m->target, m->name);
  uint64_t inode;
  if (fs_descriptor(&d->doc, &inode)) return ST_OK;
  enum status st =
      fs_newer_form(&d->doc) ? newer_form(m, d, &text, err) : fs_pending_form(d, &text, err);
  if (st == ST_OK)
    st = fs_tmp_begin(m->s->site, m->dead, buffer_span(&text), &m->stamp.mtime_ns, m->tmp, &m->fd,
                      err);
  m->written = st == ST_OK;
  buffer_release(&text);
  return st;
}

/* ---- move and swap ---- */

/* The move is taken back when the second step fails; if that fails too, the next reader does it.
 * What somebody else put there meanwhile stays. */
static enum status undo(struct moving *m, const struct stamp *moved, enum status st,
                        struct error *err) {
  struct stamp now;
  struct fs_shared *s = m->s;
  enum status back = ST_NOT_FOUND;
  /* Others of the list came here: for good, before the folder that they left is synced. */
  enum status kept = fs_sync_swapped(s->site, place_side(m->home), NULL);
  if (kept == ST_OK) kept = fs_sync_place(s->site, m->home, NULL);
  if (fs_stamp_at(fs_folder(s->site, m->home), m->target, &now) && now.inode == moved->inode)
    back = fs_move_free(s->site, m->home, m->target, m->dead, m->name, NULL);
  if (back == ST_OK && kept == ST_OK) back = fs_sync_places(s->site, m->dead, m->home, NULL);
  (void)back;
  return st != ST_OK
             ? st
             : error_set(err, ST_NOT_FOUND, "%s changed while it was replayed; try again", m->name);
}

static enum status move_and_swap(struct moving *m, struct error *err) {
  struct fs_shared *s = m->s;
  struct stamp stamp;
  enum settled how = SETTLED_CHANGED;
  enum status st = durable_move(fs_folder(s->site, m->dead), m->name, fs_folder(s->site, m->home),
                                m->target, err);
  if (st == ST_UNSUPPORTED) {
    m->written = false;
    return fs_return_across(s->site, place_side(m->dead), m->name, &m->stamp, m->tmp, m->target,
                            false, err);
  }
  if (st == ST_NOT_FOUND) return gone(m, err);
  if (st == ST_EXISTS)
    return error_set(err, ST_EXISTS, "the outbox has an entry %s already", m->target);
  if (st != ST_OK) return st;
  if (!fs_stamp_at(fs_folder(s->site, m->home), m->target, &stamp)) return gone(m, err);
  if (stamp.inode == m->stamp.inode && stamp.size == m->stamp.size) {
    const struct fs_ref ref = {.stamp = stamp, .place = m->home};
    st = fs_swap_in(s, &ref, m->target, m->tmp, NULL, &how, err);
    m->written = false; /* it is not in tmp any more */
  }
  if (st != ST_OK || how == SETTLED_CHANGED) return undo(m, &stamp, st, err);
  return how == SETTLED_VANISHED ? gone(m, err) : ST_OK;
}

/* The bytes are not there. Do they lie in the outbox, moved by a replay that ended there? Their
 * time is also the descriptor's; their inode may be another, in a copy that was put back. */
static bool half_done(struct moving *m) {
  struct stamp now;
  return fs_stamp_at(fs_folder(m->s->site, m->home), m->target, &now) &&
         now.mtime_ns == m->stamp.mtime_ns;
}

/* Out of another file system: by a copy in tmp. */
static enum status copy_raw(struct moving *m, const char *raw, struct error *err) {
  char tmp[NAME_SIZE];
  struct stat copied;
  enum status st =
      fs_copy(fs_folder(m->s->site, m->dead), raw, fs_tmp(m->s->site, m->dead), tmp, &copied, err);
  if (st != ST_OK) return st;
  struct stamp was = fs_stamp_of(&copied);
  st = fs_return_across(m->s->site, place_side(m->dead), raw, &was, tmp, m->target, true, err);
  if (st != ST_OK) fs_tmp_drop(m->s->site, m->dead, tmp);
  return st == ST_NOT_FOUND ? ST_BUSY : st;
}

/* As its bytes are now, repaired or not. */
static enum status move_raw(struct moving *m, struct error *err) {
  int dlq = fs_folder(m->s->site, m->dead);
  char raw[NAME_SIZE];
  name_with(m->name, ".raw", raw);
  enum status st = durable_move(dlq, raw, fs_folder(m->s->site, m->home), m->target, err);
  if (st == ST_UNSUPPORTED) st = copy_raw(m, raw, err);
  if (st == ST_NOT_FOUND && !half_done(m))
    return error_set(err, ST_INVALID, "%s%s is gone, only its description is left; purge it",
                     place_path(m->dead), raw);
  if (st == ST_EXISTS)
    return error_set(err, ST_EXISTS, "the outbox has an entry %s already", m->target);
  return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Of those whose bytes are in the outbox for good. */
static enum status drop_descriptors(struct moving *list, size_t count, struct error *err) {
  struct fs_site *s = list->s->site;
  bool any[PLACES] = {false};
  enum status st = ST_OK;
  for (struct moving *m = list; m < list + count; m++) {
    if (!going(m) || !m->letter->raw) continue;
    m->letter->status = durable_unlink(fs_folder(s, m->dead), m->name, &m->letter->error);
    any[m->dead] = true;
  }
  for (unsigned p = 0; p < PLACES && st == ST_OK; p++)
    if (any[p]) st = fs_sync_place(s, (enum place)p, err);
  return st;
}

/* ---- all of them ---- */

static void prepare_all(struct moving *list, size_t count, struct fs_look *l) {
  for (unsigned side = 0; side < SIDES; side++) {
    struct error err = {0};
    if (!fs_side(l->s->site, (enum side)side) ||
        fs_keep_tmp(l->s->site, (enum side)side, &err) == ST_OK)
      continue;
    for (struct moving *m = list; m < list + count; m++)
      if (going(m) && place_side(m->dead) == (enum side)side)
        m->letter->status = error_set(&m->letter->error, err.status, "%s", err.text);
  }
  for (struct moving *m = list; m < list + count; m++)
    if (going(m)) m->letter->status = prepare_letter(m, l, &m->letter->error);
  for (struct moving *m = list; m < list + count; m++) {
    if (!going(m)) continue;
    m->letter->status = claim(m->s, m->home, m->target, &m->letter->error);
    m->claimed = going(m);
  }
}

static void wait_for_all(struct moving *list, size_t count, enum side side,
                         struct durable_file *files) {
  const struct fs_site *s = list->s->site;
  size_t written = 0;
  for (struct moving *m = list; m < list + count; m++)
    if (m->written && place_side(m->dead) == side)
      files[written++] = (struct durable_file){.name = m->tmp, .fd = m->fd};
  if (written) durable_write_end_all(state_tmp(fs_side(s, side)), files, written);
  const struct durable_file *f = files;
  for (struct moving *m = list; m < list + count; m++) {
    if (!m->written || place_side(m->dead) != side) continue;
    m->written = f->status == ST_OK;
    if (!m->written && going(m))
      m->letter->status = error_set(&m->letter->error, f->status, "%s: %s", m->name, f->error.text);
    f++;
  }
}

static void move_all(struct moving *list, size_t count) {
  struct fs_shared *s = list->s;
  struct error err = {0};
  bool any[PLACES] = {false};
  for (struct moving *m = list; m < list + count; m++) {
    if (!going(m)) continue;
    m->letter->status =
        m->letter->raw ? move_raw(m, &m->letter->error) : move_and_swap(m, &m->letter->error);
    if (going(m)) fs_left_dlq(s, m->event, m->reason);
    any[m->dead] |= going(m);
  }
  enum status st = ST_OK;
  for (unsigned p = 0; p < PLACES && st == ST_OK; p++) {
    if (!any[p]) continue;
    st = fs_sync_swapped(s->site, place_side((enum place)p), &err);
    if (st == ST_OK) st = fs_sync_places(s->site, place_home((enum place)p), (enum place)p, &err);
  }
  if (st == ST_OK) st = drop_descriptors(list, count, &err);
  for (struct moving *m = list; st != ST_OK && m < list + count; m++)
    if (going(m)) m->letter->status = error_set(&m->letter->error, st, "%s", err.text);
}

static void end_all(struct moving *list, size_t count) {
  for (struct moving *m = list; m < list + count; m++) {
    if (m->written) fs_tmp_drop(m->s->site, m->dead, m->tmp);
    if (m->claimed)
      fs_hand_end(m->s, m->home, m->target, going(m) ? FS_END_RETURNED : FS_END_NOTHING);
  }
}

void fs_replay_all(struct fs_shared *s, struct letter *letters, size_t count, store_judge_fn judge,
                   void *ctx) {
  struct fs_look look = {.s = s};
  struct arena ids = {0};
  struct moving *list = calloc(count ? count : 1, sizeof *list);
  struct durable_file *files = calloc(count ? count : 1, sizeof *files);
  bool room = list && files;
  fs_look_around(s->site);
  for (size_t i = 0; i < count; i++) {
    if (room) list[i] = (struct moving){.s = s, .letter = &letters[i], .fd = -1};
    letters[i].status = room ? ST_OK : error_set(&letters[i].error, ST_NO_MEMORY, "out of memory");
  }
  if (room && count) {
    look_at_all(list, count, &look, &ids);
    if (judge) judge(ctx, letters, count);
    prepare_all(list, count, &look);
    for (unsigned side = 0; side < SIDES; side++) wait_for_all(list, count, (enum side)side, files);
    move_all(list, count);
    end_all(list, count);
  }
  for (size_t i = 0; i < count; i++) letters[i].id = (struct span){NULL, 0};
  fs_loaded_release(&look.loaded);
  arena_release(&ids);
  free(files);
  free(list);
}

/* ---- an entry that is pending: anew, with attempts 0 ---- */

static enum status read_one(struct fs_site *s, struct fs_loaded *d, enum place place,
                            const char *name, struct error *err) {
  enum fs_read got = fs_load(s, d, place, name, err);
  if (got == FS_FAILED) return err->status;
  if (got == FS_GONE) return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), name);
  if (got == FS_UNREADABLE) return error_sys(err, d->sys, "reading %s%s", place_path(place), name);
  enum status st = got == FS_READ ? fs_loaded_parse(d, err) : ST_OK;
  if (st == ST_OK && !fs_loaded_is_object(d))
    st = error_set(err, ST_INVALID, "%s%s is not a JSON object; fix it, then replay it",
                   place_path(place), name);
  return st;
}

static enum status restart(struct fs_shared *s, enum place place, const char *name,
                           struct error *err) {
  struct fs_loaded d = {0};
  struct buffer text = {0};
  enum settled how = SETTLED_GONE;
  enum status st = read_one(s->site, &d, place, name, err);
  if (st == ST_OK && !fs_ours(place, &d.event))
    st = error_set(err, ST_INVALID, "%s%s is not pending", place_path(place), name);
  if (st == ST_OK) st = fs_pending_form(&d, &text, err);
  const struct fs_ref ref = {.stamp = d.stamp, .place = place};
  if (st == ST_OK) st = fs_swap(s, &ref, name, buffer_span(&text), d.stamp.mtime_ns, &how, err);
  if (st == ST_OK && how != SETTLED_GONE)
    st = error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), name);
  if (st == ST_OK) st = fs_sync_swapped(s->site, place_side(place), err);
  if (st == ST_OK) st = fs_sync_places(s->site, place, place, err);
  buffer_release(&text);
  fs_loaded_release(&d);
  return st;
}

static enum status replay_pending(struct fs_shared *s, enum place place, const char *name,
                                  struct error *err) {
  struct stamp stamp;
  if (fs_stamp_at(fs_folder(s->site, place), name, &stamp) && fs_aside_out(s, place, name, &stamp))
    return error_set(err, ST_BUSY, "%s%s is set aside: busbridge health says what hinders",
                     place_path(place), name);
  enum status st = claim(s, place, name, err);
  if (st != ST_OK) return st;
  st = restart(s, place, name, err);
  fs_hand_end(s, place, name, FS_END_AGAIN);
  return st;
}

enum status fs_replay(struct fs_shared *s, enum shelf shelf, const char *token, struct error *err) {
  enum place place;
  struct error local = {0};
  char name[NAME_SIZE];
  if (!err) err = &local;
  if (!name_from(fs_token_name(shelf, span_of(token), &place), name) ||
      fs_shelf(place) == SHELF_SENT)
    return error_set(err, ST_INVALID, "\"%s\" is not a dead letter's name (NAME.json)", token);
  if (fs_folder(s->site, place) < 0)
    return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), name);
  if (fs_shelf(place) != SHELF_DEAD) return replay_pending(s, place, name, err);
  struct letter letter = {.token = token, .when_us = TIME_NONE};
  fs_replay_all(s, &letter, 1, NULL, NULL);
  if (letter.status != ST_OK) *err = letter.error;
  return letter.status;
}
