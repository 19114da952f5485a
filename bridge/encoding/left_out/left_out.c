/* Members without a place: carried, counted by path, told.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/left_out/left_out.h"

#include "bridge/base/text/words.h"
#include "bridge/encoding/types/quote.h"

#define CARRIED                                                                                    \
  "A payload field has no place in the schema and rides in the header ce_extra; add it, or a map " \
  "of strings named extra"
#define DROPPED                                                                                    \
  "A payload field has no place in the schema and is not published (unknown_fields of encoding "   \
  "or of its route is drop); add it, or a map of strings named extra"

void left_out_init(struct left_out *l, enum unknown_fields policy, struct log *log) {
  *l = (struct left_out){.policy = policy, .usual = policy, .log = log};
  mutex_init(&l->lock);
}

void left_out_release(struct left_out *l) {
  carry_release(&l->walk);
  buffer_release(&l->carried);
  table_release(&l->by_path);
  arena_release(&l->arena);
  buffer_release(&l->name);
  mutex_destroy(&l->lock);
}

/* ---- the header ---- */

static int by_place(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* In the payload's order, whatever that of the schema's fields. */
static struct carry_walk *walk_over(struct left_out *l, struct encoder *e) {
  qsort(e->left_out, e->left_count, sizeof *e->left_out, by_place);
  l->walk.doc = e->doc;
  l->walk.keys = e->left_out;
  l->walk.count = e->left_count;
  return &l->walk;
}

static enum reason too_much(const struct encoder *e) {
  struct buffer path = {0}, shown = {0};
  char count[COUNTED_TEXT];
  json_path(e->doc, e->left_out[0] + 1, &path);
  text_quoted(&shown, buffer_span(&path), 4 * QUOTE_CHARACTERS);
  error_set(e->err, ST_INVALID,
            "%s: %s without a place in the schema %s the header ce_extra larger than %d bytes (%s)",
            buffer_z(&shown), counted_text(e->left_count, "member", "members", count),
            e->left_count == 1 ? "makes" : "make", CARRIED_MAX, e->file);
  buffer_release(&path);
  buffer_release(&shown);
  return REASON_HEADER_TOO_LARGE;
}

enum reason left_out_carry(struct left_out *l, struct encoder *e, uint32_t payload) {
  if (l->policy != UNKNOWN_CARRY) return REASON_NONE;
  bool fits = carry_write(walk_over(l, e), payload, CARRIED_MAX, &l->carried);
  if (l->carried.failed) e->out->failed = true;
  return fits ? REASON_NONE : too_much(e);
}

/* ---- by path ---- */

static struct left_path *add_path(struct left_out *l, struct event_schema *of, struct span name) {
  struct left_path *p = arena_zalloc(&l->arena, sizeof *p);
  struct span kept = p ? arena_span(&l->arena, name) : (struct span){0};
  if (!kept.ptr || table_put(&l->by_path, kept, p) != ST_OK) return NULL;
  size_t before = strlen(of->event_name) + 1;
  p->path = (struct span){kept.ptr + before, kept.len - before};
  struct left_path **last = &of->first_left;
  while (*last) last = &(*last)->next;
  *last = p;
  of->left_paths++;
  return p;
}

static struct left_path *find_or_add(struct left_out *l, struct event_schema *of, struct span path,
                                     bool *fresh) {
  buffer_clear(&l->name);
  buffer_printf(&l->name, "%s ", of->event_name);
  buffer_add(&l->name, path);
  if (l->name.failed) return NULL;
  struct left_path *p = table_get(&l->by_path, buffer_span(&l->name));
  *fresh = !p && of->left_paths < LEFT_OF_TYPE && l->by_path.count < LEFT_MAX;
  return *fresh ? add_path(l, of, buffer_span(&l->name)) : p;
}

/* True: it is met for the first time. */
static bool met(struct left_out *l, struct event_schema *of, struct span path) {
  bool fresh = false;
  mutex_lock(&l->lock);
  struct left_path *p = find_or_add(l, of, path, &fresh);
  if (p) p->count++;
  mutex_unlock(&l->lock);
  return p && fresh;
}

enum { PATH_MOST = 512 }; /* bytes kept of one */

struct noting {
  struct left_out *l;
  struct event_schema *of;
};

/* The field and the type, never a value. */
static bool note_member(struct carry_walk *w, uint32_t key) {
  struct noting *n = w->ctx;
  struct span shape = text_cut(buffer_span(&w->shape), PATH_MOST);
  struct buffer shown = {0};
  (void)key;
  if (!met(n->l, n->of, shape)) return true;
  text_quoted(&shown, shape, 4 * QUOTE_CHARACTERS);
  log_write(n->l->log, LOG_WARNING, "encoding", "fields_left_out",
            FIELDS(F_TEXT("name", n->of->event_name), F_SPAN("field", buffer_span(&shown))), "%s",
            n->l->policy == UNKNOWN_CARRY ? CARRIED : DROPPED);
  buffer_release(&shown);
  return true;
}

void left_out_note(struct left_out *l, struct event_schema *of, struct encoder *e,
                   uint32_t payload) {
  struct noting n = {l, of};
  struct carry_walk *w = walk_over(l, e);
  w->visit = note_member;
  w->ctx = &n;
  (void)carry_each(w, payload);
}

bool left_out_at(struct left_out *l, const struct event_schema *of, size_t n, struct span *path,
                 uint64_t *count) {
  mutex_lock(&l->lock);
  const struct left_path *p = of->first_left;
  while (p && n--) p = p->next;
  if (p) {
    *path = p->path;
    *count = p->count;
  }
  mutex_unlock(&l->lock);
  return p != NULL;
}

void left_out_go_on(struct left_out *l, const struct event_schema *before,
                    struct event_schema *now) {
  mutex_lock(&l->lock);
  now->first_left = before->first_left;
  now->left_paths = before->left_paths;
  now->left_out = before->left_out;
  now->cut_numbers = before->cut_numbers;
  mutex_unlock(&l->lock);
}
