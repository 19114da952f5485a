/* The command line of `busbridge` and the reading of answers. */
#include "admin/client/answer.h"
#include "admin/input/options.h"
#include "tests/support/test.h"

static char complaint[1024];
void __wrap_complain(const struct admin *a, const char *fmt, ...);
void __wrap_complain(const struct admin *a, const char *fmt, ...) { /* complain, by the linker */
  (void)a;
  va_list args;
  va_start(args, fmt);
  vsnprintf(complaint, sizeof complaint, fmt, args);
  va_end(args);
}

static bool force;
static uint64_t limit;
static const char *type, *id, *reason;
static int64_t timeout_ms;
static struct admin admin;
static const struct option_row rows[] = {
    {"force", 'f', OPTION_FLAG, &force, NULL, "take it anyway"},
    {"limit", 'n', OPTION_NUMBER, &limit, "N", "at most so many"},
    {"type", 't', OPTION_CHOICE, &type, "pending|dlq|all", "which entries"},
    {"id", 0, OPTION_TEXT, &id, "ID", "an id"},
    {"reason", 0, OPTION_ONCE, &reason, "WORD", "why"},
    {"timeout", 0, OPTION_DURATION, &timeout_ms, "TIME", "how long"},
};
#define COUNT (sizeof rows / sizeof *rows)

static int setup(void **state) {
  (void)state;
  admin = (struct admin){.color = "auto"};
  force = false;
  limit = 7;
  type = "all";
  id = reason = NULL;
  timeout_ms = -1;
  return 0;
}

/* words: blanks divide them. */
static char storage[400], *argv[32];
static int split(const char *text) {
  int argc = 0;
  snprintf(storage, sizeof storage, "%s", text);
  for (char *save = NULL, *w = strtok_r(storage, " ", &save); w; w = strtok_r(NULL, " ", &save))
    argv[argc++] = w;
  return argc;
}
static enum status parse(const char *text, int *words, struct error *err) {
  return options_parse(&admin, rows, COUNT, split(text), argv, false, words, err);
}

#define CASE(name) TEST_WITH(name, setup, NULL)

CASE(test_options_and_words_in_any_order) {
  int words;
  assert_int_equal(parse("one --limit 3 two -f --type=dlq --timeout 2m -c file", &words, NULL),
                   ST_OK);
  assert_int_equal(words, 2);
  assert_string_equal(argv[0], "one");
  assert_string_equal(argv[1], "two");
  assert_true(force);
  assert_int_equal(limit, 3);
  assert_string_equal(type, "dlq");
  assert_int_equal(timeout_ms, 120000);
  assert_string_equal(admin.config, "file");
}

CASE(test_letters_may_stand_together) {
  int words;
  assert_int_equal(parse("-vfn12 - -- -x", &words, NULL), ST_OK);
  assert_true(force && admin.verbose);
  assert_int_equal(limit, 12);
  assert_int_equal(words, 2);
  assert_string_equal(argv[0], "-");
  assert_string_equal(argv[1], "-x");
}

CASE(test_overrides_add_up) {
  int words;
  assert_int_equal(parse("-X a=b --set=c=d", &words, NULL), ST_OK);
  assert_int_equal(admin.override_count, 2);
  assert_string_equal(admin.overrides[1], "c=d");
  struct error err = {0};
  assert_int_equal(parse("-X nothing", &words, &err), ST_INVALID);
  for (int i = 0; i < 62; i++) assert_int_equal(parse("-X a=b", &words, &err), ST_OK);
  assert_int_equal(parse("-X a=b", &words, &err), ST_INVALID);
}

CASE(test_wrong_ones_are_explained) {
  static const struct {
    const char *line, *text;
  } wrong[] = {{"--limt 3", "did you mean --limit?"},
               {"--zzzzzzzz", "see --help"},
               {"-z", "no option -z"},
               {"--limit", "needs a value: N"},
               {"--limit x", "expected a number"},
               {"--limit -1", "expected a number"},
               {"--type both", "expected one of pending|dlq|all"},
               {"--type dl", "expected one of"},
               {"--timeout soon", "expected a time like"},
               {"--reason=a --reason b", "--reason is given twice (\"a\" and \"b\")"},
               {"--force=1", "takes no value"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct error err = {0};
    int words;
    assert_int_equal(parse(wrong[i].line, &words, &err), ST_INVALID);
    if (!strstr(err.text, wrong[i].text)) fail_msg("%s: %s", wrong[i].line, err.text);
  }
}

CASE(test_parsing_stops_at_the_command) {
  int words;
  int argc = split("-v list --limit 3");
  assert_int_equal(options_parse(&admin, NULL, 0, argc, argv, true, &words, NULL), ST_OK);
  assert_int_equal(words, 1);
  assert_true(admin.verbose);
}

static const struct command command = {.name = "list",
                                       .arguments = "[--limit N]",
                                       .examples = "  busbridge list\n",
                                       .description = "Lists.",
                                       .usage_code = CODE_USAGE};

CASE(test_help_opens_with_examples_and_has_all_options) {
  int words, code = -1;
  assert_false(
      options_take(&admin, &command, rows, COUNT, split("--help"), argv, 0, 0, &words, &code));
  assert_int_equal(code, CODE_OK);
  const char *text = buffer_z(&admin.out);
  assert_ptr_equal(strstr(text, "Examples:\n  busbridge list\n\nUsage: busbridge list [--limit N]"),
                   text);
  for (size_t i = 0; i < COUNT; i++) assert_non_null(strstr(text, rows[i].help));
  assert_non_null(strstr(text, "-X, --set KEY=VALUE"));
  buffer_release(&admin.out);
}

CASE(test_the_number_of_words_is_checked) {
  int words, code = -1;
  assert_false(
      options_take(&admin, &command, rows, COUNT, split("too many"), argv, 0, 1, &words, &code));
  assert_int_equal(code, CODE_USAGE);
  assert_non_null(strstr(complaint, "too many words"));
  assert_false(options_take(&admin, &command, rows, COUNT, split(""), argv, 1, 1, &words, &code));
  assert_non_null(strstr(complaint, "something is missing"));
  assert_false(
      options_take(&admin, &command, rows, COUNT, split("--bad"), argv, 0, 1, &words, &code));
  assert_true(options_take(&admin, &command, rows, COUNT, split("one"), argv, 0, 1, &words, &code));
}

CASE(test_answers_of_other_releases_are_read_as_far_as_they_go) {
  struct json_doc doc = {0};
  struct buffer text = {0};
  assert_int_equal(
      answer_scan(&doc,
                  SPAN("{\"n\": 3, \"x\": 1.5, \"t\": \"a\\n\\u3042\", \"b\": true, \"z\": null, "
                       "\"l\": [1, {\"k\": 2}, 3], \"o\": {\"p\": 1, \"q\": [0], \"r\": 2}}"),
                  NULL),
      ST_OK);
  assert_int_equal(answer_int(&doc, 0, "n", -1), 3);
  assert_int_equal(answer_int(&doc, 0, "x", -1), -1);
  assert_int_equal(answer_int(&doc, 0, "t", -1), -1);
  assert_int_equal(answer_int(&doc, JSON_NONE, "n", -1), -1);
  assert_true(answer_real(&doc, 0, "x", 0) == 1.5);
  assert_true(answer_real(&doc, 0, "none", 7) == 7);
  assert_true(answer_bool(&doc, 0, "b"));
  assert_false(answer_bool(&doc, 0, "n"));
  assert_true(answer_text(&doc, 0, "t", &text));
  assert_string_equal(buffer_z(&text), "a\nあ");
  assert_false(answer_text(&doc, 0, "z", &text));
  uint32_t node = JSON_NONE, key, count = 0;
  while (answer_each(&doc, answer_node(&doc, 0, "l"), &node)) count++;
  assert_int_equal(count, 3);
  node = JSON_NONE;
  count = 0;
  while (answer_each_member(&doc, answer_node(&doc, 0, "o"), &key, &node)) count++;
  assert_int_equal(count, 3);
  assert_false(answer_each(&doc, JSON_NONE, &node));
  struct error err = {0};
  assert_int_equal(answer_scan(&doc, SPAN("[1]"), &err), ST_INVALID);
  assert_int_equal(answer_scan(&doc, SPAN("<html>"), &err), ST_INVALID);
  assert_non_null(strstr(err.text, "The answer cannot be read"));
  json_doc_release(&doc);
  buffer_release(&text);
}
