/* Replays and purges of many: freezes a selection, asks, exports, then goes through it step by
 * step, to the end or to Ctrl-C. After a crash --resume goes on.
 * The command's one thread. */
#include "admin/bulk/bulk.h"

#include "admin/bulk/bulk_parts.h"
#include "bridge/base/progress.h"
#include "bridge/base/stop.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>
#include <unistd.h>

#define IDS_MAX (8 * 1024 * 1024 - 4096) /* what the control API takes */
#define STEP_ENTRIES 1000
#define ROUND_PAUSE_MS 1000
#define RATE_STEPS 4 /* a second */

/* ---- which ---- */

static enum status add_ids(struct buffer *ids, const char *text, struct error *err) {
  buffer_add_z(ids, text);
  buffer_add_char(ids, '\n');
  if (ids->len > IDS_MAX)
    return error_set(err, ST_INVALID,
                     "Too many ids for one call (8 MiB); choose by filters or --all instead");
  return buffer_status(ids, err);
}

static enum status gather_ids(int count, char **words, struct buffer *ids, struct error *err) {
  char line[1024];
  enum status st = ST_OK;
  for (int i = 0; i < count && st == ST_OK; i++) {
    if (strcmp(words[i], "-") != 0) st = add_ids(ids, words[i], err);
    while (strcmp(words[i], "-") == 0 && st == ST_OK && !interrupts() &&
           fgets(line, sizeof line, stdin))
      st = add_ids(ids, line, err);
  }
  if (st == ST_OK && count > 0 && !span_trim(buffer_span(ids)).len)
    st = error_set(err, ST_NOT_FOUND, "No ids came from standard input");
  return interrupts() ? error_set(err, ST_CANCELLED, "interrupted; nothing was changed") : st;
}

static enum status freeze_selection(struct bulk_going *g, const struct selection *selection,
                                    int count, char **words, struct error *err) {
  const struct bulk *b = g->bulk;
  struct buffer ids = {0};
  struct bulk_request request = {.purge = b->purge,
                                 .force = b->force,
                                 .all = b->all,
                                 .dry_run = b->dry_run,
                                 .selection = *selection,
                                 .by = &b->admin->caller};
  enum status st = gather_ids(count, words, &ids, err);
  request.ids = buffer_span(&ids);
  if (st == ST_OK) st = client_bulk_freeze(g->client, &request, &g->json, err);
  if (st == ST_OK) st = bulk_read(g, err);
  buffer_release(&ids);
  if (st != ST_OK) return st;
  g->selection = bulk_count(g, "selection");
  g->total = bulk_count(g, "count");
  g->missing = bulk_count(g, "missing");
  return ST_OK;
}

/* ---- going through it ---- */

static bool interrupted(void *ctx) {
  (void)ctx;
  return interrupts() > 0;
}
static const struct stop stop = {interrupted, NULL};

static size_t step_size(const struct bulk *b) {
  uint64_t n = b->rate ? b->rate / RATE_STEPS : STEP_ENTRIES;
  return n < 1 ? 1 : n < STEP_ENTRIES ? (size_t)n : STEP_ENTRIES;
}

/* With --rate the next step begins when the entries so far were due. */
static void pause_for_rate(const struct bulk *b, int64_t began_ms, uint64_t passed) {
  if (!b->rate) return;
  int64_t due_ms = began_ms + (int64_t)((double)passed * 1000.0 / (double)b->rate);
  sleep_ms(due_ms - clock_mono_ms(b->admin->clock), &stop);
}

static enum status one_step(struct bulk_going *g, struct error *err) {
  buffer_clear(&g->json);
  enum status st =
      client_bulk_step(g->client, g->bulk->purge, g->selection, step_size(g->bulk), &g->json, err);
  if (st == ST_OK) st = bulk_read(g, err);
  if (st == ST_OK) bulk_take_errors(g);
  return st;
}

/* ST_CANCELLED: Ctrl-C, after the step that ran. */
static enum status drive(struct bulk_going *g, struct error *err) {
  struct bulk *b = g->bulk;
  struct progress bar;
  uint64_t passed = 0;
  int64_t began_ms = clock_mono_ms(b->admin->clock);
  enum status st = ST_OK;
  progress_init(&bar, STDERR_FILENO, b->admin->interactive, b->purge ? "purge" : "replay",
                b->admin->clock);
  for (;;) {
    if (interrupts()) st = ST_CANCELLED;
    if (st == ST_OK) st = one_step(g, err);
    if (st != ST_OK || answer_bool(&g->doc, 0, "finished")) break;
    uint64_t now = g->total - bulk_count(g, "left");
    passed = now > g->before ? now - g->before : passed;
    progress_show(&bar, now, g->total);
    if (answer_bool(&g->doc, 0, "wait")) sleep_ms(ROUND_PAUSE_MS, &stop);
    pause_for_rate(b, began_ms, passed);
  }
  progress_end(&bar);
  return st;
}

static void say_how_to_go_on(const struct bulk_going *g, const char *what) {
  const struct bulk *b = g->bulk;
  char done[NUMBER_TEXT], total[NUMBER_TEXT];
  note(b->admin,
       "%s: %s of %s %s, the rest are dead letters as before; go on by: "
       "busbridge %s --resume %" PRIu64,
       what, number_text(bulk_count(g, bulk_verb(b, true)), done), number_text(g->total, total),
       bulk_verb(b, true), b->command->name, g->selection);
}

static int go(struct bulk_going *g) {
  struct admin *a = g->bulk->admin;
  struct error err = {0};
  enum status st = drive(g, &err);
  if (st == ST_OK) return bulk_conclude(g);
  if (st == ST_CANCELLED) {
    say_how_to_go_on(g, "interrupted");
    return CODE_INTERRUPTED;
  }
  if (st == ST_NOT_FOUND) {
    note(a, "selection %" PRIu64 " is finished: another command went on with it (or gave it up)",
         g->selection);
    return CODE_OK;
  }
  int code = fail(a, &err);
  say_how_to_go_on(g, "stopped");
  return code;
}

/* The last answer tells counts of the selection, or what it would be. */
static int export_and_go(struct bulk_going *g, bool resumed) {
  struct bulk *b = g->bulk;
  struct error err = {0};
  int code = bulk_confirm(g, resumed);
  if (code != CODE_OK || !b->export_file) return code != CODE_OK ? code : go(g);
  enum status st = bulk_export(g, b->export_file, &err);
  if (st == ST_OK) {
    if (strcmp(b->export_file, "-") != 0) note(b->admin, "exported to %s", b->export_file);
    return go(g);
  }
  if (!resumed) bulk_give_up(g);
  return fail(b->admin, &err);
}

/* ---- the ways in ---- */

static int begin_bulk(struct bulk_going *g, const struct selection *selection, int count,
                      char **words) {
  struct bulk *b = g->bulk;
  struct error err = {0};
  if (freeze_selection(g, selection, count, words, &err) != ST_OK) return fail(b->admin, &err);
  bulk_missing(g);
  if (b->dry_run) {
    if (strcmp(b->format, "json") == 0)
      output_json(&g->doc, 0, &b->admin->out);
    else
      bulk_forecast(g, &b->admin->out);
    return g->total ? CODE_OK : CODE_NOTHING;
  }
  if (!g->total) {
    if (!g->missing) note(b->admin, "no dead letter matches; see: busbridge list --type dlq");
    return CODE_NOTHING;
  }
  return export_and_go(g, false);
}

/* The only one there is, or the list of them. */
static enum status choose_unfinished(struct bulk_going *g, struct error *err) {
  const struct bulk *b = g->bulk;
  struct buffer shown = {0};
  uint32_t node = JSON_NONE;
  enum status st = client_bulk_list(g->client, b->purge, &g->json, err);
  if (st == ST_OK) st = bulk_read(g, err);
  if (st != ST_OK) return st;
  uint32_t list = answer_node(&g->doc, 0, "selections"),
           count = list == JSON_NONE ? 0 : g->doc.nodes[list].count;
  while (count && answer_each(&g->doc, list, &node)) {
    g->selection = (uint64_t)answer_int(&g->doc, node, "selection", 0);
    buffer_printf(&shown, "%s%" PRIu64 " (", shown.len ? ", " : "", g->selection);
    answer_text(&g->doc, node, "filter", &shown);
    buffer_printf(&shown, ", %" PRId64 " left)", answer_int(&g->doc, node, "left", 0));
  }
  if (!count) st = error_set(err, ST_NOT_FOUND, "No %s is unfinished", b->command->name);
  if (count > 1)
    st = error_set(err, ST_INVALID, "Several are unfinished, which? %.400s", buffer_z(&shown));
  buffer_release(&shown);
  return st;
}

static enum status find_unfinished(struct bulk_going *g, int count, char **words,
                                   struct error *err) {
  if (count && (!number_parse(span_of(words[0]), INT64_MAX, &g->selection) || !g->selection))
    return error_set(err, ST_INVALID, "%.60s is not a number of a selection", words[0]);
  enum status st = count ? ST_OK : choose_unfinished(g, err);
  buffer_clear(&g->json);
  if (st == ST_OK)
    st = client_bulk_progress(g->client, g->bulk->purge, g->selection, &g->json, err);
  if (st == ST_OK) st = bulk_read(g, err);
  if (st != ST_OK) return st;
  g->total = bulk_count(g, "total");
  g->before = g->total - bulk_count(g, "left");
  return ST_OK;
}

static int resume(struct bulk_going *g, int count, char **words) {
  struct error err = {0};
  if (find_unfinished(g, count, words, &err) != ST_OK) return fail(g->bulk->admin, &err);
  if (g->bulk->give_up) {
    bulk_give_up(g);
    note(g->bulk->admin,
         "selection %" PRIu64 " is given up; what was not done are dead letters as before",
         g->selection);
    return CODE_OK;
  }
  /* One that had begun was asked about then. */
  bool begun = bulk_count(g, "left") < g->total || bulk_count(g, "round") > 1;
  g->bulk->yes = g->bulk->yes || begun;
  return export_and_go(g, true);
}

static bool fits_together(const struct bulk *b, bool narrow, int words) {
  bool again = b->resume || b->give_up;
  const char *wrong = NULL;
  if (again &&
      (b->all || narrow || b->dry_run || b->force || words > 1 || (b->resume && b->give_up)))
    wrong = "--resume and --give-up go with the number of one selection alone";
  else if (!again && !b->all && !narrow && !words)
    wrong = "which dead letters? Give filters, ids, - for ids from standard input, or --all";
  else if (!again && words && (b->all || narrow))
    wrong = "ids cannot be combined with filters or --all";
  else if (b->export_file && (b->dry_run || b->give_up))
    wrong = "--export goes with a real purge";
  if (wrong) complain(b->admin, "%s; see: busbridge %s --help", wrong, b->command->name);
  return !wrong;
}

int bulk_run(struct bulk *b, int count, char **words) {
  struct bulk_going g = {.bulk = b, .round = 1};
  struct selection selection;
  struct error err = {0};
  int code;
  if (!selecting_take(b->admin, b->command, &b->given, &selection, &code)) return code;
  if (!fits_together(b, selection_narrows(&selection), count)) return CODE_USAGE;
  selection.pending = false;
  if (!admin_settings(b->admin, &err)) return fail(b->admin, &err);
  interrupts_counted();
  enum status st =
      client_open(b->admin, b->dry_run ? SERVICE_INSPECT : SERVICE_CHANGE, &g.client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  if (st != ST_OK)
    code = fail(b->admin, &err);
  else
    code = b->resume || b->give_up ? resume(&g, count, words)
                                   : begin_bulk(&g, &selection, count, words);
  client_close(g.client);
  json_doc_release(&g.doc);
  buffer_release(&g.json);
  buffer_release(&g.errors);
  return code;
}
