/* Finds entries by file name, by the beginning of a name, and only then by the id inside each file;
 * shows 20 at most.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/file/operators/describe.h"

#include <fcntl.h>

#define FOUND_MAX 20

/* Matches of one kind: all are counted, the first few are kept. */
struct matches {
  uint64_t count;
  struct {
    enum place place;
    char *name;
  } at[FOUND_MAX];
};
enum way { BY_FILE, BY_NAME, BY_ID };
struct find {
  struct fs_look look;
  struct span key;
  enum place place;
  enum way way;
  struct matches exact, prefix;
};

static void keep_match(struct matches *m, enum place place, const char *name) {
  if (m->count < FOUND_MAX) {
    m->at[m->count].place = place;
    m->at[m->count].name = strdup(name); /* NULL: counted, not shown */
  }
  m->count++;
}

static void matches_release(struct matches *m) {
  for (size_t i = 0; i < m->count && i < FOUND_MAX; i++) free(m->at[i].name);
}

/* "__" and digits: a name made because another had it already. */
static bool is_number_suffix(struct span rest) {
  if (rest.len < 3 || memcmp(rest.ptr, "__", 2) != 0) return false;
  for (size_t i = 2; i < rest.len; i++)
    if (rest.ptr[i] < '0' || rest.ptr[i] > '9') return false;
  return true;
}

static bool text_begins(struct span text, struct span key) {
  return text.len >= key.len && memcmp(text.ptr, key.ptr, key.len) == 0;
}

static void match(struct find *f, struct span text, const char *name) {
  struct span key = f->key;
  if (!text_begins(text, key)) return;
  struct span rest = {text.ptr + key.len, text.len - key.len};
  bool exact = !rest.len || (f->way == BY_NAME && is_number_suffix(rest));
  keep_match(exact ? &f->exact : &f->prefix, f->place, name);
}

/* As it stands there: text, or a number. Empty: neither. */
static struct span said(struct find *f, uint32_t node) {
  const struct json_doc *d = &f->look.loaded.doc;
  struct span text = {0};
  if (node == JSON_NONE) return text;
  if (d->nodes[node].type == JSON_NUMBER) return json_slice(d, node);
  if (d->nodes[node].type != JSON_STRING || !json_text(d, node, &f->look.loaded.arena, &text))
    return (struct span){0};
  return text;
}

/* By the ids that it goes by, and by those that stand in it and are none: an address of memory, a
 * bad one. */
static void match_ids(struct find *f, const struct entry_info *info, const char *name) {
  const struct event *e = info->event;
  struct span ids[4] = {info->id};
  if (e) ids[1] = e->other_id;
  if (info->doc) ids[2] = said(f, json_member(info->doc, 0, e && e->typed ? "message_id" : "id"));
  bool bus = info->foreign_form || (e && (e->typed || e->lifted));
  bool inside =
      bus && info->payload != JSON_NONE && info->doc->nodes[info->payload].type == JSON_OBJECT;
  if (inside) ids[3] = said(f, json_member(info->doc, info->payload, "event_id"));
  struct span best = {0};
  for (unsigned i = 0; i < 4; i++)
    if (span_eq(ids[i], f->key) || (!best.len && text_begins(ids[i], f->key))) best = ids[i];
  if (best.len) match(f, best, name);
}

static bool find_name(void *ctx, const char *name, unsigned char type) {
  struct find *f = ctx;
  struct entry_info info;
  (void)type;
  if (!name_is_entry(name)) return true;
  struct span stem = {name, strlen(name) - 5};
  if (f->way == BY_ID) {
    if (fs_look_at(&f->look, f->place, name, &info)) match_ids(f, &info, name);
    return true;
  }
  uint64_t before = f->exact.count + f->prefix.count;
  match(f, stem, name);
  if (fs_shelf(f->place) == SHELF_DEAD && before == f->exact.count + f->prefix.count &&
      span_starts(stem, "dlq_"))
    match(f, (struct span){stem.ptr + 4, stem.len - 4}, name);
  return true;
}

/* ---- the files of that very name, without reading the folders ---- */

/* <stem>.json and <stem>__1.json and up; numbers in between may be missing. */
static void probe_stem(struct find *f, const char *prefix) {
  char name[NAME_SIZE], number[16] = "";
  struct stat st;
  for (unsigned n = 0, last = 0; n <= last + FOUND_MAX; n++) {
    if (n) snprintf(number, sizeof number, "__%u", n);
    int need = snprintf(name, sizeof name, "%s%.*s%s.json", prefix, SPAN_ARGS(f->key), number);
    if (need < 0 || need >= NAME_SIZE || !name_is_entry(name)) return;
    if (fstatat(fs_folder(f->look.s->site, f->place), name, &st, AT_SYMLINK_NOFOLLOW) < 0) continue;
    keep_match(&f->exact, f->place, name);
    last = n;
  }
}

/* By where it lies, as messages say it: "typed/errored/x.json", or without the ending. */
static bool is_path(struct find *f) {
  const char *path = place_path(f->place);
  size_t len = strlen(path);
  if (!len || !span_starts(f->key, path)) return false;
  struct span stem = {f->key.ptr + len, f->key.len - len};
  char name[NAME_SIZE];
  struct stat st;
  if (span_ends(stem, ".json")) stem.len -= sizeof ".json" - 1;
  int need = snprintf(name, sizeof name, "%.*s.json", SPAN_ARGS(stem));
  if (need > 0 && need < NAME_SIZE && name_is_entry(name) && !strchr(name, '/') &&
      fstatat(fs_folder(f->look.s->site, f->place), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
    keep_match(&f->exact, f->place, name);
  return true;
}

static void probe(struct find *f) {
  if (is_path(f)) return;
  if (memchr(f->key.ptr, '/', f->key.len) || memchr(f->key.ptr, '\0', f->key.len)) return;
  probe_stem(f, "");
  if (f->key.ptr[0] == '.') probe_stem(f, "_"); /* event_stem */
  if (fs_shelf(f->place) == SHELF_DEAD) probe_stem(f, "dlq_");
}

/* ---- the names of all ---- */

static enum status find_place(struct find *f, struct error *err) {
  enum status st = folder_walk(fs_folder(f->look.s->site, f->place), find_name, f, err);
  if (st != ST_OK)
    error_prefix(err, "%s/%s", state_path(fs_state(f->look.s->site, f->place)),
                 place_inside(f->place));
  return st;
}

static enum status search(struct find *f, unsigned which, struct error *err) {
  for (unsigned p = 0; p < PLACES; p++) {
    f->place = (enum place)p;
    enum shelf shelf = fs_shelf(f->place);
    if (fs_folder(f->look.s->site, f->place) < 0 || shelf == SHELF_SENT ||
        !(which & (shelf == SHELF_DEAD ? LIST_DEAD : LIST_PENDING)))
      continue;
    enum status st = ST_OK;
    if (f->way == BY_FILE)
      probe(f);
    else
      st = find_place(f, err);
    if (st != ST_OK) return st;
  }
  return ST_OK;
}

/* Names told what may match; the files tell whether they are entries. Returns how many of the kept
 * are not. */
static uint64_t show_matches(struct find *f, const struct matches *m, store_visit_fn visit,
                             void *ctx) {
  struct entry_info info;
  uint64_t skipped = 0;
  for (size_t i = 0; i < m->count && i < FOUND_MAX; i++) {
    if (!m->at[i].name || !fs_look_at(&f->look, m->at[i].place, m->at[i].name, &info))
      skipped++;
    else if (!visit(ctx, &info))
      break;
  }
  return skipped;
}

static uint64_t tell_found(struct find *f, store_visit_fn visit, void *ctx) {
  uint64_t found = f->exact.count - show_matches(f, &f->exact, visit, ctx);
  if (!found) found = f->prefix.count - show_matches(f, &f->prefix, visit, ctx);
  matches_release(&f->exact);
  matches_release(&f->prefix);
  f->exact.count = f->prefix.count = 0;
  return found;
}

/* By file first, which is as fast however many there are; then by name, which needs no reading.
 * Only when no name matches is each file opened for its id. */
enum status fs_find(struct fs_shared *s, unsigned which, struct span key, store_visit_fn visit,
                    void *ctx, uint64_t *total, struct error *err) {
  struct find f = {.look.s = s, .key = key};
  enum status st = ST_OK;
  *total = 0;
  if (!key.len) return ST_OK;
  unsigned last = which & (LIST_KEY | LIST_LABEL) ? BY_FILE : BY_ID;
  if (which & LIST_LABEL && span_ends(f.key, ".json")) f.key.len -= strlen(".json");
  fs_look_around(f.look.s->site);
  for (unsigned way = BY_FILE; way <= last && st == ST_OK && !*total; way++) {
    f.way = (enum way)way;
    st = search(&f, which, err);
    *total = tell_found(&f, visit, ctx);
  }
  fs_loaded_release(&f.look.loaded);
  return st;
}
