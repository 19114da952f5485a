/* libcurl behind one request function: over TCP or a Unix socket, with answers that have a limit.
 * Secrets go to libcurl alone, never into a message. One thread a client; a crash leaves nothing.
 */
#include "bridge/http/http.h"

#include "bridge/base/disk/denial.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#define BODY_MAX ((size_t)64 * 1024 * 1024)
#define SOCKET_PATH_MAX 107 /* bytes of sun_path, one less for the NUL */

struct http {
  CURL *curl;
  char *base;
  size_t body_most;
  bool timed_out; /* the last request */
  char *socket;   /* its path, for messages; NULL: TCP */
  int folder;     /* of the socket, when its path is too long to be used as it is; else -1 */
};

static enum status denied(const struct http *h, int errnum, struct error *err) {
  enum status st = error_sys(err, errnum, "connecting to %s", h->socket);
  error_denied(err, h->socket, R_OK | W_OK);
  return st;
}

/* A path too long for sun_path is reached through its folder, held open as /proc/self/fd/N. */
static enum status set_socket(struct http *h, const char *path, struct error *err) {
  char shorter[SOCKET_PATH_MAX + 1];
  const char *slash = strrchr(path, '/');
  if (strlen(path) > SOCKET_PATH_MAX && (!slash || strlen(slash) > 80))
    return error_set(err, ST_INVALID, "the name of the socket is too long: %s", path);
  if (strlen(path) > SOCKET_PATH_MAX) {
    char *folder = strndup(path, (size_t)(slash - path) + 1);
    if (!folder) return error_set(err, ST_NO_MEMORY, "out of memory");
    h->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (h->folder < 0 && errno == EACCES) return denied(h, errno, err);
    if (h->folder < 0) return error_sys(err, errno, "the folder of the socket %s", path);
    snprintf(shorter, sizeof shorter, "/proc/self/fd/%d%.80s", h->folder, slash);
    path = shorter;
  }
  if (curl_easy_setopt(h->curl, CURLOPT_UNIX_SOCKET_PATH, path) == CURLE_OK) return ST_OK;
  return error_set(err, ST_UNSUPPORTED, "this libcurl knows no Unix sockets");
}

static enum status set_options(CURL *c, struct error *err) {
  bool ok = curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;  /* no SIGALRM, no SIGPIPE */
  ok = ok && curl_easy_setopt(c, CURLOPT_NOPROXY, "*") == CURLE_OK; /* whatever http_proxy says */
  ok = ok && curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
  return ok ? ST_OK : error_set(err, ST_UNSUPPORTED, "this libcurl lacks an option that is needed");
}

static enum status open_any(const char *base, struct http **out, struct error *err) {
  struct http *h = calloc(1, sizeof *h);
  *out = h;
  if (!h) return error_set(err, ST_NO_MEMORY, "out of memory");
  h->folder = -1;
  h->body_most = BODY_MAX;
  h->curl = curl_easy_init();
  h->base = strdup(base);
  if (!h->curl || !h->base) return error_set(err, ST_NO_MEMORY, "out of memory");
  return set_options(h->curl, err);
}

static enum status hand_out(struct http *h, enum status st, struct http **out) {
  if (st != ST_OK) http_close(h);
  if (st == ST_OK) *out = h;
  return st;
}

enum status http_open(const char *socket_path, const char *base, struct http **out,
                      struct error *err) {
  struct http *h;
  enum status st = open_any(base, &h, err);
  if (st == ST_OK && socket_path) h->socket = strdup(socket_path);
  if (st == ST_OK && socket_path)
    st =
        h->socket ? set_socket(h, socket_path, err) : error_set(err, ST_NO_MEMORY, "out of memory");
  return hand_out(h, st, out);
}

static bool set_text(CURL *c, CURLoption option, const char *text) {
  return !text || !*text || curl_easy_setopt(c, option, text) == CURLE_OK;
}

/* http_proxy and its kin are not asked: CURLOPT_NOPROXY names every host, unless one is named. */
static bool set_proxy(CURL *c, const char *proxy) {
  if (!proxy || !*proxy) return true;
  return set_text(c, CURLOPT_PROXY, proxy) && curl_easy_setopt(c, CURLOPT_NOPROXY, "") == CURLE_OK;
}

/* Called about once a second while nothing comes; anything but 0 ends the transfer. */
static int look_over(void *over, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
  (void)a, (void)b, (void)c, (void)d;
  return atomic_load((const _Atomic bool *)over);
}

static bool set_over(CURL *c, const _Atomic bool *over) {
  if (!over) return true;
  return curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look_over) == CURLE_OK &&
         curl_easy_setopt(c, CURLOPT_XFERINFODATA, (void *)over) == CURLE_OK &&
         curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

enum status http_open_tls(const char *base, const struct http_options *o, struct http **out,
                          struct error *err) {
  struct http *h;
  enum status st = open_any(base, &h, err);
  if (st == ST_OK && o->body_most) h->body_most = o->body_most;
  if (st == ST_OK && !(set_over(h->curl, o->over) && set_proxy(h->curl, o->proxy) &&
                       set_text(h->curl, CURLOPT_CAINFO, o->ca_file) &&
                       set_text(h->curl, CURLOPT_SSLCERT, o->certificate) &&
                       set_text(h->curl, CURLOPT_SSLKEY, o->key) &&
                       set_text(h->curl, CURLOPT_KEYPASSWD, o->key_password)))
    st =
        error_set(err, ST_INVALID, "this libcurl does not take the proxy, CA or certificate named");
  return hand_out(h, st, out);
}

void http_close(struct http *h) {
  if (!h) return;
  if (h->curl) curl_easy_cleanup(h->curl);
  if (h->folder >= 0) close(h->folder);
  free(h->base);
  free(h->socket);
  free(h);
}

struct receiver {
  struct buffer *out;
  size_t got, most;
  bool too_large;
};

static size_t receive(char *bytes, size_t size, size_t count, void *ctx) {
  struct receiver *r = ctx;
  size_t len = size * count;
  r->got += len;
  r->too_large = r->got > r->most;
  if (!r->too_large) buffer_append(r->out, bytes, len);
  return r->too_large || r->out->failed ? 0 : len; /* anything but len ends the transfer */
}

static enum status failure(const struct http *h, CURLcode code, const struct receiver *r,
                           const char *words, struct error *err) {
  long errnum = 0;
  const char *text = words[0] ? words : curl_easy_strerror(code);
  if (r->too_large)
    return error_set(err, ST_TOO_LARGE, "the answer has more than %zu MiB", r->most / 1024 / 1024);
  if (r->out->failed || code == CURLE_OUT_OF_MEMORY)
    return error_set(err, ST_NO_MEMORY, "out of memory");
  curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &errnum);
  /* Of a socket alone: a URL may hold a user and a password. */
  if (h->socket && code == CURLE_COULDNT_CONNECT && (errnum == EACCES || errnum == EPERM))
    return denied(h, (int)errnum, err);
  if (code == CURLE_COULDNT_CONNECT && errnum != 0)
    return error_set(err, ST_UNAVAILABLE, "connecting: %s", strerror((int)errnum));
  return error_set(err, ST_UNAVAILABLE, "%s", text);
}

/* NULL: no memory, or there is none. */
static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value,
                                     bool *ok) {
  struct buffer line = {0};
  if (!value) return list;
  buffer_printf(&line, "%s: %s", name, value);
  struct curl_slist *grown = line.failed ? NULL : curl_slist_append(list, buffer_z(&line));
  buffer_release(&line);
  *ok = *ok && grown;
  return grown ? grown : list;
}

/* No "Expect: 100-continue": the server would have to answer it before the body comes. */
static struct curl_slist *headers_of(const struct http_call *call, bool *ok) {
  struct curl_slist *list = curl_slist_append(NULL, "Expect:");
  *ok = list != NULL;
  if (strcmp(call->method, "POST") == 0)
    list = add_header(list, "Content-Type", call->content_type, ok);
  return add_header(list, "Accept", call->accept, ok);
}

static void set_authentication(CURL *c, const struct http_call *call) {
  bool basic = call->username && *call->username, bearer = call->bearer && *call->bearer;
  curl_easy_setopt(c, CURLOPT_HTTPAUTH, bearer ? CURLAUTH_BEARER : CURLAUTH_BASIC);
  curl_easy_setopt(c, CURLOPT_USERNAME, basic ? call->username : NULL);
  curl_easy_setopt(c, CURLOPT_PASSWORD, basic && call->password ? call->password : NULL);
  curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, bearer ? call->bearer : NULL);
}

static void set_call(CURL *c, const struct http_call *call, struct receiver *receiver,
                     char words[CURL_ERROR_SIZE]) {
  bool post = strcmp(call->method, "POST") == 0;
  curl_easy_setopt(c, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
  if (post) {
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->body.len ? call->body.ptr : "");
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
  }
  set_authentication(c, call);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)call->timeout_ms);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, receiver);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, words);
}

static void take_answer(struct http *h, struct http_answer *answer) {
  long code = 0;
  curl_off_t wait = 0;
  curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &code);
  curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &wait); /* 0: it is not said */
  *answer = (struct http_answer){(int)code, wait > 0 ? (int64_t)wait * 1000 : -1};
}

enum status http_call(struct http *h, const struct http_call *call, struct http_answer *answer,
                      struct buffer *out, struct error *err) {
  char words[CURL_ERROR_SIZE] = "";
  struct receiver receiver = {.out = out, .most = h->body_most};
  struct buffer url = {0};
  bool ok;
  struct curl_slist *headers = headers_of(call, &ok);
  *answer = (struct http_answer){0, -1};
  buffer_printf(&url, "%s%s", h->base, call->path);
  enum status st = ok ? buffer_status(&url, err) : error_set(err, ST_NO_MEMORY, "out of memory");
  if (st != ST_OK) goto out;
  curl_easy_setopt(h->curl, CURLOPT_URL, buffer_z(&url));
  curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
  set_call(h->curl, call, &receiver, words);
  CURLcode rc = curl_easy_perform(h->curl);
  curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, NULL); /* words ends here, headers too */
  curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
  take_answer(h, answer);
  h->timed_out = rc == CURLE_OPERATION_TIMEDOUT;
  if (rc != CURLE_OK) st = failure(h, rc, &receiver, words, err);
out:
  curl_slist_free_all(headers);
  buffer_release(&url);
  return st;
}

enum status http_request(struct http *h, const char *method, const char *path, struct span body,
                         int timeout_ms, int *code, struct buffer *out, struct error *err) {
  struct http_answer answer;
  const struct http_call call = {.method = method,
                                 .path = path,
                                 .body = body,
                                 .content_type = "application/json",
                                 .timeout_ms = timeout_ms};
  enum status st = http_call(h, &call, &answer, out, err);
  *code = answer.code;
  return st;
}

bool http_timed_out(const struct http *h) {
  return h->timed_out;
}
