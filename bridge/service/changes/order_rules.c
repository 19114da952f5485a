/* The rules as lines of a note, "topic TAB PATTERN TAB TOPIC" and "key TAB PATTERN TAB
 * FIELD,FIELD", and those lines compared by namespace.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/changes/order_rules.h"

#include "bridge/base/table.h"
#include "bridge/base/text/words.h"

enum { ENTRIES_READ = 10000, WORDS_MOST = 1500 };

static void add_key(struct buffer *out, struct span pattern, const struct key_rule *rule) {
  buffer_printf(out, "key\t%.*s\t", SPAN_ARGS(pattern));
  for (const char *const *field = rule->fields; *field; field++)
    buffer_printf(out, "%s%s", field == rule->fields ? "" : ",", *field);
  buffer_add_char(out, '\n');
}

static void write_rules(const struct routing *r, struct buffer *out) {
  struct topic_use use;
  struct key_rule rule;
  struct span ns, event;
  for (size_t i = 0; routing_topic_use(r, i, &use); i++)
    buffer_printf(out, "topic\t%.*s\t%s\n", SPAN_ARGS(use.pattern),
                  routing_topic_name(r, use.topic));
  for (unsigned i = 0; routing_namespace(r, i, &ns); i++)
    for (size_t at = 0; routing_key_rule(r, i, at, &rule, &event); at++)
      add_key(out, at ? event : ns, &rule);
}

enum status order_rules_write(struct store *s, const struct routing *r, struct error *err) {
  struct buffer text = {0};
  write_rules(r, &text);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = store_note_write(s, NOTE_ORDER, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

/* ---- lines ---- */

struct line {
  struct span rule; /* "key TAB PATTERN" */
  struct span pattern, value;
  bool key;
};

static bool next_line(struct span *rest, struct line *out) {
  while (rest->len) {
    struct span line = span_until(rest, '\n'), whole = line, kind = span_until(&line, '\t');
    struct span pattern = span_until(&line, '\t');
    if (!pattern.len) continue; /* not one of ours */
    size_t len = (size_t)(pattern.ptr + pattern.len - whole.ptr);
    *out = (struct line){
        .rule = {whole.ptr, len}, .pattern = pattern, .value = line, .key = span_is(kind, "key")};
    return true;
  }
  return false;
}

static bool find_rule(struct span text, struct span rule, struct span *value) {
  struct line line;
  while (next_line(&text, &line))
    if (span_eq(line.rule, rule)) {
      *value = line.value;
      return true;
    }
  return false;
}

static bool of_namespace(struct span pattern, struct span ns) {
  return pattern.len >= ns.len && memcmp(pattern.ptr, ns.ptr, ns.len) == 0 &&
         (pattern.len == ns.len || pattern.ptr[ns.len] == '.');
}

/* ---- what changed ---- */

struct changes {
  const struct routing *routing;
  struct span was, is;
  struct table pending; /* namespace that changed -> its uint64_t */
  struct arena arena;
};

static void add_value(struct buffer *out, const struct line *line, bool there, struct span value) {
  if (!there)
    buffer_add_z(out, "that of its namespace");
  else if (!value.len)
    buffer_add_z(out, line->key ? "the event's id" : "none");
  else
    buffer_add(out, value);
}

static void add_difference(const struct line *line, struct span ns, struct span text, bool old,
                           struct buffer *out) {
  struct span other = {0};
  bool there = find_rule(text, line->rule, &other);
  if (there && (old || span_eq(other, line->value))) return; /* told by the other side */
  buffer_printf(out, "%s%s", out->len ? "; " : "", line->key ? "the key" : "the topic");
  if (line->pattern.len > ns.len) buffer_printf(out, " of %.*s", SPAN_ARGS(line->pattern));
  buffer_add_z(out, " was ");
  add_value(out, line, old || there, old ? line->value : other);
  buffer_add_z(out, " and is ");
  add_value(out, line, !old || there, old ? other : line->value);
}

/* In words; nothing where it is as it was, or was not published before. */
static void differences(const struct changes *c, struct span ns, struct buffer *out) {
  struct span was = c->was, is = c->is;
  struct line line;
  bool known = false;
  while (!known && next_line(&was, &line)) known = of_namespace(line.pattern, ns);
  if (!known) return;
  while (next_line(&is, &line))
    if (of_namespace(line.pattern, ns)) add_difference(&line, ns, c->was, false, out);
  for (was = c->was; next_line(&was, &line);)
    if (of_namespace(line.pattern, ns)) add_difference(&line, ns, c->is, true, out);
}

static bool count_entry(void *ctx, const struct entry_info *info) {
  struct changes *c = ctx;
  uint64_t *count = table_get(&c->pending, routing_namespace_of(c->routing, info->name));
  if (count) ++*count;
  return true;
}

static enum status find_changed(struct changes *c, struct error *err) {
  struct span ns;
  for (unsigned i = 0; routing_namespace(c->routing, i, &ns); i++) {
    struct buffer words = {0};
    differences(c, ns, &words);
    bool differs = words.len > 0, failed = words.failed;
    buffer_release(&words);
    uint64_t *count = differs ? arena_zalloc(&c->arena, sizeof *count) : NULL;
    if (failed || (differs && (!count || table_put(&c->pending, ns, count) == ST_NO_MEMORY)))
      return error_set(err, ST_NO_MEMORY, "Out of memory");
  }
  return ST_OK;
}

static void tell_all(const struct changes *c, order_change_fn tell, void *ctx) {
  struct span ns;
  for (unsigned i = 0; routing_namespace(c->routing, i, &ns); i++) {
    const uint64_t *count = table_get(&c->pending, ns);
    struct buffer words = {0}, shown = {0};
    char pending[COUNTED_TEXT];
    if (!count || !*count) continue;
    differences(c, ns, &words);
    text_quoted(&shown, buffer_span(&words), WORDS_MOST);
    buffer_printf(&shown, ", while %s pending",
                  counted_text(*count, "of its events is", "of its events are", pending));
    tell(ctx, ns, buffer_z(&shown));
    buffer_release(&words);
    buffer_release(&shown);
  }
}

static enum status compare_rules(struct changes *c, struct store *s, order_change_fn tell,
                                 void *ctx, struct error *err) {
  uint64_t total = 0;
  enum status st = find_changed(c, err);
  if (st == ST_OK && c->pending.count)
    st = store_list(s, LIST_PENDING, ENTRIES_READ, count_entry, c, &total, err);
  if (st == ST_OK) tell_all(c, tell, ctx);
  return st;
}

enum status order_rules_compare(struct store *s, const struct routing *r, order_change_fn tell,
                                void *ctx, bool *changed, struct error *err) {
  struct buffer was = {0}, is = {0};
  struct changes c = {.routing = r};
  write_rules(r, &is);
  enum status st = buffer_status(&is, err);
  enum status read = st == ST_OK ? store_note_read(s, NOTE_ORDER, &was, err) : st;
  st = read == ST_NOT_FOUND ? ST_OK : read;
  c.was = buffer_span(&was);
  c.is = buffer_span(&is);
  *changed = st == ST_OK && !span_eq(c.was, c.is);
  if (*changed && read == ST_OK) st = compare_rules(&c, s, tell, ctx, err);
  table_release(&c.pending);
  arena_release(&c.arena);
  buffer_release(&was);
  buffer_release(&is);
  return st;
}

/* ---- at a start ---- */

static void tell_order(void *ctx, struct span ns, const char *words) {
  log_write(ctx, LOG_WARNING, "service", "order_changed", FIELDS(F_SPAN("namespace", ns)),
            "%.*s: %s: those of one key may overtake each other. Another time let the worker drain "
            "with the old settings first",
            SPAN_ARGS(ns), words);
}

void order_rules_keep(struct store *s, const struct routing *r, struct log *log) {
  struct error err = {0};
  bool changed = false;
  enum status st = order_rules_compare(s, r, tell_order, log, &changed, &err);
  if (st == ST_OK && changed) st = order_rules_write(s, r, &err);
  if (st != ST_OK)
    log_write(log, LOG_WARNING, "service", "order_not_kept", FIELDS(F_TEXT("error", err.text)),
              "A change of topics or keys is not told");
}
