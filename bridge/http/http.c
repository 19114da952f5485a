/* libcurl behind one request function: over TCP or a Unix socket, with answers of at most 64 MiB.
 * One thread a client; a crash leaves nothing. */
#include "bridge/http/http.h"

#include "bridge/base/denial.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BODY_MAX (64 * 1024 * 1024)
#define SOCKET_PATH_MAX 107 /* bytes of sun_path, one less for the NUL */

struct http {
  CURL *curl;
  char *base;
  struct curl_slist *headers; /* of a POST */
  bool timed_out;             /* the last request */
  char *socket;               /* its path, for messages; NULL: TCP */
  int folder; /* of the socket, when its path is too long to be used as it is; else -1 */
};

static enum status denied(const struct http *h, int errnum, struct error *err) {
  enum status st = error_sys(err, errnum, "connecting to %s", h->socket ? h->socket : h->base);
  if (h->socket) error_denied(err, h->socket, R_OK | W_OK);
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

enum status http_open(const char *socket_path, const char *base, struct http **out,
                      struct error *err) {
  struct http *h = calloc(1, sizeof *h);
  if (!h) return error_set(err, ST_NO_MEMORY, "out of memory");
  h->folder = -1;
  h->curl = curl_easy_init();
  h->base = strdup(base);
  /* No "Expect: 100-continue": the server would have to answer it before the body comes. */
  h->headers =
      curl_slist_append(curl_slist_append(NULL, "Content-Type: application/json"), "Expect:");
  enum status st =
      h->curl && h->base && h->headers ? ST_OK : error_set(err, ST_NO_MEMORY, "out of memory");
  if (st == ST_OK) st = set_options(h->curl, err);
  if (st == ST_OK && socket_path) h->socket = strdup(socket_path);
  if (st == ST_OK && socket_path)
    st =
        h->socket ? set_socket(h, socket_path, err) : error_set(err, ST_NO_MEMORY, "out of memory");
  if (st != ST_OK) {
    http_close(h);
    return st;
  }
  *out = h;
  return ST_OK;
}

void http_close(struct http *h) {
  if (!h) return;
  if (h->curl) curl_easy_cleanup(h->curl);
  curl_slist_free_all(h->headers);
  if (h->folder >= 0) close(h->folder);
  free(h->base);
  free(h->socket);
  free(h);
}

struct receiver {
  struct buffer *out;
  size_t got;
  bool too_large;
};

static size_t receive(char *bytes, size_t size, size_t count, void *ctx) {
  struct receiver *r = ctx;
  size_t len = size * count;
  r->got += len;
  r->too_large = r->got > BODY_MAX;
  if (!r->too_large) buffer_append(r->out, bytes, len);
  return r->too_large || r->out->failed ? 0 : len; /* anything but len ends the transfer */
}

static enum status failure(const struct http *h, CURLcode code, const struct receiver *r,
                           const char *words, struct error *err) {
  long errnum = 0;
  const char *text = words[0] ? words : curl_easy_strerror(code);
  if (r->too_large)
    return error_set(err, ST_TOO_LARGE, "the answer has more than %d MiB", BODY_MAX / 1024 / 1024);
  if (r->out->failed || code == CURLE_OUT_OF_MEMORY)
    return error_set(err, ST_NO_MEMORY, "out of memory");
  curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &errnum);
  if (code == CURLE_COULDNT_CONNECT && (errnum == EACCES || errnum == EPERM))
    return denied(h, (int)errnum, err);
  if (code == CURLE_COULDNT_CONNECT && errnum != 0)
    return error_set(err, ST_UNAVAILABLE, "connecting: %s", strerror((int)errnum));
  return error_set(err, ST_UNAVAILABLE, "%s", text);
}

enum status http_request(struct http *h, const char *method, const char *path, struct span body,
                         int timeout_ms, int *code, struct buffer *out, struct error *err) {
  char words[CURL_ERROR_SIZE] = "";
  struct receiver receiver = {.out = out};
  struct buffer url = {0};
  long answer = 0;
  buffer_printf(&url, "%s%s", h->base, path);
  enum status st = buffer_status(&url, err);
  if (st != ST_OK) goto out;
  bool post = strcmp(method, "POST") == 0;
  curl_easy_setopt(h->curl, CURLOPT_URL, buffer_z(&url));
  curl_easy_setopt(h->curl, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
  if (post) {
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body.len ? body.ptr : "");
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
  }
  curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, post ? h->headers : NULL);
  curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
  curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
  curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, &receiver);
  curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, words);
  CURLcode rc = curl_easy_perform(h->curl);
  curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, NULL); /* words ends here */
  curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &answer);
  *code = (int)answer;
  h->timed_out = rc == CURLE_OPERATION_TIMEDOUT;
  if (rc != CURLE_OK) st = failure(h, rc, &receiver, words, err);
out:
  buffer_release(&url);
  return st;
}

bool http_timed_out(const struct http *h) {
  return h->timed_out;
}
