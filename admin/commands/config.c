/* busbridge config: the settings in force, of the worker where one runs, and how those here differ;
 * the check of a file.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/settings_sheet.h"
#include "admin/input/options.h"
#include "admin/output/list_output.h"
#include "bridge/base/text/words.h"
#include "bridge/routing/routing.h"
#include "bridge/service/plan/configure.h"

static const struct listing_column columns[] = {
    {{"KEY", false, 0, false}, "key", false},
    {{"VALUE", false, 0.3, true}, "value", false},
    {{"SOURCE", false, 0, true}, "source", false},
    {{"DEFAULT", false, 0, false}, "default", true},
    {{"TYPE", false, 0, false}, "type", true},
    {{"RELOAD", false, 0, false}, "reloadable", true},
    {{"HELP", false, 0, false}, "help", true},
};

/* ---- which are shown ---- */

/* word: a key, or the beginning of several up to a dot ("redis"). */
static bool meant(const char *key, const char *word) {
  size_t len = strlen(word);
  if (len > 0 && word[len - 1] == '.') len--;
  return strncmp(key, word, len) == 0 && (key[len] == '\0' || key[len] == '.');
}

static enum status unknown_verb(const char *word, struct error *err) {
  const char *names[SETTING_COUNT + 1];
  for (int i = 0; i < SETTING_COUNT; i++) names[i] = setting_row((enum setting)i)->key;
  names[SETTING_COUNT] = "check"; /* the word that is not a key */
  const char *near = word_nearest(word, names, SETTING_COUNT + 1);
  if (near)
    return error_set(err, ST_INVALID, "There is no setting %.80s; did you mean %s?", word, near);
  return error_set(err, ST_INVALID, "There is no setting %.80s; see: busbridge config -o name",
                   word);
}

static enum status keep_value(struct settings_sheet *s, bool changed, int count, char **words,
                              struct error *err) {
  size_t kept = 0;
  bool used[64] = {0};
  if (count > 64) return error_set(err, ST_INVALID, "At most 64 keys at a time");
  for (size_t i = 0; i < s->count; i++) {
    struct buffer key = {0};
    bool wanted = count == 0;
    answer_text(&s->doc, s->nodes[i], "key", &key);
    for (int w = 0; w < count; w++)
      if (meant(buffer_z(&key), words[w])) wanted = used[w] = true;
    buffer_release(&key);
    if (wanted && !(changed && settings_sheet_is(s, s->nodes[i], "source", "default")))
      s->nodes[kept++] = s->nodes[i];
  }
  s->count = kept;
  for (int w = 0; w < count; w++)
    if (!used[w] && strncmp(words[w], "kafka.", 6) != 0) return unknown_verb(words[w], err);
  return ST_OK;
}

/* ---- the command ---- */

static enum status show_settings(struct admin *a, bool changed, const char *format, int count,
                                 char **words, struct error *err) {
  struct settings_sheet sheet = {0};
  enum status st = ST_OK;
  bool remote = settings_sheet_remote(a, &sheet);
  if (!remote) {
    settings_sheet_release(&sheet);
    sheet = (struct settings_sheet){0};
    st = settings_sheet_local(a, &sheet, err);
  }
  if (st == ST_OK && remote) settings_sheet_compare(a, &sheet, NULL);
  if (st == ST_OK) st = keep_value(&sheet, changed, count, words, err);
  struct listing listing = {.doc = &sheet.doc,
                            .nodes = sheet.nodes,
                            .count = sheet.count,
                            .columns = columns,
                            .column_count = sizeof columns / sizeof *columns,
                            .name = "key"};
  if (st == ST_OK) st = listing_print(a, &listing, format, err);
  if (st == ST_OK && sheet.count == 0)
    st = error_set(err, ST_NOT_FOUND, changed ? "Every one of them is at its default" : "Not set");
  settings_sheet_release(&sheet);
  return st;
}

static void each_line(const struct admin *a, struct buffer *lines,
                      void (*say)(const struct admin *, const char *fmt, ...), const char *fmt) {
  for (char *line = lines->len ? (char *)buffer_z(lines) : NULL, *end; line && *line;
       line = end + 1) {
    end = strchr(line, '\n');
    if (!end) break;
    *end = '\0';
    say(a, fmt, line);
  }
}

/* The file alone: neither the environment nor -X corrects or spoils it. Everything that is wrong
 * with it is told at once.
 */
static int check(struct admin *a, const char *file) {
  struct configure from = {.file = a->config, .environment = a->environment};
  struct settings_sources sources = {.file = file ? file : configure_file(&from)};
  struct settings *settings = NULL;
  struct buffer warnings = {0}, errors = {0};
  struct error err = {0};
  sources.errors = &errors;
  if (!sources.file) {
    complain(a, "There is no file to check: name one, or give it by -c");
    return CODE_USAGE;
  }
  enum status st = settings_load(&sources, &settings, &warnings, &err);
  if (st == ST_OK) configure_check(settings, &errors);
  each_line(a, &warnings, note, "warning: %s");
  each_line(a, &errors, complain, "%s");
  if (st == ST_OK && errors.len > 0) {
    st = ST_INVALID;
  } else if (st == ST_OK) {
    text_printable(&a->out, span_of(sources.file));
    buffer_add_z(&a->out, ": valid\n");
  } else {
    complain(a, "%s", err.text);
  }
  buffer_release(&warnings);
  buffer_release(&errors);
  settings_free(settings);
  return st == ST_OK ? CODE_OK : st == ST_NO_MEMORY ? CODE_FAILURE : CODE_USAGE;
}

/* As lines of a file: with routing.defaults = false they say what is built in, and may be changed.
 */
static int print_defaults(struct admin *a) {
  buffer_add_z(&a->out, "routing.defaults = false\nrouting.aliases = ");
  routing_builtin_aliases(&a->out);
  buffer_add_z(&a->out, "\nrouting.keys = ");
  routing_builtin_keys(&a->out);
  buffer_add_char(&a->out, '\n');
  return CODE_OK;
}

static int run_config(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  bool changed = false, defaults = false;
  const struct option_row rows[] = {
      {"changed", 0, OPTION_FLAG, &changed, NULL, "only those that are not at their default"},
      {"defaults", 0, OPTION_FLAG, &defaults, NULL,
       "the built-in aliases and keys, as lines of a file"},
      {"output", 'o', OPTION_CHOICE, &format, LISTING_FORMATS, "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, LISTING_FORMATS, "the older spelling of --output"},
  };
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 64, &words, &code))
    return code;
  if (defaults) return print_defaults(a);
  if (words > 0 && strcmp(argv[0], "check") == 0) {
    if (words <= 2) return check(a, words == 2 ? argv[1] : NULL);
    complain(a, "too many words: usage: busbridge config check [FILE]");
    return CODE_USAGE;
  }
  if (!admin_settings(a, &err)) return fail(a, &err);
  return show_settings(a, changed, format, words, argv, &err) == ST_OK ? CODE_OK : fail(a, &err);
}

const struct command command_config = {
    .name = "config",
    .words = "check|<setting> check:<file>",
    .arguments = "[KEY...] [--changed] | --defaults | check [FILE]",
    .summary = "the settings in force and where each comes from; check a file",
    .examples =
        "  busbridge config --changed            what is not at its default, and which file and "
        "line says so\n"
        "  busbridge config redis                all settings of Redis\n"
        "  busbridge config --defaults           the aliases and keys that are built in, to be "
        "changed\n"
        "  busbridge config kafka.bootstrap.servers flush.interval -o wide\n"
        "  busbridge config check new.conf       is this file valid? exit 0, or 2 with file and "
        "line\n",
    .description =
        "Where a worker runs its settings are shown, and standard error says where those here "
        "differ. Secrets are never\n"
        "shown. A KEY may be the beginning of several, up to a dot. check reads the file alone, "
        "without environment and -X.",
    .run = run_config,
    .usage_code = CODE_USAGE,
};
