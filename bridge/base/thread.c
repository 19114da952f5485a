/* Threads, locks, conditions, waits and wakes as the system has them.
 * A crash leaves nothing. */
#include "bridge/base/thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct timespec timespec_of(int64_t ns) {
  return (struct timespec){ns / 1000000000, ns % 1000000000};
}

void mutex_init(struct mutex *m) {
  pthread_mutex_init(&m->os, NULL);
}

void mutex_destroy(struct mutex *m) {
  pthread_mutex_destroy(&m->os);
}

void mutex_lock(struct mutex *m) {
  pthread_mutex_lock(&m->os);
}

void mutex_unlock(struct mutex *m) {
  pthread_mutex_unlock(&m->os);
}

void thread_once(struct once *o, void (*run)(void)) {
  pthread_once(&o->os, run);
}

void cond_init(struct cond *c) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&c->os, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

void cond_destroy(struct cond *c) {
  pthread_cond_destroy(&c->os);
}

void cond_wait(struct cond *c, struct mutex *m) {
  pthread_cond_wait(&c->os, &m->os);
}

bool cond_wait_until(struct cond *c, struct mutex *m, int64_t moment_ns) {
  struct timespec at = timespec_of(moment_ns);
  return pthread_cond_timedwait(&c->os, &m->os, &at) == 0;
}

void cond_broadcast(struct cond *c) {
  pthread_cond_broadcast(&c->os);
}

int thread_start(struct thread *t, const char *name, void *(*run)(void *), void *arg) {
  int rc = pthread_create(&t->os, NULL, run, arg);
  if (rc == 0 && name) pthread_setname_np(t->os, name);
  return rc;
}

void thread_join(struct thread t) {
  pthread_join(t.os, NULL);
}

bool thread_join_until(struct thread t, int64_t moment_ns) {
  struct timespec at = timespec_of(moment_ns);
  return pthread_clockjoin_np(t.os, NULL, CLOCK_MONOTONIC, &at) == 0;
}

void thread_detach(struct thread t) {
  pthread_detach(t.os);
}

int64_t thread_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void thread_sleep_until(int64_t moment_ns) {
  struct timespec at = timespec_of(moment_ns);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int thread_poll(struct pollfd *list, nfds_t count, int timeout_ms) {
  return poll(list, count, timeout_ms);
}

int wake_open(void) {
  return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void wake_give(int wake) {
  uint64_t one = 1;
  ssize_t n = write(wake, &one, sizeof one);
  (void)n; /* a full counter wakes as well */
}

void wake_take(int wake) {
  uint64_t count;
  ssize_t n = read(wake, &count, sizeof count);
  (void)n;
}

void wake_close(int wake) {
  if (wake >= 0) close(wake);
}
