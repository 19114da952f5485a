/* busbridge health: prints as a monitoring plugin does, and exits with the state.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>
#include <unistd.h>

enum { UNKNOWN = 3 }; /* of monitoring plugins, as the states 0..3 of the answer */
enum { FIELDS_SHOWN = 5 };

static void add_text(struct buffer *out, const struct json_doc *doc, uint32_t object,
                     const char *key) {
  struct buffer text = {0};
  answer_text(doc, object, key, &text);
  text_printable(out, buffer_span(&text));
  buffer_release(&text);
}

static enum paint paint_of(int64_t state) {
  return state == 0 ? PAINT_GREEN : state == 2 ? PAINT_RED : PAINT_YELLOW;
}

/* What stands behind a bar is data to a monitoring system, so none may stand in the words. */
static void without_bars(struct buffer *out, size_t from) {
  for (size_t i = from; i < out->len; i++)
    if (out->ptr[i] == '|') out->ptr[i] = '/';
}

static void print_perfdata(const struct json_doc *doc, struct buffer *out) {
  uint32_t object = answer_node(doc, 0, "perfdata"), key, node = JSON_NONE;
  buffer_add_z(out, " |");
  while (answer_each_member(doc, object, &key, &node)) {
    struct span value = json_raw(doc, node), name = json_raw(doc, key);
    buffer_printf(out, " %.*s=%.*s", SPAN_ARGS(name), SPAN_ARGS(value));
  }
  buffer_add_char(out, '\n');
}

/* "OUTBOX WARNING - 12 pending, oldest 75s: the worst reason | pending=12;..." */
static void print_first_line(struct admin *a, const struct json_doc *doc, int64_t state) {
  uint32_t reasons = answer_node(doc, 0, "reasons"), node = JSON_NONE;
  struct buffer *out = &a->out, word = {0};
  answer_text(doc, 0, "word", &word);
  buffer_add_z(out, "OUTBOX ");
  output_paint(out, a->color_out, paint_of(state), buffer_z(&word));
  buffer_add_z(out, " - ");
  size_t from = out->len;
  add_text(out, doc, 0, "summary");
  if (state != 0 && answer_each(doc, reasons, &node)) {
    buffer_add_z(out, "; ");
    add_text(out, doc, node, "text");
  }
  without_bars(out, from);
  if (isatty(STDOUT_FILENO)) /* people need no figures of a plugin */
    buffer_add_char(out, '\n');
  else
    print_perfdata(doc, out);
  buffer_release(&word);
}

static void print_figures(struct buffer *out, const char *title, const struct json_doc *doc,
                          const char *key) {
  uint32_t node = answer_node(doc, 0, key);
  buffer_printf(out, "%s: total %" PRId64 ", P95 %.1f ms, failure rate %.1f %%\n", title,
                answer_int(doc, node, "total", 0), answer_real(doc, node, "p95_ms", 0),
                answer_real(doc, node, "failure_rate", 0) * 100);
}

static void print_reasons(struct admin *a, const struct json_doc *doc) {
  static const char *const words[] = {"Note", "WARNING", "CRITICAL", "UNKNOWN"};
  uint32_t reasons = answer_node(doc, 0, "reasons"), node = JSON_NONE;
  while (answer_each(doc, reasons, &node)) {
    int64_t state = answer_int(doc, node, "state", 0);
    struct buffer next = {0};
    size_t from = a->out.len;
    if (state < 0 || state > UNKNOWN) state = UNKNOWN;
    output_paint(&a->out, a->color_out && state > 0, paint_of(state), words[state]);
    buffer_add_z(&a->out, ": ");
    add_text(&a->out, doc, node, "text");
    if (answer_text(doc, node, "next", &next)) {
      buffer_add_z(&a->out, "\n  next: ");
      text_printable(&a->out, buffer_span(&next));
    }
    without_bars(&a->out, from);
    buffer_add_char(&a->out, '\n');
    buffer_release(&next);
  }
}

static void print_dead(struct admin *a, const struct json_doc *doc) {
  uint32_t dlq = answer_node(doc, 0, "dlq"), errors = answer_node(doc, dlq, "errors"),
           node = JSON_NONE;
  struct buffer *out = &a->out;
  int64_t others = answer_int(doc, dlq, "other_errors", 0);
  buffer_printf(out, "DLQ total: %" PRId64 "\n", answer_int(doc, dlq, "total", 0));
  if (answer_int(doc, dlq, "total", 0) == 0) return;
  buffer_add_z(out, "Oldest error: ");
  add_text(out, doc, dlq, "oldest");
  buffer_add_z(out, " (");
  output_age(doc, dlq, "oldest", clock_wall_us(a->clock), out);
  buffer_add_z(out, " ago)\nError types:\n");
  while (answer_each(doc, errors, &node)) {
    size_t from = out->len;
    buffer_printf(out, "  %5" PRId64 "  ", answer_int(doc, node, "count", 0));
    add_text(out, doc, node, "error");
    without_bars(out, from);
    buffer_add_char(out, '\n');
  }
  if (others > 0) buffer_printf(out, "  %5" PRId64 "  others\n", others);
}

/* What died alike: one of them to look at. */
static void print_groups(struct admin *a, const struct json_doc *doc) {
  uint32_t groups = answer_node(doc, answer_node(doc, 0, "dlq"), "groups"), node = JSON_NONE;
  static const char *const keys[] = {"reason", "name", "error"};
  struct buffer *out = &a->out;
  while (answer_each(doc, groups, &node)) {
    if (node == groups + 1) buffer_add_z(out, "By cause:\n");
    size_t from = out->len;
    buffer_printf(out, "  %5" PRId64, answer_int(doc, node, "count", 0));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
      buffer_add_z(out, "  ");
      add_text(out, doc, node, keys[i]);
    }
    buffer_add_z(out, "; last ");
    output_age(doc, node, "last", clock_wall_us(a->clock), out);
    buffer_add_z(out, " ago: busbridge show ");
    add_text(out, doc, node, "sample");
    without_bars(out, from);
    buffer_add_char(out, '\n');
  }
}

/* A line each type: how many, and which they are as far as this worker has met them. */
static void print_unplaced(struct admin *a, const struct json_doc *doc) {
  uint32_t types = answer_node(doc, 0, "unknown_fields"), type = JSON_NONE;
  struct buffer *out = &a->out;
  while (answer_each(doc, types, &type)) {
    uint32_t fields = answer_node(doc, type, "fields"), field = JSON_NONE, shown = 0;
    if (type == types + 1) buffer_add_z(out, "Fields without a place in their schema, by type:\n");
    buffer_printf(out, "  %7" PRId64 "  ", answer_int(doc, type, "count", 0));
    add_text(out, doc, type, "type");
    for (; answer_each(doc, fields, &field) && shown < FIELDS_SHOWN; shown++) {
      struct buffer path = {0};
      json_unescape(doc, field, &path);
      buffer_add_z(out, shown ? ", " : ": ");
      text_printable(out, buffer_span(&path));
      buffer_release(&path);
    }
    if (shown == FIELDS_SHOWN && doc->nodes[fields].count > shown)
      buffer_printf(out, " and %u more (-o json)", doc->nodes[fields].count - shown);
    buffer_add_char(out, '\n');
  }
}

static void print_detail(struct admin *a, const struct json_doc *doc) {
  uint32_t redis = answer_node(doc, 0, "redis");
  print_dead(a, doc);
  print_groups(a, doc);
  output_counts(doc, "keyless", "Without their key field, so not ordered, by namespace", &a->out);
  print_unplaced(a, doc);
  buffer_add_z(&a->out, "Redis: ");
  add_text(&a->out, doc, redis, "state");
  buffer_printf(&a->out, ", %" PRId64 " keys due\nWorker: %s\n",
                answer_int(doc, redis, "keys_due", 0),
                answer_bool(doc, 0, "worker") ? "running" : "none");
}

static void print_health(struct admin *a, const struct json_doc *doc, int64_t state,
                         bool detailed) {
  print_first_line(a, doc, state);
  buffer_printf(&a->out, "Processed events: %" PRId64 "\n", answer_int(doc, 0, "processed", 0));
  print_figures(&a->out, "Commands", doc, "commands");
  print_figures(&a->out, "Events", doc, "events");
  if (detailed) print_detail(a, doc);
  print_reasons(a, doc);
}

/* Whoever asks wants an answer in the form of a plugin, also when there is none. */
static int health_unknown(struct admin *a, const struct error *err) {
  size_t from = a->out.len + strlen("OUTBOX UNKNOWN - ");
  buffer_add_z(&a->out, "OUTBOX UNKNOWN - ");
  text_printable(&a->out, span_of(err->text));
  without_bars(&a->out, from);
  buffer_add_char(&a->out, '\n');
  return UNKNOWN;
}

static int health(struct admin *a, bool detailed, bool as_json) {
  struct error err = {0};
  struct client *client = NULL;
  struct buffer json = {0};
  struct json_doc doc = {0};
  int64_t state = UNKNOWN;
  if (!admin_settings(a, &err)) return health_unknown(a, &err);
  enum status st = client_open(a, SERVICE_INSPECT, &client, &err);
  if (st == ST_OK) st = client_health(client, detailed, &json, &err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  if (st == ST_OK) {
    state = answer_int(&doc, 0, "state", UNKNOWN);
    if (state < 0 || state > UNKNOWN) state = UNKNOWN;
    if (as_json) {
      output_json(&doc, 0, &a->out);
    } else {
      print_health(a, &doc, state, detailed);
    }
  } else {
    state = health_unknown(a, &err);
  }
  client_close(client);
  json_doc_release(&doc);
  buffer_release(&json);
  return (int)state;
}

static int run_health(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  bool detailed = false;
  const struct option_row rows[] = {
      {"detailed", 'd', OPTION_FLAG, &detailed, NULL,
       "also the dead letters by error; reads all of them"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  return health(a, detailed, strcmp(format, "json") == 0);
}

const struct command command_health = {
    .name = "health",
    .arguments = "[--detailed]",
    .summary = "is everything moving? exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN",
    .examples =
        "  busbridge health                      the first line is that of a monitoring plugin\n"
        "  busbridge health --detailed           with the errors of the dead letters, counted\n"
        "  busbridge health -o json\n",
    .description =
        "Judges pending entries, dead letters, failure rates, times, breakers, Redis and disk by "
        "the limits of the\n"
        "health.* settings, says why in words, and names the next command. Never OK while nothing "
        "moves.",
    .run = run_health,
    .usage_code = UNKNOWN,
};
