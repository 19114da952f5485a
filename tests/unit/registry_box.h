/* registry_box.h - a registry of a few lines on a port of its own: answers by a script, and tells
 * what it was asked. Each answer serves any number of requests until another one is scripted for
 * the same request.
 */
#ifndef TESTS_UNIT_REGISTRY_BOX_H
#define TESTS_UNIT_REGISTRY_BOX_H

#include "bridge/registry/registry.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BOX_ANSWERS = 64, BOX_SERVERS = 12, BOX_REQUEST = 256 * 1024 };

struct box_answer {
  char request[200]; /* "POST /subjects/s", or "" for what nothing else is scripted for */
  char has[200];     /* which the body must hold, or "" */
  int code;
  char headers[200], body[4000];
  size_t padding; /* blanks in front of the body */
  unsigned asked;
};

struct registry_box {
  int listener, port;
  pthread_t threads[BOX_SERVERS];
  pthread_mutex_t lock; /* what follows */
  struct box_answer answers[BOX_ANSWERS];
  size_t count, requests;
  char last[BOX_REQUEST]; /* request whole */
  bool silent;            /* nothing is answered */
  struct registry *r;
  struct error err;
  struct registry_schema schema;
  char url[100];
};

static bool box_send(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes += n;
    len -= (size_t)n;
  }
  return true;
}

static bool box_receive(int fd, char *text, size_t size) {
  size_t got = 0, want = SIZE_MAX;
  while (got < want && got + 1 < size) {
    ssize_t n = recv(fd, text + got, size - 1 - got, 0);
    if (n <= 0) return false;
    got += (size_t)n;
    text[got] = '\0';
    const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
    if (end) want = (size_t)(end + 4 - text) + (length ? strtoul(length + 16, NULL, 10) : 0);
  }
  return true;
}

/* The last one scripted that is meant. */
static struct box_answer *box_find(struct registry_box *b, const char *text) {
  struct box_answer *found = NULL;
  for (size_t i = 0; i < b->count; i++) {
    struct box_answer *a = &b->answers[i];
    size_t len = strlen(a->request);
    if (len && (strncmp(text, a->request, len) != 0 || text[len] != ' ')) continue;
    if (a->has[0] && !strstr(text, a->has)) continue;
    if (!found || len || !found->request[0]) found = a;
  }
  return found;
}

static bool box_reply(struct registry_box *b, int fd, const char *text) {
  static const char none[] = "nothing is scripted for this";
  pthread_mutex_lock(&b->lock);
  b->requests++;
  snprintf(b->last, sizeof b->last, "%s", text);
  struct box_answer *a = box_find(b, text), copy = {.code = 501};
  if (a) a->asked++, copy = *a;
  if (!a) memcpy(copy.body, none, sizeof none);
  bool silent = b->silent;
  pthread_mutex_unlock(&b->lock);
  if (silent) return false;
  struct buffer out = {0};
  buffer_printf(&out, "HTTP/1.1 %d Said\r\n%sContent-Length: %zu\r\n\r\n", copy.code, copy.headers,
                copy.padding + strlen(copy.body));
  for (size_t i = 0; i < copy.padding; i++) buffer_add_char(&out, ' ');
  buffer_add_z(&out, copy.body);
  bool ok = box_send(fd, out.ptr, out.len);
  buffer_release(&out);
  return ok;
}

static void *box_serve(void *arg) {
  struct registry_box *b = arg;
  char *text = malloc(BOX_REQUEST);
  int fd;
  while ((fd = accept(b->listener, NULL, NULL)) >= 0) {
    while (box_receive(fd, text, BOX_REQUEST) && box_reply(b, fd, text)) {
    }
    close(fd);
  }
  free(text);
  return NULL;
}

static void box_listen(struct registry_box *b) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)b->port)};
  socklen_t len = sizeof a;
  int one = 1;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(b->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  assert_int_equal(bind(b->listener, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(b->listener, 64), 0);
  assert_int_equal(getsockname(b->listener, (struct sockaddr *)&a, &len), 0);
  b->port = ntohs(a.sin_port);
  snprintf(b->url, sizeof b->url, "http://127.0.0.1:%d", b->port);
  for (int i = 0; i < BOX_SERVERS; i++)
    assert_int_equal(pthread_create(&b->threads[i], NULL, box_serve, b), 0);
}

/* Clients must be closed before: their connections are kept. */
static void box_end(struct registry_box *b) {
  if (b->listener < 0) return;
  shutdown(b->listener, SHUT_RDWR);
  for (int i = 0; i < BOX_SERVERS; i++) pthread_join(b->threads[i], NULL);
  close(b->listener);
  b->listener = -1;
}

static void box_say(struct registry_box *b, const char *request, int code, const char *body) {
  pthread_mutex_lock(&b->lock);
  struct box_answer *a = NULL;
  for (size_t i = 0; i < b->count; i++)
    if (!strcmp(b->answers[i].request, request) && !b->answers[i].has[0]) a = &b->answers[i];
  if (!a) a = &b->answers[b->count++];
  assert_true(b->count <= BOX_ANSWERS);
  *a = (struct box_answer){.code = code};
  snprintf(a->request, sizeof a->request, "%s", request);
  snprintf(a->body, sizeof a->body, "%s", body);
  pthread_mutex_unlock(&b->lock);
}

static int box_setup(void **state) {
  struct registry_box *b = calloc(1, sizeof *b);
  assert_non_null(b);
  pthread_mutex_init(&b->lock, NULL);
  box_listen(b);
  *state = b;
  return 0;
}

static int box_teardown(void **state) {
  struct registry_box *b = *state;
  registry_close(b->r);
  box_end(b);
  pthread_mutex_destroy(&b->lock);
  free(b);
  return 0;
}

#define BOX_CASE(name) TEST_WITH(name, box_setup, box_teardown)

#endif
