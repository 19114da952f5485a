/* What replay and purge of many say: the forecast, ids that mean nothing, errors, the summary;
 * their exit code.
 * The command's one thread; a crash leaves nothing. */
#include "admin/bulk/bulk_parts.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>

#define ERROR_LINES 20

uint64_t bulk_count(const struct bulk_going *g, const char *key) {
  int64_t n = answer_int(&g->doc, 0, key, 0);
  return n > 0 ? (uint64_t)n : 0;
}

enum status bulk_read(struct bulk_going *g, struct error *err) {
  return answer_scan(&g->doc, buffer_span(&g->json), err);
}

const char *bulk_verb(const struct bulk *b, bool done) {
  if (done) return b->purge ? "purged" : "replayed";
  return b->purge ? "purge" : "replay";
}

void bulk_forecast(const struct bulk_going *g, struct buffer *out) {
  char number[NUMBER_TEXT];
  uint64_t count = bulk_count(g, "count");
  buffer_printf(out, "Would %s %s dead letter%s\n", bulk_verb(g->bulk, false),
                number_text(count, number), count == 1 ? "" : "s");
  output_counts(&g->doc, "topics", "By topic", out);
  output_counts(&g->doc, "reasons", "By reason", out);
  if (answer_node(&g->doc, 0, "fits") != JSON_NONE)
    buffer_printf(out, "Would fit now: %s\n", number_text(bulk_count(g, "fits"), number));
  output_counts(&g->doc, "would_die", "Would die again", out);
  output_samples(&g->doc, out);
}

void bulk_missing(const struct bulk_going *g) {
  uint32_t list = answer_node(&g->doc, 0, "missing_samples"), node = JSON_NONE;
  uint64_t missing = bulk_count(g, "missing");
  struct buffer ids = {0};
  if (!missing || list == JSON_NONE) return;
  while (answer_each(&g->doc, list, &node)) {
    if (ids.len) buffer_add_z(&ids, ", ");
    json_unescape(&g->doc, node, &ids);
  }
  complain(
      g->bulk->admin,
      "%" PRIu64
      " of the ids belong%s to no dead letter: %.300s%s; whole ids are given by: busbridge list "
      "--type dlq -o name",
      missing, missing == 1 ? "s" : "", buffer_z(&ids),
      missing > g->doc.nodes[list].count ? ", ..." : "");
  buffer_release(&ids);
}

void bulk_take_errors(struct bulk_going *g) {
  uint32_t list = answer_node(&g->doc, 0, "errors"), node = JSON_NONE;
  uint64_t round = bulk_count(g, "round");
  if (round != g->round && !answer_bool(&g->doc, 0, "wait")) { /* what is still so is told again */
    buffer_clear(&g->errors);
    g->error_lines = 0;
    g->round = round;
  }
  while (list != JSON_NONE && answer_each(&g->doc, list, &node) && g->error_lines < ERROR_LINES) {
    answer_text(&g->doc, node, "text", &g->errors);
    buffer_add_char(&g->errors, '\n');
    g->error_lines++;
  }
}

static void tell_errors(struct bulk_going *g, uint64_t all) {
  struct span rest = buffer_span(&g->errors);
  for (const char *end; rest.len > 0 && (end = memchr(rest.ptr, '\n', rest.len));) {
    complain(g->bulk->admin, "%.*s", (int)(end - rest.ptr), rest.ptr);
    rest.len -= (size_t)(end - rest.ptr) + 1;
    rest.ptr = end + 1;
  }
  if (all > g->error_lines) complain(g->bulk->admin, "and %" PRIu64 " more", all - g->error_lines);
}

static void print_summary(struct bulk_going *g) {
  static const struct {
    const char *key, *words;
  } parts[] = {{"refused", "in Kafka already (--force publishes again)"},
               {"busy", "in a batch that is not settled yet"},
               {"failed", "failed"},
               {"vanished", "no dead letters any more"}};
  char a[NUMBER_TEXT], b[NUMBER_TEXT];
  struct buffer line = {0}, *out = &line;
  buffer_printf(out, "%s %s of %s", g->bulk->purge ? "Purged" : "Replayed",
                number_text(bulk_count(g, bulk_verb(g->bulk, true)), a),
                number_text(bulk_count(g, "total"), b));
  bool first = true;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    uint64_t n = bulk_count(g, parts[i].key);
    if (!n) continue;
    buffer_printf(out, "%s %s %s", first ? ":" : ",", number_text(n, a), parts[i].words);
    first = false;
  }
  if (g->bulk->export_file && strcmp(g->bulk->export_file, "-") == 0)
    note(g->bulk->admin, "%s", buffer_z(out));
  else
    buffer_printf(&g->bulk->admin->out, "%s\n", buffer_z(out));
  buffer_release(&line);
}

int bulk_conclude(struct bulk_going *g) {
  struct admin *a = g->bulk->admin;
  uint64_t done = bulk_count(g, bulk_verb(g->bulk, true)), refused = bulk_count(g, "refused");
  uint64_t busy = bulk_count(g, "busy"), failed = bulk_count(g, "failed");
  uint64_t not_done = refused + busy + failed + g->missing;
  if (strcmp(g->bulk->format, "json") == 0)
    output_json(&g->doc, 0, &a->out);
  else
    print_summary(g);
  int written = admin_flush(a);
  tell_errors(g, refused + busy + failed);
  if (!g->bulk->purge && done > 0 && !client_remote(g->client) && a->interactive)
    note(a, "no worker runs; send it by: busbridge flush --limit 0");
  if (written != CODE_OK) return written;
  if (done > 0) return not_done ? CODE_PARTLY : CODE_OK;
  if (refused + failed > 0) return CODE_FAILURE;
  return busy > 0 ? CODE_BUSY : CODE_NOTHING;
}

void bulk_give_up(struct bulk_going *g) {
  struct buffer answer = {0};
  struct error err = {0};
  enum status st = client_bulk_cancel(g->client, g->bulk->purge, g->selection, &answer, &err);
  if (st != ST_OK && st != ST_NOT_FOUND) complain(g->bulk->admin, "%s", err.text);
  buffer_release(&answer);
}
