/* Asks the worker over its socket, or opens the outbox itself when none runs; one function for each
 * operation.
 * The command's one thread; a crash leaves what the operation of service.h leaves. */
#include "admin/client/client.h"

#include "admin/client/answer.h"
#include "admin/input/selection_options.h"
#include "bridge/base/text/escape.h"
#include "bridge/http/http.h"
#include "bridge/outbox/store.h"
#include "bridge/service/bulk/import.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/process/home.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELLO_MS 2000
#define ANSWER_MS 30000
#define LISTING_MS 600000 /* a sorted list of a million files takes its time */
#define LOCK_WAIT_MS 5000

struct client {
  struct admin *admin;
  struct http *http;       /* a worker runs */
  struct service *service; /* none does */
  bool unanswered;         /* somebody took the call and did not answer */
  struct buffer path;
  int patience_ms; /* 0: each question has its own */
};

/* ---- opening ---- */

/* Where the socket would lie; the outbox must be there, unless the socket was named. */
static enum status socket_path(struct admin *a, struct buffer *out, struct error *err) {
  const char *url = setting_text(a->settings, SETTING_OUTBOX_URL);
  const struct store_options options = {.clock = a->clock};
  struct store *store = NULL;
  if (a->worker) {
    buffer_add_z(out, a->worker);
    return buffer_status(out, err);
  }
  enum status st = store_open(url, &options, &store, err);
  store_close(store);
  return st == ST_OK ? home_socket_path(a->settings, out, err) : st;
}

static enum status try_worker(struct client *c, struct error *err) {
  struct buffer path = {0}, answer = {0};
  int code = 0;
  enum status st = socket_path(c->admin, &path, err);
  if (st == ST_OK) st = http_open(buffer_z(&path), "http://localhost", &c->http, err);
  if (st == ST_OK)
    st = http_request(c->http, "GET", "/v1/version", (struct span){0}, HELLO_MS, &code, &answer,
                      err);
  if (st == ST_OK && c->admin->verbose) note(c->admin, "asking the worker at %s", buffer_z(&path));
  if (st != ST_OK) {
    c->unanswered = c->http && http_timed_out(c->http);
    http_close(c->http);
    c->http = NULL;
  }
  buffer_release(&path);
  buffer_release(&answer);
  return st;
}

static enum status open_here(struct client *c, enum service_mode mode, const char *why,
                             struct error *err) {
  struct service_options options = {.mode = mode,
                                    .unanswered = c->unanswered,
                                    .lock_wait_ms = LOCK_WAIT_MS,
                                    .clock = c->admin->clock};
  if (c->admin->verbose || (c->admin->interactive && mode != SERVICE_INSPECT))
    note(c->admin, "%s; opening the outbox itself", why);
  return service_open(c->admin->settings, c->admin->log, &options, &c->service, err);
}

/* Nobody named an outbox, and no file was read that might. */
static bool is_unnamed(const struct admin *a) {
  const struct configure from = {.file = a->config, .environment = a->environment};
  return !a->worker && !configure_file(&from) &&
         strcmp(setting_source(a->settings, SETTING_OUTBOX_URL), "default") == 0;
}

static void say_unnamed(const struct admin *a, enum status st, struct error *err) {
  const char *url = setting_text(a->settings, SETTING_OUTBOX_URL);
  if (!is_unnamed(a)) return;
  if (st == ST_OK && (a->verbose || a->interactive))
    note(a,
         "no settings file was read (-c FILE, BUSBRIDGE_CONFIG, " CONFIGURE_DEFAULT
         "): this is the default outbox, %s",
         url);
  if (st == ST_OK || !err) return;
  struct error why = *err;
  error_set(err, st,
            "%s; no settings file was read (-c FILE, BUSBRIDGE_CONFIG, " CONFIGURE_DEFAULT
            "), so this is the default outbox",
            why.text);
}

enum status client_open(struct admin *a, enum service_mode local, struct client **out,
                        struct error *err) {
  struct client *c = calloc(1, sizeof *c);
  if (!c) return error_set(err, ST_NO_MEMORY, "Out of memory");
  c->admin = a;
  enum status st = try_worker(c, err);
  if (st != ST_OK && a->worker) error_prefix(err, "--worker %s", a->worker);
  /* Not there, or a socket nobody listens at: no worker. No right to connect is an error of its
   * own. */
  if ((st == ST_UNAVAILABLE || st == ST_NOT_FOUND) && !a->worker) {
    if (err) *err = (struct error){0};
    st = open_here(c, local,
                   c->unanswered ? "the worker does not answer on its socket" : "no worker runs",
                   err);
  }
  say_unnamed(a, st, err);
  if (st != ST_OK) {
    client_close(c);
    return st;
  }
  *out = c;
  return ST_OK;
}

/* The socket is the worker's: its owner reads what the worker reads. */
static bool reads_as_worker(struct admin *a) {
  struct buffer path = {0};
  struct stat st;
  bool same = socket_path(a, &path, NULL) == ST_OK && stat(buffer_z(&path), &st) == 0 &&
              (geteuid() == 0 || geteuid() == st.st_uid);
  buffer_release(&path);
  return same;
}

enum status client_open_beside(struct admin *a, struct client **out, struct error *err) {
  if (a->worker || !reads_as_worker(a)) return client_open(a, SERVICE_INSPECT, out, err);
  struct client *c = calloc(1, sizeof *c);
  if (!c) return error_set(err, ST_NO_MEMORY, "Out of memory");
  c->admin = a;
  enum status st = open_here(c, SERVICE_INSPECT, "a long list", err);
  if (st != ST_OK) {
    client_close(c);
    return st;
  }
  *out = c;
  return ST_OK;
}

void client_close(struct client *c) {
  if (!c) return;
  http_close(c->http);
  int64_t drain_ms =
      c->service ? setting_number(c->admin->settings, SETTING_SHUTDOWN_DRAIN_TIMEOUT) : 0;
  service_close(c->service, interrupts() > 1 ? 0 : drain_ms);
  buffer_release(&c->path);
  free(c);
}

bool client_remote(const struct client *c) {
  return c->http != NULL;
}

bool client_unanswered(const struct client *c) {
  return c->unanswered;
}

void client_patience(struct client *c, int timeout_ms) {
  c->patience_ms = timeout_ms;
}

/* ---- asking the worker ---- */

/* The status that a problem's code word names. */
static enum status status_from(struct span word) {
  for (int st = ST_OK + 1; st <= ST_CANCELLED; st++)
    if (span_is(word, status_name((enum status)st))) return (enum status)st;
  return ST_IO;
}

static enum status problem(int code, struct span body, struct error *err) {
  struct json_doc doc = {0};
  struct buffer detail = {0}, word = {0};
  enum status st;
  if (answer_scan(&doc, body, NULL) == ST_OK && answer_text(&doc, 0, "detail", &detail) &&
      answer_text(&doc, 0, "code", &word)) {
    st = error_set(err, status_from(buffer_span(&word)), "%s", buffer_z(&detail));
  } else {
    st = error_set(err, ST_IO, "The worker answered with HTTP status %d", code);
  }
  json_doc_release(&doc);
  buffer_release(&detail);
  buffer_release(&word);
  return st;
}

static enum status send(struct client *c, const char *method, struct span body, int timeout_ms,
                        struct buffer *json, struct error *err) {
  int code = 0;
  size_t before = json->len;
  if (c->patience_ms) timeout_ms = c->patience_ms;
  enum status st = buffer_status(&c->path, err);
  if (st == ST_OK)
    st = http_request(c->http, method, buffer_z(&c->path), body, timeout_ms, &code, json, err);
  if (st != ST_OK) return error_prefix(err, "Asking the worker");
  if (code >= 200 && code < 300) return ST_OK;
  st = problem(code, (struct span){json->ptr + before, json->len - before}, err);
  json->len = before;
  return st;
}

static enum status ask_worker(struct client *c, const char *method, int timeout_ms,
                              struct buffer *json, struct error *err) {
  return send(c, method, (struct span){0}, timeout_ms, json, err);
}

PRINTF_LIKE(2, 3)
static void path(struct client *c, const char *fmt, ...) {
  char text[256];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  buffer_clear(&c->path);
  buffer_add_z(&c->path, text);
}

/* ---- the operations ---- */

static enum status list(struct client *c, const struct list_request *r, struct buffer *json,
                        struct error *err) {
  if (c->service) return service_list(c->service, r, json, err);
  path(c, "/v1/entries?limit=%zu&", r->limit);
  selecting_query(&r->selection, &c->path); /* its failure is told by ask */
  return ask_worker(c, "GET", LISTING_MS, json, err);
}

/* A list in order needs a pass over all names. */
enum status client_list(struct client *c, const struct list_request *r, struct buffer *json,
                        struct error *err) {
  patience_begin(c->admin);
  enum status st = list(c, r, json, err);
  patience_end(c->admin);
  return st;
}

static enum status groups(struct client *c, const struct list_request *r, struct buffer *json,
                          struct error *err) {
  struct selection filters = r->selection;
  if (c->service) return service_groups(c->service, r, json, err);
  filters.pending = filters.dead = true; /* no type is said: they are of dead letters */
  struct buffer query = {0};
  selecting_query(&filters, &query);
  path(c, "/v1/groups?limit=%zu", r->limit);
  const char *rest = strchr(buffer_z(&query), '&');
  if (rest) buffer_add_z(&c->path, rest);
  buffer_release(&query);
  return ask_worker(c, "GET", LISTING_MS, json, err);
}

enum status client_groups(struct client *c, const struct list_request *r, struct buffer *json,
                          struct error *err) {
  patience_begin(c->admin);
  enum status st = groups(c, r, json, err);
  patience_end(c->admin);
  return st;
}

/* The end of one that says where it lies: "dlq/x.json". */
static const char *name_in(const char *id) {
  const char *slash = strrchr(id, '/');
  return slash ? slash + 1 : id;
}

/* What no file can be called would not come through as one step of a path either. */
static enum status check_id(const char *id, struct error *err) {
  const char *name = name_in(id);
  if (*name && strlen(id) < 256 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return ST_OK;
  return error_set(err, ST_NOT_FOUND,
                   "No entry \"%.128s\": an id has 1 to 255 bytes; see: busbridge list", id);
}

static enum status show_entry(struct client *c, const struct show_request *r, struct buffer *out,
                              struct error *err) {
  if (c->service) return service_show(c->service, r, out, err);
  path(c, "/v1/entries/");
  percent_write(&c->path, span_of(name_in(r->id)));
  buffer_printf(&c->path, "%s?type=%s", r->raw ? "/raw" : "",
                r->pending && r->dead ? "all"
                : r->dead             ? "dlq"
                                      : "pending");
  if (strchr(r->id, '/')) {
    buffer_add_z(&c->path, "&file=");
    percent_write(&c->path, span_of(r->id));
  }
  return ask_worker(c, "GET", LISTING_MS, out, err);
}

/* An id that is not a file's name needs a look at all names, or into all files. */
enum status client_show(struct client *c, const struct show_request *r, struct buffer *out,
                        struct error *err) {
  enum status st = check_id(r->id, err);
  if (st != ST_OK) return st;
  patience_begin(c->admin);
  st = show_entry(c, r, out, err);
  patience_end(c->admin);
  return st;
}

enum status client_replay(struct client *c, const struct replay_request *r, struct buffer *json,
                          struct error *err) {
  if (c->service) return service_replay(c->service, r, json, err);
  path(c, "/v1/replay?force=%d&id=", r->force);
  percent_write(&c->path, span_of(r->id));
  return ask_worker(c, "POST", ANSWER_MS, json, err);
}

enum status client_amend(struct client *c, const struct amend_request *r, struct buffer *json,
                         struct error *err) {
  enum status st = check_id(r->id, err);
  if (st != ST_OK) return st;
  if (c->service) return service_amend(c->service, r, json, err);
  path(c, "/v1/entries/");
  percent_write(&c->path, span_of(name_in(r->id)));
  buffer_printf(&c->path, "/payload?force=%d", r->force);
  if (strchr(r->id, '/')) {
    buffer_add_z(&c->path, "&file=");
    percent_write(&c->path, span_of(r->id));
  }
  return send(c, "POST", r->payload, LISTING_MS, json, err);
}

enum status client_import(struct client *c, struct span lines, struct buffer *json,
                          struct error *err) {
  if (c->service) return service_import(c->service, lines, &c->admin->caller, json, err);
  path(c, "/v1/import");
  return send(c, "POST", lines, LISTING_MS, json, err);
}

static const char *bulk_path(bool purge) {
  return purge ? "/v1/purge" : "/v1/replay";
}

static enum status ask_freeze(struct client *c, const struct bulk_request *r, struct buffer *json,
                              struct error *err) {
  if (c->service) return service_bulk_freeze(c->service, r, json, err);
  path(c, "%s?all=%d&dry_run=%d%s&", bulk_path(r->purge), r->all, r->dry_run,
       r->force ? "&force=1" : "");
  selecting_query(&r->selection, &c->path);
  return send(c, "POST", r->ids, LISTING_MS, json, err);
}

enum status client_bulk_freeze(struct client *c, const struct bulk_request *r, struct buffer *json,
                               struct error *err) {
  patience_begin(c->admin);
  enum status st = ask_freeze(c, r, json, err);
  patience_end(c->admin);
  return st;
}

enum status client_bulk_step(struct client *c, bool purge, uint64_t selection, size_t limit,
                             struct buffer *json, struct error *err) {
  if (c->service) return service_bulk_step(c->service, purge, selection, limit, json, err);
  path(c, "%s/%" PRIu64 "/step?limit=%zu", bulk_path(purge), selection, limit);
  return ask_worker(c, "POST", LISTING_MS, json, err);
}

enum status client_bulk_progress(struct client *c, bool purge, uint64_t selection,
                                 struct buffer *json, struct error *err) {
  if (c->service) return service_bulk_progress(c->service, purge, selection, json, err);
  path(c, "%s/%" PRIu64, bulk_path(purge), selection);
  return ask_worker(c, "GET", ANSWER_MS, json, err);
}

enum status client_bulk_list(struct client *c, bool purge, struct buffer *json, struct error *err) {
  if (c->service) return service_bulk_list(c->service, purge, json, err);
  path(c, "%s", bulk_path(purge));
  return ask_worker(c, "GET", ANSWER_MS, json, err);
}

enum status client_bulk_cancel(struct client *c, bool purge, uint64_t selection,
                               struct buffer *json, struct error *err) {
  if (c->service) return service_bulk_cancel(c->service, purge, selection, json, err);
  path(c, "%s/%" PRIu64 "/cancel", bulk_path(purge), selection);
  return ask_worker(c, "POST", ANSWER_MS, json, err);
}

enum status client_bulk_entries(struct client *c, uint64_t selection, const char *from,
                                struct buffer *json, struct error *err) {
  if (c->service) return service_bulk_entries(c->service, selection, from, 0, json, err);
  path(c, "/v1/purge/%" PRIu64 "/entries?from=", selection);
  percent_write(&c->path, span_of(from));
  return ask_worker(c, "GET", LISTING_MS, json, err);
}

enum status client_flush(struct client *c, const struct flush_request *r, struct buffer *json,
                         struct error *err) {
  if (c->service) return service_flush(c->service, r, json, err);
  path(c, "/v1/flush?limit=%zu&dry_run=%d", r->limit, r->dry_run);
  return ask_worker(c, "POST", r->dry_run ? LISTING_MS : ANSWER_MS, json, err);
}

enum status client_flush_progress(struct client *c, uint64_t id, struct buffer *json,
                                  struct error *err) {
  if (c->service) return service_flush_progress(c->service, id, json, err);
  path(c, "/v1/flush/%" PRIu64, id);
  return ask_worker(c, "GET", ANSWER_MS, json, err);
}

void client_flush_cancel(struct client *c, uint64_t id) {
  struct buffer answer = {0};
  if (c->service) {
    service_flush_cancel(c->service, id);
    return;
  }
  path(c, "/v1/flush/%" PRIu64 "/cancel", id);
  struct error err = {0};
  if (ask_worker(c, "POST", ANSWER_MS, &answer, &err) != ST_OK) complain(c->admin, "%s", err.text);
  buffer_release(&answer);
}

enum status client_pause(struct client *c, const struct pause_request *r, struct buffer *json,
                         struct error *err) {
  if (c->service) return service_pause(c->service, r, json, err);
  path(c, "/v1/pause?reason=");
  percent_write(&c->path, span_of(r->reason));
  return ask_worker(c, "POST", ANSWER_MS, json, err);
}

enum status client_resume(struct client *c, const struct pause_request *r, struct buffer *json,
                          struct error *err) {
  if (c->service) return service_resume(c->service, r, json, err);
  path(c, "/v1/resume");
  return ask_worker(c, "POST", ANSWER_MS, json, err);
}

static enum status health(struct client *c, bool detailed, struct buffer *json, struct error *err) {
  if (c->service) return service_health(c->service, detailed, json, err);
  path(c, "/v1/status?detailed=%d", detailed);
  return ask_worker(c, "GET", detailed ? LISTING_MS : ANSWER_MS, json, err);
}

enum status client_health(struct client *c, bool detailed, struct buffer *json, struct error *err) {
  patience_begin(c->admin);
  enum status st = health(c, detailed, json, err);
  patience_end(c->admin);
  return st;
}

enum status client_prometheus(struct client *c, struct buffer *text, struct error *err) {
  if (c->service) return service_prometheus(c->service, text, err);
  path(c, "/metrics");
  return ask_worker(c, "GET", ANSWER_MS, text, err);
}

enum status client_metrics(struct client *c, bool reset, struct buffer *json, struct error *err) {
  if (c->service) return service_metrics(c->service, reset, json, err);
  path(c, reset ? "/v1/metrics?reset=1" : "/v1/metrics");
  return ask_worker(c, reset ? "POST" : "GET", ANSWER_MS, json, err);
}

enum status client_config(struct client *c, struct buffer *json, struct error *err) {
  if (c->service) return service_config(c->service, json, err);
  path(c, "/v1/config");
  return ask_worker(c, "GET", ANSWER_MS, json, err);
}
