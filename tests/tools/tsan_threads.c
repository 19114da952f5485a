/* C11 threads over pthreads, for ThreadSanitizer builds only.
 *
 * Debian's librdkafka calls thrd_create, mtx_lock and cnd_wait of glibc, which gcc's
 * ThreadSanitizer does not intercept: its threads would be unknown to it, and it dies in the first
 * of them. Defined here and exported by the executable, these come before glibc's; they call the
 * pthread functions, which are intercepted. glibc's mtx_t and cnd_t have room for a pthread mutex
 * and condition, asserted below. cnd_timedwait is bridge/kafka/waits.c's.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mtx_t holds a pthread mutex");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a cnd_t holds a pthread condition");
_Static_assert(sizeof(tss_t) >= sizeof(pthread_key_t), "a tss_t holds a pthread key");
_Static_assert(sizeof(once_flag) >= sizeof(pthread_once_t), "a once_flag holds a pthread_once_t");
_Static_assert(sizeof(thrd_t) >= sizeof(pthread_t), "a thrd_t holds a pthread_t");

static int result_of(int error) {
  switch (error) {
  case 0: return thrd_success;
  case ENOMEM: return thrd_nomem;
  case ETIMEDOUT: return thrd_timedout;
  case EBUSY: return thrd_busy;
  default: return thrd_error;
  }
}

struct start {
  thrd_start_t function;
  void *argument;
};

static void *run(void *opaque) {
  struct start start = *(struct start *)opaque;
  free(opaque);
  return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument) {
  struct start *start = malloc(sizeof *start);
  if (!start) return thrd_nomem;
  *start = (struct start){function, argument};
  int error = pthread_create((pthread_t *)thread, NULL, run, start);
  if (error) free(start);
  return result_of(error);
}

int thrd_join(thrd_t thread, int *result) {
  void *value = NULL;
  int error = pthread_join((pthread_t)thread, &value);
  if (!error && result) *result = (int)(intptr_t)value;
  return result_of(error);
}

/* ThreadSanitizer knows the join that waits by the wall clock only. */
int pthread_clockjoin_np(pthread_t thread, void **value, clockid_t clock,
                         const struct timespec *until) {
  struct timespec now, wall;
  clock_gettime(clock, &now);
  clock_gettime(CLOCK_REALTIME, &wall);
  int64_t ns = (int64_t)(until->tv_sec - now.tv_sec) * 1000000000 + (until->tv_nsec - now.tv_nsec) +
               wall.tv_nsec;
  wall.tv_sec += ns / 1000000000;
  wall.tv_nsec = ns % 1000000000;
  if (wall.tv_nsec < 0) wall.tv_sec--, wall.tv_nsec += 1000000000;
  return pthread_timedjoin_np(thread, value, &wall);
}

int thrd_detach(thrd_t thread) {
  return result_of(pthread_detach((pthread_t)thread));
}
thrd_t thrd_current(void) {
  return (thrd_t)pthread_self();
}
void thrd_exit(int result) {
  pthread_exit((void *)(intptr_t)result);
}
void thrd_yield(void) {
  sched_yield();
}

int mtx_init(mtx_t *mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if (type & mtx_recursive) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  int error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return result_of(error);
}

void mtx_destroy(mtx_t *mutex) {
  pthread_mutex_destroy((pthread_mutex_t *)mutex);
}
int mtx_lock(mtx_t *mutex) {
  return result_of(pthread_mutex_lock((pthread_mutex_t *)mutex));
}
int mtx_trylock(mtx_t *mutex) {
  return result_of(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}
int mtx_unlock(mtx_t *mutex) {
  return result_of(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}
int mtx_timedlock(mtx_t *restrict mutex, const struct timespec *restrict until) {
  return result_of(pthread_mutex_timedlock((pthread_mutex_t *)mutex, until));
}

int cnd_init(cnd_t *condition) {
  return result_of(pthread_cond_init((pthread_cond_t *)condition, NULL));
}
void cnd_destroy(cnd_t *condition) {
  pthread_cond_destroy((pthread_cond_t *)condition);
}
int cnd_signal(cnd_t *condition) {
  return result_of(pthread_cond_signal((pthread_cond_t *)condition));
}
int cnd_broadcast(cnd_t *condition) {
  return result_of(pthread_cond_broadcast((pthread_cond_t *)condition));
}
int cnd_wait(cnd_t *condition, mtx_t *mutex) {
  return result_of(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int tss_create(tss_t *key, tss_dtor_t destructor) {
  return result_of(pthread_key_create((pthread_key_t *)key, destructor));
}
void tss_delete(tss_t key) {
  pthread_key_delete(key);
}
void *tss_get(tss_t key) {
  return pthread_getspecific(key);
}
int tss_set(tss_t key, void *value) {
  return result_of(pthread_setspecific(key, value));
}

void call_once(once_flag *flag, void (*function)(void)) {
  pthread_once((pthread_once_t *)flag, function);
}
