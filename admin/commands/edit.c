/* busbridge edit: the payload of a dead letter in an editor, until it fits or is left as it was.
 * The command's one thread; a crash leaves the dead letter as it was, or as it was made. */
#include "admin/client/client.h"
#include "admin/input/options.h"

#include "admin/client/answer.h"
#include "admin/input/editor.h"
#include "admin/input/json_layout.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

#include <unistd.h>

struct editing {
  struct admin *admin;
  struct client *client;
  const char *id;
  bool force, replay, json;
  bool raw;
  struct buffer before; /* as the editor gets it */
  struct edited file;
};

/* ---- what it is now ---- */

static enum status take_bytes(struct editing *e, struct error *err) {
  const struct show_request request = {.id = e->id, .dead = true, .raw = true};
  return client_show(e->client, &request, &e->before, err);
}

static enum status take_payload(struct editing *e, struct error *err) {
  const struct show_request request = {.id = e->id, .dead = true};
  struct buffer answer = {0};
  struct json_doc doc = {0};
  enum status st = client_show(e->client, &request, &answer, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&answer), err);
  if (st == ST_OK) {
    uint32_t payload = answer_node(&doc, 0, "payload");
    e->raw = answer_bool(&doc, 0, "raw");
    if (payload != JSON_NONE && doc.nodes[payload].type != JSON_NULL)
      json_lay_out(&doc, payload, true, &e->before);
    else
      buffer_add_z(&e->before, "{}");
    buffer_add_char(&e->before, '\n');
  }
  json_doc_release(&doc);
  buffer_release(&answer);
  if (st != ST_OK || !e->raw) return st;
  buffer_clear(&e->before);
  return take_bytes(e, err);
}

/* ---- what it is to be ---- */

/* In one line, as producers write it; what is not JSON goes as it is, and is refused. */
static void put_together(struct span text, struct buffer *out) {
  struct json_doc doc = {0};
  if (json_scan(&doc, text, NULL) == ST_OK)
    json_lay_out(&doc, 0, false, out);
  else
    buffer_add(out, text);
  json_doc_release(&doc);
}

static void report(struct editing *e, const struct buffer *answer, const struct json_doc *doc) {
  struct buffer *out = &e->admin->out, id = {0};
  answer_text(doc, 0, "id", &id);
  if (e->json) {
    buffer_add(out, buffer_span(answer));
  } else {
    buffer_add_z(out, answer_bool(doc, 0, "changed") ? "Changed " : "Left as it was: ");
    text_printable(out, buffer_span(&id));
    buffer_add_char(out, '\n');
  }
  if (!e->replay && answer_bool(doc, 0, "changed"))
    note(e->admin, "send it by: busbridge replay %s", buffer_z(&id));
  buffer_release(&id);
}

static void complain_of(const struct editing *e, const struct json_doc *doc) {
  struct buffer reason = {0}, error = {0};
  answer_text(doc, 0, "reason", &reason);
  answer_text(doc, 0, "error", &error);
  complain(e->admin, "it would die again: %s: %s", buffer_z(&reason), buffer_z(&error));
  buffer_release(&reason);
  buffer_release(&error);
}

/* *again: it does not fit, and may be edited once more. */
static enum status give(struct editing *e, struct span text, bool *again, struct error *err) {
  struct buffer payload = {0}, answer = {0};
  struct json_doc doc = {0};
  *again = true;
  put_together(text, &payload);
  struct amend_request request = {
      .id = e->id, .payload = buffer_span(&payload), .force = e->force, .by = &e->admin->caller};
  enum status st = buffer_status(&payload, err);
  if (st == ST_OK) st = client_amend(e->client, &request, &answer, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&answer), err);
  if (st == ST_OK && !answer_bool(&doc, 0, "fits")) complain_of(e, &doc);
  *again = st == ST_INVALID ||
           (st == ST_OK && !answer_bool(&doc, 0, "fits") && !answer_bool(&doc, 0, "changed"));
  if (st == ST_INVALID) complain(e->admin, "%s", err->text);
  if (st == ST_OK && !*again) report(e, &answer, &doc);
  json_doc_release(&doc);
  buffer_release(&answer);
  buffer_release(&payload);
  return *again ? ST_OK : st;
}

/* ---- the command ---- */

static bool wants_again(const struct editing *e) {
  char line[16];
  if (!e->admin->interactive || !isatty(STDIN_FILENO)) return false;
  fprintf(stderr, "Enter to edit it again, q to leave it as it was: ");
  return !interrupts() && fgets(line, sizeof line, stdin) && *line != 'q' && *line != 'Q';
}

static int send_it(struct editing *e) {
  struct replay_request request = {.id = e->id, .by = &e->admin->caller};
  struct buffer answer = {0};
  struct error err = {0};
  enum status st = client_replay(e->client, &request, &answer, &err);
  if (st == ST_OK) note(e->admin, "and moved back to pending");
  buffer_release(&answer);
  return st == ST_OK ? CODE_OK : fail(e->admin, &err);
}

static int leave(struct editing *e) {
  note(e->admin,
       "nothing was changed; your text is in %s, go on by: busbridge replay %s --payload %s",
       e->file.path, e->id, e->file.path);
  *e->file.path = '\0';
  return CODE_FAILURE;
}

static int edit(struct editing *e) {
  struct error err = {0};
  bool again = true;
  enum status st = take_payload(e, &err);
  interrupts_counted();
  while (st == ST_OK && again) {
    struct buffer text = {0};
    st = editor_open(&e->file, buffer_span(&e->before), &text, &err);
    bool same = st == ST_OK && span_eq(buffer_span(&text), buffer_span(&e->before));
    if (same) note(e->admin, "nothing was changed");
    again = st == ST_OK && !same;
    if (again) st = give(e, buffer_span(&text), &again, &err);
    buffer_release(&text);
    if (same) return CODE_OK;
    if (st == ST_OK && again && !wants_again(e)) return leave(e);
  }
  if (st != ST_OK) return fail(e->admin, &err);
  return e->replay ? send_it(e) : CODE_OK;
}

static int run_edit(struct admin *a, const struct command *self, int argc, char **argv) {
  struct editing e = {.admin = a};
  const char *format = "table";
  const struct option_row rows[] = {
      {"force", 'f', OPTION_FLAG, &e.force, NULL, "take it although it would die again"},
      {"replay", 0, OPTION_FLAG, &e.replay, NULL, "then move it back to pending"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 1, 1, &words, &code))
    return code;
  if (!admin_settings(a, &err)) return fail(a, &err);
  e.id = argv[0];
  e.json = strcmp(format, "json") == 0;
  enum status st = client_open(a, SERVICE_CHANGE, &e.client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  code = st == ST_OK ? edit(&e) : fail(a, &err);
  client_close(e.client);
  editor_remove(&e.file);
  buffer_release(&e.before);
  return code;
}

const struct command command_edit = {
    .name = "edit",
    .words = "<dead>",
    .arguments = "ID [--replay] [--force]",
    .summary = "the payload of a dead letter in your editor, checked and kept",
    .examples = "  busbridge edit 3f2b             opens $VISUAL or $EDITOR on its payload\n"
                "  busbridge edit 3f2b --replay    and sends it, where it fits\n",
    .description =
        "What is saved is checked as the relay would check it: one that would die again is not "
        "taken without --force. It is\n"
        "exchanged durably, and the audit keeps what differs. Of a dead letter that is not JSON "
        "its bytes are edited, which\n"
        "are to become a whole entry. Where there is no editor: busbridge replay ID --payload.",
    .run = run_edit,
    .usage_code = CODE_USAGE,
};
