/* Judges dead letters and moves them back: not while their batch is unsettled, nor when they are in
 * Kafka, unless forced. With force Redis forgets their keys first; a crash before the move leaves
 * them in dlq/ without.
 * Any thread. */
#include "bridge/service/entries/replay_many.h"

#include "bridge/outbox/manifest.h"

static void fail_all(struct letter *list, size_t count, enum status st, const struct error *err) {
  for (size_t i = 0; i < count; i++)
    if (list[i].status == ST_OK) list[i].status = error_set(&list[i].error, st, "%s", err->text);
}

/* Its batch may be committed and not settled yet: the ledger has the word, at the next start if no
 * worker runs. */
static void leave_unsettled(struct service *s, struct letter *list, size_t count,
                            const struct span *ids, bool *named) {
  struct error err = {0};
  enum status st = manifest_names(s->store, ids, count, named, &err);
  if (st != ST_OK) {
    fail_all(list, count, st, &err);
    return;
  }
  for (size_t i = 0; i < count; i++)
    if (named[i] && list[i].status == ST_OK)
      list[i].status = error_set(
          &list[i].error, ST_BUSY,
          "%.*s is in a batch that is not settled yet; try again when the worker has settled it "
          "(busbridge flush does it without one)",
          SPAN_ARGS(ids[i]));
}

/* When Redis is away the relay will ask it again anyway. */
static void leave_published(struct service *s, struct letter *list, size_t count,
                            const struct span *ids, bool *seen) {
  struct arena arena = {0};
  struct span place[STORE_LETTERS] = {{0}};
  enum status asked = keys_check(s->keys, ids, count, seen, place, &arena);
  for (size_t i = 0; i < count; i++) {
    seen[i] = (asked == ST_OK || asked == ST_UNAVAILABLE) && seen[i] && ids[i].len &&
              list[i].status == ST_OK;
    if (!seen[i]) continue;
    list[i].status = error_set(
        &list[i].error, ST_EXISTS, "%.*s is in Kafka already (%.*s); --force publishes it again",
        SPAN_ARGS(ids[i]), SPAN_ARGS(place[i].len ? place[i] : SPAN("place not known")));
  }
  arena_release(&arena);
}

static void forget(struct service *s, struct letter *list, size_t count, const struct span *ids) {
  for (size_t i = 0; i < count; i++) {
    struct error err = {0};
    if (!ids[i].len || list[i].status != ST_OK) continue;
    enum status st = keys_forget(s->keys, ids[i], &err);
    if (st == ST_OK || st == ST_NOT_FOUND) continue;
    if (st == ST_UNAVAILABLE) { /* it will not answer for the others either */
      fail_all(list, count, st, &err);
      return;
    }
    list[i].status = st;
    list[i].error = err;
  }
}

void replay_many_judge(struct service *s, bool force, struct letter *list, size_t count,
                       bool *published) {
  struct span ids[STORE_LETTERS] = {{0}};
  bool named[STORE_LETTERS];
  BUG_ON(count > STORE_LETTERS);
  for (size_t i = 0; i < count; i++) /* a raw one has no id that could have been published */
    ids[i] = list[i].raw || list[i].status != ST_OK ? (struct span){NULL, 0} : list[i].id;
  memset(published, 0, count * sizeof *published);
  leave_unsettled(s, list, count, ids, named);
  if (force)
    forget(s, list, count, ids);
  else
    leave_published(s, list, count, ids, published);
}

struct judging {
  struct service *s;
  bool force, *published;
};

static void judge_letters(void *ctx, struct letter *list, size_t count) {
  struct judging *j = ctx;
  replay_many_judge(j->s, j->force, list, count, j->published);
}

void replay_many_move(struct service *s, bool force, struct letter *list, size_t count,
                      bool *published) {
  struct judging judging = {s, force, published};
  store_replay_all(s->store, list, count, judge_letters, &judging);
  if (s->mode == SERVICE_RELAY) store_wake(s->store);
}
