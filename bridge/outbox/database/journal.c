/* The journal: manifests in a form of few bytes. It is written before Kafka is told.
 * One thread writes, any reads; a crash leaves each whole, or none.
 *
 * Form: the version, a byte; topics and entries, each counted, all numbers as LEB128 (zigzag where
 * they may be negative). A topic: length and bytes. An entry: a byte of flags; seq less that of the
 * entry before; the row's id (ROW_PACKED: 16 bytes of a uuid; ROW_HEX: 16 bytes of 32 digits; else
 * length and bytes, of a row whose id is none its whole token); the event's id where it is another;
 * the topic's number; the key's length and bytes, unless it is a duplicate; arrived_ns / 1000 less
 * that of the entry before; since_ms less the arrival. */
#include "bridge/base/text/escape.h"
#include "bridge/outbox/database/parts.h"

#include <inttypes.h>

enum { VERSION = 1, FLAGS_BYTE = 1 };
enum {
  ROW_PACKED = 1,
  ROW_HEX = 2,
  ROW_TOKEN = 4, /* its id is none: the token stands there */
  OTHER_ID = 8,
  DUPLICATE = 16,
  EVENT_TIME = 32
};

/* ---- writing ---- */

static void put_number(struct buffer *out, uint64_t n) {
  for (; n >= 128; n >>= 7) buffer_add_char(out, (char)(n | 128));
  buffer_add_char(out, (char)n);
}

static void put_signed(struct buffer *out, int64_t n) {
  put_number(out, ((uint64_t)n << 1) ^ (uint64_t)(n >> 63));
}

static void put_text(struct buffer *out, struct span text) {
  put_number(out, text.len);
  buffer_add(out, text);
}

/* Of a uuid, or of 32 digits: which of the two, 0: neither. */
static unsigned pack(struct span id, char bytes[16]) {
  char digits[32];
  size_t count = 0;
  bool uuid = id.len == 36;
  if (!uuid && id.len != 32) return 0;
  for (size_t i = 0; i < id.len; i++) {
    bool dash = uuid && (i == 8 || i == 13 || i == 18 || i == 23);
    if (dash ? id.ptr[i] != '-' : count == sizeof digits) return 0;
    if (!dash) digits[count++] = id.ptr[i];
  }
  if (!hex_read((struct span){digits, count}, bytes)) return 0;
  return uuid ? ROW_PACKED : ROW_HEX;
}

struct writing {
  struct buffer topics, entries;
  struct table numbers; /* of a topic: its number and one */
  size_t topic_count;
  int64_t seq, arrived_us;
};

static uint64_t topic_number(struct writing *w, struct span topic) {
  uintptr_t number = (uintptr_t)table_get(&w->numbers, topic);
  if (number) return number - 1;
  put_text(&w->topics, topic);
  if (table_put(&w->numbers, topic, (void *)(w->topic_count + 1)) != ST_OK) w->topics.failed = true;
  return w->topic_count++;
}

static void put_row(struct writing *w, const struct manifest_entry *e) {
  struct buffer *out = &w->entries;
  struct row_name name = {0};
  char packed[16];
  bool named = row_name_read(e->ref.token, &name);
  unsigned form = !named || name.digest ? ROW_TOKEN : pack(name.id, packed);
  bool other = form == ROW_TOKEN || !span_eq(name.id, e->id);
  int64_t arrived_us = e->ref.arrived_ns / 1000;
  buffer_add_char(out, (char)(form | (other ? OTHER_ID : 0) | (e->duplicate ? DUPLICATE : 0) |
                              (e->event_time ? EVENT_TIME : 0)));
  put_signed(out, name.seq - w->seq);
  if (form == ROW_PACKED || form == ROW_HEX)
    buffer_append(out, packed, sizeof packed);
  else
    put_text(out, form == ROW_TOKEN ? e->ref.token : name.id);
  if (other) put_text(out, e->id);
  put_number(out, topic_number(w, e->topic));
  if (!e->duplicate)
    put_text(out, (struct span){e->key.ptr, e->key.len < MANIFEST_KEY ? e->key.len : MANIFEST_KEY});
  put_signed(out, arrived_us - w->arrived_us);
  put_signed(out, e->ref.since_ms - arrived_us / 1000);
  w->seq = name.seq;
  w->arrived_us = arrived_us;
}

/* How many of them fill it is told, where not all do. */
static enum status print(struct manifest *m, struct buffer *out, struct error *err) {
  struct writing w = {0};
  for (m->fit = 0; m->fit < m->count; m->fit++) {
    put_row(&w, &m->entries[m->fit]);
    if (w.entries.len + w.topics.len + 32 > MANIFEST_MOST) break;
  }
  buffer_add_char(out, VERSION);
  put_number(out, w.topic_count);
  buffer_add(out, buffer_span(&w.topics));
  put_number(out, m->count);
  buffer_add(out, buffer_span(&w.entries));
  enum status st = buffer_status(&w.topics, err);
  if (st == ST_OK) st = buffer_status(&w.entries, err);
  if (st == ST_OK) st = buffer_status(out, err);
  if (st == ST_OK && m->fit < m->count)
    st = error_set(err, ST_TOO_LARGE, "%zu of %zu entries fill a manifest of %d bytes", m->fit,
                   m->count, MANIFEST_MOST);
  buffer_release(&w.topics);
  buffer_release(&w.entries);
  table_release(&w.numbers);
  return st;
}

/* Of all that it says. */
static enum status make_digest(uint64_t number, const char *before, struct span nonce,
                               struct span entries, char out[MANIFEST_DIGEST], struct error *err) {
  struct buffer text = {0};
  buffer_printf(&text, "%" PRIu64 " %s %zu ", number, before, nonce.len);
  buffer_add(&text, nonce);
  buffer_add(&text, entries);
  struct digest d = digest_fixed(buffer_span(&text));
  snprintf(out, MANIFEST_DIGEST, "%016" PRIx64 "%016" PRIx64, d.hi, d.lo);
  enum status st = buffer_status(&text, err);
  buffer_release(&text);
  return st;
}

/* The rows that are to be published; a twin is settled with one of them, there or not. */
static enum status name_rows(const struct manifest *m, struct db_batch *b, struct error *err) {
  b->rows = malloc((m->count + 1) * sizeof *b->rows);
  if (!b->rows) return error_set(err, ST_NO_MEMORY, "no memory for the rows of a batch");
  for (size_t i = 0; i < m->count; i++) {
    struct row_name name;
    if (m->entries[i].duplicate || !row_name_read(m->entries[i].ref.token, &name)) continue;
    b->rows[b->row_count++] = (struct db_named){
        .seq = name.seq, .id = name.digest ? (struct span){0} : name.id, .entry = i};
  }
  return ST_OK;
}

/* They wait no longer, and whoever took them up is told. */
static void tell_missing(struct db *d, struct manifest *m, const struct db_batch *b) {
  mutex_lock(&d->lock);
  for (size_t i = 0; i < b->row_count; i++) {
    if (!b->rows[i].missing) continue;
    m->entries[b->rows[i].entry].missing = true;
    d->vanished++;
    if (d->listed && d->pending) d->pending--;
  }
  mutex_unlock(&d->lock);
}

enum status db_batch_write(void *impl, struct manifest *m, const char *nonce, struct error *err) {
  struct db *d = impl;
  struct buffer entries = {0};
  struct db_batch b = {.number = m->number, .nonce = span_of(nonce)};
  enum status st = print(m, &entries, err);
  b.entries = buffer_span(&entries);
  if (st == ST_OK) st = make_digest(m->number, m->before, b.nonce, b.entries, m->digest, err);
  memcpy(b.digest, m->digest, sizeof b.digest);
  memcpy(b.before, m->before, sizeof b.before);
  if (st == ST_OK) st = name_rows(m, &b, err);
  if (st == ST_OK) st = db_still(d, err);
  if (st == ST_OK) st = DB_TIMED(d, STEP_LIST, SIDE_WRITING, batch_write(d->impl, &b, err));
  if (st == ST_NOT_FOUND) tell_missing(d, m, &b);
  free(b.rows);
  buffer_release(&entries);
  return st;
}

/* ---- reading ---- */

struct taking {
  struct span rest;
  bool bad;
};

static uint64_t take_number(struct taking *t) {
  uint64_t n = 0;
  for (unsigned shift = 0; t->rest.len && shift < 64; shift += 7) {
    unsigned char c = (unsigned char)*t->rest.ptr;
    t->rest = (struct span){t->rest.ptr + 1, t->rest.len - 1};
    n |= (uint64_t)(c & 127) << shift;
    if (c < 128) return n;
  }
  t->bad = true;
  return 0;
}

static int64_t take_signed(struct taking *t) {
  uint64_t n = take_number(t);
  return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static struct span take_bytes(struct taking *t, uint64_t len) {
  if (len > t->rest.len) {
    t->bad = true;
    return (struct span){"", 0};
  }
  struct span bytes = {t->rest.ptr, (size_t)len};
  t->rest = (struct span){t->rest.ptr + len, t->rest.len - (size_t)len};
  return bytes;
}

static struct span take_text(struct taking *t) {
  return take_bytes(t, take_number(t));
}

static struct span unpack(struct taking *t, unsigned form, char text[40]) {
  struct buffer digits = {0};
  hex_write(&digits, take_bytes(t, 16));
  struct span d = buffer_span(&digits);
  if (d.len != 32) snprintf(text, 40, "%s", "");
  if (d.len == 32 && form == ROW_HEX) snprintf(text, 40, "%.*s", SPAN_ARGS(d));
  if (d.len == 32 && form == ROW_PACKED)
    snprintf(text, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", d.ptr, d.ptr + 8, d.ptr + 12, d.ptr + 16,
             d.ptr + 20);
  buffer_release(&digits);
  return span_of(text);
}

struct reading {
  struct taking t;
  struct arena *arena;
  struct span *topics;
  uint64_t topic_count;
  int64_t seq, arrived_us;
};

static bool keep_span(struct reading *r, struct span from, struct span *to) {
  *to = arena_span(r->arena, from);
  return to->ptr || !from.len;
}

/* False: memory is out. */
static bool take_row(struct reading *r, struct manifest_entry *e) {
  struct taking *t = &r->t;
  char text[40], token[ROW_TOKEN_MOST];
  unsigned char flags = (unsigned char)*take_bytes(t, FLAGS_BYTE).ptr;
  r->seq += take_signed(t);
  unsigned form = flags & (ROW_PACKED | ROW_HEX);
  struct span id = form ? unpack(t, form, text) : take_text(t), shown = id;
  if (!(flags & ROW_TOKEN)) {
    size_t len = row_token(r->seq, id, token);
    shown = (struct span){token, len};
  }
  bool whole = (e->ref.token.ptr = arena_copy(r->arena, shown)) != NULL;
  e->ref.token.len = shown.len;
  e->ref.label = e->ref.token;
  whole = whole && keep_span(r, flags & OTHER_ID ? take_text(t) : id, &e->id);
  uint64_t topic = take_number(t);
  t->bad |= topic >= r->topic_count;
  if (!t->bad) e->topic = r->topics[topic];
  e->duplicate = flags & DUPLICATE;
  e->event_time = flags & EVENT_TIME;
  if (!e->duplicate) whole = whole && keep_span(r, take_text(t), &e->key);
  r->arrived_us += take_signed(t);
  e->ref.number = (uint64_t)r->seq;
  e->ref.arrived_ns = r->arrived_us * 1000;
  e->ref.since_ms = r->arrived_us / 1000 + take_signed(t);
  e->ref.id = e->id;
  return whole;
}

/* Of what has its digest. */
static enum status parse_entries(const struct db_batch *b, struct manifest *out,
                                 struct error *err) {
  struct reading r = {.t = {.rest = b->entries}, .arena = &out->arena};
  struct taking *t = &r.t;
  if (take_number(t) != VERSION)
    return error_set(err, ST_UNSUPPORTED, "batch %" PRIu64 " is of another release", b->number);
  r.topic_count = take_number(t);
  t->bad |= r.topic_count > t->rest.len;
  r.topics = t->bad ? NULL : arena_zalloc(&out->arena, (r.topic_count + 1) * sizeof *r.topics);
  bool whole = t->bad || r.topics;
  for (uint64_t i = 0; whole && !t->bad && i < r.topic_count; i++)
    whole = keep_span(&r, take_text(t), &r.topics[i]);
  uint64_t count = take_number(t);
  t->bad |= count > t->rest.len;
  out->count = t->bad ? 0 : (size_t)count;
  out->entries = arena_zalloc(&out->arena, (out->count + 1) * sizeof *out->entries);
  whole = whole && out->entries;
  for (size_t i = 0; whole && !t->bad && i < out->count; i++)
    whole = take_row(&r, &out->entries[i]);
  if (!whole) return error_set(err, ST_NO_MEMORY, "no memory for a manifest");
  if (!t->bad && !t->rest.len) return ST_OK;
  return error_set(err, ST_INVALID, "batch %" PRIu64 " is damaged", b->number);
}

enum status db_batch_read(void *impl, const struct manifest_name *name, struct manifest *out,
                          struct error *err) {
  struct db *d = impl;
  struct db_batch b = {0};
  struct arena arena = {0};
  char digest[MANIFEST_DIGEST] = "";
  *out = (struct manifest){.number = name->number};
  enum status st =
      DB_STEP(d, SIDE_READING, batch_read(d->impl, name->number, name->digest, &arena, &b, err));
  if (st == ST_OK) st = make_digest(name->number, b.before, b.nonce, b.entries, digest, err);
  if (st == ST_OK && strcmp(digest, name->digest) != 0)
    st = error_set(err, ST_INVALID, "batch %" PRIu64 " is damaged", name->number);
  if (st == ST_OK) st = parse_entries(&b, out, err);
  memcpy(out->digest, digest, sizeof out->digest);
  memcpy(out->before, b.before, sizeof out->before);
  if (st == ST_OK) out->nonce = arena_span(&out->arena, b.nonce);
  if (st == ST_OK && !out->nonce.ptr && b.nonce.len)
    st = error_set(err, ST_NO_MEMORY, "no memory for a manifest");
  if (st != ST_OK) manifest_release(out);
  arena_release(&arena);
  return st;
}
