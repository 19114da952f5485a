/* A producer that is closed in the middle of a transaction: number 28 of
 * bridge/kafka/README.md. The moment
 * at which librdkafka does not survive that is made here, by locks that come late. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <threads.h>
#include <time.h>

#include "tests/unit/kafka_mock.h"

enum { LOCKS_MOST = 32, HELD_MS = 40, HOLDS = 8, TRIES = 4 };

/* Where librdkafka's main thread is held up: at its first lock of the mutex that the sender locked
 * so many locks after it began to send, and at the next unlocks. */
static struct {
  pthread_t sender;
  atomic_bool sending, closing;
  void *_Atomic locked[LOCKS_MOST]; /* by the sender */
  atomic_uint count, place;
  atomic_int holds;
} late;

static void nap(int ms) {
  nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static bool on_thread(const char *prefix) {
  char name[16] = "";
  prctl(PR_GET_NAME, name);
  return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* In front of glibc's, for librdkafka too. */
int mtx_lock(mtx_t *mutex) {
  if (atomic_load(&late.sending) && pthread_equal(pthread_self(), late.sender)) {
    unsigned n = atomic_fetch_add(&late.count, 1);
    if (n < LOCKS_MOST) atomic_store(&late.locked[n], mutex);
  }
  if (atomic_load(&late.closing) && atomic_load(&late.locked[late.place]) == mutex &&
      on_thread("rdk:main")) {
    int none = 0;
    if (atomic_compare_exchange_strong(&late.holds, &none, HOLDS)) nap(HELD_MS);
  }
  return pthread_mutex_lock((pthread_mutex_t *)mutex) ? thrd_error : thrd_success;
}

int mtx_unlock(mtx_t *mutex) {
  int failed = pthread_mutex_unlock((pthread_mutex_t *)mutex);
  int holds = atomic_load(&late.holds);
  if (holds > 1 && on_thread("rdk:main")) {
    atomic_fetch_sub(&late.holds, 1);
    nap(HELD_MS);
  }
  if (holds > 0 && on_thread("rdk:broker")) nap(4);
  return failed ? thrd_error : thrd_success;
}

struct world {
  struct mock mock;
  struct publisher *publisher;
  struct reports reports;
  unsigned number; /* of topic t */
};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  mock_open(&w->mock);
  mock_topic(&w->mock, "t", 1);
  w->mock.config.at_least_once = false;
  w->mock.config.transactional_id = "busbridge-1";
  late.sender = pthread_self();
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  mock_close(&w->mock);
  test_free(w);
  return 0;
}

static void begin(struct world *w) {
  assert_int_equal(publisher_begin(w->publisher, NULL), TXN_DONE);
}

static void send_one(struct world *w) {
  const struct record record = record_of(w->number, "k", "v", 0);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
}

/* Ready, with its topic's partitions known: it has committed a transaction. */
static void open_known(struct world *w) {
  assert_int_equal(
      publisher_open(&w->mock.config, w->mock.log, reports_add, &w->reports, &w->publisher, NULL),
      ST_OK);
  assert_int_equal(publisher_topic(w->publisher, "t", &w->number, NULL), ST_OK);
  assert_int_equal(publisher_init(w->publisher, PATIENCE_MS, NULL), TXN_DONE);
  begin(w);
  send_one(w);
  POLL_UNTIL(w->publisher, publisher_in_flight(w->publisher) == 0);
  assert_int_equal(publisher_commit(w->publisher, NULL), TXN_DONE);
}

static void close_while_it_sends(struct world *w) {
  open_known(w);
  begin(w);
  atomic_store(&late.count, 0);
  atomic_store(&late.sending, true);
  send_one(w);
  atomic_store(&late.sending, false);
  atomic_store(&late.closing, true);
  publisher_close(w->publisher);
  atomic_store(&late.closing, false);
  atomic_store(&late.holds, 0);
}

TEST_WITH(a_producer_ends_while_a_partition_is_told_to_the_coordinator, setup, teardown) {
  for (unsigned i = 0; i < TRIES; i++) {
    late.place = 0;
    do close_while_it_sends(*state);
    while (++late.place < late.count && late.place < LOCKS_MOST);
  }
}
