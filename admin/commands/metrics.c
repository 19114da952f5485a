/* busbridge metrics: the period, the counters and the account, as text, JSON or Prometheus text.
 * The command's one thread; a crash leaves the period as it was, or begun anew. */
#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>

static void print_figures(struct buffer *out, const char *title, const struct json_doc *doc,
                          const char *key) {
  uint32_t node = answer_node(doc, 0, key);
  buffer_printf(out,
                "%s: total %" PRId64
                ", average %.1f ms, P50 %.1f ms, P95 %.1f ms, failure rate %.1f %%\n",
                title, answer_int(doc, node, "total", 0), answer_real(doc, node, "average_ms", 0),
                answer_real(doc, node, "p50_ms", 0), answer_real(doc, node, "p95_ms", 0),
                answer_real(doc, node, "failure_rate", 0) * 100);
}

static void print_counters(struct buffer *out, const struct json_doc *doc) {
  uint32_t object = answer_node(doc, 0, "counters"), key, node = JSON_NONE;
  bool first = true;
  while (answer_each_member(doc, object, &key, &node)) {
    struct span name = json_raw(doc, key), value = json_slice(doc, node);
    buffer_printf(out, "%s%.*s %.*s", first ? "In all: " : ", ", SPAN_ARGS(name), SPAN_ARGS(value));
    first = false;
  }
  if (!first) buffer_add_char(out, '\n');
}

static void print_account(struct admin *a, const struct json_doc *doc) {
  uint32_t account = answer_node(doc, 0, "account");
  struct buffer since = {0};
  int64_t missing = answer_int(doc, account, "missing", 0);
  if (answer_text(doc, account, "since", &since)) {
    buffer_printf(&a->out, "Account since %s: %" PRId64 " pending then, %" PRId64 " now, ",
                  buffer_z(&since), answer_int(doc, account, "pending_then", 0),
                  answer_int(doc, account, "pending", 0));
    if (missing)
      buffer_printf(&a->out, "%" PRId64 " entries missing\n", missing);
    else
      buffer_add_z(&a->out, "balanced\n");
  } else {
    buffer_add_z(&a->out, "The last worker was killed: a new account begins with the next start\n");
  }
  buffer_release(&since);
}

static void print_metrics(struct admin *a, const struct json_doc *doc) {
  struct buffer since = {0};
  if (answer_text(doc, 0, "since", &since)) {
    buffer_printf(&a->out, "Window since %s (", buffer_z(&since));
    output_age(doc, 0, "since", clock_wall_us(a->clock), &a->out);
    buffer_add_z(&a->out, ")\n");
  }
  print_figures(&a->out, "Commands", doc, "commands");
  print_figures(&a->out, "Events", doc, "events");
  print_counters(&a->out, doc);
  print_account(a, doc);
  buffer_release(&since);
}

enum form { FORM_TABLE, FORM_JSON, FORM_PROMETHEUS };

static enum status ask_metrics(struct client *client, bool reset, enum form form,
                               struct buffer *text, struct json_doc *doc, struct error *err) {
  if (form == FORM_PROMETHEUS) return client_prometheus(client, text, err);
  enum status st = client_metrics(client, reset, text, err);
  return st == ST_OK ? answer_scan(doc, buffer_span(text), err) : st;
}

static int metrics(struct admin *a, bool reset, enum form form) {
  struct error err = {0};
  struct client *client = NULL;
  struct buffer text = {0};
  struct json_doc doc = {0};
  int code = CODE_OK;
  if (!admin_settings(a, &err)) return fail(a, &err);
  enum status st = client_open(a, reset ? SERVICE_CHANGE : SERVICE_INSPECT, &client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  if (st == ST_OK) st = ask_metrics(client, reset, form, &text, &doc, &err);
  if (st != ST_OK)
    code = fail(a, &err);
  else if (form == FORM_PROMETHEUS)
    buffer_add(&a->out, buffer_span(&text));
  else if (form == FORM_JSON)
    output_json(&doc, 0, &a->out);
  else
    print_metrics(a, &doc);
  if (st == ST_OK && reset) note(a, "a new period begins now; this was the last one");
  client_close(client);
  json_doc_release(&doc);
  buffer_release(&text);
  return code;
}

static int run_metrics(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  bool reset = false;
  const struct option_row rows[] = {
      {"reset", 0, OPTION_FLAG, &reset, NULL,
       "show the period and begin a new one; counters go on"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json|prometheus",
       "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json|prometheus",
       "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  enum form form = *format == 't' ? FORM_TABLE : *format == 'j' ? FORM_JSON : FORM_PROMETHEUS;
  if (!reset || form != FORM_PROMETHEUS) return metrics(a, reset, form);
  struct error err = {0};
  error_set(&err, ST_INVALID, "Prometheus knows no periods: leave --reset or -o prometheus out");
  fail(a, &err);
  return CODE_USAGE;
}

const struct command command_metrics = {
    .name = "metrics",
    .arguments = "[--reset]",
    .summary = "times, percentiles and failure rates of commands and events",
    .examples = "  busbridge metrics\n"
                "  busbridge metrics --reset             begin a new period\n"
                "  busbridge metrics -o json\n"
                "  busbridge metrics -o prometheus       as GET /metrics of the worker answers\n",
    .description =
        "Figures of the present period: commands are what the worker is asked to do, events the "
        "entries it relays. They\n"
        "outlive a restart; without a worker they are those it saved last.",
    .run = run_metrics,
    .usage_code = CODE_USAGE,
};
