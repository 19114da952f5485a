/* Idempotency keys where Redis answers, but no, or something else than Redis answers. */
#include "tests/unit/redis_box.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

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
    for (int j = 0; j < MANY; j++)
      names[j][0] = (char)('A' + i % 26), names[j][1] = (char)('a' + i / 26);
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

/* A free port at an address of the loopback that is this process's own: nobody takes it until Redis
 * listens there. */
static void choose_port(struct fixture *f) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t len = sizeof a;
  unsigned pid = (unsigned)getpid();
  snprintf(f->host, sizeof f->host, "127.%u.%u.%u", 1 + (pid >> 16) % 250, (pid >> 8) % 256,
           1 + pid % 250);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(inet_pton(AF_INET, f->host, &a.sin_addr), 1);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
  close(fd);
  f->port = ntohs(a.sin_port);
}

CASE(a_wrong_password_is_said_but_not_shown) {
  struct fixture *f = *state;
  choose_port(f);
  f->options[0] = "--requirepass", f->options[1] = "right:p@ss";
  start(f);
  snprintf(f->url, sizeof f->url, "redis://:hunter2@%s:%d", f->host, f->port);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(told(f).due, 1);
  assert_non_null(strstr(told(f).error, "WRONGPASS"));
  assert_int_equal(logged(f, "Fix user and password"), 1);
  assert_int_equal(logged(f, "hunter2"), 0);
  snprintf(f->url, sizeof f->url, "redis://%s:%d", f->host, f->port);
  open_keys(f);
  assert_seen(f, "a", true, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "NOAUTH"));
  snprintf(f->url, sizeof f->url, "redis://:right%%3Ap%%40ss@%s:%d/2", f->host, f->port);
  open_keys(f);
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
  snprintf(f->url, sizeof f->url, "redis://default:right:p@ss@%s:%d/2", f->host, f->port);
  open_keys(f);
  assert_seen(f, "a", true, ST_OK);
  stop(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "Connection refused"));
}

/* Is the id seen, by a Redis that answers: not every time within the time-out. */
static bool answered_seen(struct fixture *f, const char *id) {
  enum status st = ST_UNAVAILABLE;
  bool yes = false;
  for (int i = 0; i < 40 && st != ST_OK; i++) {
    f->mono_ms += 10000;
    yes = seen(f, id, &st);
  }
  assert_int_equal(st, ST_OK);
  return yes;
}

CASE(a_redis_that_hangs_is_left_after_the_timeout) {
  struct fixture *f = *state;
  start(f);
  open_keys_with(f, 1500, true);
  assert_false(answered_seen(f, "a"));
  assert_int_equal(kill(f->redis, SIGSTOP), 0);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "no answer within the time allowed"));
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(told(f).due, 1);
  assert_int_equal(kill(f->redis, SIGCONT), 0);
  stop(f); /* what the stopped one had in its buffers must not be taken for answers */
  start(f);
  for (int i = 0; i < 40 && told(f).due; i++) {
    f->mono_ms += 10000;
    keys_tend(f->keys);
  }
  assert_int_equal(told(f).due, 0);
  assert_true(answered_seen(f, "a"));
  assert_false(answered_seen(f, "b"));
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
  static const char *const answers[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "*1\r\n$1\r\nx\r\n",
                                        ":5\r\n", "-MOVED 3999 127.0.0.1:6381\r\n", "+OK\r\n"};
  static const char *const errors[] = {"Protocol error", "unexpected kind", "unexpected kind",
                                       "MOVED", "unexpected kind"};
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
    open_keys_with(f, 20000, false);
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

int main(void) {
  return redis_tests_run();
}
