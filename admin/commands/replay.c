/* busbridge replay: up to 100 ids one by one, each told; everything else is a selection, for
 * admin/bulk.
 * The command's one thread; a crash leaves each dead letter where it was or pending. */
#include "admin/bulk/bulk.h"
#include "admin/input/payload.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

#define FEW 100

struct replaying {
  struct admin *admin;
  struct client *client;
  bool force, json;
  size_t done, failed;
  int code; /* of the first failure */
};

static void report_replayed(struct replaying *r, const struct buffer *json) {
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
    report_replayed(r, &json);
  } else {
    int code = fail(r->admin, &err);
    if (r->failed++ == 0) r->code = code;
  }
  buffer_release(&json);
}

static int replay(struct replaying *r, int count, char **ids) {
  interrupts_counted();
  if (r->json) buffer_add_char(&r->admin->out, '[');
  for (int i = 0; i < count && !interrupts(); i++) replay_one(r, ids[i]);
  if (r->json) buffer_add_z(&r->admin->out, r->done ? "\n]\n" : "]\n");
  if (interrupts()) {
    note(r->admin, "interrupted: %zu replayed; the rest are dead letters as before", r->done);
    return CODE_INTERRUPTED;
  }
  if (r->failed > 0) return r->done > 0 ? CODE_PARTLY : r->code;
  if (!client_remote(r->client) && r->done > 0 && r->admin->interactive)
    note(r->admin, "no worker runs; send it by: busbridge flush");
  return r->done > 0 ? CODE_OK : CODE_NOTHING;
}

/* A few ids are replayed one by one, each told; everything else is a selection. */
static bool is_few(const struct bulk *b, int count, char **ids) {
  const struct selecting none = {0};
  bool plain = !b->all && !b->dry_run && !b->rate && !b->resume && !b->give_up;
  for (int i = 0; i < count && plain; i++) plain = strcmp(ids[i], "-") != 0;
  return plain && count > 0 && count <= FEW && memcmp(&b->given, &none, sizeof none) == 0;
}

/* ---- with another payload ---- */

static enum status give_payload(struct replaying *r, const char *id, const char *what,
                                struct error *err) {
  struct buffer payload = {0}, answer = {0}, reason = {0}, error = {0};
  struct json_doc doc = {0};
  enum status st = payload_read(r->admin, what, &payload, err);
  struct amend_request request = {
      .id = id, .payload = span_trim(buffer_span(&payload)), .by = &r->admin->caller};
  if (st == ST_OK) st = client_amend(r->client, &request, &answer, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&answer), err);
  if (st == ST_OK && !answer_bool(&doc, 0, "fits")) {
    answer_text(&doc, 0, "reason", &reason);
    answer_text(&doc, 0, "error", &error);
    st = error_set(err, ST_UNSUPPORTED, "With this payload it would die again: %s: %s",
                   buffer_z(&reason), buffer_z(&error));
  }
  json_doc_release(&doc);
  buffer_release(&payload);
  buffer_release(&answer);
  buffer_release(&reason);
  buffer_release(&error);
  return st;
}

/* Of one alone, which is changed first: then it is a dead letter that fits. */
static int replay_with(struct replaying *r, const char *payload, int count, char **ids) {
  struct error err = {0};
  enum status st = client_open(r->admin, SERVICE_CHANGE, &r->client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  if (st == ST_OK) st = give_payload(r, ids[0], payload, &err);
  int code = st == ST_OK ? replay(r, count, ids) : fail(r->admin, &err);
  client_close(r->client);
  return code;
}

static int run_replay(struct admin *a, const struct command *self, int argc, char **argv) {
  struct bulk b = {.admin = a, .command = self, .format = "table"};
  const char *payload = NULL;
  const struct option_row rows[] = {
      SELECTING_ROWS(&b.given),
      {"force", 'f', OPTION_FLAG, &b.force, NULL,
       "publish again what is in Kafka already; of a single ID also a pending entry"},
      {"payload", 0, OPTION_ONCE, &payload, "FILE|JSON|-",
       "of a single ID: with this payload instead, if it fits then"},
      BULK_ROWS(&b),
  };
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 1 << 20, &words,
                    &code))
    return code;
  if (payload && (words != 1 || strcmp(argv[0], "-") == 0 || !is_few(&b, words, argv))) {
    complain(a, "--payload goes with a single ID; see: busbridge replay --help");
    return CODE_USAGE;
  }
  if (!is_few(&b, words, argv)) return bulk_run(&b, words, argv);
  if (!admin_settings(a, &err)) return fail(a, &err);
  struct replaying r = {.admin = a, .force = b.force, .json = strcmp(b.format, "json") == 0};
  if (payload) return replay_with(&r, payload, words, argv);
  enum status st = client_open(a, SERVICE_CHANGE, &r.client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  code = st == ST_OK ? replay(&r, words, argv) : fail(a, &err);
  client_close(r.client);
  return code;
}

const struct command command_replay = {
    .name = "replay",
    .words = "<dead>...",
    .arguments = "ID... | - | FILTER... | --all [--force]",
    .summary = "move dead letters back to pending, under the same id",
    .examples =
        "  busbridge replay 3f2b                                  the beginning of an id, when it "
        "is unambiguous\n"
        "  busbridge replay --reason schema_mismatch --dry-run    what would go, by topic and by "
        "reason\n"
        "  busbridge replay --reason schema_mismatch --name 'plot.*' --rate 200\n"
        "  busbridge list --type dlq -o name | busbridge replay - ids from standard input\n"
        "  busbridge replay 3f2b --payload '{\"score\": 1.5}'       "
        "another payload, without an editor\n"
        "  busbridge replay --resume 3                            go on after Ctrl-C\n",
    .description =
        "An ID is one of a dead letter, its beginning, or the stem of its file (from standard "
        "input, and of more than\n"
        "100: whole ones). The entry keeps its id and starts again with attempts 0. What Kafka "
        "has already is refused; --force\n"
        "forgets the idempotency key first. What filters name is written down before the first is "
        "moved, so that letters\n"
        "which come later stay; more than 100 are asked about. Ctrl-C stops after the step that "
        "runs.",
    .run = run_replay,
    .usage_code = CODE_USAGE,
};
