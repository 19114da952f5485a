/* What a crash left in .busbridge/tmp is removed or brought back, as its name says (leftover.h).
 * The holder of the lock; a crash here leaves a file where it was or where it belongs.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#define TEXT_MOST (64u << 20) /* larger ones are not entries */
#define LEFTOVER_OLD_US 30000000

static void remove_file(int tmp, const char *file) {
  enum status st = durable_unlink(tmp, file, NULL);
  (void)st; /* it stays until next time */
}

static enum status to_free_name(int tmp, const char *file, int folder, const char *name) {
  char target[NAME_SIZE];
  return fs_to_free_name(NULL, tmp, file, folder, name, target, NULL);
}

/* As it would have been: exchanged back where our text still lies, else beside what lies there. A
 * crash in between leaves our own text in tmp. */
static enum status bring_back(int tmp, int folder, const char *file, const struct leftover *l) {
  struct stat now;
  bool ours = l->kind == LEFTOVER_SWAP &&
              fstatat(folder, l->name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == l->content;
  if (!ours) return to_free_name(tmp, file, folder, l->name);
  enum status st = durable_exchange(tmp, file, folder, l->name, NULL);
  if (st == ST_OK) remove_file(tmp, file);
  return st;
}

enum is { IS_DONE, IS_OTHER, IS_UNCLEAR };

/* The id inside decides; what is not an entry is not the one. */
static enum is judge_id(int tmp, const char *file, const struct leftover *l) {
  struct buffer text = {0};
  struct json_doc doc = {0};
  struct arena arena = {0};
  struct event event = {.payload = JSON_NONE};
  enum is is = IS_UNCLEAR;
  enum status st = file_read(tmp, file, TEXT_MOST, &text, NULL);
  if (st == ST_TOO_LARGE || st == ST_INVALID) is = IS_OTHER;
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&text), NULL);
  if (st == ST_INVALID) is = IS_OTHER;
  if (st == ST_OK) {
    enum reason reason = place_side(l->place) == SIDE_TYPED
                             ? event_read_typed(&doc, NULL, &arena, &event, NULL)
                             : event_read(&doc, NULL, &arena, &event, NULL); /* with both its ids */
    bool done = leftover_id(event.id) == l->content || leftover_id(event.other_id) == l->content;
    is = reason == REASON_NO_MEMORY ? IS_UNCLEAR : done ? IS_DONE : IS_OTHER;
  }
  json_doc_release(&doc);
  arena_release(&arena);
  buffer_release(&text);
  return is;
}

static int open_place(int root, enum place place) {
  return openat(root, place_folder(place), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Its own name, one beside it, that of its bytes, or the one that a newer form goes by. */
static bool may_be_its(const char *letter, const char *name) {
  enum { BESIDE = 24 }; /* what name_try may put behind a stem that fills a name */
  size_t stem = strlen(name) - strlen(".json"), most = NAME_SIZE - 1 - sizeof "dlq_.json" - BESIDE;
  if (stem > most) stem = most;
  if (strncmp(letter, name, stem) == 0) return true;
  return strncmp(letter, "dlq_", 4) == 0 && strncmp(letter + 4, name, stem) == 0;
}

/* ---- an exchange, in a copy of the outbox that was put back ---- */

struct forms {
  int tmp, folder;
  const char *file;
  const struct leftover *l;
  bool same_time; /* it has the time of what was read, which a rewrite keeps */
  enum is is;
};

static bool compare_form(void *ctx, const char *name, unsigned char type) {
  struct forms *f = ctx;
  struct stat st;
  (void)type;
  if (!name_is_entry(name) || !may_be_its(name, f->l->name)) return true;
  if (fstatat(f->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  if (st.st_ino == f->l->content && !f->same_time)
    return true; /* our own text: what came out for it was changed by somebody */
  enum status same = fs_two_forms(f->tmp, f->file, f->folder, name);
  f->is = same == ST_OK ? IS_DONE : same == ST_NOT_FOUND ? f->is : IS_UNCLEAR;
  return f->is == IS_OTHER;
}

/* Wherever the entry may lie by now, under its name. */
static enum is judge_form(int tmp, int root, const char *file, const struct leftover *l,
                          const struct stamp *now) {
  struct forms f = {.tmp = tmp, .file = file, .l = l, .is = IS_OTHER};
  f.same_time = now->mtime_ns == l->old.mtime_ns;
  for (unsigned p = 0; f.is == IS_OTHER && p < PLACES; p++) {
    enum place place = (enum place)p;
    if (place_side(place) != place_side(l->place) || fs_shelf(place) == SHELF_SENT) continue;
    f.folder = open_place(root, place);
    if (f.folder < 0) continue;
    if (!leftover_cut(file))
      compare_form(&f, l->name, DT_REG);
    else if (folder_walk(f.folder, compare_form, &f, NULL) != ST_OK)
      f.is = IS_UNCLEAR;
    close(f.folder);
  }
  return f.is;
}

static enum is judge_leftover(int tmp, int root, const char *file, const struct leftover *l,
                              const struct stat *st) {
  struct stamp now = fs_stamp_of(st);
  bool read = fs_stamp_alike(&now, &l->old);
  switch (l->kind) {
  case LEFTOVER_SWAP: /* our own text, not exchanged or exchanged back, or the bytes that were read
                       */
    return now.inode == l->content || read ? IS_DONE : judge_form(tmp, root, file, l, &now);
  case LEFTOVER_GONE:
  case LEFTOVER_SENT:
    if (l->content) return judge_id(tmp, file, l);
    return read ? IS_DONE : IS_OTHER;
  case LEFTOVER_BACK: break;
  }
  return IS_OTHER;
}

/* What a killed worker moved to dlq/ or sent/ and did not sync: it must not be nowhere because the
 * folder that it left was synced first. */
static enum status sync_targets(int root, enum side side) {
  enum status st = ST_OK;
  for (unsigned p = 0; st == ST_OK && p < PLACES; p++) {
    if (place_side((enum place)p) != side || fs_shelf((enum place)p) == SHELF_PENDING) continue;
    int folder = open_place(root, (enum place)p);
    if (folder < 0) continue; /* it is made when it is needed */
    st = durable_sync_folder(folder, NULL);
    close(folder);
  }
  return st;
}

/* ---- on its way to a dlq/ on another file system ---- */

struct search {
  int tmp, dlq;
  const char *file, *name; /* as it lies in tmp, and of the entry */
  bool found;
};

static bool search_copy(void *ctx, const char *letter, unsigned char type) {
  struct search *s = ctx;
  (void)type;
  s->found =
      *letter != '.' && may_be_its(letter, s->name) && fs_is_copy(s->tmp, s->file, s->dlq, letter);
  return !s->found;
}

/* Does its copy lie there, for good? A crash, or a loss of power, before the file went. It goes
 * now, before anybody replays or purges the letter, which would come back. */
static bool has_arrived(int tmp, int root, const char *file, const struct leftover *l) {
  struct search s = {.tmp = tmp, .file = file, .name = l->name};
  if (l->kind != LEFTOVER_BACK) return false;
  s.dlq = open_place(root, place_dead(l->place));
  if (s.dlq < 0) return false;
  bool there = folder_apart(tmp, s.dlq) && folder_walk(s.dlq, search_copy, &s, NULL) == ST_OK &&
               s.found && durable_sync_folder(s.dlq, NULL) == ST_OK;
  close(s.dlq);
  return there;
}

static void bring(int tmp, int root, const char *file, const struct leftover *l, bool done) {
  int folder = open_place(root, done ? place_sent(l->place) : l->place);
  if (folder < 0) return;
  enum status st =
      done ? to_free_name(tmp, file, folder, l->name) : bring_back(tmp, folder, file, l);
  if (st == ST_OK) st = sync_targets(root, place_side(l->place));
  if (st == ST_OK) st = durable_sync_folder(folder, NULL);
  (void)st; /* else it is found where it was, or where it is now */
  close(folder);
}

static void clear_file(int tmp, int root, enum side side, const char *file) {
  struct leftover l;
  struct stat st;
  if (fstatat(tmp, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || leftover_return(tmp, root, side, file))
    return;
  if (!leftover_parse(file, &l)) {
    remove_file(tmp, file);
    return;
  }
  if (place_side(l.place) != side) return; /* nothing of ours puts it there */
  switch (judge_leftover(tmp, root, file, &l, &st)) {
  case IS_UNCLEAR: break;
  case IS_OTHER:
    if (has_arrived(tmp, root, file, &l))
      remove_file(tmp, file);
    else
      bring(tmp, root, file, &l, false);
    break;
  case IS_DONE:
    if (l.kind == LEFTOVER_SENT)
      bring(tmp, root, file, &l, true);
    else
      remove_file(tmp, file);
    break;
  }
}

/* By a descriptor of its own: a sync that fails here takes from no other thread what it is to be
 * told. */
void leftover_clear(int tmp, int root, enum side side, const char *file) {
  int own;
  if (durable_own_folder(tmp, &own, NULL) != ST_OK) return; /* next time */
  clear_file(own, root, side, file);
  close(own);
}

struct clearing {
  const struct state *state;
  enum side side;
  const struct clock *clock; /* old ones only; NULL: any */
};

static bool clear_any(void *ctx, const char *name, unsigned char type) {
  const struct clearing *c = ctx;
  (void)type;
  leftover_clear(state_tmp(c->state), state_outbox(c->state), c->side, name);
  return true;
}

void leftover_clear_all(struct state *s, enum side side) {
  struct clearing c = {.state = s, .side = side};
  if (state_tmp(s) < 0) return;
  BUG_ON_RULE(S16, state_lock_holder(s) != getpid());
  enum status st = folder_walk(state_tmp(s), clear_any, &c, NULL);
  (void)st;
}

static bool clear_old(void *ctx, const char *name, unsigned char type) {
  const struct clearing *c = ctx;
  struct stat st;
  int tmp = state_tmp(c->state);
  (void)type;
  if (!leftover_is(name) || fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  if (clock_wall_us(c->clock) - fs_stamp_of(&st).ctime_ns / 1000 > LEFTOVER_OLD_US)
    leftover_clear(tmp, state_outbox(c->state), c->side, name);
  return true;
}

/* Old enough that nobody is in the middle of it; if somebody is, the file is found gone, which does
 * no harm. */
void fs_clear_left(struct fs_site *s) {
  for (unsigned side = 0; side < SIDES; side++) {
    struct clearing c = {
        .state = fs_side(s, (enum side)side), .side = (enum side)side, .clock = s->clock};
    if (!c.state) continue;
    enum status st = folder_walk(state_tmp(c.state), clear_old, &c, NULL);
    (void)st; /* next time */
  }
}
