/* Parses options by the rows of a command and the common ones, names the nearest to a mistyped one,
 * and writes
 * --help.
 * The command's one thread; a crash leaves nothing. */
#include "admin/input/options.h"

#include "bridge/base/text/words.h"

#define ROWS_MAX 24

/* ---- the rows ---- */

struct table_of_rows {
  struct option_row rows[ROWS_MAX];
  size_t count;
};

static void add_common(struct admin *a, struct table_of_rows *t) {
  const struct option_row common[] = {
      {"config", 'c', OPTION_TEXT, a ? &a->config : NULL, "FILE",
       "settings; else $BUSBRIDGE_CONFIG, else /etc/busbridge/busbridge.conf"},
      {"set", 'X', OPTION_OVERRIDE, a, "KEY=VALUE",
       "one setting, over file and environment; may be repeated"},
      {"worker", 0, OPTION_TEXT, a ? &a->worker : NULL, "SOCKET",
       "ask the worker at that control socket, whatever outbox.url says"},
      {"verbose", 'v', OPTION_FLAG, a ? &a->verbose : NULL, NULL,
       "say which worker or outbox it talks to, and log at info"},
      {"color", 0, OPTION_CHOICE, a ? &a->color : NULL, "auto|always|never",
       "auto respects NO_COLOR and TERM=dumb"},
      {"help", 'h', OPTION_FLAG, a ? &a->help : NULL, NULL, "this text"},
  };
  for (size_t i = 0; i < sizeof common / sizeof *common; i++) t->rows[t->count++] = common[i];
}

static const struct option_row *by_letter(const struct table_of_rows *t, char letter) {
  for (size_t i = 0; i < t->count; i++)
    if (t->rows[i].letter == letter) return &t->rows[i];
  return NULL;
}

static const struct option_row *by_name(const struct table_of_rows *t, struct span name) {
  for (size_t i = 0; i < t->count; i++)
    if (span_is(name, t->rows[i].name)) return &t->rows[i];
  return NULL;
}

static enum status unknown_option(const struct table_of_rows *t, struct span name,
                                  struct error *err) {
  const char *names[ROWS_MAX];
  char typed[64];
  for (size_t i = 0; i < t->count; i++) names[i] = t->rows[i].name;
  snprintf(typed, sizeof typed, "%.*s", SPAN_ARGS(text_cut(name, sizeof typed - 1)));
  const char *near = word_nearest(typed, names, t->count);
  if (near)
    return error_set(err, ST_INVALID, "There is no option --%s; did you mean --%s?", typed, near);
  return error_set(err, ST_INVALID, "There is no option --%s; see --help", typed);
}

/* ---- one value ---- */

static const char *choice(const char *choices, const char *value) {
  struct span rest = span_of(choices);
  while (rest.len > 0) {
    const char *bar = memchr(rest.ptr, '|', rest.len);
    struct span word = {rest.ptr, bar ? (size_t)(bar - rest.ptr) : rest.len};
    if (span_is(word, value)) return value;
    rest = (struct span){word.ptr + word.len, rest.len - word.len};
    if (bar) rest = (struct span){bar + 1, rest.len - 1};
  }
  return NULL;
}

static enum status take_override(struct admin *a, const char *value, struct error *err) {
  const size_t room = sizeof a->overrides / sizeof *a->overrides;
  if (!strchr(value, '=')) return error_set(err, ST_INVALID, "-X %.60s: expected KEY=VALUE", value);
  if (a->override_count == room)
    return error_set(err, ST_INVALID, "-X may be given at most %zu times", room);
  a->overrides[a->override_count++] = value;
  return ST_OK;
}

static enum status take_once(const struct option_row *row, const char *value, struct error *err) {
  const char **target = row->target;
  if (*target)
    return error_set(
        err, ST_INVALID,
        "--%s is given twice (\"%.60s\" and \"%.60s\"): it takes one value, so ask twice",
        row->name, *target, value);
  *target = value;
  return ST_OK;
}

static enum status set(const struct option_row *row, const char *value, struct error *err) {
  switch (row->kind) {
  case OPTION_FLAG: *(bool *)row->target = true; return ST_OK;
  case OPTION_TEXT: *(const char **)row->target = value; return ST_OK;
  case OPTION_ONCE: return take_once(row, value, err);
  case OPTION_NUMBER:
    if (number_parse(span_of(value), 1000000000, row->target)) return ST_OK;
    return error_set(err, ST_INVALID, "--%s %.60s: expected a number up to 1,000,000,000",
                     row->name, value);
  case OPTION_DURATION:
    if (duration_parse(span_of(value), row->target)) return ST_OK;
    return error_set(err, ST_INVALID, "--%s %.60s: expected a time like 500ms, 10s or 2m",
                     row->name, value);
  case OPTION_CHOICE:
    if (choice(row->word, value)) return *(const char **)row->target = value, ST_OK;
    return error_set(err, ST_INVALID, "--%s %.60s: expected one of %s", row->name, value,
                     row->word);
  case OPTION_OVERRIDE: return take_override(row->target, value, err);
  }
  return ST_INVALID;
}

/* ---- the walk ---- */

struct walk {
  const struct table_of_rows *table;
  int argc, at;
  char **argv;
};

/* inline_value: what follows the option in its own word, or NULL. */
static enum status take_option(struct walk *w, const struct option_row *row,
                               const char *inline_value, struct error *err) {
  if (row->kind == OPTION_FLAG)
    return inline_value ? error_set(err, ST_INVALID, "--%s takes no value", row->name)
                        : set(row, NULL, err);
  if (!inline_value && w->at + 1 >= w->argc)
    return error_set(err, ST_INVALID, "--%s needs a value: %s", row->name, row->word);
  return set(row, inline_value ? inline_value : w->argv[++w->at], err);
}

static enum status take_long(struct walk *w, const char *text, struct error *err) {
  const char *equals = strchr(text, '=');
  struct span name = {text, equals ? (size_t)(equals - text) : strlen(text)};
  const struct option_row *row = by_name(w->table, name);
  return row ? take_option(w, row, equals ? equals + 1 : NULL, err)
             : unknown_option(w->table, name, err);
}

static enum status take_letters(struct walk *w, const char *text, struct error *err) {
  for (; *text; text++) {
    const struct option_row *row = by_letter(w->table, *text);
    if (!row) return error_set(err, ST_INVALID, "There is no option -%c; see --help", *text);
    if (row->kind != OPTION_FLAG) return take_option(w, row, text[1] ? text + 1 : NULL, err);
    enum status st = take_option(w, row, NULL, err);
    if (st != ST_OK) return st;
  }
  return ST_OK;
}

enum status options_parse(struct admin *a, const struct option_row *rows, size_t count, int argc,
                          char **argv, bool stop_at_word, int *words, struct error *err) {
  struct table_of_rows table = {0};
  for (size_t i = 0; i < count; i++) table.rows[table.count++] = rows[i];
  add_common(a, &table);
  struct walk w = {.table = &table, .argc = argc, .argv = argv};
  bool only_words = false;
  *words = 0;
  for (; w.at < argc; w.at++) {
    char *text = argv[w.at];
    enum status st = ST_OK;
    if (only_words || text[0] != '-' || text[1] == '\0') {
      if (stop_at_word) break;
      argv[(*words)++] = text;
    } else if (strcmp(text, "--") == 0) {
      only_words = true;
    } else {
      st = text[1] == '-' ? take_long(&w, text + 2, err) : take_letters(&w, text + 1, err);
    }
    if (st != ST_OK) return st;
  }
  if (stop_at_word) *words = w.at;
  return ST_OK;
}

/* ---- help ---- */

void options_lines(const struct option_row *rows, size_t count, struct buffer *out) {
  struct table_of_rows table = {0};
  for (size_t i = 0; rows && i < count; i++) table.rows[table.count++] = rows[i];
  if (!rows) add_common(NULL, &table);
  for (size_t i = 0; i < table.count; i++) {
    const struct option_row *row = &table.rows[i];
    char left[64], letter[8] = "    ";
    if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, row->name, row->word ? " " : "",
             row->word ? row->word : "");
    if (strlen(left) > 27) {
      buffer_printf(out, "  %s\n  %-27s  %s\n", left, "", row->help);
    } else {
      buffer_printf(out, "  %-27s  %s\n", left, row->help);
    }
  }
}

void options_help(const struct command *command, const struct option_row *rows, size_t count,
                  struct buffer *out) {
  buffer_printf(out, "Examples:\n%s\nUsage: busbridge %s %s\n\n%s\n", command->examples,
                command->name, command->arguments, command->description);
  if (count > 0) {
    buffer_add_z(out, "\nOptions:\n");
    options_lines(rows, count, out);
  }
  buffer_add_z(out, "\nOptions of every command:\n");
  options_lines(NULL, 0, out);
}

size_t options_common(struct option_row *out, size_t room) {
  struct table_of_rows table = {0};
  add_common(NULL, &table);
  BUG_ON(table.count > room);
  memcpy(out, table.rows, table.count * sizeof *out);
  return table.count;
}

bool options_take(struct admin *a, const struct command *command, const struct option_row *rows,
                  size_t count, int argc, char **argv, int min, int max, int *words, int *code) {
  struct error err = {0};
  *code = command->usage_code;
  if (a->tell_rows) {
    a->tell_rows(a->tell_ctx, rows, count);
    return false;
  }
  if (options_parse(a, rows, count, argc, argv, false, words, &err) != ST_OK) {
    complain(a, "%s", err.text);
  } else if (a->help) {
    options_help(command, rows, count, &a->out);
    *code = CODE_OK;
  } else if (*words < min || *words > max) {
    complain(a, "%s: usage: busbridge %s %s; see --help",
             *words < min ? "something is missing" : "too many words", command->name,
             command->arguments);
  } else {
    return true;
  }
  return false;
}
