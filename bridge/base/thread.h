/* thread.h - threads, locks, conditions, timed waits and poll: whatever makes a thread wait for
 * another one, or for time. Nothing else in bridge/, worker/ and admin/ asks the system for them
 * (tests/tools/check_layers), so that a program that links other functions of these names in front
 * of the library's decides who runs when, and what time it is: tests/simulate does.
 *
 * Moments are nanoseconds of the monotonic clock (clock.h). Nothing here fails but where it says
 * so: what POSIX calls an error of these is a bug of the caller.
 */
#ifndef BRIDGE_BASE_THREAD_H
#define BRIDGE_BASE_THREAD_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- locks ---- */

struct mutex {
  pthread_mutex_t os;
};
#define MUTEX_INIT {PTHREAD_MUTEX_INITIALIZER}
void mutex_init(struct mutex *m);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

struct once {
  pthread_once_t os;
};
#define ONCE_INIT {PTHREAD_ONCE_INIT}
void thread_once(struct once *o, void (*run)(void)); /* whoever comes second waits for its end */

/* ---- conditions: waits may end for nothing, so look again ---- */

struct cond {
  pthread_cond_t os;
};
void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);
bool cond_wait_until(struct cond *c, struct mutex *m, int64_t moment_ns); /* false: it is past */
void cond_broadcast(struct cond *c);

/* ---- threads ---- */

struct thread {
  pthread_t os;
};
/* name: at most 15 bytes, or NULL. 0, or the errno for which there is none. */
int thread_start(struct thread *t, const char *name, void *(*run)(void *), void *arg);
/* Each is joined once, or detached. */
void thread_join(struct thread t);
bool thread_join_until(struct thread t,
                       int64_t moment_ns); /* false: it runs on, and is not joined */
void thread_detach(struct thread t);

int64_t thread_now_ns(void);
void thread_sleep_until(int64_t moment_ns); /* may end early, at a signal */

/* As poll(2), in signal handlers too. */
int thread_poll(struct pollfd *list, nfds_t count, int timeout_ms);

/* A descriptor that is readable from a wake_give to the next wake_take. -1: errno. */
int wake_open(void);
void wake_give(int wake); /* any thread */
void wake_take(int wake);
void wake_close(int wake); /* -1: nothing */

#endif
