#include "worker/once.h"

#include "bridge/base/progress.h"
#include "bridge/json/json.h"
#include "worker/daemon.h"

#include <time.h>
#include <unistd.h>

struct state {
  bool finished, unreachable;
  int64_t published, duplicates, retried, dead, left, total;
  char reason[300];
};

static int64_t member(const struct json_doc *doc, const char *key) {
  int64_t n = 0;
  uint32_t node = json_member(doc, 0, key);
  return node != JSON_NONE && json_int(doc, node, &n) ? n : 0;
}

static bool flag(const struct json_doc *doc, const char *key) {
  uint32_t node = json_member(doc, 0, key);
  return node != JSON_NONE && doc->nodes[node].type == JSON_TRUE;
}

static void read_reason(const struct json_doc *doc, struct state *s) {
  struct buffer text = {0};
  uint32_t node = json_member(doc, 0, "reason");
  if (node != JSON_NONE && doc->nodes[node].type == JSON_STRING) json_unescape(doc, node, &text);
  snprintf(s->reason, sizeof s->reason, "%s", buffer_z(&text));
  buffer_release(&text);
}

static enum status look(struct service *service, uint64_t id, struct state *s, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = service_flush_progress(service, id, &json, err);
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) {
    *s = (struct state){.finished = flag(&doc, "finished"),
                        .unreachable = flag(&doc, "unreachable"),
                        .published = member(&doc, "published"),
                        .duplicates = member(&doc, "duplicates"),
                        .retried = member(&doc, "retried"),
                        .dead = member(&doc, "dead"),
                        .left = member(&doc, "left"),
                        .total = member(&doc, "total")};
    read_reason(&doc, s);
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

static enum status begin(struct service *service, uint64_t *id, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  struct flush_request request = {.patient = true};
  enum status st = service_flush(service, &request, &json, err);
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) *id = (uint64_t)member(&doc, "flush");
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

static int conclude(struct log *log, const struct state *s) {
  const struct log_field *fields = FIELDS(F_INT("published", s->published), F_INT("duplicates", s->duplicates),
                                          F_INT("dead", s->dead), F_INT("left", s->left), F_TEXT("reason", s->reason));
  if (s->unreachable) {
    log_write(log, LOG_ERROR, "worker", "once_unreachable", fields,
              "Kafka did not answer for 30 s; everything stays pending. Check kafka.bootstrap.servers and the broker");
    return EXIT_BUSY;
  }
  log_write(log, s->left ? LOG_WARNING : LOG_INFO, "worker", "once_done", fields,
            "%lld published, %lld dead, %lld left%s%s", (long long)s->published, (long long)s->dead, (long long)s->left,
            *s->reason ? ": " : "", s->reason);
  return s->left ? EXIT_FAILURE : EXIT_SUCCESS;
}

int once_run(struct service *service, struct log *log, bool (*stop_asked)(void *ctx), void *ctx) {
  struct error err = {0};
  struct state s = {0};
  struct progress bar;
  uint64_t id = 0;
  int wait_ms = 1;
  progress_init(&bar, STDERR_FILENO, isatty(STDERR_FILENO), "relay", &clock_system);
  enum status st = begin(service, &id, &err);
  while (st == ST_OK && (st = look(service, id, &s, &err)) == ST_OK && !s.finished) {
    if (stop_asked(ctx)) service_flush_cancel(service, id);
    progress_show(&bar, (uint64_t)(s.published + s.duplicates + s.dead), (uint64_t)s.total);
    nanosleep(&(struct timespec){0, wait_ms * 1000000L}, NULL);
    if (wait_ms < 50) wait_ms *= 2;
  }
  progress_end(&bar);
  if (st == ST_OK) return conclude(log, &s);
  log_write(log, LOG_ERROR, "worker", "once_failed", FIELDS(F_TEXT("error", err.text)), "The flush failed");
  return EXIT_FAILURE;
}
