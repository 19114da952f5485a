/* Entries set aside: in memory under the lock, in .busbridge/aside, and carried out by
 * aside_tend.c. A crash may leave a last line without its end, which is passed over.
 * Made and written by the settling thread, asked by any. */
#include "bridge/outbox/file/settling/aside.h"
#include "bridge/event/same.h"

#include "bridge/base/text/words.h"
#include "bridge/outbox/file/settling/finish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define ASIDE "aside"
#define HEAD "busbridge-aside 1\n"
#define ASIDE_BYTES (64 * 1024 * 1024)
#define SLACK 1000 /* lines that count no more, before the file is written anew */

/* Lock held. */
static struct fs_aside *find_at(struct fs_shared *s, enum place place, const char *name) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  struct fs_aside *row = table_get(&s->asides, key.span);
  return row && !row->carried ? row : NULL;
}

/* The typed bus may have taken it up since, or given it back. */
static struct fs_aside *find_row(struct fs_shared *s, enum place place, const char *name) {
  if (!s->asides.count) return NULL;
  struct fs_aside *row = find_at(s, place, name);
  if (row || place_side(place) != SIDE_TYPED || fs_shelf(place) != SHELF_PENDING) return row;
  return find_at(s, place == PLACE_TYPED_PENDING ? PLACE_TYPED_PROCESSING : PLACE_TYPED_PENDING,
                 name);
}

/* Lock held. It replaces the one of its name. */
static enum status put_row(struct fs_shared *s, struct fs_aside *row) {
  free(table_remove(&s->asides, row->key));
  enum status st = table_put(&s->asides, row->key, row);
  if (st != ST_OK) free(row);
  return st;
}

/* ---- what the reader and the lists ask ---- */

bool fs_aside_out(struct fs_shared *s, enum place place, const char *name,
                  const struct stamp *stamp) {
  mutex_lock(&s->lock);
  const struct fs_aside *row = find_row(s, place, name);
  bool out = row && row->what != ASIDE_RETRY && fs_stamp_alike(&row->ref.stamp, stamp);
  mutex_unlock(&s->lock);
  return out;
}

/* Lock held. */
static bool is_known(const struct fs_shared *s, const struct fs_aside *row,
                     const struct entry *entry, struct arena *scratch) {
  const struct published was = {row->ref.id, row->ref.content};
  bool typed = place_side(row->ref.place) == SIDE_TYPED;
  return was.id.len && event_same(&entry->doc, &entry->event, s->site->lifting, typed, scratch,
                                  &was) != ANOTHER_EVENT;
}

bool fs_aside_holds(struct fs_shared *s, enum place place, const char *name,
                    const struct stamp *stamp, struct entry *entry, struct arena *scratch) {
  struct event *e = &entry->event;
  mutex_lock(&s->lock);
  const struct fs_aside *row = find_row(s, place, name);
  bool same = row && (fs_stamp_alike(&row->ref.stamp, stamp) || is_known(s, row, entry, scratch));
  bool out = same && row->what != ASIDE_RETRY;
  if (same && !out && row->failure.attempts > e->attempts) {
    e->attempts = row->failure.attempts;
    e->failed_us = row->failure.failed_us;
    if (e->first_failed_us == TIME_NONE) e->first_failed_us = row->failure.failed_us;
  }
  mutex_unlock(&s->lock);
  return out;
}

/* ---- setting aside ---- */

static const char *what_words(enum aside what) {
  switch (what) {
  case ASIDE_DONE: return "It is published and cannot be taken out of the outbox";
  case ASIDE_RETRY:
    return "It was refused, and its attempts cannot be written into it; they are counted all the "
           "same";
  case ASIDE_DEAD: return "It can never be published, and cannot be moved to ";
  }
  return "";
}

static void say_row(struct fs_site *s, const struct fs_aside *row) {
  log_write(s->log, LOG_WARNING, "outbox", "entry_aside",
            FIELDS(F_SPAN("id", row->ref.id), F_TEXT("place", place_path(row->ref.place)),
                   F_SPAN("file", row->ref.name), F_TEXT("error", row->why)),
            "Set aside, all others go on. %s%s. It is tried again each flush.interval. %s",
            what_words(row->what),
            row->what == ASIDE_DEAD ? place_path(place_dead(row->ref.place)) : "",
            fs_remedy(row->sys));
}

static enum status keep_row(struct fs_finisher *s, struct fs_aside *row, bool *known,
                            struct error *err) {
  char number[NUMBER_TEXT];
  enum status st = ST_NO_MEMORY;
  mutex_lock(&s->shared->lock);
  const struct fs_aside *old = table_get(&s->shared->asides, row->key);
  *known = old && old->what == row->what && !old->carried;
  BUG_ON_RULE(S15, row->what > ASIDE_DEAD || !row->key.len);
  bool full = !old && s->shared->asides.count >= STORE_ASIDE_MOST;
  if (full)
    free(row);
  else
    st = put_row(s->shared, row);
  if (st == ST_OK) fs_aside_print(row, &s->added);
  if (s->added.failed) s->rewrite = true;
  mutex_unlock(&s->shared->lock);
  if (full)
    return error_set(err, ST_AGAIN,
                     "%s entries are set aside, which is the most: everything waits for this one",
                     number_text(STORE_ASIDE_MOST, number));
  return st == ST_OK ? st : error_set(err, ST_NO_MEMORY, "no memory to set an entry aside");
}

enum status fs_set_aside(struct fs_finisher *s, const struct entry_ref *entry, struct span id,
                         enum aside what, const struct failure *why, const struct error *hindrance,
                         struct error *err) {
  const struct fs_ref ref = fs_ref_of(entry);
  char name[NAME_SIZE];
  bool known = false;
  if (!name_from(ref.name, name)) return error_set(err, ST_INVALID, "it is not an entry's name");
  if (!fs_hinders_one(s, ref.place, what, hindrance))
    return error_set(err, ST_AGAIN, "all of them are hindered");
  struct fs_aside from = {.what = what,
                          .ref = ref,
                          .since_us = clock_wall_us(s->site->clock),
                          .sys = hindrance->sys,
                          .why = hindrance->sys ? strerror(hindrance->sys)
                                                : hindrance->text, /* not our names for it */
                          .failure = why ? *why : (struct failure){.failed_us = TIME_NONE}};
  from.ref.id = id;
  struct fs_aside *row = fs_aside_make(&from);
  if (!row) return error_set(err, ST_NO_MEMORY, "no memory to set an entry aside");
  enum status st = keep_row(s, row, &known, err);
  if (st != ST_OK) return st;
  if (!known) say_row(s->site, row);
  fs_hand_end(s->shared, ref.place, name, what == ASIDE_RETRY ? FS_END_STAYS : FS_END_GONE);
  return ST_OK;
}

/* ---- the file ---- */

static bool next_row(const struct fs_shared *s, size_t *pos, struct fs_aside **row) {
  struct span key;
  void *value;
  if (!table_each(&s->asides, pos, &key, &value)) return false;
  *row = value;
  return true;
}

/* Lock held: what was carried out goes. */
static void drop_carried(struct fs_finisher *s) {
  struct fs_aside *row;
  for (size_t pos = 0; next_row(s->shared, &pos, &row);) {
    if (!row->carried) continue;
    table_remove(&s->shared->asides,
                 row->key); /* leaves its slot in place: the walk goes on behind it */
    free(row);
    s->rewrite = true;
  }
}

static enum status append(struct fs_site *s, struct span text, struct error *err) {
  int fd = openat(state_folder(s->state), ASIDE, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening .busbridge/" ASIDE);
  enum status st = durable_append_sync(fd, text, err);
  close(fd);
  return st;
}

static void print_all(struct fs_shared *s, struct buffer *out) {
  struct fs_aside *row;
  buffer_add_z(out, HEAD);
  for (size_t pos = 0; next_row(s, &pos, &row);) fs_aside_print(row, out);
}

enum status fs_aside_sync(struct fs_finisher *s, struct error *err) {
  struct buffer text = {0};
  mutex_lock(&s->shared->lock);
  drop_carried(s);
  bool whole =
      s->rewrite || (s->added.len && (!s->lines || s->lines > 2 * s->shared->asides.count + SLACK));
  if (whole)
    print_all(s->shared, &text);
  else
    buffer_add(&text, buffer_span(&s->added));
  mutex_unlock(&s->shared->lock);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK && whole)
    st = state_replace(s->site->state, ASIDE, buffer_span(&text), err);
  else if (st == ST_OK && text.len)
    st = append(s->site, buffer_span(&text), err);
  mutex_lock(&s->shared->lock);
  s->rewrite = st != ST_OK && (whole || text.len); /* a line may be torn now */
  if (st == ST_OK) {
    for (size_t i = 0; i < text.len; i++) s->lines += !whole && text.ptr[i] == '\n';
    if (whole) s->lines = s->shared->asides.count + 1;
    buffer_clear(&s->added);
  }
  mutex_unlock(&s->shared->lock);
  buffer_release(&text);
  if (st != ST_OK) error_prefix(err, "writing %s/.busbridge/" ASIDE, state_path(s->site->state));
  return st;
}

static enum status load_rows(struct fs_finisher *s, struct span text, struct error *err) {
  enum status st =
      span_starts(text, HEAD) ? ST_OK : error_set(err, ST_INVALID, "its first line is not ours");
  for (const char *end; st == ST_OK && text.len && (end = memchr(text.ptr, '\n', text.len));
       s->lines++) {
    struct span line = {text.ptr, (size_t)(end - text.ptr)};
    struct fs_aside *row = NULL;
    text = (struct span){end + 1, text.len - line.len - 1};
    if (!s->lines) continue;
    st = fs_aside_parse(line, &row, err);
    if (st == ST_OK && put_row(s->shared, row) != ST_OK)
      st = error_set(err, ST_NO_MEMORY, "out of memory");
  }
  s->rewrite = text.len > 0; /* its last line has no end: a crash cut it */
  return st;
}

enum status fs_aside_open(struct fs_finisher *s, struct error *err) {
  struct buffer text = {0};
  if (state_folder(s->site->state) < 0) return ST_OK;
  enum status st = file_read(state_folder(s->site->state), ASIDE, ASIDE_BYTES, &text, err);
  if (st == ST_OK && text.len) st = load_rows(s, buffer_span(&text), err);
  buffer_release(&text);
  if (st == ST_NOT_FOUND) return ST_OK;
  if (st == ST_OK) return ST_OK;
  return error_set(
      err, st == ST_INVALID ? ST_INVALID : st,
      "%s/.busbridge/" ASIDE
      " cannot be read (%.200s). It names entries that are published and could not "
      "be removed: without it they would be published again. Restore it; or remove those entries, "
      "then it",
      state_path(s->site->state), err ? err->text : "");
}

void fs_aside_release(struct fs_finisher *s) {
  struct fs_aside *row;
  for (size_t pos = 0; next_row(s->shared, &pos, &row);) free(row);
  table_release(&s->shared->asides);
  buffer_release(&s->added);
}

/* ---- trying again: aside_tend.c ---- */

void fs_aside_carried(struct fs_shared *s, const struct fs_aside *copy) {
  struct fs_key key;
  char name[NAME_SIZE];
  fs_name_copy(name, copy->ref.name.ptr);
  fs_key_of(&key, copy->ref.place, name);
  mutex_lock(&s->lock);
  struct fs_aside *row = table_get(&s->asides, key.span);
  if (row) row->carried = true;
  mutex_unlock(&s->lock);
}

/* Copies, since others may look at the rows meanwhile. */
struct fs_aside **fs_aside_copy(struct fs_shared *s, size_t *count) {
  struct fs_aside *row, **list;
  size_t pos = 0;
  *count = 0;
  mutex_lock(&s->lock);
  list = calloc(s->asides.count + 1, sizeof(struct fs_aside *));
  while (list && next_row(s, &pos, &row))
    if (!row->carried && (list[*count] = fs_aside_make(row))) ++*count;
  mutex_unlock(&s->lock);
  return list;
}

void fs_aside_free(struct fs_aside **list, size_t count) {
  for (size_t i = 0; i < count; i++) free(list[i]);
  free(list);
}

/* ---- telling ---- */

static int by_time(const void *a, const void *b) {
  const struct fs_aside *x = *(struct fs_aside *const *)a, *y = *(struct fs_aside *const *)b;
  if (x->since_us != y->since_us) return x->since_us < y->since_us ? -1 : 1;
  return span_cmp(x->key, y->key);
}

enum status fs_asides(struct fs_shared *s, size_t limit, store_aside_fn visit, void *ctx,
                      struct error *err) {
  size_t count;
  struct fs_aside **list = fs_aside_copy(s, &count);
  if (!list) return error_set(err, ST_NO_MEMORY, "out of memory");
  if (count) qsort(list, count, sizeof(struct fs_aside *), by_time);
  for (size_t i = 0; i < count && (!limit || i < limit); i++) {
    const struct fs_aside *row = list[i];
    char room[TOKEN_SIZE];
    const struct aside_info info = {.what = row->what,
                                    .token = fs_token(row->ref.place, row->ref.name.ptr, room),
                                    .label = row->ref.name.ptr,
                                    .id = row->ref.id,
                                    .why = row->why,
                                    .remedy = fs_remedy(row->sys),
                                    .attempts = row->failure.attempts,
                                    .since_us = row->since_us,
                                    .arrived_us = row->ref.stamp.mtime_ns / 1000,
                                    .size = (uint64_t)row->ref.stamp.size};
    if (!visit(ctx, &info)) break;
  }
  fs_aside_free(list, count);
  return ST_OK;
}
