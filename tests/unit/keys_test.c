/* Idempotency keys against a real redis-server, started by each test in a folder of its own. */
#include "bridge/keys/keys.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS_MAX 8

struct fixture {
  char folder[64], socket[96], url[128], log_path[96];
  int port; /* 0: on the Unix socket */
  const char *options[OPTIONS_MAX];
  pid_t redis;
  int fd, log_fd;
  int64_t mono_ms; /* moves only when a test says so */
  struct clock clock;
  struct log *log;
  struct keys *keys;
  struct error err;
};

static int64_t frozen_mono(void *ctx) {
  return *(int64_t *)ctx * 1000000;
}
static int64_t real_wall(void *ctx) {
  return (void)ctx, clock_wall_us(&clock_system);
}
static uint64_t no_random(void *ctx) {
  return (void)ctx, 0;
}

/* ---- redis-server ---------------------------------------------------------------------------------------------- */

static redisContext *try_connect(const struct fixture *f) {
  redisContext *c = f->port ? redisConnect("127.0.0.1", f->port) : redisConnectUnix(f->socket);
  assert_non_null(c);
  if (!c->err) return c;
  redisFree(c);
  return NULL;
}

static void exec_redis(const struct fixture *f) {
  char port[16], log[96];
  const char *words[24 + OPTIONS_MAX] = {"redis-server", "--save", "", "--appendonly", "no", "--dir", f->folder};
  int n = 7;
  snprintf(port, sizeof port, "%d", f->port);
  snprintf(log, sizeof log, "%s/redis.log", f->folder);
  words[n++] = "--port", words[n++] = port;
  words[n++] = "--bind", words[n++] = "127.0.0.1";
  words[n++] = "--logfile", words[n++] = log;
  if (!f->port) words[n++] = "--unixsocket", words[n++] = f->socket;
  for (int i = 0; i < OPTIONS_MAX && f->options[i]; i++) words[n++] = f->options[i];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  execvp(words[0], (char *const *)(uintptr_t)words);
  _exit(127);
}

static void start(struct fixture *f) {
  f->redis = fork();
  assert_true(f->redis >= 0);
  if (f->redis == 0) exec_redis(f);
  for (int i = 0; i < 3000; i++) {
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

static void stop(struct fixture *f) {
  if (f->redis <= 0) return;
  kill(f->redis, SIGKILL);
  waitpid(f->redis, NULL, 0);
  f->redis = 0;
  unlink(f->socket);
}

/* A question to Redis beside the module; its answer as text, "(nil)" for none. */
static const char *ask(struct fixture *f, const char *fmt, ...) {
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

/* ---- fixture --------------------------------------------------------------------------------------------------- */

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  folder_make(f->folder, sizeof f->folder, "keys");
  snprintf(f->socket, sizeof f->socket, "%s/redis.sock", f->folder);
  snprintf(f->url, sizeof f->url, "unix:%s", f->socket);
  snprintf(f->log_path, sizeof f->log_path, "%s/log", f->folder);
  f->fd = open(f->folder, O_RDONLY | O_DIRECTORY);
  f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND, 0600);
  assert_true(f->fd >= 0 && f->log_fd >= 0);
  f->mono_ms = 1000000;
  f->clock = (struct clock){real_wall, frozen_mono, no_random, &f->mono_ms};
  assert_int_equal(log_open(f->log_fd, LOG_LOGFMT, LOG_INFO, &clock_system, &f->log), ST_OK);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  keys_close(f->keys);
  stop(f);
  log_close(f->log);
  close(f->fd);
  close(f->log_fd);
  int rc = folder_remove(f->folder);
  free(f);
  return rc;
}

static void open_keys_at(struct fixture *f, int folder) {
  struct keys_config config = {
      .url = f->url, .prefix = "t:", .ttl_ms = 3600000, .timeout_ms = 20000, .folder = folder, .clock = &f->clock};
  keys_close(f->keys);
  f->keys = NULL;
  enum status st = keys_open(&config, f->log, &f->keys, &f->err);
  if (st != ST_OK) print_error("%s\n", f->err.text);
  assert_int_equal(st, ST_OK);
}

static void open_keys(struct fixture *f) {
  open_keys_at(f, f->fd);
}

static struct keys_state told(struct fixture *f) {
  struct keys_state s;
  keys_state(f->keys, &s);
  return s;
}

static enum status set_one(struct fixture *f, const char *id) {
  struct key key = {span_of(id), SPAN("episode.events/3/42")};
  return keys_set(f->keys, &key, 1, &f->err);
}

/* Is the id seen? *st says whether Redis was asked. */
static bool seen(struct fixture *f, const char *id, enum status *st) {
  struct span ids[1] = {span_of(id)};
  bool yes = false;
  *st = keys_check(f->keys, ids, 1, &yes, NULL, NULL);
  return yes;
}

static void assert_seen(struct fixture *f, const char *id, bool expected, enum status expected_st) {
  enum status st;
  assert_int_equal(seen(f, id, &st), expected);
  assert_int_equal(st, expected_st);
}

static bool there(struct fixture *f, const char *name) {
  return faccessat(f->fd, name, F_OK, 0) == 0;
}

static void put(struct fixture *f, const char *name, const char *text) {
  int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static void assert_content(struct fixture *f, const char *name, const char *expected) {
  char text[4096];
  int fd = openat(f->fd, name, O_RDONLY);
  assert_true(fd >= 0);
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  assert_true(n >= 0);
  text[n] = '\0';
  assert_string_equal(text, expected);
}

static int logged(struct fixture *f, const char *word) {
  static char text[65536];
  int count = 0;
  ssize_t n = pread(f->log_fd, text, sizeof text - 1, 0);
  assert_true(n >= 0);
  text[n] = '\0';
  for (const char *at = text; (at = strstr(at, word)); at++) count++;
  return count;
}

/* ---- Redis is there -------------------------------------------------------------------------------------------- */

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(an_id_is_seen_once_it_was_set) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_false(told(f).up);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", true, ST_OK);
  assert_seen(f, "b", false, ST_OK);
  assert_string_equal(ask(f, "GET t:a"), "episode.events/3/42");
  long ttl = strtol(ask(f, "TTL t:a"), NULL, 10);
  assert_true(ttl > 3000 && ttl <= 3600);
  assert_true(told(f).up);
  assert_int_equal(told(f).checks, 3);
  assert_int_equal(told(f).sets, 1);
  assert_int_equal(told(f).errors, 0);
  assert_false(there(f, "keys-due"));
  assert_int_equal(logged(f, "event="), 0);
}

CASE(check_tells_where_the_twin_lies) {
  struct fixture *f = *state;
  struct arena arena = {0};
  struct span ids[3] = {SPAN("x"), SPAN("a"), SPAN("y")}, place[3];
  bool yes[3];
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(keys_check(f->keys, ids, 3, yes, place, &arena), ST_OK);
  assert_true(!yes[0] && yes[1] && !yes[2]);
  assert_true(span_is(place[1], "episode.events/3/42"));
  assert_int_equal(place[0].len, 0);
  arena_release(&arena);
}

#define MANY 3000
static void make_many(struct key *list, struct span *ids, char (*names)[16]) {
  for (int i = 0; i < MANY; i++) {
    snprintf(names[i], sizeof names[i], "id-%d", i);
    ids[i] = span_of(names[i]);
    list[i] = (struct key){ids[i], SPAN("p/0/1")};
  }
}

CASE(a_large_batch_is_set_and_seen) {
  struct fixture *f = *state;
  static struct key list[MANY];
  static struct span ids[MANY];
  static char names[MANY][16];
  static bool yes[MANY];
  make_many(list, ids, names);
  start(f);
  open_keys(f);
  assert_int_equal(keys_set(f->keys, list, MANY, &f->err), ST_OK);
  assert_string_equal(ask(f, "DBSIZE"), "3000");
  assert_int_equal(keys_check(f->keys, ids, MANY, yes, NULL, NULL), ST_OK);
  for (int i = 0; i < MANY; i++) assert_true(yes[i]);
  assert_int_equal(keys_check(f->keys, ids, 0, yes, NULL, NULL), ST_OK);
  assert_int_equal(keys_set(f->keys, list, 0, &f->err), ST_OK);
}

CASE(an_id_can_be_forgotten) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_OK);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("never"), &f->err), ST_OK);
}

CASE(a_database_can_be_chosen) {
  struct fixture *f = *state;
  start(f);
  snprintf(f->url, sizeof f->url, "unix:%s?db=3", f->socket);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_string_equal(ask(f, "DBSIZE"), "0");
  assert_seen(f, "a", true, ST_OK);
  snprintf(f->url, sizeof f->url, "unix:%s?db=99", f->socket);
  open_keys(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "out of range"));
}

CASE(redis_that_was_restarted_between_calls_is_not_away) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", true, ST_OK);
  stop(f);
  start(f);
  assert_seen(f, "a", false, ST_OK); /* it has no disk in this test */
  assert_int_equal(set_one(f, "b"), ST_OK);
  assert_string_equal(ask(f, "EXISTS t:b"), "1");
  assert_int_equal(told(f).errors, 0);
  assert_int_equal(logged(f, "event="), 0);
}

CASE(an_evicting_policy_is_warned_about) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  keys_check_policy(f->keys);
  assert_int_equal(logged(f, "redis_may_evict"), 0);
  ask(f, "CONFIG SET maxmemory-policy allkeys-lru");
  keys_check_policy(f->keys);
  assert_int_equal(logged(f, "redis_may_evict"), 0); /* no limit, no eviction */
  ask(f, "CONFIG SET maxmemory 100mb");
  keys_check_policy(f->keys);
  assert_int_equal(logged(f, "event=redis_may_evict"), 1);
}

CASE(redis_tells_its_memory_and_its_clock) {
  struct fixture *f = *state;
  struct keys_policy p;
  start(f);
  open_keys(f);
  assert_int_equal(keys_policy(f->keys, &p, &f->err), ST_OK);
  assert_string_equal(p.policy, "noeviction");
  assert_true(p.used > 0 && p.limit == 0);
  assert_false(keys_policy_evicts(&p));
  assert_true(p.skew_us != TIME_NONE);
  ask(f, "CONFIG SET maxmemory-policy allkeys-lru");
  ask(f, "CONFIG SET maxmemory 100mb");
  ask(f, "ACL SETUSER default -time");
  assert_int_equal(keys_policy(f->keys, &p, &f->err), ST_OK);
  assert_true(keys_policy_evicts(&p));
  assert_int_equal(p.limit, 100 * 1024 * 1024);
  assert_true(p.skew_us == TIME_NONE);
}

CASE(who_may_not_ask_for_the_policy_can_keep_keys) {
  struct fixture *f = *state;
  start(f);
  ask(f, "ACL SETUSER default -info");
  open_keys(f);
  keys_check_policy(f->keys);
  assert_int_equal(told(f).errors, 0);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_true(told(f).up);
}

/* ---- Redis is away ---- */

CASE(ids_set_while_redis_is_away_are_due_and_set_later) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", true, ST_OK);
  stop(f);
  assert_int_equal(set_one(f, "b"), ST_OK);
  assert_int_equal(set_one(f, "c"), ST_OK);
  assert_content(f, "keys-due", "b episode.events/3/42\nc episode.events/3/42\n");
  assert_seen(f, "b", true, ST_UNAVAILABLE);
  assert_seen(f, "x", false, ST_UNAVAILABLE);
  assert_int_equal(told(f).due, 2);
  assert_false(told(f).up);
  assert_int_equal(logged(f, "event=redis_away"), 1);
  start(f);
  keys_tend(f->keys); /* the back-off has not passed */
  assert_int_equal(told(f).due, 2);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
  assert_true(told(f).up);
  assert_false(there(f, "keys-due"));
  assert_string_equal(ask(f, "GET t:b"), "episode.events/3/42");
  assert_string_equal(ask(f, "EXISTS t:b t:c"), "2");
  assert_seen(f, "c", true, ST_OK);
  assert_int_equal(logged(f, "event=redis_away"), 1);
  assert_int_equal(logged(f, "event=redis_back"), 1);
}

CASE(an_absent_redis_is_not_asked_again_before_the_back_off) {
  struct fixture *f = *state;
  open_keys(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_int_equal(told(f).errors, 1);
  assert_non_null(strstr(told(f).error, "No such file or directory"));
  start(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  f->mono_ms += 49;
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_int_equal(told(f).errors, 1); /* never tried */
  f->mono_ms += 1;
  assert_seen(f, "a", false, ST_OK);
}

CASE(due_ids_survive_a_restart_of_ours) {
  struct fixture *f = *state;
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  open_keys(f);
  assert_int_equal(told(f).due, 1);
  assert_seen(f, "a", true, ST_UNAVAILABLE);
  assert_int_equal(set_one(f, "b"), ST_OK);
  open_keys(f);
  assert_int_equal(told(f).due, 2);
  start(f);
  keys_tend(f->keys);
  assert_string_equal(ask(f, "DBSIZE"), "2");
  assert_false(there(f, "keys-due"));
}

CASE(half_a_line_at_the_end_is_cut_off) {
  struct fixture *f = *state;
  put(f, "keys-due", "a p/0/1\n\nno-place\nb p/0/2\nc p/0");
  open_keys(f);
  assert_int_equal(told(f).due, 2);
  assert_content(f, "keys-due", "a p/0/1\n\nno-place\nb p/0/2\n");
  assert_seen(f, "b", true, ST_UNAVAILABLE);
  assert_seen(f, "c", false, ST_UNAVAILABLE);
  assert_int_equal(set_one(f, "d"), ST_OK);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_string_equal(ask(f, "EXISTS t:a t:b t:c t:d"), "3");
  assert_string_equal(ask(f, "GET t:b"), "p/0/2");
  assert_false(there(f, "keys-due"));
}

CASE(many_due_ids_are_set_in_one_go) {
  struct fixture *f = *state;
  static struct key list[MANY];
  static struct span ids[MANY];
  static char names[MANY][16];
  make_many(list, ids, names);
  open_keys(f);
  assert_int_equal(keys_set(f->keys, list, MANY, &f->err), ST_OK);
  assert_int_equal(told(f).due, MANY);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
  assert_int_equal(told(f).sets, MANY);
  assert_string_equal(ask(f, "DBSIZE"), "3000");
}

CASE(without_a_folder_nothing_is_due) {
  struct fixture *f = *state;
  open_keys_at(f, -1);
  assert_int_equal(set_one(f, "a"), ST_UNAVAILABLE);
  assert_non_null(strstr(f->err.text, "neither in Redis nor in keys-due"));
  assert_int_equal(logged(f, "event=redis_away"), 0); /* it was returned */
  assert_int_equal(told(f).due, 0);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(set_one(f, "a"), ST_OK);
}

CASE(a_folder_that_cannot_be_written_is_an_error) {
  struct fixture *f = *state;
  assert_int_equal(mkdirat(f->fd, "sub", 0700), 0);
  int sub = openat(f->fd, "sub", O_RDONLY | O_DIRECTORY);
  assert_int_equal(unlinkat(f->fd, "sub", AT_REMOVEDIR), 0); /* nothing can be made in it any more */
  open_keys_at(f, sub);
  assert_int_equal(set_one(f, "a"), ST_NOT_FOUND);
  assert_non_null(strstr(f->err.text, "opening keys-due"));
  close(sub);
  assert_int_equal(mkdirat(f->fd, "keys-due", 0700), 0);
  struct keys_config config = {
      .url = f->url, .prefix = "t:", .ttl_ms = 3600000, .timeout_ms = 2000, .folder = f->fd, .clock = &f->clock};
  struct keys *k = NULL;
  assert_int_not_equal(keys_open(&config, f->log, &k, &f->err), ST_OK);
  assert_non_null(strstr(f->err.text, "keys-due"));
  config.folder = 9999;
  assert_int_not_equal(keys_open(&config, f->log, &k, &f->err), ST_OK);
}

CASE(forgetting_needs_redis) {
  struct fixture *f = *state;
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_UNAVAILABLE);
  assert_seen(f, "a", true, ST_UNAVAILABLE);
  assert_int_equal(keys_forget(f->keys, SPAN("b"), &f->err), ST_UNAVAILABLE);
  start(f);
  /* no back-off for what somebody waits for; a due id is gone from both */
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_OK);
  assert_false(there(f, "keys-due"));
  f->mono_ms += 10000;
  assert_seen(f, "a", false, ST_OK);
}

CASE(off_means_off) {
  struct fixture *f = *state;
  snprintf(f->url, sizeof f->url, "off");
  open_keys(f);
  assert_true(told(f).off);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_OK);
  keys_tend(f->keys);
  keys_check_policy(f->keys);
  assert_false(there(f, "keys-due"));
}

CASE(tend_notices_that_redis_is_back_without_anything_due) {
  struct fixture *f = *state;
  open_keys(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  keys_tend(f->keys);
  assert_false(told(f).up);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_true(told(f).up);
  assert_int_equal(logged(f, "event=redis_back"), 1);
}

/* ---- Redis answers, but no ---- */

CASE(a_replica_takes_no_keys_but_answers) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  ask(f, "REPLICAOF 127.0.0.1 1");
  for (int i = 0; i < 3; i++) {
    f->mono_ms += 10000;
    assert_int_equal(set_one(f, "b"), ST_OK);
    assert_seen(f, "a", true, ST_OK);
    assert_seen(f, "b", true, ST_OK);
    keys_tend(f->keys);
  }
  assert_int_equal(told(f).due, 3);
  assert_false(told(f).up);
  assert_non_null(strstr(told(f).error, "READONLY"));
  assert_int_equal(logged(f, "event=redis_away"), 1); /* once a spell */
  assert_int_equal(logged(f, "name the primary"), 1);
  assert_int_equal(logged(f, "event=redis_back"), 0);
  ask(f, "REPLICAOF NO ONE");
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_true(told(f).up);
  assert_string_equal(ask(f, "EXISTS t:b"), "1");
  assert_int_equal(logged(f, "event=redis_back"), 1);
}

CASE(a_full_redis_leaves_ids_due) {
  struct fixture *f = *state;
  f->options[0] = "--maxmemory", f->options[1] = "1mb";
  f->options[2] = "--maxmemory-policy", f->options[3] = "noeviction";
  start(f);
  open_keys(f);
  static struct key list[MANY];
  static struct span ids[MANY];
  static char names[MANY][16];
  make_many(list, ids, names);
  for (int i = 0; i < 100 && told(f).due == 0; i++) {
    for (int j = 0; j < MANY; j++) names[j][0] = (char)('A' + i % 26), names[j][1] = (char)('a' + i / 26);
    assert_int_equal(keys_set(f->keys, list, MANY, &f->err), ST_OK);
  }
  assert_true(told(f).due > 0);
  assert_non_null(strstr(told(f).error, "OOM"));
  assert_true(there(f, "keys-due"));
  ask(f, "CONFIG SET maxmemory 0");
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
}

static int free_port(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
  close(fd);
  return ntohs(a.sin_port);
}

CASE(a_wrong_password_is_said_but_not_shown) {
  struct fixture *f = *state;
  f->port = free_port();
  f->options[0] = "--requirepass", f->options[1] = "right:p@ss";
  start(f);
  snprintf(f->url, sizeof f->url, "redis://:hunter2@127.0.0.1:%d", f->port);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(told(f).due, 1);
  assert_non_null(strstr(told(f).error, "WRONGPASS"));
  assert_int_equal(logged(f, "Mend user and password"), 1);
  assert_int_equal(logged(f, "hunter2"), 0);
  snprintf(f->url, sizeof f->url, "redis://127.0.0.1:%d", f->port);
  open_keys(f);
  assert_seen(f, "a", true, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "NOAUTH"));
  snprintf(f->url, sizeof f->url, "redis://:right%%3Ap%%40ss@127.0.0.1:%d/2", f->port);
  open_keys(f);
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
  snprintf(f->url, sizeof f->url, "redis://default:right:p@ss@127.0.0.1:%d/2", f->port);
  open_keys(f);
  assert_seen(f, "a", true, ST_OK);
  stop(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "Connection refused"));
}

CASE(a_redis_that_hangs_is_left_after_the_timeout) {
  struct fixture *f = *state;
  struct keys_config config = {
      .url = f->url, .prefix = "t:", .ttl_ms = 3600000, .timeout_ms = 1500, .folder = f->fd, .clock = &f->clock};
  start(f);
  assert_int_equal(keys_open(&config, f->log, &f->keys, &f->err), ST_OK);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(kill(f->redis, SIGSTOP), 0);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "no answer within the time allowed"));
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(told(f).due, 1);
  assert_int_equal(kill(f->redis, SIGCONT), 0);
  stop(f); /* what the stopped one had in its buffers must not be taken for answers */
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
  assert_seen(f, "a", true, ST_OK);
  assert_seen(f, "b", false, ST_OK);
}

/* A server of our own that says the same to every client, then closes. */
struct liar {
  int fd;
  const char *answer;
};
static void *lie(void *arg) {
  struct liar *l = arg;
  int client;
  while ((client = accept(l->fd, NULL, NULL)) >= 0) {
    char buf[4096];
    while (read(client, buf, sizeof buf) > 0 && write(client, l->answer, strlen(l->answer)) > 0) {
    }
    close(client);
  }
  return NULL;
}

CASE(an_answer_of_another_kind_is_no_answer) {
  struct fixture *f = *state;
  static const char *const answers[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "*1\r\n$1\r\nx\r\n", ":5\r\n",
                                        "-MOVED 3999 127.0.0.1:6381\r\n", "+OK\r\n"};
  static const char *const errors[] = {"Protocol error", "unexpected kind", "unexpected kind", "MOVED",
                                       "unexpected kind"};
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct liar l = {socket(AF_UNIX, SOCK_STREAM, 0), answers[i]};
    struct span ids[2] = {SPAN("a"), SPAN("b")};
    bool yes[2];
    pthread_t thread;
    memcpy(a.sun_path, f->socket, strlen(f->socket) + 1);
    assert_int_equal(bind(l.fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(l.fd, 5), 0);
    assert_int_equal(pthread_create(&thread, NULL, lie, &l), 0);
    open_keys_at(f, -1);
    assert_int_equal(keys_check(f->keys, ids, 2, yes, NULL, NULL), ST_UNAVAILABLE);
    assert_false(yes[0] || yes[1]);
    if (!strstr(told(f).error, errors[i])) fail_msg("%s", told(f).error);
    keys_check_policy(f->keys);
    keys_close(f->keys);
    f->keys = NULL;
    shutdown(l.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(l.fd);
    unlink(f->socket);
  }
  assert_int_equal(logged(f, "redis_may_evict"), 0);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static void *check_often(void *arg) {
  struct fixture *f = arg;
  for (int i = 0; i < 200; i++) {
    struct span ids[2] = {SPAN("a"), SPAN("b")};
    bool yes[2];
    struct keys_state s;
    enum status st = keys_check(f->keys, ids, 2, yes, NULL, NULL);
    keys_state(f->keys, &s);
    if (st == ST_OK && !yes[0]) return arg; /* a was set before: never unseen */
  }
  return NULL;
}

CASE(an_id_on_its_way_from_due_to_redis_is_never_unseen) {
  struct fixture *f = *state;
  pthread_t thread;
  void *result;
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  start(f);
  f->mono_ms += 10000;
  assert_int_equal(pthread_create(&thread, NULL, check_often, f), 0);
  for (int i = 0; i < 50; i++) {
    keys_tend(f->keys);
    assert_int_equal(set_one(f, "b"), ST_OK);
  }
  pthread_join(thread, &result);
  assert_null(result);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  if (system("redis-server --version >/dev/null 2>&1") != 0) {
    const char *ci = getenv("CI");
    printf("SKIPPED: redis-server is not installed\n");
    return ci && !strcmp(ci, "true") ? 1 : 77;
  }
  return tests_run();
}
