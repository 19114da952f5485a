/* What topics hold, read for a start that asks what of an outbox was published.
 * The publisher's thread; it only reads, so a crash leaves nothing. */
#include "bridge/relay/ledger/topics_read.h"

#include "bridge/relay/parts.h"

enum { ANSWER_MS = 10000 };

enum status topics_ask(struct topics_question *q, struct span name, bool whole, struct error *err) {
  char *kept = table_get(&q->topics, name);
  if (!kept) kept = arena_copy(&q->arena, name);
  if (!kept || table_put(&q->topics, (struct span){kept, name.len}, kept) == ST_NO_MEMORY ||
      (whole && table_put(&q->whole, (struct span){kept, name.len}, kept) == ST_NO_MEMORY))
    return error_set(err, ST_NO_MEMORY, "out of memory");
  return ST_OK;
}

void topics_question_release(struct topics_question *q) {
  table_release(&q->topics);
  table_release(&q->whole);
  arena_release(&q->arena);
}

static enum status may_not_read(struct relay *r, const char *topic, struct error *err) {
  struct buffer command = {0};
  cluster_command(r->parts.kafka, "kafka-acls.sh", &command);
  enum status st = error_set(
      err, ST_INVALID,
      "Kafka holds no position for this outbox any more, and the topic %s, which may hold what it "
      "sent last, may not be read. Nothing was changed. Allow it: %s --add --allow-principal "
      "User:NAME --operation Read --operation Describe --topic '%s'",
      topic, buffer_z(&command), topic);
  buffer_release(&command);
  return st;
}

/* A topic that is missing holds nothing. */
static enum status present_topics(struct publishing *p, const struct topics_question *q, bool whole,
                                  const char **topics, size_t *count, struct error *err) {
  struct span key;
  void *name;
  for (size_t at = 0; table_each(&q->topics, &at, &key, &name);) {
    enum topic_state state = TOPIC_UNCLEAR;
    if ((table_get(&q->whole, key) != NULL) != whole) continue;
    enum status st = cluster_topic(p->cluster, name, ANSWER_MS, &state, NULL, err);
    if (st != ST_OK) return st;
    if (state == TOPIC_FORBIDDEN) return may_not_read(p->relay, name, err);
    if (state != TOPIC_MISSING) topics[(*count)++] = name;
  }
  return ST_OK;
}

struct reading_topics {
  struct publishing *p;
  const struct topics_question *question;
  enum status (*seen)(void *ctx, const struct message *m, struct error *err);
  void *ctx;
};

static enum status read_on(const struct reading_topics *g, struct topic_reader *reader,
                           struct error *err) {
  enum status st = ST_OK;
  while (st == ST_OK) {
    struct message m;
    st = topic_reader_next(reader, ANSWER_MS, &m, err);
    if (st == ST_OK) st = g->seen(g->ctx, &m, err);
    if (st == ST_OK && relay_must_end(g->p->relay))
      st = error_set(err, ST_UNAVAILABLE, "stopped while reading the topics");
  }
  if (st == ST_AGAIN)
    return error_set(err, ST_UNAVAILABLE, "the topics could not be read to their end");
  return st == ST_END ? ST_OK : st;
}

/* whole: those in which no time tells where to begin; else the others. */
static enum status read_these(const struct reading_topics *g, bool whole, struct error *err) {
  struct relay *r = g->p->relay;
  const struct topics_question *q = g->question;
  size_t count = 0;
  const char **topics = calloc(q->topics.count + 1, sizeof *topics);
  struct topic_reader *reader = NULL;
  if (!topics) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = present_topics(g->p, q, whole, topics, &count, err);
  int64_t from = q->from_ms > CLOCK_SKEW_MS ? q->from_ms - CLOCK_SKEW_MS : 0;
  if (st == ST_OK && count) {
    st = topic_reader_open(r->parts.kafka, r->parts.log, topics, count, false, ANSWER_MS, &reader,
                           err);
    if (st == ST_OK && !whole) st = topic_reader_seek_time(reader, from, ANSWER_MS, err);
    if (st == ST_OK) st = read_on(g, reader, err);
    topic_reader_close(reader);
  }
  free(topics);
  return st;
}

enum status topics_read(struct publishing *p, const struct topics_question *q,
                        enum status (*seen)(void *ctx, const struct message *m, struct error *err),
                        void *ctx, struct error *err) {
  const struct reading_topics g = {p, q, seen, ctx};
  enum status st = read_these(&g, false, err);
  return st == ST_OK && q->whole.count ? read_these(&g, true, err) : st;
}
