#include "admin/client.h"
#include "admin/options.h"
#include "admin/output.h"
#include "bridge/base/words.h"

struct replaying {
  struct admin *admin;
  struct client *client;
  bool force, json;
  size_t done, failed;
  int code; /* of the first failure */
};

static void report(struct replaying *r, const struct buffer *json) {
  struct json_doc doc = {0};
  struct buffer id = {0}, name = {0}, line = {0};
  if (r->json) {
    buffer_add_z(&r->admin->out, r->done > 1 ? ",\n  " : "\n  ");
    buffer_add(&r->admin->out, span_trim(buffer_span(json)));
  } else if (answer_scan(&doc, buffer_span(json), NULL) == ST_OK) {
    answer_text(&doc, 0, "id", &id);
    answer_text(&doc, 0, "name", &name);
    buffer_printf(&line, "Replayed %s", buffer_z(&id));
    if (name.len > 0) buffer_printf(&line, " (%s)", buffer_z(&name));
    text_printable(&r->admin->out, buffer_span(&line));
    buffer_add_char(&r->admin->out, '\n');
  }
  json_doc_release(&doc);
  buffer_release(&id);
  buffer_release(&name);
  buffer_release(&line);
}

static void replay_one(struct replaying *r, const char *id) {
  struct error err = {0};
  struct buffer json = {0};
  struct replay_request request = {.id = id, .force = r->force, .by = &r->admin->caller};
  if (client_replay(r->client, &request, &json, &err) == ST_OK) {
    r->done++;
    report(r, &json);
  } else {
    int code = fail(r->admin, &err);
    if (r->failed++ == 0) r->code = code;
  }
  buffer_release(&json);
}

static void replay_stdin(struct replaying *r) {
  char line[512];
  while (!interrupts() && fgets(line, sizeof line, stdin)) {
    struct span id = span_trim(span_of(line));
    if (id.len == 0) continue;
    line[(size_t)(id.ptr - line) + id.len] = '\0';
    replay_one(r, id.ptr);
  }
}

static int replay(struct replaying *r, int count, char **ids) {
  interrupts_counted();
  if (r->json) buffer_add_char(&r->admin->out, '[');
  for (int i = 0; i < count && !interrupts(); i++) {
    if (strcmp(ids[i], "-") == 0) {
      replay_stdin(r);
    } else {
      replay_one(r, ids[i]);
    }
  }
  if (r->json) buffer_add_z(&r->admin->out, r->done ? "\n]\n" : "]\n");
  if (interrupts()) {
    note(r->admin, "interrupted: %zu replayed; the rest lies in dlq/ as before", r->done);
    return CODE_INTERRUPTED;
  }
  if (r->failed > 0) return r->done > 0 ? CODE_PARTLY : r->code;
  if (!client_remote(r->client) && r->done > 0 && r->admin->interactive)
    note(r->admin, "no worker runs; send it by: busbridge flush");
  return r->done > 0 ? CODE_OK : CODE_NOTHING;
}

static int run(struct admin *a, const struct command *self, int argc, char **argv) {
  struct replaying r = {.admin = a};
  const char *format = "table";
  const struct option_row rows[] = {
      {"force", 'f', OPTION_FLAG, &r.force, NULL, "also a pending entry; and publish again what is in Kafka already"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 1, 1 << 20, &words, &code)) return code;
  if (!admin_settings(a, &err)) return fail(a, &err);
  r.json = strcmp(format, "json") == 0;
  enum status st = client_open(a, SERVICE_CHANGE, &r.client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  code = st == ST_OK ? replay(&r, words, argv) : fail(a, &err);
  client_close(r.client);
  return code;
}

const struct command command_replay = {
    .name = "replay",
    .arguments = "ID... [--force]",
    .summary = "move dead letters back to pending, under the same id",
    .examples =
        "  busbridge replay 3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\n"
        "  busbridge replay 3f2b                                  the beginning is enough when it is unambiguous\n"
        "  busbridge list --type dlq -o name | busbridge replay - all of them (ids from standard input)\n",
    .description =
        "An id, the beginning of one, or the stem of a file in dlq/. The entry keeps its id and starts anew with attempts 0.\n"
        "What Kafka has already is refused; --force forgets the idempotency key first, and takes a pending entry too.",
    .run = run,
    .usage_code = CODE_USAGE,
};
