/* Goes through the words typed so far, and offers what may stand next: commands, options, values,
 * ids, events, topics.
 * The command's one thread; a crash leaves nothing. */
#include "admin/completion/completion_words.h"

#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"
#include "bridge/event/event.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/schemas/schemas.h"

#define ROWS 48
#define IDS_MAX 1000
#define FILES ":files\n"

struct line { /* what is known of the line so far */
  struct admin *admin;
  struct option_row rows[ROWS];
  size_t row_count;
  const struct command *command;
  bool help;                        /* "help" came first */
  int places;                       /* words of the command so far */
  const char *first;                /* the first of them */
  const struct option_row *waiting; /* takes the next word */
  bool only_words;                  /* behind -- */
  const char *front, *typed; /* the current word: what stays as it is, and what is completed */
  size_t front_len;
};

/* ---- offering ---- */

/* A word that a shell would have to quote is not offered. */
static bool plain(struct span text) {
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && !strchr("-_.=/:,+@%", c)) return false;
  }
  return text.len > 0;
}

static void offer(struct line *l, struct span word, const char *end, const char *text) {
  struct buffer *out = &l->admin->out;
  size_t len = strlen(l->typed);
  if (!plain(word) || word.len < len || memcmp(word.ptr, l->typed, len) != 0) return;
  buffer_append(out, l->front, l->front_len);
  buffer_add(out, word);
  buffer_add_z(out, end);
  buffer_add_char(out, '\t');
  text_printable(out, span_of(text));
  buffer_add_char(out, '\n');
}

static void offer_words(struct line *l, const char *list, const char *text) {
  struct span rest = span_of(list), word;
  while (span_word(&rest, &word)) offer(l, word, "", text);
}

/* "a|b|c" */
static void offer_choices(struct line *l, const char *choices, const char *text) {
  struct span rest = span_of(choices);
  for (const char *bar; rest.len > 0;
       rest = bar ? (struct span){bar + 1, rest.len} : (struct span){rest.ptr, 0}) {
    bar = memchr(rest.ptr, '|', rest.len);
    struct span word = {rest.ptr, bar ? (size_t)(bar - rest.ptr) : rest.len};
    offer(l, word, "", text);
    rest.len -= word.len + (bar != NULL);
  }
}

static bool have_settings(struct line *l) {
  struct error err = {0};
  return l->admin->settings || admin_settings(l->admin, &err);
}

/* ---- things that are looked up ---- */

static void offer_settings(struct line *l, const char *end) {
  for (int i = 0; i < SETTING_COUNT; i++)
    offer(l, span_of(setting_row((enum setting)i)->key), end, setting_row((enum setting)i)->help);
  offer(l, SPAN("kafka.bootstrap.servers"), end, "Brokers, HOST:PORT with commas between");
}

static void offer_events(struct line *l) {
  struct schemas *schemas = NULL;
  struct buffer json = {0};
  struct json_doc doc = {0};
  uint32_t node = JSON_NONE;
  struct error err = {0};
  bool ok = have_settings(l) && schemas_open(l->admin->settings, NULL, &schemas, &err) == ST_OK;
  ok = ok && schemas_list(schemas, &json, &err) == ST_OK &&
       answer_scan(&doc, buffer_span(&json), &err) == ST_OK;
  while (ok && answer_each(&doc, answer_node(&doc, 0, "schemas"), &node)) {
    struct span name = json_raw(&doc, answer_node(&doc, node, "event"));
    if (!span_is(name, "envelope")) offer(l, name, "", "event");
  }
  json_doc_release(&doc);
  buffer_release(&json);
  schemas_close(schemas);
}

static void offer_topics(struct line *l) {
  struct routing *routing = NULL;
  struct plan plan;
  struct error err = {0};
  if (!have_settings(l)) return;
  if (plan_make(l->admin->settings, &plan, &err) == ST_OK &&
      plan_routing(&plan, NULL, &routing, &err) == ST_OK)
    for (unsigned i = 0; i < routing_topics(routing); i++)
      offer(l, span_of(routing_topic_name(routing, i)), "", "topic");
  routing_close(routing);
  plan_release(&plan);
}

static void offer_entries(struct line *l, bool pending) {
  struct client *client = NULL;
  struct buffer json = {0};
  struct json_doc doc = {0};
  uint32_t node = JSON_NONE;
  struct error err = {0};
  struct list_request request = {.limit = IDS_MAX};
  selection_init(&request.selection);
  request.selection.pending = pending;
  bool ok = have_settings(l) && client_open(l->admin, SERVICE_INSPECT, &client, &err) == ST_OK &&
            client_list(client, &request, &json, &err) == ST_OK &&
            answer_scan(&doc, buffer_span(&json), &err) == ST_OK;
  while (ok && answer_each(&doc, answer_node(&doc, 0, "entries"), &node)) {
    struct buffer id = {0}, name = {0};
    answer_text(&doc, node, "id", &id);
    answer_text(&doc, node, "name", &name);
    offer(l, buffer_span(&id), "", buffer_z(&name));
    buffer_release(&id);
    buffer_release(&name);
  }
  client_close(client);
  json_doc_release(&doc);
  buffer_release(&json);
}

static void offer_namespaces(struct line *l) {
  if (have_settings(l))
    offer_words(l, setting_text(l->admin->settings, SETTING_ROUTING_NAMESPACES), "namespace");
}

static void offer_reasons(struct line *l) {
  for (int i = REASON_NONE + 1; i < REASON_COUNT; i++)
    offer(l, span_of(reason_word((enum reason)i)), "", reason_remedy((enum reason)i));
}

/* ---- values of options ---- */

/* KEY= first, then what the key takes. */
static void offer_override(struct line *l) {
  const char *equals = strchr(l->typed, '=');
  if (!equals) {
    offer_settings(l, "=");
    return;
  }
  for (int i = 0; i < SETTING_COUNT; i++) {
    const struct setting_row *row = setting_row((enum setting)i);
    if (!span_is((struct span){l->typed, (size_t)(equals - l->typed)}, row->key)) continue;
    struct buffer front = {0};
    buffer_append(&front, l->front, l->front_len);
    buffer_append(&front, l->typed, (size_t)(equals + 1 - l->typed));
    struct line value = *l;
    value.front = buffer_z(&front);
    value.front_len = front.len;
    value.typed = equals + 1;
    offer_words(&value, row->type == SETTING_BOOL ? "true false" : row->choices, row->help);
    buffer_release(&front);
  }
}

static void offer_value(struct line *l, const struct option_row *row) {
  const char *word = row->word ? row->word : "";
  if (row->kind == OPTION_OVERRIDE)
    offer_override(l);
  else if (strchr(word, '|'))
    offer_choices(l, word, row->help);
  else if (strcmp(word, "FILE") == 0 || strcmp(word, "FOLDER") == 0)
    buffer_add_z(&l->admin->out, FILES);
  else if (strcmp(row->name, "name") == 0)
    offer_events(l);
  else if (strcmp(row->name, "namespace") == 0)
    offer_namespaces(l);
  else if (strcmp(row->name, "reason") == 0 && strcmp(word, "WORD") == 0)
    offer_reasons(l);
}

/* ---- options, commands, words ---- */

static void offer_options(struct line *l) {
  for (size_t i = 0; i < l->row_count; i++) {
    char text[80];
    snprintf(text, sizeof text, "--%s", l->rows[i].name);
    offer(l, span_of(text), "", l->rows[i].help);
    snprintf(text, sizeof text, "-%c", l->rows[i].letter);
    if (l->rows[i].letter && strlen(l->typed) < 2) offer(l, span_of(text), "", l->rows[i].help);
  }
}

static void offer_commands(struct line *l) {
  const struct command *c;
  for (size_t i = 0; (c = l->admin->commands[i]); i++) offer(l, span_of(c->name), "", c->summary);
}

static void offer_kind(struct line *l, struct span kind) {
  if (span_is(kind, "<dead>")) offer_entries(l, false);
  if (span_is(kind, "<entry>")) offer_entries(l, true);
  if (span_is(kind, "<event>")) offer_events(l);
  if (span_is(kind, "<topic>")) offer_topics(l);
  if (span_is(kind, "<setting>")) offer_settings(l, "");
  if (span_is(kind, "<file>")) buffer_add_z(&l->admin->out, FILES);
  if (kind.ptr[0] != '<') offer(l, kind, "", "");
}

/* "VERB:..." of an alternative holds only behind that first word. */
static void offer_alternatives(struct line *l, struct span place) {
  while (place.len > 0) {
    const char *bar = memchr(place.ptr, '|', place.len);
    struct span kind = {place.ptr, bar ? (size_t)(bar - place.ptr) : place.len};
    const char *colon = memchr(kind.ptr, ':', kind.len);
    bool holds = !colon || (l->first &&
                            span_is((struct span){kind.ptr, (size_t)(colon - kind.ptr)}, l->first));
    if (colon) kind = (struct span){colon + 1, kind.len - (size_t)(colon + 1 - kind.ptr)};
    if (holds && kind.len > 0) offer_kind(l, kind);
    place =
        bar ? (struct span){bar + 1, place.len - (size_t)(bar + 1 - place.ptr)} : (struct span){0};
  }
}

static void offer_place(struct line *l) {
  struct span rest = span_of(l->command->words), place;
  for (int i = 0; span_word(&rest, &place); i++) {
    bool again = span_ends(place, "...");
    if (again) place.len -= 3;
    if (i == l->places || (again && i < l->places)) offer_alternatives(l, place);
  }
}

/* ---- the line ---- */

static void keep_rows(void *ctx, const struct option_row *rows, size_t count) {
  struct line *l = ctx;
  for (size_t i = 0; i < count && l->row_count < ROWS; i++) l->rows[l->row_count++] = rows[i];
}

/* A command tells its options by being run; options_take ends it there. */
static void take_command(struct line *l, const char *word) {
  l->command = command_find(l->admin, word);
  if (!l->command) return;
  struct admin asked = {.color = "never", .tell_rows = keep_rows, .tell_ctx = l};
  int code = l->command->run(&asked, l->command, 0, NULL);
  (void)code;
}

static const struct option_row *by_name(const struct line *l, struct span name) {
  for (size_t i = 0; i < l->row_count; i++)
    if (span_is(name, l->rows[i].name)) return &l->rows[i];
  return NULL;
}

static const struct option_row *by_letter(const struct line *l, char letter) {
  for (size_t i = 0; i < l->row_count; i++)
    if (letter && l->rows[i].letter == letter) return &l->rows[i];
  return NULL;
}

/* Of the options before, those matter that say which outbox is meant. */
static void take_value(struct line *l, const struct option_row *row, const char *value) {
  struct admin *a = l->admin;
  if (strcmp(row->name, "config") == 0) a->config = value;
  if (row->kind == OPTION_OVERRIDE &&
      a->override_count < sizeof a->overrides / sizeof *a->overrides)
    a->overrides[a->override_count++] = value;
}

/* The option that a word is, where its value begins in it (NULL: not in it). */
static const struct option_row *read_option(const struct line *l, const char *word,
                                            const char **value) {
  *value = NULL;
  if (word[1] == '-') {
    const char *equals = strchr(word, '=');
    struct span name = {word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2)};
    if (equals) *value = equals + 1;
    return by_name(l, name);
  }
  for (const char *c = word + 1; *c; c++) {
    const struct option_row *row = by_letter(l, *c);
    if (!row || row->kind == OPTION_FLAG) continue;
    if (c[1]) *value = c + 1;
    return row;
  }
  return NULL;
}

static bool is_option(const struct line *l, const char *word) {
  return !l->only_words && word[0] == '-' && word[1] != '\0';
}

/* A word in front of the current one; false: nothing is known of what follows. */
static bool take_word(struct line *l, const char *word) {
  const char *value;
  if (l->waiting) {
    take_value(l, l->waiting, word);
    l->waiting = NULL;
  } else if (is_option(l, word) && strcmp(word, "--") == 0) {
    l->only_words = true;
  } else if (is_option(l, word)) {
    const struct option_row *row = read_option(l, word, &value);
    if (row && value)
      take_value(l, row, value);
    else if (row && row->kind != OPTION_FLAG)
      l->waiting = row;
  } else if (l->command) {
    if (l->places++ == 0) l->first = word;
  } else if (strcmp(word, "help") == 0) {
    l->help = true;
  } else if (strcmp(word, "bus") != 0) {
    take_command(l, word);
    return l->command != NULL;
  }
  return true;
}

static void complete(struct line *l, const char *word) {
  const char *value = NULL;
  const struct option_row *row = l->waiting;
  bool option = !row && (is_option(l, word) || (!l->only_words && strcmp(word, "-") == 0));
  if (option) row = read_option(l, word, &value);
  l->front = word;
  l->front_len = value ? (size_t)(value - word) : 0;
  l->typed = word + l->front_len;
  if (l->waiting || (row && value))
    offer_value(l, row);
  else if (option)
    offer_options(l);
  else if (!l->command || l->help)
    offer_commands(l);
  else
    offer_place(l);
}

void candidates_find(struct admin *a, int count, char **words) {
  static const struct option_row version = {"version", 0, OPTION_FLAG, NULL, NULL, "the release"};
  struct line *l = calloc(1, sizeof *l);
  bool known = l != NULL;
  if (!l) return;
  l->admin = a;
  l->row_count = options_common(l->rows, ROWS);
  l->rows[l->row_count++] = version;
  for (int i = 0; i + 1 < count && known; i++) known = take_word(l, words[i]);
  if (known && count > 0) complete(l, words[count - 1]);
  free(l);
}
