/* One request, from its headers to its answer: who may ask what. Which path means what stands in
 * control_routes.c.
 * A thread of each connection; a crash leaves nothing. */
#include "bridge/base/stop.h"
#include "bridge/base/thread.h"
#include "worker/control/control_parts.h"
#include "worker/control/control_routes.h"

#include <strings.h>

#define BODY_LIMIT (64 * 1024)         /* where none is needed */
#define BODY_READ (16 * 1024 * 1024)   /* so much is read, so that the refusal arrives */
#define SENDING_TCP (64 * 1024 * 1024) /* answers on their way: a slow reader's lie in memory */
#define SENDING_LOCAL (128 * 1024 * 1024)
#define WALKS_MAX 4       /* at once by one listener */
#define WALK_WAIT_MS 2000 /* for one of them to end */
#define TOKEN_HINT "Authorization: Bearer with the token of http.token"

struct request {
  struct buffer body; /* kept, where the path takes one */
  size_t seen;        /* bytes of body that came */
  size_t limit;       /* that are taken */
  bool walks;
  bool kept, full_rights, wants_json;
  size_t sending;
};

struct headers {
  const char *host, *origin, *authorization, *length, *coding, *accept;
  unsigned hosts, origins, authorizations, lengths, codings;
};

/* ---- who may ask ---- */

static enum MHD_Result take_header(void *ctx, enum MHD_ValueKind kind, const char *key,
                                   const char *value) {
  struct headers *h = ctx;
  (void)kind;
  if (!strcasecmp(key, "Host")) h->hosts++, h->host = value ? value : "";
  if (!strcasecmp(key, "Origin")) h->origins++, h->origin = value ? value : "";
  if (!strcasecmp(key, "Authorization")) h->authorizations++, h->authorization = value;
  if (!strcasecmp(key, "Content-Length")) h->lengths++, h->length = value ? value : "";
  if (!strcasecmp(key, "Transfer-Encoding")) h->codings++, h->coding = value ? value : "";
  if (!strcasecmp(key, "Accept")) h->accept = value;
  return MHD_YES;
}

static int descriptor(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

static struct guest *guest_of(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

static bool is_question(const char *method) {
  return !strcmp(method, "GET") || !strcmp(method, "HEAD");
}

static void deny(struct answer *answer, const char *detail) {
  answer_problem(answer, MHD_HTTP_FORBIDDEN, ST_DENIED, detail);
}

/* Where the body ends must be told once and in one way: what stands between the client and us (a
 * proxy) may read it otherwise, and what is a body for one is a request for the other. */
static bool frames_its_body(const struct headers *h, struct answer *answer) {
  const char *wrong = NULL;
  if (h->lengths > 1 || h->codings > 1 || (h->lengths && h->codings))
    wrong = "The body's length is told once: by one Content-Length or by Transfer-Encoding";
  else if (h->codings && strcasecmp(h->coding, "chunked") != 0)
    wrong = "Of Transfer-Encoding only chunked is understood";
  else if (h->lengths && (!*h->length || h->length[strspn(h->length, "0123456789")]))
    wrong = "Content-Length is a decimal number";
  if (wrong) answer_problem(answer, 400, ST_INVALID, wrong);
  return !wrong;
}

/* A request without Host comes from no browser (HTTP/1.0 of a load balancer's check). */
static bool admits_sender(struct control *c, const struct headers *h, struct answer *answer) {
  char text[300];
  if (h->hosts > 1 || h->origins > 1 || h->authorizations > 1) {
    answer_problem(answer, 400, ST_INVALID, "Host, Origin and Authorization stand once");
  } else if (h->host && !gate_knows_host(&c->gate, h->host)) {
    snprintf(
        text, sizeof text,
        "This worker does not answer to the name %.100s: ask by its address or as localhost, or "
        "add the name to http.hosts",
        h->host);
    deny(answer, text);
  } else if (h->origin && !gate_same_origin(h->origin, h->host ? h->host : "")) {
    snprintf(text, sizeof text, "Requests of other sites' pages are refused (Origin %.100s)",
             h->origin);
    deny(answer, text);
  } else {
    return true;
  }
  return false;
}

/* Over TCP: questions are answered, the rest needs the token. */
static bool admits_asking(struct control *c, const struct headers *h, bool needs_rights, bool *full,
                          struct answer *answer) {
  bool token = gate_has_token(&c->gate);
  enum bearer bearer = token ? gate_bearer(&c->gate, h->authorization) : BEARER_NONE;
  *full = bearer == BEARER_RIGHT;
  if (*full || (bearer == BEARER_NONE && !needs_rights)) return true;
  if (!token) {
    deny(answer,
         "Over TCP this worker only answers questions. Set http.token or http.token_file to allow "
         "this with Authorization: Bearer, or ask on the control socket");
    return false;
  }
  if (bearer == BEARER_WRONG)
    log_write(c->log, LOG_WARNING, "control", "token_refused", NO_FIELDS,
              "A request over TCP bore a wrong token");
  answer_problem(answer, MHD_HTTP_UNAUTHORIZED, ST_DENIED,
                 bearer == BEARER_WRONG ? "The token is not that of http.token"
                                        : "This needs " TOKEN_HINT);
  return false;
}

/* ---- answering ---- */

static bool add_headers(struct MHD_Response *response, const struct answer *answer) {
  return MHD_add_response_header(response, "Content-Type", answer->type) == MHD_YES &&
         MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
         MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
         (!answer->allow[0] ||
          MHD_add_response_header(response, "Allow", answer->allow) == MHD_YES) &&
         (answer->code != MHD_HTTP_UNAUTHORIZED ||
          MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"busbridge\"") ==
              MHD_YES);
}

/* The response takes the body over. */
static enum MHD_Result send_answer(struct control *c, struct MHD_Connection *connection,
                                   struct answer *answer) {
  struct MHD_Response *response =
      MHD_create_response_from_buffer(answer->body.len, answer->body.ptr, MHD_RESPMEM_MUST_FREE);
  enum MHD_Result result = MHD_NO;
  if (!response) buffer_release(&answer->body);
  guest_phase(&c->guests, guest_of(connection), GUEST_TAKES);
  if (response && add_headers(response, answer))
    result = MHD_queue_response(connection, (unsigned)answer->code, response);
  if (response) MHD_destroy_response(response);
  return result;
}

static enum MHD_Result take_query(void *ctx, enum MHD_ValueKind kind, const char *key,
                                  const char *value) {
  (void)kind;
  struct query *q = ctx;
  if (q->count == QUERY_MAX) {
    q->overflow = true;
    return MHD_NO;
  }
  q->pairs[q->count].key = key;
  q->pairs[q->count++].value = value ? value : "";
  return MHD_YES;
}

/* Each goes through a long backlog on a processor of its own: more of them would take the relay's.
 */
static bool begin_walk(struct listener *l) {
  for (int waited = 0;; waited += 10) {
    if (atomic_fetch_add(&l->walking, 1) < WALKS_MAX) return true;
    atomic_fetch_sub(&l->walking, 1);
    if (waited >= WALK_WAIT_MS) return false;
    sleep_ms(10, NULL);
  }
}

static void route(struct listener *l, const struct request *request, const struct call *call,
                  const char *method, const char *path, struct answer *answer) {
  if (request->walks && !begin_walk(l)) {
    answer_problem(answer, 503, ST_UNAVAILABLE,
                   "Several long lists are being made already; ask again when they are done");
    return;
  }
  route_request(call, method, path, answer);
  if (request->walks) atomic_fetch_sub(&l->walking, 1);
}

struct asker {
  int fd;
  short signs; /* that nobody reads the answer */
};

/* On the socket a client that only ended its sending may still read; over TCP the two look the
 * same. */
static struct asker asker_of(const struct listener *l, struct MHD_Connection *connection) {
  return (struct asker){descriptor(connection),
                        (short)(l->tcp ? POLLRDHUP | POLLHUP | POLLERR : POLLHUP | POLLERR)};
}

static bool is_gone(void *ctx) {
  const struct asker *asker = ctx;
  struct pollfd fd = {.fd = asker->fd, .events = asker->signs};
  return thread_poll(&fd, 1, 0) > 0 && (fd.revents & asker->signs);
}

/* What a slow reader has not taken yet lies in memory: all of it together is bounded. */
static void count_sending(struct listener *l, struct request *request, struct answer *answer) {
  size_t most = l->tcp ? SENDING_TCP : SENDING_LOCAL;
  request->sending = answer->body.len;
  if (atomic_fetch_add(&l->sending, request->sending) + request->sending <= most) return;
  atomic_fetch_sub(&l->sending, request->sending);
  request->sending = 0;
  buffer_release(&answer->body);
  answer_problem(answer, 503, ST_UNAVAILABLE,
                 "Too much is being sent already; ask for less, or ask again later");
}

static enum MHD_Result answer_request(struct listener *l, struct MHD_Connection *connection,
                                      struct request *request, const char *path,
                                      const char *method) {
  struct control *c = l->control;
  struct answer answer = {0};
  struct query query = {0};
  struct asker asker = asker_of(l, connection);
  struct caller caller = {l->tcp ? -1 : control_socket_peer(descriptor(connection))};
  unsigned turn;
  struct call call = {.service = control_enter(c, &turn),
                      .caller = &caller,
                      .draining = atomic_load(&c->draining),
                      .stranger = !request->full_rights,
                      .gone = is_gone,
                      .gone_ctx = &asker,
                      .wants_json = request->wants_json,
                      .query = &query,
                      .body = buffer_span(&request->body)};
  call.standby = service_stands_by(call.service);
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_query, &query);
  guest_phase(&c->guests, guest_of(connection), GUEST_WAITS);
  route(l, request, &call, method, path, &answer);
  control_leave(c, turn);
  count_sending(l, request, &answer);
  return send_answer(c, connection, &answer);
}

static void too_large(size_t limit, struct answer *answer) {
  char text[60];
  snprintf(text, sizeof text, "The body of this request has at most %zu KiB", limit / 1024);
  answer_problem(answer, 413, ST_TOO_LARGE, text);
}

/* ---- the request comes in ---- */

/* The headers are there. False: *answer says why it goes no further. */
static bool admit(struct listener *l, struct MHD_Connection *connection, const struct headers *h,
                  const char *path, const char *method, struct request *request,
                  struct answer *answer) {
  struct control *c = l->control;
  struct route_needs needs = route_needs(method, path);
  request->full_rights = !l->tcp;
  request->kept = needs.body > 0;
  request->walks = needs.walks;
  request->limit = needs.body > 0 ? needs.body : BODY_LIMIT;
  request->wants_json = h->accept && strstr(h->accept, "application/json");
  if (!l->tcp && !control_socket_admits(&c->socket, descriptor(connection))) {
    deny(answer, "Only root, the worker's user and the socket's group");
    return false;
  }
  if (!frames_its_body(h, answer) || !admits_sender(c, h, answer)) return false;
  if (l->tcp &&
      !admits_asking(c, h, !is_question(method) || needs.rights, &request->full_rights, answer))
    return false;
  if (!h->length || strtoull(h->length, NULL, 10) <= BODY_READ) return true;
  too_large(request->limit, answer);
  return false;
}

static enum MHD_Result begin_request(struct listener *l, struct MHD_Connection *connection,
                                     const char *path, const char *method, void **state) {
  struct headers headers = {0};
  struct answer answer = {0};
  struct request *request = calloc(1, sizeof *request);
  if (!request) return MHD_NO;
  MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, &headers);
  if (!admit(l, connection, &headers, path, method, request, &answer)) {
    free(request);
    return send_answer(l->control, connection, &answer);
  }
  *state = request;
  atomic_fetch_add(&l->control->running, 1);
  return MHD_YES;
}

/* One part of the body. One that is not needed, or too large, is read and dropped, so that the
 * answer arrives. */
static enum MHD_Result take_body(struct request *request, struct span part) {
  request->seen += part.len;
  if (request->kept && request->seen <= request->limit)
    buffer_add(&request->body, part);
  else
    buffer_release(&request->body);
  return request->seen <= BODY_READ && !request->body.failed ? MHD_YES : MHD_NO;
}

/* libmicrohttpd calls it once with the headers, then with each part of the body, then with none. */
enum MHD_Result request_handle(void *ctx, struct MHD_Connection *connection, const char *path,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **state) {
  struct request *request = *state;
  struct listener *l = ctx;
  (void)version;
  if (!request) return begin_request(l, connection, path, method, state);
  if (*upload_size > 0) {
    struct span part = {upload, *upload_size};
    *upload_size = 0;
    return take_body(request, part);
  }
  if (request->seen <= request->limit) return answer_request(l, connection, request, path, method);
  struct answer answer = {0};
  too_large(request->limit, &answer);
  return send_answer(l->control, connection, &answer);
}

void request_completed(void *ctx, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode why) {
  struct listener *l = ctx;
  struct request *request = *state;
  (void)why;
  guest_phase(&l->control->guests, guest_of(connection), GUEST_ASKS);
  if (!request) return;
  atomic_fetch_sub(&l->sending, request->sending);
  buffer_release(&request->body);
  free(request);
  *state = NULL;
  atomic_fetch_sub(&l->control->running, 1);
}

void request_guest(void *ctx, struct MHD_Connection *connection, void **guest,
                   enum MHD_ConnectionNotificationCode what) {
  struct listener *l = ctx;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    *guest = guest_enter(&l->control->guests, descriptor(connection), l);
  } else {
    guest_leave(&l->control->guests, *guest);
    *guest = NULL;
  }
}
