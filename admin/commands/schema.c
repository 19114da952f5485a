/* busbridge schema: its verbs, and which command line is which.
 * The command's one thread; a crash leaves nothing. */
#include "admin/commands/schema_verbs.h"
#include "admin/input/options.h"
#include "admin/output/list_output.h"
#include "bridge/base/text/words.h"

static const struct verb {
  const char *word;
  int least, most; /* words behind it */
  enum status (*run)(struct schema_call *c, struct error *err);
} verbs[] = {
    {"list", 0, 0, schema_list},         {"show", 1, 1, schema_show},
    {"check", 0, 2, schema_check},       {"freeze", 1, 1, schema_freeze},
    {"encode", 1, 2, schema_encode},     {"decode", 0, 1, schema_decode},
    {"register", 1, 1, schema_register}, {"export", 0, 1, schema_export},
    {"infer", 1, 1, schema_infer},       {"diff", 0, 2, schema_diff},
};
#define VERBS (sizeof verbs / sizeof *verbs)

static const struct verb *wrong_verb(const struct admin *a, const char *word) {
  const char *words[VERBS];
  for (size_t i = 0; i < VERBS; i++) words[i] = verbs[i].word;
  const char *near = word_nearest(word, words, VERBS);
  if (near && strcmp(near, word) != 0)
    complain(a, "There is no schema %s; did you mean schema %s?", word, near);
  else
    complain(a, "usage: busbridge schema %s; see --help", command_schema.arguments);
  return NULL;
}

static bool is_against(const struct schema_call *c) {
  return c->against || c->against_git || c->against_registry;
}

/* One thing to compare with, and one folder or event of ours at most. */
static bool against_is_sound(const struct schema_call *c) {
  return (c->against != NULL) + (c->against_git != NULL) + c->against_registry == 1 &&
         c->count <= !c->all;
}

/* NULL: it was told what is wrong. */
static const struct verb *verb_of(const struct schema_call *c, const char *word) {
  const struct verb *verb = NULL;
  for (size_t i = 0; i < VERBS && !verb; i++)
    if (strcmp(word, verbs[i].word) == 0) verb = &verbs[i];
  if (!verb) return wrong_verb(c->a, word);
  bool check = verb->run == schema_check, reg = verb->run == schema_register;
  if (c->dry_run && !reg) return wrong_verb(c->a, word);
  if (*c->export && verb->run != schema_export) return wrong_verb(c->a, word);
  if ((c->type || c->write) && verb->run != schema_infer) return wrong_verb(c->a, word);
  bool diff = verb->run == schema_diff && !c->all;
  if (c->level && !check) return wrong_verb(c->a, word);
  if (is_against(c) || c->level)
    return (check || diff) && against_is_sound(c) ? verb : wrong_verb(c->a, word);
  if (c->all) return (check || reg) && !c->count ? verb : wrong_verb(c->a, word);
  return c->count < verb->least || c->count > verb->most ? wrong_verb(c->a, word) : verb;
}

#define EXPORT_FORMATS "jsonschema|asyncapi"

static bool is_export(const char *form) {
  return strcmp(form, "jsonschema") == 0 || strcmp(form, "asyncapi") == 0;
}

static int act(struct schema_call *c, const struct verb *verb) {
  struct error err = {0};
  bool folder = (verb->run == schema_check || verb->run == schema_diff) && c->count == 1 &&
                schema_is_folder(c->words[0]);
  bool alone = verb->run == schema_infer || (verb->run == schema_diff && c->count == 2);
  enum status st = ST_OK;
  if (!alone) st = schemas_open(c->a->settings, folder ? c->words[0] : NULL, &c->schemas, &err);
  if (st != ST_OK) err.status = ST_IO; /* a schema that is wrong is a failure, not wrong usage */
  if (st == ST_OK) st = verb->run(c, &err);
  schemas_close(c->schemas);
  return st == ST_OK ? c->code : fail(c->a, &err);
}

static int run_schema(struct admin *a, const struct command *self, int argc, char **argv) {
  struct schema_call c = {.a = a, .format = "table", .extra = "", .export = ""};
  const char *form = "";
  const struct option_row rows[] = {
      {"all", 0, OPTION_FLAG, &c.all, NULL, "check, register: every schema there is"},
      {"dry-run", 0, OPTION_FLAG, &c.dry_run, NULL,
       "register: only ask the registry whether it would take them"},
      {"against", 0, OPTION_TEXT, &c.against, "FOLDER", "check, diff: with those of that folder"},
      {"against-git", 0, OPTION_TEXT, &c.against_git, "REVISION",
       "check, diff: with those of a revision of git"},
      {"against-registry", 0, OPTION_FLAG, &c.against_registry, NULL,
       "check, diff: with what the registry has"},
      {"compatibility", 0, OPTION_CHOICE, &c.level, SCHEMA_LEVELS,
       "check: the level that must hold (BACKWARD)"},
      {"extra", 0, OPTION_TEXT, &c.extra, "JSON",
       "decode: the header ce_extra, its members are put back"},
      {"type", 0, OPTION_CHOICE, &c.type, SCHEMA_SOURCES, "infer: from which entries (pending)"},
      {"write", 0, OPTION_TEXT, &c.write, "FILE", "infer: a new file for the schema"},
      {"output", 'o', OPTION_CHOICE, &c.format, LISTING_FORMATS, "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &form, EXPORT_FORMATS "|" LISTING_FORMATS,
       "export: jsonschema (default) or asyncapi; else the older spelling of --output"},
  };
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 3, &words, &code))
    return code;
  if (is_export(form))
    c.export = form;
  else if (*form)
    c.format = form;
  c.json = strcmp(c.format, "json") == 0 || strcmp(c.format, "jsonl") == 0;
  c.words = argv + (words > 0);
  c.count = words > 0 ? words - 1 : 0;
  const struct verb *verb = verb_of(&c, words > 0 ? argv[0] : "list");
  if (!verb) return CODE_USAGE;
  if (!admin_settings(a, &err)) return fail(a, &err);
  return act(&c, verb);
}

const struct command command_schema = {
    .name = "schema",
    .words = "list|show|check|freeze|encode|decode|register|export|infer|diff "
             "show:<event>|check:<event>|freeze:<event>|encode:<event>|register:<event>|"
             "export:<event>|infer:<event>|diff:<event> check:<file>|encode:<file>|diff:<file>",
    .arguments =
        "[list] | show EVENT | check EVENT [FILE|-] | check [--all|FOLDER] | "
        "check [EVENT|FOLDER] --against FOLDER | check [EVENT|FOLDER] --against-git REVISION | "
        "check [EVENT|FOLDER] --against-registry | diff [EVENT|FOLDER] | diff OLDFILE NEWFILE | "
        "diff [EVENT|FOLDER] --against FOLDER | "
        "diff [EVENT|FOLDER] --against-git REVISION | diff [EVENT|FOLDER] --against-registry | "
        "freeze EVENT | "
        "encode EVENT [FILE|-] | decode [FILE|-] [--extra JSON] | "
        "register EVENT|--all [--dry-run] | "
        "export [EVENT] [--format jsonschema|asyncapi] | infer EVENT [--type dlq] [--write FILE]",
    .summary = "the Avro schemas: list, show, does a payload fit?",
    .examples =
        "  busbridge schema list\n"
        "  busbridge schema show quality.checked\n"
        "  busbridge schema check quality.checked payload.json    exit 0 when it fits, else 1 and "
        "why\n"
        "  busbridge show ID -o json | jq .payload | busbridge schema check episode.created -\n"
        "  busbridge schema check                are all of them sound?\n"
        "  busbridge schema check ./schemas      those of another folder\n"
        "  busbridge schema check --against-git main --compatibility FULL   may they be deployed?\n"
        "  busbridge schema infer order.placed --write schemas/order/placed.avsc    from what "
        "waits\n"
        "  busbridge schema freeze order.placed  before it is changed: older records stay "
        "readable\n"
        "  busbridge schema diff order.placed    what changed since it was frozen last\n"
        "  busbridge schema diff old.avsc new.avsc\n"
        "  busbridge schema encode order.placed payload.json | busbridge schema decode\n"
        "  busbridge schema register --all --dry-run    would the registry take them? without "
        "--dry-run it gets them\n"
        "  busbridge schema export order.placed  as JSON Schema; --format asyncapi: topics and "
        "events\n",
    .description =
        "check says what the relay would say of an event with this payload, in the words of the "
        "dead letter it would become:\n"
        "reason, place and what was expected. The schemas are those of encoding.schemas; no "
        "worker is asked.",
    .run = run_schema,
    .usage_code = CODE_USAGE,
};
