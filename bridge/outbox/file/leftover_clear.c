/* What a crash left in .busbridge/tmp is removed or brought back, as its name says (leftover.h).
 * The holder of the lock; a crash here leaves a file where it was or where it belongs.
 * Any thread. */
#include "bridge/outbox/file/entry_moves.h"
#include "bridge/outbox/file/leftover.h"

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
  return fs_to_free_name(tmp, file, folder, name, target, NULL);
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
static enum is judge_id(int tmp, const char *file, uint64_t id) {
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
    enum reason reason = event_read(&doc, NULL, &arena, &event, NULL); /* with both its ids */
    bool done = leftover_id(event.id) == id || leftover_id(event.other_id) == id;
    is = reason == REASON_NO_MEMORY ? IS_UNCLEAR : done ? IS_DONE : IS_OTHER;
  }
  json_doc_release(&doc);
  arena_release(&arena);
  buffer_release(&text);
  return is;
}

static enum is judge(int tmp, const char *file, const struct leftover *l, const struct stat *st) {
  struct stamp now = fs_stamp_of(st);
  switch (l->kind) {
  case LEFTOVER_SWAP: /* our own text, not exchanged or exchanged back, or the bytes that were read
                       */
    return now.inode == l->content || fs_stamp_alike(&now, &l->old) ? IS_DONE : IS_OTHER;
  case LEFTOVER_GONE:
  case LEFTOVER_SENT:
    if (l->content) return judge_id(tmp, file, l->content);
    return fs_stamp_alike(&now, &l->old) ? IS_DONE : IS_OTHER;
  case LEFTOVER_BACK: break;
  }
  return IS_OTHER;
}

static int open_place(int outbox, enum place place) {
  char folder[16];
  if (place == PLACE_FLAT) return openat(outbox, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  snprintf(folder, sizeof folder, "%s", place_path(place));
  folder[strlen(folder) - 1] = '\0'; /* its slash */
  return openat(outbox, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What a killed worker moved to dlq/ or sent/ and did not sync: it must not be nowhere because the
 * folder that it left was synced first. */
static enum status sync_targets(int outbox) {
  enum status st = ST_OK;
  for (enum place p = PLACE_DLQ; st == ST_OK && p < PLACES; p++) {
    int folder = open_place(outbox, p);
    if (folder < 0) continue; /* it is made when it is needed */
    st = durable_sync_folder(folder, NULL);
    close(folder);
  }
  return st;
}

static void bring(int tmp, int outbox, const char *file, const struct leftover *l, bool done) {
  int folder = open_place(outbox, done ? PLACE_SENT : l->place);
  if (folder < 0) return;
  enum status st =
      done ? to_free_name(tmp, file, folder, l->name) : bring_back(tmp, folder, file, l);
  if (st == ST_OK) st = sync_targets(outbox);
  if (st == ST_OK) st = durable_sync_folder(folder, NULL);
  (void)st; /* else it is found where it was, or where it is now */
  close(folder);
}

void leftover_clear(int tmp, int outbox, const char *file) {
  struct leftover l;
  struct stat st;
  if (fstatat(tmp, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || leftover_return(tmp, outbox, file))
    return;
  if (!leftover_parse(file, &l)) {
    remove_file(tmp, file);
    return;
  }
  switch (judge(tmp, file, &l, &st)) {
  case IS_UNCLEAR: break;
  case IS_OTHER: bring(tmp, outbox, file, &l, false); break;
  case IS_DONE:
    if (l.kind == LEFTOVER_SENT)
      bring(tmp, outbox, file, &l, true);
    else
      remove_file(tmp, file);
    break;
  }
}

static bool clear_any(void *ctx, const char *name, unsigned char type) {
  const struct state *s = ctx;
  (void)type;
  leftover_clear(state_tmp(s), state_outbox(s), name);
  return true;
}

void leftover_clear_all(struct state *s) {
  if (state_tmp(s) < 0) return;
  enum status st = folder_walk(state_tmp(s), clear_any, s, NULL);
  (void)st;
}

static bool clear_old(void *ctx, const char *name, unsigned char type) {
  struct fs_site *s = ctx;
  struct stat st;
  int tmp = state_tmp(s->state);
  (void)type;
  if (!leftover_is(name) || fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  if (clock_wall_us(s->clock) - fs_stamp_of(&st).ctime_ns / 1000 > LEFTOVER_OLD_US)
    leftover_clear(tmp, fs_folder(s, PLACE_FLAT), name);
  return true;
}

/* Old enough that nobody is in the middle of it; if somebody is, the file is found gone, which does
 * no harm. */
void fs_clear_left(struct fs_site *s) {
  enum status st = folder_walk(state_tmp(s->state), clear_old, s, NULL);
  (void)st; /* next time */
}
