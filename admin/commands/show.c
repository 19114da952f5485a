/* busbridge show: an entry line by line, with a caret under the byte where it goes wrong.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>

struct sheet { /* what is printed, line by line */
  struct admin *admin;
  const struct json_doc *doc;
};

static void head(struct sheet *s, const char *title) {
  buffer_printf(&s->admin->out, "%-12s  ", title);
}

/* A line "title  text"; none when the member is null or not there. */
static bool line(struct sheet *s, const char *title, const char *key) {
  struct buffer text = {0};
  bool there = answer_text(s->doc, 0, key, &text) && text.len > 0;
  if (there) {
    head(s, title);
    text_printable(&s->admin->out, buffer_span(&text));
    buffer_add_char(&s->admin->out, '\n');
  }
  buffer_release(&text);
  return there;
}

static void time_line(struct sheet *s, const char *title, const char *key) {
  struct buffer text = {0};
  struct buffer *out = &s->admin->out;
  if (answer_text(s->doc, 0, key, &text)) {
    head(s, title);
    text_printable(out, buffer_span(&text));
    buffer_add_z(out, "  (");
    output_age(s->doc, 0, key, clock_wall_us(s->admin->clock), out);
    buffer_add_z(out, " ago)\n");
  }
  buffer_release(&text);
}

static void size_line(struct sheet *s) {
  char bytes[NUMBER_TEXT], payload[NUMBER_TEXT];
  head(s, "size");
  buffer_printf(&s->admin->out, "%s bytes",
                number_text((uint64_t)answer_int(s->doc, 0, "size", 0), bytes));
  if (!answer_bool(s->doc, 0, "raw"))
    buffer_printf(&s->admin->out, ", payload %s",
                  number_text((uint64_t)answer_int(s->doc, 0, "payload_size", 0), payload));
  buffer_add_char(&s->admin->out, '\n');
}

/* ---- where it stands ---- */

static void due_words(struct sheet *s, struct buffer *out) {
  struct buffer due = {0};
  char wait[DURATION_TEXT];
  int64_t us;
  if (answer_text(s->doc, 0, "due_at", &due) && time_parse(buffer_span(&due), &us)) {
    int64_t ms = (us - clock_wall_us(s->admin->clock)) / 1000;
    buffer_printf(out, ms > 0 ? ", next try in %s" : ", next try is due", duration_text(ms, wait));
  }
  buffer_release(&due);
}

static void state_line(struct sheet *s) {
  struct buffer state = {0}, behind = {0}, shown = {0};
  struct buffer *out = &s->admin->out;
  answer_text(s->doc, 0, "state", &state);
  head(s, "state");
  const char *word = buffer_z(&state);
  if (strcmp(word, "dead") == 0)
    output_paint(out, s->admin->color_out, PAINT_RED, "dead letter");
  else
    output_paint(out, s->admin->color_out, strcmp(word, "ready") == 0 ? PAINT_GREEN : PAINT_YELLOW,
                 word);
  due_words(s, out);
  if (answer_text(s->doc, 0, "held_behind", &behind)) {
    text_printable(&shown, buffer_span(&behind));
    buffer_printf(out, " behind %s, an earlier event of its key", buffer_z(&shown));
  }
  if (strcmp(word, "unread") == 0) buffer_add_z(out, ": it cannot be read as it is");
  buffer_add_char(out, '\n');
  buffer_release(&state);
  buffer_release(&behind);
  buffer_release(&shown);
}

static void door_lines(struct sheet *s) {
  uint32_t door = answer_node(s->doc, 0, "waits_for");
  struct sheet inner = *s;
  struct buffer text = {0};
  static const char *const keys[][2] = {{"waits for", "target"}, {"", "reason"}, {"", "remedy"}};
  if (door == JSON_NONE || s->doc->nodes[door].type != JSON_OBJECT) return;
  for (size_t i = 0; i < 3; i++, buffer_clear(&text)) {
    if (!answer_text(s->doc, door, keys[i][1], &text) || !text.len) continue;
    head(&inner, keys[i][0]);
    text_printable(&s->admin->out, buffer_span(&text));
    buffer_add_char(&s->admin->out, '\n');
  }
  buffer_release(&text);
}

static void also_line(struct sheet *s) {
  uint32_t also = answer_node(s->doc, 0, "also"), node = JSON_NONE;
  bool first = true;
  struct buffer name = {0};
  while (answer_each(s->doc, also, &node)) {
    if (first) head(s, "also");
    if (!first) buffer_add_z(&s->admin->out, ", ");
    buffer_clear(&name);
    json_unescape(s->doc, node, &name);
    text_printable(&s->admin->out, buffer_span(&name));
    first = false;
  }
  if (!first) buffer_add_z(&s->admin->out, "  (see --type)\n");
  buffer_release(&name);
}

static void unknown_line(struct sheet *s) {
  uint32_t fields = answer_node(s->doc, 0, "unknown_fields"), node = JSON_NONE;
  bool first = true;
  while (answer_each(s->doc, fields, &node)) {
    struct buffer path = {0};
    if (first) head(s, "no place");
    json_unescape(s->doc, node, &path);
    if (!first) buffer_add_z(&s->admin->out, ", ");
    text_printable(&s->admin->out, buffer_span(&path));
    first = false;
    buffer_release(&path);
  }
  if (!first) buffer_add_z(&s->admin->out, "  (in the schema: encoding.unknown_fields)\n");
}

/* ---- its bytes ---- */

static void payload_lines(struct sheet *s) {
  uint32_t payload = answer_node(s->doc, 0, "payload");
  if (payload == JSON_NONE || s->doc->nodes[payload].type == JSON_NULL) return;
  buffer_add_z(&s->admin->out, "\npayload\n");
  output_pretty(s->doc, payload, &s->admin->out);
  buffer_add_char(&s->admin->out, '\n');
}

/* The line of text, and under it a caret at the column where it goes wrong. */
static void fault_lines(struct sheet *s) {
  uint32_t fault = answer_node(s->doc, 0, "fault");
  struct buffer before = {0}, after = {0}, error = {0};
  struct buffer *out = &s->admin->out;
  if (fault == JSON_NONE || s->doc->nodes[fault].type != JSON_OBJECT) return;
  buffer_printf(out, "\nbyte %" PRId64 ", line %" PRId64 ", column %" PRId64 "\n",
                answer_int(s->doc, fault, "byte", 0), answer_int(s->doc, fault, "line", 0),
                answer_int(s->doc, fault, "column", 0));
  if (answer_text(s->doc, fault, "error", &error)) {
    text_printable(out, buffer_span(&error));
    buffer_add_char(out, '\n');
  }
  answer_text(s->doc, fault, "before", &before);
  answer_text(s->doc, fault, "after", &after);
  buffer_add_z(out, "  ");
  text_printable(out, buffer_span(&before));
  text_printable(out, buffer_span(&after));
  buffer_printf(out, "\n  %*s", (int)output_width(buffer_span(&before)), "");
  output_paint(out, s->admin->color_out, PAINT_RED, "^");
  buffer_add_char(out, '\n');
  buffer_release(&before);
  buffer_release(&after);
  buffer_release(&error);
}

/* By the schemas and routes of now, which may be others than when it died. */
static void fits_line(struct sheet *s) {
  uint32_t fits = answer_node(s->doc, 0, "fits");
  struct buffer reason = {0}, error = {0};
  if (fits == JSON_NONE || s->doc->nodes[fits].type == JSON_NULL) return;
  head(s, "fits now");
  if (s->doc->nodes[fits].type == JSON_TRUE) {
    output_paint(&s->admin->out, s->admin->color_out, PAINT_GREEN, "yes");
  } else {
    answer_text(s->doc, 0, "fits_reason", &reason);
    answer_text(s->doc, 0, "fits_error", &error);
    output_paint(&s->admin->out, s->admin->color_out, PAINT_RED, "no");
    buffer_add_z(&s->admin->out, ": ");
    text_printable(&s->admin->out, buffer_span(&reason));
    buffer_add_z(&s->admin->out, ": ");
    text_printable(&s->admin->out, buffer_span(&error));
  }
  buffer_add_char(&s->admin->out, '\n');
  buffer_release(&reason);
  buffer_release(&error);
}

/* What to type when the cause is fixed: by where it lies, when others are named so too. */
static void next_line(struct sheet *s) {
  struct buffer *out = &s->admin->out, state = {0}, id = {0};
  uint32_t other = JSON_NONE;
  bool alone = !answer_each(s->doc, answer_node(s->doc, 0, "also"), &other);
  if (answer_text(s->doc, 0, "state", &state) && strcmp(buffer_z(&state), "dead") == 0 &&
      answer_text(s->doc, 0, alone ? "id" : "file", &id)) {
    head(s, "next");
    if (answer_bool(s->doc, 0, "mended")) buffer_add_z(out, "its bytes are JSON now: ");
    buffer_add_z(out, "busbridge replay ");
    text_printable(out, buffer_span(&id));
    buffer_add_char(out, '\n');
  }
  buffer_release(&state);
  buffer_release(&id);
}

static void beginning_lines(struct sheet *s) {
  struct buffer text = {0};
  uint32_t fault = answer_node(s->doc, 0, "fault");
  bool pointed = fault != JSON_NONE && s->doc->nodes[fault].type == JSON_OBJECT;
  if (!pointed && answer_text(s->doc, 0, "beginning", &text)) {
    buffer_add_z(&s->admin->out, "\nits bytes\n  ");
    text_printable(&s->admin->out, buffer_span(&text));
    buffer_add_char(&s->admin->out, '\n');
  }
  buffer_release(&text);
}

static void print_entry(struct admin *a, const struct json_doc *doc) {
  struct sheet s = {a, doc};
  line(&s, "id", "id");
  line(&s, "name", "name");
  line(&s, "namespace", "namespace");
  line(&s, "topic", "topic");
  line(&s, "key", "key");
  line(&s, "file", "path");
  also_line(&s);
  size_line(&s);
  state_line(&s);
  door_lines(&s);
  time_line(&s, "created", "created_at");
  time_line(&s, "arrived", "mtime");
  time_line(&s, "first failed", "first_failed_at");
  time_line(&s, "failed", "failed_at");
  head(&s, "attempts");
  buffer_printf(&a->out, "%" PRId64 "\n", answer_int(doc, 0, "attempts", 0));
  line(&s, "reason", "reason");
  line(&s, "error", "last_error");
  line(&s, "remedy", "remedy");
  unknown_line(&s);
  fits_line(&s);
  next_line(&s);
  payload_lines(&s);
  fault_lines(&s);
  beginning_lines(&s);
}

/* ---- the command ---- */

static int show_entry(struct admin *a, const struct show_request *request, bool json) {
  struct error err = {0};
  struct client *client = NULL;
  struct buffer answer = {0};
  struct json_doc doc = {0};
  if (!admin_settings(a, &err)) return fail(a, &err);
  enum status st = client_open(a, SERVICE_INSPECT, &client, &err);
  if (st == ST_NOT_FOUND)
    err.status = ST_IO; /* no outbox is a failure, not an entry that is not there */
  if (st == ST_OK) st = client_show(client, request, &answer, &err);
  if (st == ST_OK && request->raw)
    buffer_add(&a->out, buffer_span(&answer));
  else if (st == ST_OK)
    st = answer_scan(&doc, buffer_span(&answer), &err);
  if (st == ST_OK && !request->raw && json) output_json(&doc, 0, &a->out);
  if (st == ST_OK && !request->raw && !json) print_entry(a, &doc);
  int code = st == ST_OK ? CODE_OK : fail(a, &err);
  client_close(client);
  json_doc_release(&doc);
  buffer_release(&answer);
  return code;
}

static int run_show(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *type = "all", *format = "table";
  bool raw = false;
  const struct option_row rows[] = {
      {"type", 't', OPTION_CHOICE, &type, "pending|dlq|all", "which entries are looked at (all)"},
      {"raw", 'r', OPTION_FLAG, &raw, NULL, "the bytes of the file as they are, and nothing else"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 1, 1, &words, &code))
    return code;
  struct show_request request = {.id = argv[0],
                                 .pending = strcmp(type, "dlq") != 0,
                                 .dead = strcmp(type, "pending") != 0,
                                 .raw = raw};
  return show_entry(a, &request, strcmp(format, "json") == 0);
}

const struct command command_show = {
    .name = "show",
    .words = "<entry>",
    .arguments = "ID [--raw]",
    .summary = "one entry whole: where it stands, what is wrong with it, its payload",
    .examples =
        "  busbridge show 3f2b                        the beginning of an id is enough when it is "
        "unambiguous\n"
        "  busbridge show 3f2b -o json | jq .payload  everything known about it, for scripts\n"
        "  busbridge show 3f2b --raw > entry.json     its bytes as they are\n",
    .description =
        "An id, the beginning of one, or the stem of a file: a pending entry or a dead letter. "
        "Nothing is changed and\n"
        "nothing is locked. Where its bytes went wrong, they are shown with a mark under the "
        "place.",
    .run = run_show,
    .usage_code = CODE_USAGE,
};
