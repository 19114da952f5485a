/* busbridge list: as a table; as JSON or ids, written as they come, so that memory does not grow
 * with the list.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/client.h"
#include "admin/input/selection_options.h"
#include "admin/output/list_output.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>
#include <unistd.h>

#define LONG_LIST 10000         /* entries: such a list does not go through the worker */
#define WRITTEN_AT (256 * 1024) /* bytes */
#define SHORT_AMONG 1000        /* entries of a list whose ids are cut */
#define SHORT_ID 8              /* characters of one, at least */

struct row_of_entry {
  struct column column;
  const char *key; /* member of the entry */
  bool age, wide;  /* shown as an age; only in -o wide */
};
static const struct row_of_entry columns[] = {
    {{"ID", false, 0, false}, "id", false, false},
    {{"NAME", false, 0, true}, "name", false, false},
    {{"STATUS", false, 0, false}, "status", false, false},
    {{"AGE", true, 0, false}, "created_at", true, false},
    {{"TRIES", true, 0, false}, "attempts", false, false},
    {{"FAILED", false, 0, false}, "failed_at", false, true},
    {{"BYTES", true, 0, false}, "payload_size", false, true},
    {{"TOPIC", false, 0, true}, "topic", false, true},
    {{"KEY", false, 0, true}, "key", false, true},
    {{"ENTRY", false, 0, true}, "file", false, true},
    {{"BEHIND", false, 0, true}, "held_behind", false, true},
    {{"REASON", false, 0, false}, "reason", false, false},
    {{"ERROR", false, 0.3, true}, "last_error", false, false},
};
#define COLUMNS (sizeof columns / sizeof *columns)

/* As much of the ids as tells each from all others that are shown, 8 characters at least: any
 * command takes it. */
static size_t short_id(const struct json_doc *doc, uint32_t entries) {
  size_t most = SHORT_ID;
  uint32_t node = JSON_NONE;
  if (doc->nodes[entries].count > SHORT_AMONG) return SIZE_MAX;
  while (answer_each(doc, entries, &node)) {
    uint32_t other = node, id = answer_node(doc, node, "id");
    struct span x = id == JSON_NONE ? (struct span){0} : json_raw(doc, id);
    while (answer_each(doc, entries, &other)) {
      uint32_t second = answer_node(doc, other, "id");
      struct span y = second == JSON_NONE ? (struct span){0} : json_raw(doc, second);
      size_t same = 0;
      while (same < x.len && same < y.len && x.ptr[same] == y.ptr[same]) same++;
      if (same >= most) most = same + 1;
    }
  }
  return most;
}

static char *cell(const struct admin *a, const struct json_doc *doc, uint32_t entry,
                  const struct row_of_entry *c) {
  struct buffer text = {0};
  int64_t number = answer_int(doc, entry, c->key, -1);
  struct buffer behind = {0};
  bool held =
      !strcmp(c->key, "status") && answer_text(doc, entry, "held_behind", &behind) && behind.len;
  buffer_release(&behind);
  if (c->age) {
    output_age(doc, entry, c->key, clock_wall_us(a->clock), &text);
  } else if (held) {
    buffer_add_z(&text, "held");
  } else if (number >= 0) {
    buffer_printf(&text, "%" PRId64, number);
  } else if (!answer_text(doc, entry, c->key, &text) || text.len == 0) {
    buffer_add_char(&text, '-');
  }
  char *copy = text.failed ? NULL : strdup(buffer_z(&text));
  buffer_release(&text);
  return copy;
}

/* Not within a character, which no id of ours has. */
static void cut_id(char *text, size_t most) {
  if (text && strlen(text) > most && (text[most] & 0x80) == 0) text[most] = '\0';
}

static enum status print_table(struct admin *a, const struct json_doc *doc, uint32_t entries,
                               bool wide, struct error *err) {
  bool terminal = !wide && isatty(STDOUT_FILENO);
  size_t id = terminal ? short_id(doc, entries) : SIZE_MAX;
  struct column shown[COLUMNS];
  size_t count = 0, rows = 0, made = 0;
  for (size_t i = 0; i < COLUMNS; i++)
    if (wide || !columns[i].wide) shown[count++] = columns[i].column;
  uint32_t node = JSON_NONE;
  size_t room = doc->nodes[entries].count * count;
  char **cells = calloc(room + 1, sizeof *cells);
  enum status st = cells ? ST_OK : error_set(err, ST_NO_MEMORY, "Out of memory");
  while (st == ST_OK && answer_each(doc, entries, &node)) {
    for (size_t i = 0; i < COLUMNS && st == ST_OK; i++) {
      if (columns[i].wide && !wide) continue;
      cells[made] = cell(a, doc, node, &columns[i]);
      if (i == 0) cut_id(cells[made], id);
      if (!cells[made++]) st = error_set(err, ST_NO_MEMORY, "Out of memory");
    }
    rows++;
  }
  if (st == ST_OK && rows > 0) st = output_table(shown, count, cells, rows, terminal, &a->out, err);
  for (size_t i = 0; cells && i < made; i++) free(cells[i]);
  free(cells);
  return st;
}

static void print_names(struct admin *a, const struct json_doc *doc, uint32_t entries) {
  uint32_t node = JSON_NONE;
  while (answer_each(doc, entries, &node)) {
    struct buffer id = {0};
    answer_text(doc, node, "id", &id);
    text_printable(&a->out, buffer_span(&id));
    buffer_add_char(&a->out, '\n');
    buffer_release(&id);
  }
}

/* A script that asks for certain entries learns by the exit code that there are none. */
static void nothing(struct admin *a, const struct selection *selection, int *code) {
  struct buffer words = {0};
  selection_words(selection, &words);
  if (!selection_narrows(selection)) {
    note(a, "no entries");
  } else {
    complain(a, "nothing matches %s", buffer_z(&words));
    *code = CODE_NOTHING;
  }
  buffer_release(&words);
}

/* ---- a list that comes entry by entry ---- */

struct stream {
  struct admin *a;
  const char *format;
  uint64_t shown;
};

static bool is_streamed(const char *format) {
  return strcmp(format, "json") == 0 || strcmp(format, "jsonl") == 0 || strcmp(format, "name") == 0;
}

static bool print_id(struct admin *a, struct span entry) {
  struct json_doc doc = {0};
  struct buffer id = {0};
  bool ok = answer_scan(&doc, entry, NULL) == ST_OK && answer_text(&doc, 0, "id", &id);
  text_printable(&a->out, buffer_span(&id));
  buffer_add_char(&a->out, '\n');
  buffer_release(&id);
  json_doc_release(&doc);
  return ok;
}

/* What was made so far is written now and then, so that memory does not grow with the list. */
static bool print_one(void *ctx, struct span entry) {
  struct stream *s = ctx;
  struct buffer *out = &s->a->out;
  bool ok = true;
  if (s->shown++ == 0) patience_end(s->a);
  if (strcmp(s->format, "name") == 0) {
    ok = print_id(s->a, entry);
  } else if (strcmp(s->format, "jsonl") == 0) {
    buffer_add(out, entry);
    buffer_add_char(out, '\n');
  } else {
    buffer_add_z(out, s->shown == 1 ? "[\n  " : ",\n  ");
    buffer_add(out, entry);
  }
  if (!ok || out->failed) return false;
  return out->len < WRITTEN_AT || admin_flush(s->a) == CODE_OK;
}

static void end_stream(struct stream *s) {
  if (strcmp(s->format, "json") == 0) buffer_add_z(&s->a->out, s->shown ? "\n]\n" : "[]\n");
}

/* ---- one that came whole ---- */

static enum status print_entries(struct admin *a, const char *format, const struct json_doc *doc,
                                 uint64_t *shown, struct error *err) {
  uint32_t entries = answer_node(doc, 0, "entries");
  if (entries == JSON_NONE || doc->nodes[entries].type != JSON_ARRAY)
    return error_set(err, ST_INVALID, "The answer has no entries");
  *shown = doc->nodes[entries].count;
  if (strcmp(format, "json") == 0 || strcmp(format, "jsonl") == 0) {
    output_array(doc, entries, strcmp(format, "jsonl") == 0, &a->out);
  } else if (strcmp(format, "name") == 0) {
    print_names(a, doc, entries);
  } else {
    return print_table(a, doc, entries, strcmp(format, "wide") == 0, err);
  }
  return ST_OK;
}

/* ---- the command ---- */

static void tell_rest(struct admin *a, const struct selection *selection, uint64_t shown,
                      uint64_t total, int *code) {
  char some[NUMBER_TEXT], all[NUMBER_TEXT];
  if (admin_flush(a) != CODE_OK) return; /* said already; main gives the exit code */
  if (total == 0) nothing(a, selection, code);
  if (shown < total)
    note(a, "%s of %s, use --limit 0 for all", number_text(shown, some), number_text(total, all));
}

/* What to do about those that were shown, each said once. */
static void tell_next(struct admin *a, const struct json_doc *doc) {
  uint32_t node = JSON_NONE;
  struct buffer last = {0};
  while (answer_each(doc, answer_node(doc, 0, "entries"), &node)) {
    struct buffer next = {0};
    bool told =
        !answer_text(doc, node, "next", &next) || span_eq(buffer_span(&next), buffer_span(&last));
    if (!told) note(a, "%s", buffer_z(&next));
    buffer_release(told ? &next : &last);
    if (!told) last = next;
  }
  buffer_release(&last);
}

static void tell_aside(struct admin *a, const struct selection *selection,
                       const struct json_doc *doc) {
  char number[COUNTED_TEXT];
  int64_t aside = answer_int(doc, 0, "aside", 0);
  if (selection->aside)
    tell_next(a, doc);
  else if (selection->pending && aside > 0)
    note(a, "%s, which cannot be changed: busbridge list --type aside",
         counted_text((uint64_t)aside, "entry is set aside", "entries are set aside", number));
}

static enum status ask_list(struct client *client, const struct list_request *request,
                            struct stream *stream, struct json_doc *doc, struct buffer *json,
                            struct error *err) {
  struct list_request own = *request;
  bool streamed = !client_remote(client) && is_streamed(stream->format);
  if (streamed) own.each = print_one, own.ctx = stream;
  enum status st = client_list(client, &own, json, err);
  if (st == ST_OK) st = answer_scan(doc, buffer_span(json), err);
  if (st != ST_OK) return st;
  if (!streamed) return print_entries(stream->a, stream->format, doc, &stream->shown, err);
  end_stream(stream);
  return ST_OK;
}

static int list(struct admin *a, const struct list_request *request, const char *format) {
  struct error err = {0};
  struct client *client = NULL;
  struct buffer json = {0};
  struct json_doc doc = {0};
  struct stream stream = {.a = a, .format = format};
  int code = CODE_OK;
  if (!admin_settings(a, &err)) return fail(a, &err);
  bool large = (request->limit == 0 || request->limit > LONG_LIST) && is_streamed(format);
  enum status st =
      large ? client_open_beside(a, &client, &err) : client_open(a, SERVICE_INSPECT, &client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO; /* no outbox is a failure, not an empty answer */
  if (st == ST_OK) st = ask_list(client, request, &stream, &doc, &json, &err);
  if (st == ST_OK) tell_aside(a, &request->selection, &doc);
  if (st == ST_OK)
    tell_rest(a, &request->selection, stream.shown, (uint64_t)answer_int(&doc, 0, "total", 0),
              &code);
  if (st != ST_OK) code = a->unwritten ? CODE_FAILURE : fail(a, &err);
  client_close(client);
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

/* ---- dead letters that died alike ---- */

static const struct listing_column group_columns[] = {
    {{"COUNT", true, 0, false}, "count", false},   {{"REASON", false, 0, false}, "reason", false},
    {{"NAME", false, 0, true}, "name", false},     {{"FIRST", false, 0, false}, "first", true},
    {{"LAST", false, 0, false}, "last", true},     {{"SAMPLE", false, 0, true}, "sample", false},
    {{"ERROR", false, 0.3, true}, "error", false},
};

static enum status print_groups(struct admin *a, const char *format, const struct json_doc *doc,
                                struct error *err) {
  uint32_t groups = answer_node(doc, 0, "groups"), node = JSON_NONE;
  size_t count = groups == JSON_NONE ? 0 : doc->nodes[groups].count;
  uint32_t *nodes = calloc(count + 1, sizeof *nodes);
  if (!nodes) return error_set(err, ST_NO_MEMORY, "Out of memory");
  struct listing l = {.doc = doc,
                      .nodes = nodes,
                      .columns = group_columns,
                      .column_count = sizeof group_columns / sizeof *group_columns,
                      .name = "sample"};
  while (answer_each(doc, groups, &node)) nodes[l.count++] = node;
  enum status st = listing_print(a, &l, format, err);
  free(nodes);
  return st;
}

static int group(struct admin *a, const struct list_request *request, const char *format) {
  struct error err = {0};
  struct client *client = NULL;
  struct buffer json = {0};
  struct json_doc doc = {0};
  int code = CODE_OK;
  if (!admin_settings(a, &err)) return fail(a, &err);
  enum status st = client_open(a, SERVICE_INSPECT, &client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  if (st == ST_OK) st = client_groups(client, request, &json, &err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  if (st == ST_OK) st = print_groups(a, format, &doc, &err);
  if (st == ST_OK && answer_int(&doc, 0, "total", 0) == 0) nothing(a, &request->selection, &code);
  if (st == ST_OK && answer_int(&doc, 0, "others", 0) > 0)
    note(a, "and %" PRId64 " of further groups, use --limit 0 for all",
         answer_int(&doc, 0, "others", 0));
  if (st != ST_OK) code = fail(a, &err);
  client_close(client);
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

static int run_list(struct admin *a, const struct command *self, int argc, char **argv) {
  struct selecting given = {0};
  const char *format = "table";
  uint64_t limit = 50;
  bool grouped = false;
  const struct option_row rows[] = {
      {"group", 'g', OPTION_FLAG, &grouped, NULL,
       "dead letters that died alike: how many, since when, one of them"},
      SELECTING_TYPE(&given),
      SELECTING_ROWS(&given),
      {"limit", 'n', OPTION_NUMBER, &limit, "N", "at most so many, oldest first; 0 means all (50)"},
      {"output", 'o', OPTION_CHOICE, &format, "table|wide|json|jsonl|name",
       "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|wide|json|jsonl|name",
       "the older spelling of --output"},
  };
  struct list_request request = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  if (!selecting_take(a, self, &given, &request.selection, &code)) return code;
  request.limit = (size_t)limit;
  if (grouped) request.selection.pending = false;
  if (grouped) return group(a, &request, format);
  return list(a, &request, format);
}

const struct command command_list = {
    .name = "list",
    .arguments = "[--type pending|dlq|aside|all] [--group] [FILTER]... [--limit N] [-o "
                 "table|wide|json|jsonl|name]",
    .summary = "what lies in the outbox: pending entries and dead letters",
    .examples =
        "  busbridge list                                   the oldest 50\n"
        "  busbridge list --type dlq -o wide                dead letters with everything known "
        "about them\n"
        "  busbridge list --name 'plot.*' --since 2h        what arrived or failed in the last "
        "two hours\n"
        "  busbridge list --group                           what dead letters died of, and how "
        "many of each\n"
        "  busbridge list --type aside                      what cannot be "
        "changed, and what to do\n"
        "  busbridge list --reason not_json -o name         ids alone; exit code 3 when there are "
        "none\n"
        "  busbridge list --limit 0 -o jsonl                all, one JSON object a line\n",
    .description =
        "Lists entries in the order of their arrival. Nothing is changed and nothing is locked. "
        "All filters that are given\n"
        "must hold; with any but times of pending entries every file is read, so a long backlog "
        "takes a while.\n"
        "-o json is an array of objects with id, name, created_at, attempts, last_error, "
        "failed_at, payload_size, and more after them.",
    .run = run_list,
    .usage_code = CODE_USAGE,
};
