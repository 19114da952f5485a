/* busbridge flush: begins one, shows how far it is, ends it early on Ctrl-C; or tells what it would
 * try.
 * The command's one thread; after a crash the worker goes on with a flush that it began. */
#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/base/progress.h"
#include "bridge/base/stop.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>
#include <unistd.h>

#define POLL_FIRST_MS 5
#define POLL_MAX_MS 200

/* ---- following a flush ---- */

struct following {
  struct admin *admin;
  struct client *client;
  struct progress bar;
  struct json_doc doc;
  struct buffer json; /* the last progress; doc is of it */
  bool cancelled;
};

static enum status ask_progress(struct following *f, uint64_t id, struct error *err) {
  buffer_clear(&f->json);
  enum status st = client_flush_progress(f->client, id, &f->json, err);
  return st == ST_OK ? answer_scan(&f->doc, buffer_span(&f->json), err) : st;
}

static uint64_t count_of(const struct following *f, const char *key) {
  int64_t n = answer_int(&f->doc, 0, key, 0);
  return n > 0 ? (uint64_t)n : 0;
}

/* Twice Ctrl-C: leave at once; a worker goes on settling, and without one nothing is lost either.
 */
static bool leave(struct following *f, uint64_t id) {
  if (interrupts() > 1) return true;
  if (interrupts() && !f->cancelled) {
    f->cancelled = true;
    progress_end(&f->bar);
    note(f->admin, "stopping: what was handed to Kafka is settled; Ctrl-C again leaves at once");
    client_flush_cancel(f->client, id);
  }
  return false;
}

static enum status follow_flush(struct following *f, uint64_t id, uint64_t limit,
                                struct error *err) {
  int wait = POLL_FIRST_MS;
  interrupts_counted();
  progress_init(&f->bar, STDERR_FILENO, f->admin->interactive, "flush", f->admin->clock);
  for (;;) {
    enum status st = ask_progress(f, id, err);
    if (st != ST_OK) return st;
    if (answer_bool(&f->doc, 0, "finished")) return ST_OK;
    if (leave(f, id)) return ST_CANCELLED;
    uint64_t total = count_of(f, "total");
    if (limit && total > limit) total = limit;
    progress_show(
        &f->bar, count_of(f, "published") + count_of(f, "duplicates") + count_of(f, "dead"), total);
    sleep_ms(wait, NULL);
    wait = wait * 2 > POLL_MAX_MS ? POLL_MAX_MS : wait * 2;
  }
}

/* ---- the end of it ---- */

static void print_totals(struct following *f) {
  static const struct {
    const char *key, *words;
  } parts[] = {{"published", "published"}, {"duplicates", "duplicates"},
               {"dead", "dead"},           {"retried", "retried"},
               {"held", "held"},           {"left", "left"}};
  char number[NUMBER_TEXT];
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    buffer_printf(&f->admin->out, "%s%s %s",
                  i ? ", " : "Flushed: ", number_text(count_of(f, parts[i].key), number),
                  parts[i].words);
  buffer_add_char(&f->admin->out, '\n');
}

/* The exit code, and on stderr why something is left and what to do. */
static int conclude(struct following *f) {
  struct buffer reason = {0}, next = {0};
  uint64_t done = count_of(f, "published") + count_of(f, "duplicates") + count_of(f, "dead");
  uint64_t left = count_of(f, "left");
  bool limited = answer_text(&f->doc, 0, "reason", &reason) &&
                 span_is(buffer_span(&reason), "the limit was reached");
  int code = CODE_OK;
  if (f->cancelled) {
    note(f->admin, "interrupted; the rest stays pending, go on by: busbridge flush");
    code = CODE_INTERRUPTED;
  } else if (limited) {
    note(f->admin, "%" PRIu64 " left: the limit was reached; busbridge flush --limit 0 takes all",
         left);
  } else if (left > 0 || reason.len > 0) {
    bool told = answer_text(&f->doc, 0, "next", &next);
    complain(f->admin, "%" PRIu64 " left: %s%s%s; see: busbridge health", left,
             reason.len ? buffer_z(&reason) : "they came in meanwhile or are not whole yet",
             told ? ". " : "", told ? buffer_z(&next) : "");
    code = done > 0                                 ? CODE_PARTLY
           : answer_bool(&f->doc, 0, "unreachable") ? CODE_BUSY
                                                    : CODE_FAILURE;
  }
  if (count_of(f, "dead") > 0)
    note(f->admin, "what was set aside, and why: busbridge list --type dlq");
  buffer_release(&reason);
  buffer_release(&next);
  return code;
}

static int flush_now(struct following *f, const struct flush_request *request, bool json) {
  struct error err = {0};
  struct buffer answer = {0};
  uint64_t id = 0;
  enum status st = client_flush(f->client, request, &answer, &err);
  if (st == ST_OK) st = answer_scan(&f->doc, buffer_span(&answer), &err);
  if (st == ST_OK) {
    id = (uint64_t)answer_int(&f->doc, 0, "flush", 0);
    st = follow_flush(f, id, request->limit, &err);
    progress_end(&f->bar);
  }
  buffer_release(&answer);
  if (st == ST_CANCELLED) return CODE_INTERRUPTED;
  if (st != ST_OK) return fail(f->admin, &err);
  if (json) {
    output_json(&f->doc, 0, &f->admin->out);
  } else {
    print_totals(f);
  }
  int written = admin_flush(f->admin);
  int code = conclude(f);
  return written != CODE_OK ? written : code;
}

/* ---- dry run ---- */

static void print_keys(const struct json_doc *doc, struct buffer *out) {
  uint32_t keys = answer_node(doc, 0, "keys"), node = JSON_NONE;
  if (keys == JSON_NONE || doc->nodes[keys].count == 0) return; /* of an older worker */
  buffer_add_z(out, "What orders them:\n");
  while (answer_each(doc, keys, &node)) {
    struct buffer ns = {0}, key = {0};
    answer_text(doc, node, "namespace", &ns);
    answer_text(doc, node, "key", &key);
    buffer_add_z(out, "  ");
    text_printable(out, buffer_span(&ns));
    buffer_add_z(out, ": ");
    text_printable(out, buffer_span(&key));
    buffer_add_char(out, '\n');
    buffer_release(&ns);
    buffer_release(&key);
  }
}

static void print_forecast(struct following *f) {
  struct buffer *out = &f->admin->out;
  uint64_t count = count_of(f, "count"), total = count_of(f, "total");
  char tried[COUNTED_TEXT], all[NUMBER_TEXT];
  buffer_printf(out, "Would try %s", counted_text(count, "entry", "entries", tried));
  if (total > count) buffer_printf(out, " of %s", number_text(total, all));
  buffer_add_char(out, '\n');
  output_counts(&f->doc, "topics", "By topic", out);
  output_counts(&f->doc, "reasons", "Would become dead letters, by reason", out);
  output_samples(&f->doc, out);
  print_keys(&f->doc, out);
}

static int dry_run(struct following *f, const struct flush_request *request, bool json) {
  struct error err = {0};
  enum status st = client_flush(f->client, request, &f->json, &err);
  if (st == ST_OK) st = answer_scan(&f->doc, buffer_span(&f->json), &err);
  if (st != ST_OK) return fail(f->admin, &err);
  if (json) {
    output_json(&f->doc, 0, &f->admin->out);
  } else {
    print_forecast(f);
  }
  return CODE_OK;
}

/* ---- the command ---- */

static int run_flush(struct admin *a, const struct command *self, int argc, char **argv) {
  struct following f = {.admin = a};
  struct flush_request request = {.by = &a->caller};
  struct error err = {0};
  const char *format = "table";
  uint64_t limit = 100;
  const struct option_row rows[] = {
      {"limit", 'n', OPTION_NUMBER, &limit, "N", "at most so many entries; 0 means all (100)"},
      {"dry-run", 0, OPTION_FLAG, &request.dry_run, NULL, "only tell what would be tried"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  if (!admin_settings(a, &err)) return fail(a, &err);
  request.limit = (size_t)limit;
  enum status st =
      client_open(a, request.dry_run ? SERVICE_INSPECT : SERVICE_RELAY, &f.client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  bool json = strcmp(format, "json") == 0;
  code = st != ST_OK       ? fail(a, &err)
         : request.dry_run ? dry_run(&f, &request, json)
                           : flush_now(&f, &request, json);
  client_close(f.client);
  json_doc_release(&f.doc);
  buffer_release(&f.json);
  return code;
}

const struct command command_flush = {
    .name = "flush",
    .arguments = "[--limit N] [--dry-run]",
    .summary = "relay what is pending now, also what waits for its next try",
    .examples = "  busbridge flush                       the oldest 100\n"
                "  busbridge flush --limit 0             everything\n"
                "  busbridge flush --dry-run             what would be tried, by topic\n",
    .description =
        "Asks the worker to relay pending entries now; without a worker it does so itself, under "
        "the outbox's lock.\n"
        "Ctrl-C stops taking more and settles what was handed to Kafka; the rest stays pending.",
    .run = run_flush,
    .usage_code = CODE_USAGE,
};
