/* busbridge import: what purge --export wrote becomes dead letters again.
 * The command's one thread; a crash leaves those that were done, which the next run finds there. */
#include "admin/client/answer.h"
#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

#include <errno.h>
#include <inttypes.h>

#define PORTION ((size_t)1 << 20) /* bytes of one call, unless one letter has more */

struct importing {
  struct admin *admin;
  struct client *client;
  FILE *in;
  char *line; /* read ahead */
  size_t cap;
  ssize_t len; /* -1: there is none */
  struct buffer portion;
  int64_t imported, there, failed;
};

static void read_line(struct importing *m) {
  m->len = getline(&m->line, &m->cap, m->in);
}

/* A further part of the dead letter before it. */
static bool is_further(const struct importing *m) {
  struct json_doc doc = {0};
  struct span line = span_trim((struct span){m->line, m->len < 0 ? 0 : (size_t)m->len});
  bool further = line.len && json_scan(&doc, line, NULL) == ST_OK &&
                 doc.nodes[0].type == JSON_OBJECT && json_member(&doc, 0, "offset") != JSON_NONE;
  json_doc_release(&doc);
  return further;
}

static void fill_portion(struct importing *m) {
  buffer_clear(&m->portion);
  while (m->len >= 0 && (m->portion.len < PORTION || is_further(m))) {
    buffer_append(&m->portion, m->line, (size_t)m->len);
    if (m->len && m->line[m->len - 1] != '\n') buffer_add_char(&m->portion, '\n');
    read_line(m);
  }
}

static enum status send_portion(struct importing *m, struct error *err) {
  struct buffer answer = {0};
  struct json_doc doc = {0};
  uint32_t node = JSON_NONE;
  enum status st = buffer_status(&m->portion, err);
  if (st == ST_OK) st = client_import(m->client, buffer_span(&m->portion), &answer, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&answer), err);
  if (st == ST_OK) {
    m->imported += answer_int(&doc, 0, "imported", 0);
    m->there += answer_int(&doc, 0, "there", 0);
    m->failed += answer_int(&doc, 0, "failed", 0);
  }
  while (st == ST_OK && answer_each(&doc, answer_node(&doc, 0, "errors"), &node)) {
    struct buffer text = {0};
    json_unescape(&doc, node, &text);
    complain(m->admin, "%s", buffer_z(&text));
    buffer_release(&text);
  }
  json_doc_release(&doc);
  buffer_release(&answer);
  return st;
}

static void report(struct importing *m, bool json) {
  struct buffer *out = &m->admin->out;
  if (json)
    buffer_printf(out,
                  "{\"version\": 1, \"imported\": %" PRId64 ", \"there\": %" PRId64
                  ", \"failed\": %" PRId64 "}\n",
                  m->imported, m->there, m->failed);
  else
    buffer_printf(out, "Imported %" PRId64 " of %" PRId64 "\n", m->imported,
                  m->imported + m->there + m->failed);
}

static int import(struct importing *m, bool json) {
  struct error err = {0};
  enum status st = ST_OK;
  interrupts_counted();
  for (read_line(m); st == ST_OK && m->len >= 0 && !interrupts();) {
    fill_portion(m);
    st = send_portion(m, &err);
  }
  report(m, json);
  if (st != ST_OK) return fail(m->admin, &err);
  if (interrupts()) {
    note(m->admin, "interrupted; run it again: what is there already is passed over");
    return CODE_INTERRUPTED;
  }
  if (m->imported) return m->there + m->failed ? CODE_PARTLY : CODE_OK;
  return m->failed ? CODE_FAILURE : CODE_NOTHING;
}

static int run_import(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  const struct option_row rows[] = {
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  struct importing m = {.admin = a};
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 1, 1, &words, &code))
    return code;
  if (!admin_settings(a, &err)) return fail(a, &err);
  bool standard = strcmp(argv[0], "-") == 0;
  m.in = standard ? stdin : fopen(argv[0], "re");
  enum status st = m.in ? ST_OK : error_sys(&err, errno, "opening %s", argv[0]);
  if (st == ST_OK) st = client_open(a, SERVICE_CHANGE, &m.client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  code = st == ST_OK ? import(&m, strcmp(format, "json") == 0) : fail(a, &err);
  client_close(m.client);
  if (m.in && !standard) fclose(m.in);
  free(m.line);
  buffer_release(&m.portion);
  return code;
}

const struct command command_import = {
    .name = "import",
    .words = "<file>",
    .arguments = "FILE | -",
    .summary = "dead letters back from the copy that purge --export made",
    .examples = "  busbridge import purged.jsonl                  all of them\n"
                "  grep 3f2b8c1e purged.jsonl | busbridge import -   one\n",
    .description =
        "Each line becomes a dead letter again, with its reason, error and times, for replay or "
        "edit. One that is there\n"
        "already is left as it is and told, so that it can be run twice.",
    .run = run_import,
    .usage_code = CODE_USAGE,
};
