/* The threads that store.h allows at the same time: the reader, the finisher, an operator. For
 * every kind of outbox. */
#include "tests/contract/rule.h"

#include <pthread.h>

#define EVENTS 400
struct team {
  struct box *b;
  pthread_mutex_t lock;
  struct entry_ref refs[2 * EVENTS];
  char tokens[2 * EVENTS][40], ids[2 * EVENTS][40];
  size_t count, next;
  unsigned done, vanished, dead, released;
  bool stop;
};

static void *finish(void *arg) {
  struct team *t = arg;
  struct error err = {0};
  struct failure why = box_failure(REASON_BROKER_REFUSED, 1);
  for (size_t n = 0;; n++) {
    pthread_mutex_lock(&t->lock);
    bool have = t->next < t->count, stop = t->stop;
    struct entry_ref ref = have ? t->refs[t->next++] : (struct entry_ref){0};
    pthread_mutex_unlock(&t->lock);
    if (!have && stop) return NULL;
    if (!have) {
      usleep(200);
      continue;
    }
    enum settled how = SETTLED_CHANGED;
    enum status st = ST_OK;
    if (n % 7 == 3) {
      store_release(t->b->store, &ref);
      __atomic_add_fetch(&t->released, 1, __ATOMIC_RELAXED);
      continue;
    }
    if (n % 11 == 5)
      st = store_retry(t->b->store, &ref, &why, &how, &err);
    else if (n % 13 == 6)
      st = store_dead(t->b->store, &ref, &why, &how, &err);
    else if ((st = store_done(t->b->store, &ref, &how, &err)) == ST_OK && how == SETTLED_GONE)
      __atomic_add_fetch(&t->done, 1, __ATOMIC_RELAXED);
    if (st != ST_OK) fprintf(stderr, "settling: %s\n", err.text);
    if (n % 50 == 0 && store_sync(t->b->store, &err) != ST_OK)
      fprintf(stderr, "sync: %s\n", err.text);
  }
}

static bool replay_it(void *ctx, const struct entry_info *info) {
  struct box *b = ctx;
  enum status st = store_replay(b->store, info->shelf, info->token, NULL);
  if (st != ST_OK && st != ST_NOT_FOUND) fprintf(stderr, "replay: %s\n", status_name(st));
  return true;
}

struct seen {
  char tokens[5][40];
  unsigned count;
};

static bool see(void *ctx, const struct entry_info *info) {
  struct seen *seen = ctx;
  for (unsigned i = 0; i < seen->count && i < 5; i++)
    if (strcmp(seen->tokens[i], info->token) == 0)
      fprintf(stderr, "list: %s twice\n", info->token), abort();
  if (seen->count == 5) fprintf(stderr, "list: more than asked for\n"), abort();
  snprintf(seen->tokens[seen->count++], sizeof seen->tokens[0], "%s", info->token);
  return true;
}

static void *operate(void *arg) {
  struct team *t = arg;
  for (unsigned n = 0; n < EVENTS; n++) {
    struct store_counts c;
    struct error err = {0};
    struct buffer text = {0};
    char id[32];
    uint64_t total;
    snprintf(id, sizeof id, "e%u", n);
    event_write(span_of(id), SPAN("a.b"), SPAN("{}"), n, span_of(id), &text);
    if (box_put(t->b->store, id, buffer_span(&text), &err) != ST_OK)
      fprintf(stderr, "emit: %s\n", err.text);
    buffer_release(&text);
    if (n % 20 == 0 && store_counts(t->b->store, &c, &err) != ST_OK)
      fprintf(stderr, "counts: %s\n", err.text);
    if (n % 40 == 0) store_rescan(t->b->store);
    struct seen seen = {0};
    if (store_list(t->b->store, LIST_PENDING, 5, see, &seen, &total, &err) != ST_OK)
      fprintf(stderr, "list: %s\n", err.text);
    if (n % 50 == 49 &&
        store_list(t->b->store, LIST_DEAD, 10, replay_it, t->b, &total, &err) != ST_OK)
      fprintf(stderr, "list: %s\n", err.text);
  }
  return NULL;
}

static void hand_on(struct team *t, const struct entry *e) {
  pthread_mutex_lock(&t->lock);
  assert_true(t->count < 2 * EVENTS);
  assert_true(e->ref.token.len < sizeof t->tokens[0] && e->ref.id.len < sizeof t->ids[0]);
  snprintf(t->tokens[t->count], sizeof t->tokens[0], "%.*s", SPAN_ARGS(e->ref.token));
  snprintf(t->ids[t->count], sizeof t->ids[0], "%.*s", SPAN_ARGS(e->ref.id));
  t->refs[t->count] = e->ref;
  t->refs[t->count].token = span_of(t->tokens[t->count]);
  t->refs[t->count].id = span_of(t->ids[t->count]);
  t->count++;
  pthread_mutex_unlock(&t->lock);
}

/* Hands on what comes until every event was either done or is dead; rescans bring back what was
 * released. */
static void read_all(struct team *t) {
  struct box *b = t->b;
  struct entry e;
  for (int idle = 0; idle < 3000; idle++) {
    enum status st = box_next(b, &e);
    if (st == ST_OK) {
      hand_on(t, &e);
      arena_reset(&b->scratch);
      arena_reset(&b->keep);
      idle = 0;
      continue;
    }
    assert_int_equal(st, ST_AGAIN);
    struct store_counts c = box_counts(b);
    if (__atomic_load_n(&t->done, __ATOMIC_RELAXED) + c.dead >= EVENTS && !c.in_hand) return;
    store_wait(b->store, 10);
    if (idle % 20 == 19) store_rescan(b->store);
  }
}

RULE(reader_finisher_and_operator_work_at_the_same_time) {
  struct box *b = *state;
  struct team *t = calloc(1, sizeof *t);
  pthread_t finisher, operator;
  t->b = b;
  pthread_mutex_init(&t->lock, NULL);
  pthread_create(&finisher, NULL, finish, t);
  pthread_create(&operator, NULL, operate, t);
  read_all(t);
  pthread_join(operator, NULL);
  pthread_mutex_lock(&t->lock);
  t->stop = true;
  pthread_mutex_unlock(&t->lock);
  pthread_join(finisher, NULL);
  uint64_t dead, left;
  box_list(b, LIST_DEAD, 0, &dead);
  box_list(b, LIST_PENDING, 0, &left);
  assert_int_equal(t->done + dead + left, EVENTS); /* each once, none lost */
  store_rescan(b->store);
  while (box_next(b, &(struct entry){0}) == ST_OK) {
  }
  assert_int_equal(box_counts(b).pending, left);
  assert_int_equal(box_counts(b).dead, dead);
  pthread_mutex_destroy(&t->lock);
  free(t);
}

int main(void) {
  return rules_of_each_kind();
}
