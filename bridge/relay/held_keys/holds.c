/* dlq.hold_key: the keys that wait behind a dead letter, in memory under relay.lock and in
 * .busbridge/holds. The finisher writes the file before the letter moves to dlq/, so a crash holds
 * a key too long at most.
 * Under relay.lock, the file by the finisher's thread. */
#include "bridge/relay/held_keys/holds.h"

#include "bridge/base/disk/durable.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/relay/parts.h"

#define HEAD "busbridge-holds 1\n"
enum { LOOKS = 200, GONE_TWICE = 2, KEY_MOST = 64 };

struct hold {
  struct hold *next; /* of the same key */
  struct span name;  /* of the table: topic and key */
  struct span topic, key, id, file;
  int64_t arrived_ns, created_us;
  uint64_t number; /* entry_ref.number */
  unsigned missed; /* looks in a row that did not find it */
  bool gone;
  char bytes[];
};

/* A key of any length as a short one. */
static struct span name_of(struct span topic, struct span key, char out[KEY_MOST]) {
  struct digest a = digest_of(topic), b = digest_of(key);
  int len = snprintf(out, KEY_MOST, "%016llx%016llx%016llx", (unsigned long long)a.lo,
                     (unsigned long long)b.lo, (unsigned long long)b.hi);
  return (struct span){out, (size_t)len};
}

static const struct hold *find_hold(const struct holds *h, struct span topic, struct span key) {
  char room[KEY_MOST];
  return h->keys.count ? table_get(&h->keys, name_of(topic, key, room)) : NULL;
}

static struct span keep_text(char **at, struct span text) {
  struct span copy = {*at, text.len};
  if (text.len) memcpy(*at, text.ptr, text.len);
  (*at)[text.len] = '\0';
  *at += text.len + 1;
  return copy;
}

static struct hold *make_hold(struct span topic, struct span key, struct span id, struct span file,
                              int64_t arrived_ns, int64_t created_us, uint64_t number) {
  char room[KEY_MOST];
  struct span name = name_of(topic, key, room);
  struct hold *one = malloc(sizeof *one + name.len + topic.len + key.len + id.len + file.len + 5);
  if (!one) return NULL;
  char *at = one->bytes;
  *one = (struct hold){.arrived_ns = arrived_ns, .created_us = created_us, .number = number};
  one->name = keep_text(&at, name);
  one->topic = keep_text(&at, topic);
  one->key = keep_text(&at, key);
  one->id = keep_text(&at, id);
  one->file = keep_text(&at, file);
  return one;
}

/* False: there is no room; it is freed. */
static bool put_hold(struct holds *h, struct hold *one) {
  if (h->count == h->cap) {
    size_t cap = h->cap ? 2 * h->cap : 64;
    struct hold **grown = realloc(h->list, cap * sizeof *grown);
    if (grown) h->list = grown, h->cap = cap;
  }
  struct hold *first = table_get(&h->keys, one->name);
  bool ok = h->count < h->cap && (first || table_put(&h->keys, one->name, one) == ST_OK);
  if (!ok) {
    free(one);
    return false;
  }
  if (first) {
    one->next = first->next;
    first->next = one;
  }
  h->list[h->count++] = one;
  h->changes++;
  return true;
}

static bool has_id(const struct hold *one, struct span id) {
  while (one && !span_eq(one->id, id)) one = one->next;
  return one != NULL;
}

static struct hold *hold_of(const struct holds *h, struct span topic, struct span key,
                            struct span id) {
  char room[KEY_MOST];
  struct hold *one = h->keys.count ? table_get(&h->keys, name_of(topic, key, room)) : NULL;
  while (one && !span_eq(one->id, id)) one = one->next;
  return one;
}

/* ---- what dies, and what waits for it ---- */

static void say_none(struct relay *r, const struct item *item, const char *why) {
  log_write(r->parts.log, LOG_WARNING, "relay", "key_not_held", FIELDS(F_SPAN("id", item->id)),
            "%s: later events of its key do not wait for this dead letter", why);
}

void holds_add(struct relay *r, const struct item *item) {
  struct holds *h = &r->holds;
  if (!h->on || !item->routed || !item->key.len || !item->id.len) return;
  struct span topic = span_of(routing_topic_name(r->parts.routing, item->topic));
  mutex_lock(&r->lock);
  struct hold *before = hold_of(h, topic, item->key, item->id);
  bool known = before != NULL, full = !known && h->count >= HOLDS_MOST;
  struct hold *one = known || full
                         ? NULL
                         : make_hold(topic, item->key, item->id, item->ref.label,
                                     item->ref.arrived_ns, item->created_us, item->ref.number);
  if (known) before->gone = false;
  bool ok = known || (one && put_hold(h, one));
  bool say = !ok && (!full || !h->full);
  h->full = full;
  mutex_unlock(&r->lock);
  if (say)
    say_none(r, item,
             full ? "10,000 dead letters hold their keys, which is the most" : "Out of memory");
}

/* As a scan orders them. */
static bool is_before(const struct hold *one, const struct item *item) {
  int64_t arrived_ns = item->ref.arrived_ns;
  if (one->number && item->ref.number) return one->number < item->ref.number;
  if (one->arrived_ns != arrived_ns) return one->arrived_ns < arrived_ns;
  if (one->created_us != item->created_us) return one->created_us < item->created_us;
  return span_cmp(one->file, item->ref.label) < 0;
}

bool holds_key(const struct holds *h, const char *topic, const struct item *item) {
  const struct hold *one = item->key.len ? find_hold(h, span_of(topic), item->key) : NULL;
  if (!one || has_id(one, item->id)) return false;
  while (one && !is_before(one, item)) one = one->next;
  return one != NULL;
}

const char *holds_file(const struct holds *h, const char *topic, struct span key) {
  const struct hold *one = key.len ? find_hold(h, span_of(topic), key) : NULL;
  return one ? one->file.ptr : NULL;
}

/* ---- what holds no more ----
 *
 * It is marked, and holds its key until what went back because of it is asked for again: else one
 * that is in hand, or comes first, overtakes them. */

/* Lock held: those that are gone leave list and table. */
static void drop_gone(struct holds *h) {
  size_t kept = 0;
  table_clear(&h->keys);
  for (size_t i = 0; i < h->count; i++) {
    struct hold *one = h->list[i];
    one->next = NULL;
    if (one->gone) {
      free(one);
      continue;
    }
    h->list[kept++] = one;
    struct hold *first = table_get(&h->keys, one->name);
    if (first) {
      one->next = first->next;
      first->next = one;
    } else if (table_put(&h->keys, one->name, one) != ST_OK) {
      one->gone = true; /* cannot be: the table was larger before */
    }
  }
  h->count = kept;
  h->looked = 0;
  h->changes++;
  h->some_gone = false;
}

void holds_settled(struct relay *r, const struct item *item) {
  struct holds *h = &r->holds;
  if (!h->count || !item->routed) return;
  struct span topic = span_of(routing_topic_name(r->parts.routing, item->topic));
  if (!hold_of(h, topic, item->key, item->id)) return;
  for (size_t i = 0; i < h->count; i++)
    h->list[i]->gone = h->list[i]->gone ||
                       (span_eq(h->list[i]->id, item->id) && span_eq(h->list[i]->topic, topic));
  h->some_gone = true;
}

struct seen {
  struct span id;
  bool found;
};

static bool see_letter(void *ctx, const struct entry_info *info) {
  struct seen *s = ctx;
  s->found =
      s->found || span_eq(info->id, s->id) || (info->event && event_goes_by(info->event, s->id));
  return !s->found;
}

/* A dead letter, or on its way back; what cannot be looked at is there. */
static bool is_there(struct relay *r, const struct hold *one) {
  struct seen seen = {.id = one->id};
  uint64_t total;
  enum status st = store_find(r->parts.store, LIST_DEAD | LIST_PENDING | LIST_LABEL, one->file,
                              see_letter, &seen, &total, NULL);
  return st != ST_OK || seen.found;
}

/* The list is changed by others meanwhile, so that each is looked for as a copy. */
static struct hold *copy_next(struct relay *r) {
  struct holds *h = &r->holds;
  mutex_lock(&r->lock);
  if (h->looked >= h->count) h->looked = 0;
  const struct hold *one = h->count ? h->list[h->looked++] : NULL;
  struct hold *copy = one ? make_hold(one->topic, one->key, one->id, one->file, one->arrived_ns,
                                      one->created_us, one->number)
                          : NULL;
  mutex_unlock(&r->lock);
  return copy;
}

static void note_hold(struct relay *r, const struct hold *copy, bool there) {
  struct holds *h = &r->holds;
  mutex_lock(&r->lock);
  struct hold *one = hold_of(h, copy->topic, copy->key, copy->id);
  if (one) {
    one->missed = there ? 0 : one->missed + 1;
    one->gone = one->gone || one->missed >= GONE_TWICE;
    h->some_gone = h->some_gone || one->gone;
  }
  mutex_unlock(&r->lock);
}

/* What went back because of a key that is free now comes again, in its order. */
static void release_gone(struct relay *r) {
  mutex_lock(&r->lock);
  if (r->holds.some_gone) {
    drop_gone(&r->holds);
    r->resumed = r->order_scan = store_rescan_settled(r->parts.store);
  }
  mutex_unlock(&r->lock);
}

void holds_tend(struct relay *r) {
  struct error err = {0};
  mutex_lock(&r->lock);
  size_t looks = r->holds.count < LOOKS ? r->holds.count : LOOKS;
  bool idle = !looks && r->holds.changes == r->holds.saved;
  mutex_unlock(&r->lock);
  if (idle) return;
  for (; looks; looks--) {
    struct hold *copy = copy_next(r);
    if (!copy) break;
    note_hold(r, copy, is_there(r, copy));
    free(copy);
  }
  release_gone(r);
  holds_save(r, &err);
}

/* ---- the file ---- */

bool holds_save(struct relay *r, struct error *err) {
  struct holds *h = &r->holds;
  struct buffer text = {0};
  mutex_lock(&r->lock);
  uint64_t changes = h->changes;
  bool same = changes == h->saved;
  if (!same) buffer_add_z(&text, HEAD);
  for (size_t i = 0; !same && i < h->count; i++) {
    const struct hold *one = h->list[i];
    const struct span words[] = {one->topic, one->key, one->id, one->file};
    for (unsigned w = 0; w < 4; w++) {
      word_escape(&text, words[w]);
      buffer_add_char(&text, ' ');
    }
    buffer_printf(&text, "%lld %lld", (long long)one->arrived_ns, (long long)one->created_us);
    if (one->number) buffer_printf(&text, " %llu", (unsigned long long)one->number);
    buffer_add_char(&text, '\n');
  }
  mutex_unlock(&r->lock);
  if (same) return true;
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = store_note_write(r->parts.store, NOTE_HOLDS, buffer_span(&text), err);
  buffer_release(&text);
  if (st == ST_OK) h->saved = changes; /* F alone reads it */
  return st == ST_OK;
}

static enum status load_line(struct holds *h, struct span line, char *room) {
  struct span w[4], more;
  for (unsigned i = 0; i < 4; i++) {
    if (!span_word(&line, &w[i]) || !word_unescape(&w[i], room)) return ST_INVALID;
    room += w[i].len;
  }
  int64_t mtime, created;
  uint64_t number = 0;
  bool ok = span_word(&line, &more) && integer_parse(more, &mtime) && span_word(&line, &more) &&
            integer_parse(more, &created) &&
            (!span_word(&line, &more) ||
             (number_parse(more, UINT64_MAX, &number) && !span_word(&line, &more)));
  if (!ok) return ST_INVALID;
  struct hold *one = make_hold(w[0], w[1], w[2], w[3], mtime, created, number);
  return one && put_hold(h, one) ? ST_OK : ST_NO_MEMORY;
}

static enum status load_holds(struct holds *h, struct span text) {
  enum status st = span_starts(text, HEAD) ? ST_OK : ST_INVALID;
  char *room = malloc(text.len + 1);
  if (!room) return ST_NO_MEMORY;
  bool head = true;
  for (const char *end; st == ST_OK && text.len; head = false) {
    end = memchr(text.ptr, '\n', text.len);
    if (!end) st = ST_INVALID;
    if (st != ST_OK) break;
    struct span line = {text.ptr, (size_t)(end - text.ptr)};
    text = (struct span){end + 1, text.len - line.len - 1};
    if (!head) st = load_line(h, line, room);
  }
  free(room);
  return st;
}

enum status holds_open(struct relay *r, struct error *err) {
  struct holds *h = &r->holds;
  struct buffer text = {0};
  h->on = r->config.hold_key;
  if (!h->on) return ST_OK;
  enum status st = store_note_read(r->parts.store, NOTE_HOLDS, &text, err);
  if (st == ST_NOT_FOUND) return ST_OK;
  if (st == ST_OK) st = load_holds(h, buffer_span(&text));
  buffer_release(&text);
  h->saved = h->changes;
  if (st == ST_OK) return ST_OK;
  return error_set(
      err, st,
      "%s/%s cannot be read: it names the dead letters that hold their keys (%s). Restore "
      "it, or remove it: later events of those keys then go on",
      store_name(r->parts.store), store_note_name(r->parts.store, NOTE_HOLDS), status_name(st));
}

void holds_close(struct holds *h) {
  for (size_t i = 0; i < h->count; i++) free(h->list[i]);
  free(h->list);
  table_release(&h->keys);
}
