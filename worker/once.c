/* Begins a patient flush, follows it to its end or a stop, and makes the exit status of what
 * stopped it.
 * The main thread; a crash leaves what was settled until then. */
#include "worker/once.h"

#include "bridge/base/progress.h"
#include "bridge/json/json.h"
#include "worker/daemon.h"

#include <unistd.h>

struct state {
  bool finished;
  int64_t published, duplicates, retried, dead, left, total, aside;
  char stopped_by[16], reason[400], next[400];
};

static int64_t int_member(const struct json_doc *doc, const char *key) {
  int64_t n = 0;
  uint32_t node = json_member(doc, 0, key);
  return node != JSON_NONE && json_int(doc, node, &n) ? n : 0;
}

static bool flag(const struct json_doc *doc, const char *key) {
  uint32_t node = json_member(doc, 0, key);
  return node != JSON_NONE && doc->nodes[node].type == JSON_TRUE;
}

static void read_text(const struct json_doc *doc, const char *key, char *out, size_t size) {
  struct buffer text = {0};
  uint32_t node = json_member(doc, 0, key);
  if (node != JSON_NONE && doc->nodes[node].type == JSON_STRING) json_unescape(doc, node, &text);
  snprintf(out, size, "%s", buffer_z(&text));
  buffer_release(&text);
}

static enum status look_at_flush(struct service *service, uint64_t id, struct state *s,
                                 struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = service_flush_progress(service, id, &json, err);
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) {
    *s = (struct state){.finished = flag(&doc, "finished"),
                        .published = int_member(&doc, "published"),
                        .duplicates = int_member(&doc, "duplicates"),
                        .retried = int_member(&doc, "retried"),
                        .dead = int_member(&doc, "dead"),
                        .left = int_member(&doc, "left"),
                        .total = int_member(&doc, "total"),
                        .aside = int_member(&doc, "aside")};
    read_text(&doc, "stopped_by", s->stopped_by, sizeof s->stopped_by);
    read_text(&doc, "reason", s->reason, sizeof s->reason);
    read_text(&doc, "next", s->next, sizeof s->next);
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

static enum status begin_flush(struct service *service, uint64_t *id, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  struct flush_request request = {.patient = true};
  enum status st = service_flush(service, &request, &json, err);
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) *id = (uint64_t)int_member(&doc, "flush");
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

/* What kept everything, by the name of its door; 1 for all else that leaves something. */
static int exit_of(const char *stopped_by) {
  if (!strcmp(stopped_by, "kafka")) return EXIT_BUSY;
  if (!strcmp(stopped_by, "redis")) return EXIT_NO_REDIS;
  if (!strcmp(stopped_by, "limit")) return EXIT_LIMIT;
  return !strcmp(stopped_by, "outbox") ? EXIT_NO_OUTBOX : EXIT_FAILURE;
}

static int conclude(struct log *log, const struct state *s) {
  const struct log_field *fields =
      FIELDS(F_INT("published", s->published), F_INT("duplicates", s->duplicates),
             F_INT("dead", s->dead), F_INT("left", s->left), F_TEXT("reason", s->reason));
  bool kafka = strcmp(s->stopped_by, "kafka") == 0;
  if (*s->stopped_by) {
    log_write(log, LOG_ERROR, "worker", kafka ? "once_unreachable" : "once_stopped", fields,
              "%lld left, and nothing moves any more: %s. %s", (long long)s->left, s->reason,
              s->next);
    return exit_of(s->stopped_by);
  }
  bool stays = s->left || s->aside;
  log_write(log, stays ? LOG_WARNING : LOG_INFO, "worker", "once_done", fields,
            "%lld published, %lld dead, %lld left%s%s%s%s", (long long)s->published,
            (long long)s->dead, (long long)s->left, *s->reason ? ": " : "", s->reason,
            *s->next ? ". " : "", s->next);
  return stays ? EXIT_FAILURE : EXIT_SUCCESS;
}

int once_run(struct service *service, struct log *log, const struct stop *stop) {
  struct error err = {0};
  struct state s = {0};
  struct progress bar;
  uint64_t id = 0;
  int wait_ms = 1;
  progress_init(&bar, STDERR_FILENO, isatty(STDERR_FILENO), "relay", &clock_system);
  enum status st = begin_flush(service, &id, &err);
  while (st == ST_OK && (st = look_at_flush(service, id, &s, &err)) == ST_OK && !s.finished) {
    if (stop_asked(stop)) service_flush_cancel(service, id);
    progress_show(&bar, (uint64_t)(s.published + s.duplicates + s.dead), (uint64_t)s.total);
    sleep_ms(wait_ms, NULL);
    if (wait_ms < 50) wait_ms *= 2;
  }
  progress_end(&bar);
  service_await_looks(service, stop); /* who runs once is told as well */
  if (st == ST_OK) return conclude(log, &s);
  log_write(log, LOG_ERROR, "worker", "once_failed", FIELDS(F_TEXT("error", err.text)),
            "The flush failed");
  return EXIT_FAILURE;
}
