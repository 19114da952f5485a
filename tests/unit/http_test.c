/* The client against a server of a few lines on a Unix socket. */
#include "bridge/http/http.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE_BODY (64 * 1024 * 1024 + 1)

struct fixture {
  char root[200], folder[600], path[700];
  int listener;
  pthread_t thread;
  bool running;
  atomic_int connections;
  char incoming[65536]; /* of the server's thread */
  pthread_mutex_t lock;
  char request[65536]; /* the last one, whole; behind the lock */
  char copy[65536];
  struct http *h;
  struct buffer out;
  struct error err;
  int code;
};

/* ---- the server ---- */

static bool send_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes += n;
    len -= (size_t)n;
  }
  return true;
}

static bool answer(int fd, const char *status, const char *body) {
  char head[512];
  int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
                   strlen(body), body);
  return send_all(fd, head, (size_t)n);
}

static bool answer_huge(int fd) {
  static const char block[65536] = {0};
  char head[100];
  int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", HUGE_BODY);
  bool ok = send_all(fd, head, (size_t)n);
  for (size_t left = HUGE_BODY; ok && left > 0;) {
    size_t part = left < sizeof block ? left : sizeof block;
    ok = send_all(fd, block, part);
    left -= part;
  }
  return ok;
}

/* One request with its body; false when the client is gone. */
static bool read_request(struct fixture *f, int fd) {
  size_t got = 0, want = SIZE_MAX;
  while (got < want) {
    ssize_t n = recv(fd, f->incoming + got, sizeof f->incoming - 1 - got, 0);
    if (n <= 0) return false;
    got += (size_t)n;
    f->incoming[got] = '\0';
    const char *end = strstr(f->incoming, "\r\n\r\n"),
               *length = strstr(f->incoming, "Content-Length: ");
    if (end) want = (size_t)(end + 4 - f->incoming) + (length ? strtoul(length + 16, NULL, 10) : 0);
  }
  pthread_mutex_lock(&f->lock);
  memcpy(f->request, f->incoming, sizeof f->request);
  pthread_mutex_unlock(&f->lock);
  return true;
}

/* What the server was sent last. */
static const char *sent(struct fixture *f) {
  pthread_mutex_lock(&f->lock);
  memcpy(f->copy, f->request, sizeof f->copy);
  pthread_mutex_unlock(&f->lock);
  return f->copy;
}

/* The path says what is answered. */
static bool reply(struct fixture *f, int fd) {
  const char *path = strchr(f->incoming, ' ') + 1;
  if (!strncmp(path, "/missing ", 9)) return answer(fd, "404 Not Found", "no such thing");
  if (!strncmp(path, "/moved ", 7))
    return answer(fd, "302 Found\r\nLocation: /missing", "elsewhere");
  if (!strncmp(path, "/huge ", 6)) return answer_huge(fd);
  if (!strncmp(path, "/close ", 7)) return false;
  if (!strncmp(path, "/rubbish ", 9)) return send_all(fd, "rubbish\n\n", 9) && false;
  if (!strncmp(path, "/never ", 7))
    return recv(fd, f->incoming, 1, 0) > 0; /* until the client goes */
  return answer(fd, "200 OK", "hello");
}

static void *serve(void *arg) {
  struct fixture *f = arg;
  int fd;
  while ((fd = accept(f->listener, NULL, NULL)) >= 0) {
    atomic_fetch_add(&f->connections, 1);
    while (read_request(f, fd) && reply(f, fd)) {
    }
    close(fd);
  }
  return NULL;
}

/* Bound through /proc/self/fd, so that the path may be long. */
static void start(struct fixture *f) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int folder = open(f->folder, O_PATH | O_DIRECTORY);
  assert_true(folder >= 0);
  snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/control.sock", folder);
  f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(f->listener, 5), 0);
  close(folder);
  assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
  f->running = true;
}

static void stop(struct fixture *f) {
  if (!f->running) return;
  http_close(f->h); /* else the server would wait for it */
  f->h = NULL;
  shutdown(f->listener, SHUT_RDWR);
  pthread_join(f->thread, NULL);
  close(f->listener);
  f->running = false;
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  pthread_mutex_init(&f->lock, NULL);
  folder_make(f->folder, sizeof f->folder, "http");
  snprintf(f->root, sizeof f->root, "%s", f->folder);
  snprintf(f->path, sizeof f->path, "%s/control.sock", f->folder);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  stop(f);
  http_close(f->h);
  buffer_release(&f->out);
  int rc = folder_remove(f->root);
  pthread_mutex_destroy(&f->lock);
  free(f);
  return rc;
}

static void open_client(struct fixture *f) {
  assert_int_equal(http_open(f->path, "http://localhost", &f->h, &f->err), ST_OK);
}

static enum status get(struct fixture *f, const char *path) {
  buffer_clear(&f->out);
  return http_request(f->h, "GET", path, SPAN(""), 20000, &f->code, &f->out, &f->err);
}

/* ---- tests ---- */

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(get_brings_status_and_body) {
  struct fixture *f = *state;
  start(f);
  open_client(f);
  assert_int_equal(get(f, "/v1/health?detailed=1"), ST_OK);
  assert_int_equal(f->code, 200);
  assert_string_equal(buffer_z(&f->out), "hello");
  assert_non_null(strstr(sent(f), "GET /v1/health?detailed=1 HTTP/1.1\r\n"));
  assert_non_null(strstr(sent(f), "Host: localhost\r\n"));
  assert_int_equal(get(f, "/missing"), ST_OK);
  assert_int_equal(f->code, 404);
  assert_string_equal(buffer_z(&f->out), "no such thing");
  assert_int_equal(atomic_load(&f->connections), 1); /* kept */
}

CASE(post_sends_its_body) {
  struct fixture *f = *state;
  start(f);
  open_client(f);
  assert_int_equal(http_request(f->h, "POST", "/v1/flush", SPAN("{\"limit\":3}"), 20000, &f->code,
                                &f->out, &f->err),
                   ST_OK);
  assert_non_null(strstr(sent(f), "POST /v1/flush HTTP/1.1\r\n"));
  assert_non_null(strstr(sent(f), "Content-Type: application/json\r\n"));
  assert_non_null(strstr(sent(f), "\r\n\r\n{\"limit\":3}"));
  assert_int_equal(
      http_request(f->h, "POST", "/x", (struct span){NULL, 0}, 20000, &f->code, &f->out, &f->err),
      ST_OK);
  assert_non_null(strstr(sent(f), "Content-Length: 0\r\n"));
  assert_int_equal(get(f, "/x"), ST_OK);
  assert_int_equal(strncmp(sent(f), "GET ", 4), 0);
  assert_null(strstr(sent(f), "Content-Type"));
}

CASE(a_large_body_is_not_announced_first) {
  struct fixture *f = *state;
  static char body[40000];
  memset(body, 'x', sizeof body);
  start(f);
  open_client(f);
  assert_int_equal(http_request(f->h, "POST", "/x", (struct span){body, sizeof body}, 20000,
                                &f->code, &f->out, &f->err),
                   ST_OK);
  assert_null(strstr(sent(f), "Expect"));
}

CASE(redirects_are_not_followed_and_proxies_not_used) {
  struct fixture *f = *state;
  assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
  assert_int_equal(setenv("all_proxy", "http://127.0.0.1:1", 1), 0);
  start(f);
  open_client(f);
  assert_int_equal(get(f, "/moved"), ST_OK);
  assert_int_equal(f->code, 302);
  assert_string_equal(buffer_z(&f->out), "elsewhere");
  unsetenv("http_proxy");
  unsetenv("all_proxy");
}

CASE(a_long_path_works) {
  struct fixture *f = *state;
  for (int i = 0; i < 5; i++) {
    strncat(f->folder, "/a-folder-with-a-name-of-some-length-to-it",
            sizeof f->folder - strlen(f->folder) - 1);
    assert_int_equal(mkdir(f->folder, 0700), 0);
  }
  snprintf(f->path, sizeof f->path, "%.600s/control.sock", f->folder);
  assert_true(strlen(f->path) > 200);
  start(f);
  open_client(f);
  assert_int_equal(get(f, "/x"), ST_OK);
  assert_string_equal(buffer_z(&f->out), "hello");
}

CASE(a_long_path_to_nowhere_is_told) {
  struct fixture *f = *state;
  char path[300] = "/nonexistent/";
  memset(path + 13, 'x', 200);
  assert_int_equal(http_open(path, "http://localhost", &f->h, &f->err), ST_INVALID);
  memset(path, 0, sizeof path);
  snprintf(path, sizeof path, "/nonexistent/%0150d/control.sock", 0);
  assert_int_equal(http_open(path, "http://localhost", &f->h, &f->err), ST_NOT_FOUND);
  assert_non_null(strstr(f->err.text, "the folder of the socket"));
  memset(path, 'x', 120);
  path[120] = '\0';
  assert_int_equal(http_open(path, "http://localhost", &f->h, &f->err), ST_INVALID);
  assert_null(f->h);
}

CASE(nobody_listening_is_unavailable) {
  struct fixture *f = *state;
  open_client(f);
  assert_int_equal(get(f, "/x"), ST_UNAVAILABLE);
  assert_string_equal(f->err.text, "connecting: No such file or directory");
  start(f);
  assert_int_equal(get(f, "/x"), ST_OK);
  stop(f); /* its socket stays, as after a crash */
  open_client(f);
  assert_int_equal(get(f, "/x"), ST_UNAVAILABLE);
  assert_string_equal(f->err.text, "connecting: Connection refused");
}

CASE(no_right_to_connect_is_denied) {
  struct fixture *f = *state;
  start(f);
  assert_int_equal(chmod(f->path, 0), 0);
  assert_int_equal(chmod(f->folder, 0755), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) { /* as nobody, when this runs as root */
    struct http *h = NULL;
    int code;
    if (geteuid() == 0 && setuid(65534) < 0) _exit(1);
    enum status st = http_open(f->path, "http://localhost", &h, NULL);
    if (st == ST_OK) st = http_request(h, "GET", "/x", SPAN(""), 20000, &code, &f->out, NULL);
    _exit(st == ST_DENIED ? 0 : 2);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

CASE(no_answer_in_time_is_unavailable) {
  struct fixture *f = *state;
  start(f);
  open_client(f);
  assert_int_equal(http_request(f->h, "GET", "/never", SPAN(""), 50, &f->code, &f->out, &f->err),
                   ST_UNAVAILABLE);
  assert_non_null(strstr(f->err.text, "timed out"));
  assert_int_equal(get(f, "/x"), ST_OK); /* the client is fit for use */
}

CASE(a_broken_answer_is_unavailable) {
  struct fixture *f = *state;
  start(f);
  open_client(f);
  assert_int_equal(get(f, "/close"), ST_UNAVAILABLE);
  assert_true(f->err.text[0] != '\0');
  assert_int_equal(get(f, "/rubbish"), ST_UNAVAILABLE);
  assert_int_equal(get(f, "/x"), ST_OK);
}

CASE(an_answer_beyond_the_limit_is_refused) {
  struct fixture *f = *state;
  start(f);
  open_client(f);
  assert_int_equal(get(f, "/huge"), ST_TOO_LARGE);
  assert_string_equal(f->err.text, "the answer has more than 64 MiB");
  assert_true(f->out.len < HUGE_BODY);
  assert_int_equal(get(f, "/x"), ST_OK);
}

CASE(other_protocols_are_not_spoken) {
  struct fixture *f = *state;
  assert_int_equal(http_open(NULL, "file:///etc", &f->h, &f->err), ST_OK);
  assert_int_equal(get(f, "/passwd"), ST_UNAVAILABLE);
  assert_int_equal(f->out.len, 0);
}
