/* The filters: read from words, matched against entries, and written as words again.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/entries/selection.h"

#include "bridge/base/text/words.h"

#include <ctype.h>
#include <time.h>

#define SHOWN 60 /* bytes of a wrong value in a message */

void selection_init(struct selection *s) {
  *s = (struct selection){
      .pending = true, .dead = true, .since_us = TIME_NONE, .until_us = TIME_NONE};
}

bool selection_narrows(const struct selection *s) {
  return s->namespace.len || s->name.len || s->key.len || s->reason.len ||
         s->since_us != TIME_NONE || s->until_us != TIME_NONE;
}

bool selection_reads(const struct selection *s) {
  return s->namespace.len || s->name.len || s->key.len || s->reason.len ||
         (s->dead && selection_narrows(s));
}

/* ---- values ---- */

static enum status wrong_value(struct error *err, const char *word, const char *value,
                               const char *expected) {
  struct buffer shown = {0};
  text_printable(&shown, text_cut(span_of(value), SHOWN));
  enum status st =
      error_set(err, ST_INVALID, "%s \"%s\": expected %s", word, buffer_z(&shown), expected);
  buffer_release(&shown);
  return st;
}

/* expected, and the word of the list that is nearest to value. */
static enum status unknown_value(struct error *err, const char *word, const char *value,
                                 const char *expected, const char *const *list, size_t count) {
  struct buffer text = {0};
  const char *near = word_nearest(value, list, count);
  buffer_add_z(&text, expected);
  if (near) buffer_printf(&text, "; did you mean %s?", near);
  enum status st = wrong_value(err, word, value, buffer_z(&text));
  buffer_release(&text);
  return st;
}

static enum status set_type(struct selection *s, const char *value, int64_t now_us,
                            struct error *err) {
  static const char *const types[] = {"pending", "dlq", "all", "aside"};
  (void)now_us;
  bool all = strcmp(value, "all") == 0, pending = all || strcmp(value, "pending") == 0,
       dead = all || strcmp(value, "dlq") == 0;
  bool aside = strcmp(value, "aside") == 0;
  if (!pending && !dead && !aside)
    return unknown_value(err, "type", value, "pending, dlq, aside or all", types, 4);
  s->pending = pending;
  s->dead = dead;
  s->aside = aside;
  return ST_OK;
}

static enum status set_namespace(struct selection *s, const char *value, int64_t now_us,
                                 struct error *err) {
  (void)now_us;
  if (!*value || value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_-")])
    return wrong_value(
        err, "namespace", value,
        "what stands in front of the first dot of a name, [a-z0-9_-]+; for more of the name use "
        "name");
  s->namespace = span_of(value);
  return ST_OK;
}

/* A word, or its beginning and a *. */
static bool is_pattern(const char *value) {
  size_t len = strlen(value);
  const char *star = strchr(value, '*');
  return len > 0 && (!star || star == value + len - 1);
}

static bool matches(struct span pattern, struct span text) {
  if (!pattern.len || pattern.ptr[pattern.len - 1] != '*') return span_eq(pattern, text);
  return text.len >= pattern.len - 1 && memcmp(text.ptr, pattern.ptr, pattern.len - 1) == 0;
}

static enum status set_name(struct selection *s, const char *value, int64_t now_us,
                            struct error *err) {
  (void)now_us;
  if (!is_pattern(value))
    return wrong_value(err, "name", value, "a name, or the beginning of one and a * behind it");
  s->name = span_of(value);
  return ST_OK;
}

static enum status set_key(struct selection *s, const char *value, int64_t now_us,
                           struct error *err) {
  (void)now_us;
  if (!*value) return wrong_value(err, "key", value, "the key of the event in Kafka");
  s->key = span_of(value);
  return ST_OK;
}

static enum status set_reason(struct selection *s, const char *value, int64_t now_us,
                              struct error *err) {
  const char *words[REASON_COUNT];
  (void)now_us;
  for (unsigned r = 0; r < REASON_COUNT; r++) {
    words[r] = reason_word((enum reason)r);
    if (!is_pattern(value) || !matches(span_of(value), span_of(words[r]))) continue;
    s->reason = span_of(value);
    return ST_OK;
  }
  return unknown_value(
      err, "reason", value,
      "a reason such as schema_mismatch or not_json, or the beginning of one and a *", words,
      REASON_COUNT);
}

/* ---- times ---- */

/* us as if the time were in UTC -> as it is here. False: there is no such time. */
static bool local_time(int64_t *us) {
  time_t seconds = (time_t)(*us / 1000000);
  int64_t micro = *us % 1000000;
  struct tm tm;
  if (micro < 0) micro += 1000000, seconds--;
  if (!gmtime_r(&seconds, &tm)) return false;
  tm.tm_isdst = -1;
  tm.tm_wday = -1; /* set when mktime succeeds; -1 is a time too */
  seconds = mktime(&tm);
  if (tm.tm_wday < 0) return false;
  *us = (int64_t)seconds * 1000000 + micro;
  return true;
}

/* "2026-07-30", "2026-07-30T10:00", "2026-07-30 10:00:00.5+02:00" */
static bool take_time(const char *value, int64_t *us) {
  char full[64];
  size_t len = strlen(value);
  if (len < 10 || len > 40) return false;
  size_t body = 10 + strcspn(value + 10, "Zz+-");
  const char *rest = body == 10 ? "T00:00:00" : body == 16 ? ":00" : "";
  snprintf(full, sizeof full, "%.*s%s%s", (int)body, value, rest, value + body);
  return time_parse(span_of(full), us) && (value[body] || local_time(us));
}

static bool take_age(const char *value, int64_t now_us, int64_t *us) {
  int64_t ms;
  size_t len = strlen(value);
  if (!len || !isalpha((unsigned char)value[len - 1]) || !duration_parse(span_of(value), &ms))
    return false;
  *us = now_us - ms * 1000;
  return true;
}

static enum status check_order(const struct selection *s, struct error *err) {
  if (s->since_us == TIME_NONE || s->until_us == TIME_NONE || s->since_us <= s->until_us)
    return ST_OK;
  return error_set(err, ST_INVALID,
                   "since lies behind until (or older-than): nothing can be between them");
}

#define TIME_EXPECTED                                                                              \
  "a time such as 2026-07-30, 2026-07-30T10:00 or 2026-07-30T10:00:00Z, or an age such as 15m, "   \
  "2h, 7d"

static enum status set_since(struct selection *s, const char *value, int64_t now_us,
                             struct error *err) {
  if (!take_age(value, now_us, &s->since_us) && !take_time(value, &s->since_us))
    return wrong_value(err, "since", value, TIME_EXPECTED);
  return check_order(s, err);
}

static void narrow_until(struct selection *s, int64_t us) {
  if (s->until_us == TIME_NONE || us < s->until_us) s->until_us = us;
}

static enum status set_until(struct selection *s, const char *value, int64_t now_us,
                             struct error *err) {
  int64_t us;
  if (!take_age(value, now_us, &us) && !take_time(value, &us))
    return wrong_value(err, "until", value, TIME_EXPECTED);
  narrow_until(s, us);
  return check_order(s, err);
}

static enum status set_older_than(struct selection *s, const char *value, int64_t now_us,
                                  struct error *err) {
  int64_t us;
  if (!take_age(value, now_us, &us))
    return wrong_value(err, "older-than", value, "an age such as 90s, 15m, 2h or 7d");
  narrow_until(s, us);
  return check_order(s, err);
}

/* ---- the table ---- */

static const struct filter {
  const char *word;
  enum status (*set)(struct selection *s, const char *value, int64_t now_us, struct error *err);
} filters[] = {{"type", set_type},   {"namespace", set_namespace},  {"name", set_name},
               {"key", set_key},     {"reason", set_reason},        {"since", set_since},
               {"until", set_until}, {"older-than", set_older_than}};
#define FILTERS (sizeof filters / sizeof *filters)

static bool same_word(const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (*a != *b && !(*a == '-' && *b == '_')) return false;
  return !*a && !*b;
}

static const struct filter *filter_of(const char *word) {
  for (size_t i = 0; i < FILTERS; i++)
    if (same_word(filters[i].word, word)) return &filters[i];
  return NULL;
}

bool selection_knows(const char *word) {
  return filter_of(word) != NULL;
}

enum status selection_set(struct selection *s, const char *word, const char *value, int64_t now_us,
                          struct error *err) {
  const struct filter *filter = filter_of(word);
  if (filter) return filter->set(s, value, now_us, err);
  return error_set(err, ST_INVALID,
                   "There is no filter %.40s; there are: " SELECTION_TYPE " " SELECTION_FILTERS,
                   word);
}

/* ---- matching ---- */

struct span selection_namespace(const struct routing *routing, const struct entry_info *info) {
  struct span name = routing_canonical(routing, info->name);
  const char *dot = name.len ? memchr(name.ptr, '.', name.len) : NULL;
  return (struct span){name.ptr, dot ? (size_t)(dot - name.ptr) : 0};
}

bool selection_route(const struct routing *routing, const struct entry_info *info,
                     struct arena *arena, struct route *out) {
  struct event event = {.id = info->id, .name = info->name, .payload = info->payload};
  if (!info->doc || info->raw) return false;
  if (info->event) event = *info->event;
  event.id = info->id;
  if (event.payload != JSON_NONE && info->doc->nodes[event.payload].type != JSON_OBJECT)
    event.payload = JSON_NONE;
  return routing_route(routing, info->doc, &event, arena, out, NULL) == REASON_NONE;
}

static bool key_matches(const struct selection *s, const struct routing *routing,
                        const struct entry_info *info) {
  struct arena arena = {0};
  struct route route;
  bool same = selection_route(routing, info, &arena, &route) && span_eq(s->key, route.key);
  arena_release(&arena);
  return same;
}

static bool time_matches(const struct selection *s, const struct entry_info *info) {
  bool failed = info->shelf == SHELF_DEAD && info->failed_us != TIME_NONE;
  int64_t us = failed ? info->failed_us : info->arrived_us;
  return (s->since_us == TIME_NONE || us >= s->since_us) &&
         (s->until_us == TIME_NONE || us <= s->until_us);
}

bool selection_matches(const struct selection *s, const struct routing *routing,
                       const struct entry_info *info) {
  if (info->shelf == SHELF_DEAD ? !s->dead : !s->pending) return false;
  if (!time_matches(s, info)) return false;
  struct span reason = info->reason.len ? info->reason : span_of(reason_word(REASON_NONE));
  if (s->reason.len && !matches(s->reason, reason)) return false;
  if (s->name.len && !matches(s->name, info->name) &&
      !matches(s->name, routing_canonical(routing, info->name)))
    return false;
  if (s->namespace.len && !span_eq(s->namespace, selection_namespace(routing, info))) return false;
  return !s->key.len || key_matches(s, routing, info);
}

/* ---- as words ---- */

void selection_each(const struct selection *s,
                    void (*tell)(void *ctx, const char *word, struct span value), void *ctx) {
  char time[TIME_TEXT];
  tell(ctx, "type",
       span_of(s->pending && s->dead ? "all"
               : s->dead             ? "dlq"
               : s->aside            ? "aside"
                                     : "pending"));
  if (s->namespace.len) tell(ctx, "namespace", s->namespace);
  if (s->name.len) tell(ctx, "name", s->name);
  if (s->key.len) tell(ctx, "key", s->key);
  if (s->reason.len) tell(ctx, "reason", s->reason);
  if (s->since_us != TIME_NONE) tell(ctx, "since", span_of(time_format(s->since_us, time)));
  if (s->until_us != TIME_NONE) tell(ctx, "until", span_of(time_format(s->until_us, time)));
}

static void add_word(void *ctx, const char *word, struct span value) {
  struct buffer *out = ctx;
  bool plain = true;
  for (size_t i = 0; i < value.len; i++)
    plain = plain && value.ptr[i] != ' ' && value.ptr[i] != '"';
  buffer_printf(out, "%s%s=", out->len ? " " : "", word);
  struct buffer quoted = {0};
  if (!plain) json_write_string(&quoted, value);
  text_printable(out, plain ? value : buffer_span(&quoted));
  out->failed = out->failed || quoted.failed;
  buffer_release(&quoted);
}

void selection_words(const struct selection *s, struct buffer *out) {
  struct buffer words = {0};
  selection_each(s, add_word, &words);
  out->failed = out->failed || words.failed;
  buffer_add(out, buffer_span(&words));
  buffer_release(&words);
}
