/* busbridge schema: lists them, shows one, checks a payload or a whole folder. */
#include "admin/input/options.h"
#include "admin/input/payload.h"
#include "admin/output/list_output.h"
#include "bridge/base/escape.h"
#include "bridge/base/words.h"
#include "bridge/service/schemas.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct listing_column columns[] = {
    {{"EVENT", false, 0, false}, "event", false},
    {{"FIELDS", true, 0, false}, "fields", false},
    {{"FILE", false, 0, true}, "file", false},
    {{"FINGERPRINT", false, 0, false}, "fingerprint", false},
};

/* ---- list ---- */

static enum status print_list(struct admin *a, const struct json_doc *doc, const char *format,
                              struct error *err) {
  uint32_t array = answer_node(doc, 0, "schemas"), node = JSON_NONE;
  struct listing listing = {.doc = doc,
                            .columns = columns,
                            .column_count = sizeof columns / sizeof *columns,
                            .name = "event"};
  uint32_t *nodes = array == JSON_NONE ? NULL : calloc(doc->nodes[array].count + 1, sizeof *nodes);
  if (!nodes) return error_set(err, ST_NO_MEMORY, "Out of memory");
  while (answer_each(doc, array, &node)) nodes[listing.count++] = node;
  listing.nodes = nodes;
  enum status st = listing_print(a, &listing, format, err);
  free(nodes);
  return st;
}

static enum status list(struct admin *a, struct schemas *schemas, const char *format,
                        struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = schemas_list(schemas, &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) st = print_list(a, &doc, format, err);
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

/* ---- show ---- */

static enum status show(struct admin *a, struct schemas *schemas, const char *event, bool as_json,
                        struct error *err) {
  struct buffer text = {0};
  struct json_doc doc = {0};
  enum status st = schemas_text(schemas, span_of(event), &text, err);
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&text), err);
  if (st == ST_OK && as_json)
    buffer_add(&a->out, json_slice(&doc, 0));
  else if (st == ST_OK)
    output_pretty(&doc, 0, &a->out);
  if (st == ST_OK) buffer_add_char(&a->out, '\n');
  json_doc_release(&doc);
  buffer_release(&text);
  return st;
}

/* ---- check ---- */

static void add_text(struct admin *a, const struct json_doc *doc, const char *key) {
  struct buffer text = {0};
  answer_text(doc, 0, key, &text);
  text_printable(&a->out, buffer_span(&text));
  buffer_release(&text);
}

static void note_left_out(struct admin *a, const struct json_doc *doc) {
  uint32_t unknown = answer_node(doc, 0, "unknown"), node = JSON_NONE;
  struct buffer names = {0};
  char count[COUNTED_TEXT];
  while (answer_each(doc, unknown, &node)) {
    struct buffer path = {0};
    json_unescape(doc, node, &path);
    buffer_add_z(&names, names.len ? ", " : ": ");
    text_printable(&names, buffer_span(&path));
    buffer_release(&path);
  }
  struct buffer policy = {0};
  answer_text(doc, 0, "unknown_fields", &policy);
  bool dropped = strcmp(buffer_z(&policy), "drop") == 0;
  note(a, "%s no place in the schema and would %s%s; add a field for each, or a map named extra",
       counted_text((uint64_t)answer_int(doc, 0, "left_out", 0), "field has", "fields have", count),
       dropped ? "not be published" : "go in the header ce_extra", buffer_z(&names));
  buffer_release(&policy);
  buffer_release(&names);
}

static void note_rest(struct admin *a, const struct json_doc *doc) {
  struct buffer near = {0}, remedy = {0};
  char count[COUNTED_TEXT];
  if (answer_bool(doc, 0, "fits") && !answer_bool(doc, 0, "own")) {
    bool known = answer_text(doc, 0, "near", &near);
    note(a, "it has no schema of its own and goes in the envelope%s%s%s",
         known ? "; did you mean " : "", known ? buffer_z(&near) : "", known ? "?" : "");
  }
  if (answer_int(doc, 0, "left_out", 0) > 0) note_left_out(a, doc);
  if (answer_int(doc, 0, "cut_numbers", 0) > 0)
    note(a, "%s more digits than a double keeps",
         counted_text((uint64_t)answer_int(doc, 0, "cut_numbers", 0), "number has", "numbers have",
                      count));
  if (answer_text(doc, 0, "remedy", &remedy) && remedy.len > 0) note(a, "%s", buffer_z(&remedy));
  buffer_release(&near);
  buffer_release(&remedy);
}

static int print_verdict(struct admin *a, const struct json_doc *doc, bool as_json) {
  bool fits = answer_bool(doc, 0, "fits");
  if (as_json) {
    output_json(doc, 0, &a->out);
    return fits ? CODE_OK : CODE_FAILURE;
  }
  add_text(a, doc, "event");
  if (fits) {
    buffer_add_z(&a->out, ": fits ");
    add_text(a, doc, "schema");
  } else {
    buffer_add_z(&a->out, ": ");
    add_text(a, doc, "reason");
    buffer_add_z(&a->out, ": ");
    add_text(a, doc, "error");
  }
  buffer_add_char(&a->out, '\n');
  int code = admin_flush(a);
  note_rest(a, doc);
  return code != CODE_OK ? code : fits ? CODE_OK : CODE_FAILURE;
}

static enum status check_payload(struct admin *a, struct schemas *schemas, const char *event,
                                 const char *file, bool as_json, int *code, struct error *err) {
  struct buffer payload = {0}, json = {0};
  struct json_doc doc = {0};
  enum status st = payload_read(a, file, &payload, err);
  if (st == ST_NOT_FOUND) err->status = st = ST_IO;
  if (st == ST_OK) st = schemas_check(schemas, span_of(event), buffer_span(&payload), &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) *code = print_verdict(a, &doc, as_json);
  json_doc_release(&doc);
  buffer_release(&payload);
  buffer_release(&json);
  return st;
}

/* What is likely to be a mistake, after the rest was printed. */
static void note_mistakes(struct admin *a, const struct json_doc *doc, uint32_t array) {
  uint32_t schema = JSON_NONE;
  while (answer_each(doc, array, &schema)) {
    uint32_t notes = answer_node(doc, schema, "notes"), one = JSON_NONE;
    while (answer_each(doc, notes, &one)) {
      struct buffer file = {0}, text = {0};
      answer_text(doc, schema, "file", &file);
      json_unescape(doc, one, &text);
      note(a, "%s: %s", buffer_z(&file), buffer_z(&text));
      buffer_release(&file);
      buffer_release(&text);
    }
  }
}

/* Opening them was the check. */
static enum status print_sound(struct admin *a, struct schemas *schemas, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = schemas_list(schemas, &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) {
    uint32_t array = answer_node(&doc, 0, "schemas");
    text_printable(&a->out, span_of(schemas_folder(schemas)));
    char count[COUNTED_TEXT];
    uint32_t all = array == JSON_NONE ? 0 : doc.nodes[array].count;
    buffer_printf(&a->out, ": %s, %s sound\n", counted_text(all, "schema", "schemas", count),
                  all == 1 ? "it is" : "all");
    if (admin_flush(a) == CODE_OK) note_mistakes(a, &doc, array);
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

/* ---- freeze ---- */

static enum status freeze(struct admin *a, struct schemas *schemas, const char *event, bool as_json,
                          struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = schemas_freeze(schemas, span_of(event), &json, err);
  if (st == ST_INVALID) err->status = ST_IO;
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK && as_json) {
    output_json(&doc, 0, &a->out);
  } else if (st == ST_OK) {
    add_text(a, &doc, "event");
    buffer_add_z(&a->out, answer_bool(&doc, 0, "frozen") ? ": frozen as " : ": is ");
    add_text(a, &doc, "file");
    buffer_add_z(&a->out, answer_bool(&doc, 0, "frozen") ? "\n" : " already\n");
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

/* ---- encode, decode: in base64, as tail prints what it cannot decode ---- */

static enum status encode(struct admin *a, struct schemas *schemas, const char *event,
                          const char *file, struct error *err) {
  struct buffer payload = {0}, value = {0}, extra = {0}, shown = {0};
  enum status st = payload_read(a, file, &payload, err);
  if (st == ST_OK)
    st = schemas_encode(schemas, span_of(event), buffer_span(&payload), &value, &extra, err);
  if (st == ST_INVALID || st == ST_NOT_FOUND) err->status = ST_IO;
  if (st == ST_OK) {
    base64_write(&a->out, buffer_span(&value));
    buffer_add_char(&a->out, '\n');
  }
  if (st == ST_OK && extra.len && admin_flush(a) == CODE_OK) {
    text_printable(&shown, buffer_span(&extra));
    note(a, "beside it goes the header ce_extra: %s", buffer_z(&shown));
  }
  buffer_release(&payload);
  buffer_release(&value);
  buffer_release(&extra);
  buffer_release(&shown);
  return st;
}

static enum status decode(struct admin *a, struct schemas *schemas, const char *file,
                          const char *extra, struct error *err) {
  struct buffer text = {0}, value = {0};
  size_t left = 0;
  char count[COUNTED_TEXT];
  enum status st = payload_read(a, file, &text, err);
  if (st == ST_OK && !base64_read(span_trim(buffer_span(&text)), &value))
    st = error_set(err, ST_INVALID, "%s is not base64", file);
  if (st == ST_OK)
    st = schemas_decode(schemas, buffer_span(&value), span_of(extra), &a->out, &left, err);
  if (st == ST_OK) buffer_add_char(&a->out, '\n');
  if (left && admin_flush(a) == CODE_OK)
    note(a, "%s of the header no place in this value",
         counted_text(left, "member has", "members have", count));
  if (st == ST_INVALID || st == ST_NOT_FOUND) err->status = ST_IO;
  buffer_release(&text);
  buffer_release(&value);
  return st;
}

/* No event has a slash in its name: a folder that is not there is told as that. */
static bool is_folder(const char *path) {
  struct stat st;
  return strchr(path, '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* ---- the command ---- */

enum verb {
  VERB_LIST,
  VERB_SHOW,
  VERB_CHECK,
  VERB_CHECK_ALL,
  VERB_FREEZE,
  VERB_ENCODE,
  VERB_DECODE,
  VERB_WRONG
};

static enum verb wrong_verb(const struct admin *a, const char *word) {
  static const char *const verbs[] = {"list", "show", "check", "freeze", "encode", "decode"};
  const char *near = word_nearest(word, verbs, sizeof verbs / sizeof *verbs);
  if (near && strcmp(near, word) != 0)
    complain(a, "There is no schema %s; did you mean schema %s?", word, near);
  else
    complain(
        a,
        "usage: busbridge schema [list], show EVENT, check EVENT [FILE|-], "
        "check --all|FOLDER, freeze EVENT, encode EVENT [FILE|-], decode [FILE|-] [--extra JSON]; see --help");
  return VERB_WRONG;
}

/* What stands on the command line. */
struct asked {
  enum verb verb;
  int words;
  char **argv;
  bool all;
  const char *format, *extra;
};

static enum verb verb_of(const struct admin *a, const struct asked *asked) {
  int words = asked->words;
  char **argv = asked->argv;
  const char *word = words > 0 ? argv[0] : "list";
  bool folder = asked->all ? words == 1 : words == 2 && is_folder(argv[1]);
  if (strcmp(word, "check") == 0 && folder) return VERB_CHECK_ALL;
  if (asked->all) return wrong_verb(a, word);
  if (strcmp(word, "list") == 0 && words <= 1) return VERB_LIST;
  if (strcmp(word, "show") == 0 && words == 2) return VERB_SHOW;
  if (strcmp(word, "check") == 0 && words >= 2) return VERB_CHECK;
  if (strcmp(word, "freeze") == 0 && words == 2) return VERB_FREEZE;
  if (strcmp(word, "encode") == 0 && words >= 2) return VERB_ENCODE;
  if (strcmp(word, "decode") == 0 && words <= 2) return VERB_DECODE;
  return wrong_verb(a, word);
}

static enum status act_on(struct admin *a, struct schemas *schemas, const struct asked *asked,
                          int *code, struct error *err) {
  bool json = strcmp(asked->format, "json") == 0 || strcmp(asked->format, "jsonl") == 0;
  char **argv = asked->argv;
  const char *file = asked->words > 2 ? argv[2] : "-";
  switch (asked->verb) {
  case VERB_LIST: return list(a, schemas, asked->format, err);
  case VERB_SHOW: return show(a, schemas, argv[1], json, err);
  case VERB_CHECK: return check_payload(a, schemas, argv[1], file, json, code, err);
  case VERB_CHECK_ALL: return print_sound(a, schemas, err);
  case VERB_FREEZE: return freeze(a, schemas, argv[1], json, err);
  case VERB_ENCODE: return encode(a, schemas, argv[1], file, err);
  case VERB_DECODE: return decode(a, schemas, asked->words > 1 ? argv[1] : "-", asked->extra, err);
  case VERB_WRONG: break;
  }
  return ST_OK;
}

static int act(struct admin *a, const struct asked *asked) {
  struct error err = {0};
  struct schemas *schemas = NULL;
  int code = CODE_OK;
  const char *folder = asked->verb == VERB_CHECK_ALL && asked->words == 2 ? asked->argv[1] : NULL;
  enum status st = schemas_open(a->settings, folder, &schemas, &err);
  if (st != ST_OK) err.status = ST_IO; /* a schema that is wrong is a failure, not wrong usage */
  if (st == ST_OK) st = act_on(a, schemas, asked, &code, &err);
  schemas_close(schemas);
  return st == ST_OK ? code : fail(a, &err);
}

static int run(struct admin *a, const struct command *self, int argc, char **argv) {
  struct asked asked = {.argv = argv, .format = "table", .extra = ""};
  const struct option_row rows[] = {
      {"all", 0, OPTION_FLAG, &asked.all, NULL, "check: every schema there is"},
      {"extra", 0, OPTION_TEXT, &asked.extra, "JSON",
       "decode: the header ce_extra, its members are put back"},
      {"output", 'o', OPTION_CHOICE, &asked.format, LISTING_FORMATS, "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &asked.format, LISTING_FORMATS,
       "the older spelling of --output"},
  };
  struct error err = {0};
  int code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 3, &asked.words,
                    &code))
    return code;
  asked.verb = verb_of(a, &asked);
  if (asked.verb == VERB_WRONG) return CODE_USAGE;
  if (!admin_settings(a, &err)) return fail(a, &err);
  return act(a, &asked);
}

const struct command command_schema = {
    .name = "schema",
    .words = "list|show|check|freeze|encode|decode "
             "show:<event>|check:<event>|freeze:<event>|encode:<event> check:<file>|encode:<file>",
    .arguments = "[list] | show EVENT | check EVENT [FILE|-] | check --all|FOLDER | freeze EVENT | "
                 "encode EVENT [FILE|-] | decode [FILE|-] [--extra JSON]",
    .summary = "the Avro schemas: list, show, does a payload fit?",
    .examples =
        "  busbridge schema list\n"
        "  busbridge schema show quality.checked\n"
        "  busbridge schema check quality.checked payload.json    exit 0 when it fits, else 1 and why\n"
        "  busbridge show ID -o json | jq .payload | busbridge schema check episode.created -\n"
        "  busbridge schema check --all          are all of them sound?\n"
        "  busbridge schema check ./schemas      those of another folder\n"
        "  busbridge schema freeze order.placed  before it is changed: older records stay readable\n"
        "  busbridge schema encode order.placed payload.json | busbridge schema decode\n",
    .description =
        "check says what the relay would say of an event with this payload, in the words of the dead letter it would become:\n"
        "reason, place and what was expected. The schemas are those of encoding.schemas; no worker is asked.",
    .run = run,
    .usage_code = CODE_USAGE,
};
