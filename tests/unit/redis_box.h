/* redis_box.h - a real redis-server for each test, started by it in a folder of its own, and keys
 * over it. */
#ifndef TESTS_UNIT_REDIS_BOX_H
#define TESTS_UNIT_REDIS_BOX_H

#include "bridge/keys/keys.h"
#include "bridge/service/keys_due.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS_MAX 8

struct fixture {
  char folder[64], socket[96], url[128], log_path[96];
  char host[20]; /* empty: on the Unix socket */
  int port;
  const char *options[OPTIONS_MAX];
  pid_t redis;
  int fd, log_fd; /* fd: of the outbox's .busbridge */
  struct store *store;
  int64_t mono_ms; /* moves only when a test says so */
  struct clock clock;
  struct log *log;
  struct keys *keys;
  struct error err;
};

static inline int64_t frozen_mono(void *ctx) {
  return *(int64_t *)ctx * 1000000;
}
static inline int64_t real_wall(void *ctx) {
  return (void)ctx, clock_wall_us(&clock_system);
}
static inline uint64_t no_random(void *ctx) {
  return (void)ctx, 0;
}

/* ---- redis-server ---- */

static inline redisContext *try_connect(const struct fixture *f) {
  redisContext *c = *f->host ? redisConnect(f->host, f->port) : redisConnectUnix(f->socket);
  assert_non_null(c);
  if (!c->err) return c;
  redisFree(c);
  return NULL;
}

static inline void exec_redis(const struct fixture *f) {
  char port[16], log[96];
  const char *words[24 + OPTIONS_MAX] = {"redis-server", "--save", "",       "--appendonly",
                                         "no",           "--dir",  f->folder};
  int n = 7;
  snprintf(port, sizeof port, "%d", f->port);
  snprintf(log, sizeof log, "%s/redis.log", f->folder);
  words[n++] = "--port", words[n++] = port;
  words[n++] = "--bind", words[n++] = *f->host ? f->host : "127.0.0.1";
  words[n++] = "--logfile", words[n++] = log;
  if (!*f->host) words[n++] = "--unixsocket", words[n++] = f->socket;
  for (int i = 0; i < OPTIONS_MAX && f->options[i]; i++) words[n++] = f->options[i];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  execvp(words[0], (char *const *)(uintptr_t)words);
  _exit(127);
}

static inline void start(struct fixture *f) {
  f->redis = fork();
  assert_true(f->redis >= 0);
  if (f->redis == 0) exec_redis(f);
  for (int i = 0; i < 12000; i++) {
    redisContext *c = try_connect(f);
    if (c) {
      redisFree(c);
      return;
    }
    assert_int_equal(waitpid(f->redis, NULL, WNOHANG), 0);
    usleep(10000);
  }
  fail_msg("redis-server did not begin to listen");
}

static inline void stop(struct fixture *f) {
  if (f->redis <= 0) return;
  kill(f->redis, SIGKILL);
  waitpid(f->redis, NULL, 0);
  f->redis = 0;
  unlink(f->socket);
}

/* A question to Redis beside the module; its answer as text, "(nil)" for none. */
static inline const char *ask(struct fixture *f, const char *fmt, ...) {
  static char text[512];
  va_list ap;
  redisContext *c = try_connect(f);
  assert_non_null(c);
  va_start(ap, fmt);
  redisReply *r = redisvCommand(c, fmt, ap);
  va_end(ap);
  assert_non_null(r);
  if (r->type == REDIS_REPLY_INTEGER)
    snprintf(text, sizeof text, "%lld", r->integer);
  else
    snprintf(text, sizeof text, "%s", r->type == REDIS_REPLY_NIL ? "(nil)" : r->str);
  freeReplyObject(r);
  redisFree(c);
  return text;
}

/* ---- fixture ---- */

static inline int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  folder_make(f->folder, sizeof f->folder, "keys");
  snprintf(f->socket, sizeof f->socket, "%s/redis.sock", f->folder);
  snprintf(f->url, sizeof f->url, "unix:%s", f->socket);
  snprintf(f->log_path, sizeof f->log_path, "%s/log", f->folder);
  char url[80], inside[80];
  snprintf(url, sizeof url, "file:%s", f->folder);
  snprintf(inside, sizeof inside, "%s/.busbridge", f->folder);
  const struct store_options options = {.create = true, .clock = &clock_system};
  assert_int_equal(store_open(url, &options, &f->store, &f->err), ST_OK);
  assert_int_equal(store_lock(f->store, 0, &f->err), ST_OK);
  f->fd = open(inside, O_RDONLY | O_DIRECTORY);
  f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND, 0600);
  assert_true(f->fd >= 0 && f->log_fd >= 0);
  f->mono_ms = 1000000;
  f->clock = (struct clock){real_wall, frozen_mono, no_random, &f->mono_ms};
  assert_int_equal(log_open(f->log_fd, LOG_LOGFMT, LOG_INFO, &clock_system, &f->log), ST_OK);
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  struct fixture *f = *state;
  keys_close(f->keys);
  store_close(f->store);
  stop(f);
  log_close(f->log);
  close(f->fd);
  close(f->log_fd);
  int rc = folder_remove(f->folder);
  free(f);
  return rc;
}

/* timeout_ms: of Redis. due: what it cannot be told is kept. */
static inline enum status try_open_keys(struct fixture *f, int timeout_ms, bool due) {
  const struct keys_due kept = keys_due_in(f->store);
  struct keys_config config = {.url = f->url,
                               .prefix = "t:",
                               .ttl_ms = 3600000,
                               .timeout_ms = timeout_ms,
                               .due = due ? &kept : NULL,
                               .clock = &f->clock};
  keys_close(f->keys);
  f->keys = NULL;
  return keys_open(&config, f->log, &f->keys, &f->err);
}

static inline void open_keys_with(struct fixture *f, int timeout_ms, bool due) {
  enum status st = try_open_keys(f, timeout_ms, due);
  if (st != ST_OK) print_error("%s\n", f->err.text);
  assert_int_equal(st, ST_OK);
}

static inline void open_keys(struct fixture *f) {
  open_keys_with(f, 20000, true);
}

static inline struct keys_state told(struct fixture *f) {
  struct keys_state s;
  keys_state(f->keys, &s);
  return s;
}

static inline enum status set_one(struct fixture *f, const char *id) {
  struct key key = {span_of(id), SPAN("episode.events/3/42")};
  return keys_set(f->keys, &key, 1, &f->err);
}

/* Is the id seen? *st says whether Redis was asked. */
static inline bool seen(struct fixture *f, const char *id, enum status *st) {
  struct span ids[1] = {span_of(id)};
  bool yes = false;
  *st = keys_check(f->keys, ids, 1, &yes, NULL, NULL);
  return yes;
}

static inline void assert_seen(struct fixture *f, const char *id, bool expected,
                               enum status expected_st) {
  enum status st;
  assert_int_equal(seen(f, id, &st), expected);
  assert_int_equal(st, expected_st);
}

static inline bool there(struct fixture *f, const char *name) {
  return faccessat(f->fd, name, F_OK, 0) == 0;
}

static inline void put(struct fixture *f, const char *name, const char *text) {
  int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static inline void assert_content(struct fixture *f, const char *name, const char *expected) {
  char text[4096];
  int fd = openat(f->fd, name, O_RDONLY);
  assert_true(fd >= 0);
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  assert_true(n >= 0);
  text[n] = '\0';
  assert_string_equal(text, expected);
}

static inline int logged(struct fixture *f, const char *word) {
  static char text[65536];
  int count = 0;
  ssize_t n = pread(f->log_fd, text, sizeof text - 1, 0);
  assert_true(n >= 0);
  text[n] = '\0';
  for (const char *at = text; (at = strstr(at, word)); at++) count++;
  return count;
}

#define MANY 3000
static inline void make_many(struct key *list, struct span *ids, char (*names)[16]) {
  for (int i = 0; i < MANY; i++) {
    snprintf(names[i], sizeof names[i], "id-%d", i);
    ids[i] = span_of(names[i]);
    list[i] = (struct key){ids[i], SPAN("p/0/1")};
  }
}

#define CASE(name) TEST_WITH(name, setup, teardown)

/* What a program of such tests returns. */
static inline int redis_tests_run(void) {
  signal(SIGPIPE, SIG_IGN);
  if (system("redis-server --version >/dev/null 2>&1") != 0) {
    const char *ci = getenv("CI");
    printf("SKIPPED: redis-server is not installed\n");
    return ci && !strcmp(ci, "true") ? 1 : 77;
  }
  return tests_run();
}

#endif
