/* What the topics hold: each id once, those of the last batches, none that is dead or waits.
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/kafka/topic_reader.h"
#include "bridge/service/verify/parts.h"

#define ANSWER_MS 10000
#define QUIET_MS 30000
#define SKEW_MS 5000        /* of a batch's manifest against its records */
#define SKEW_FAR_MS 3600000 /* and what clocks may be apart at worst */

struct topics {
  struct verify *v;
  const char **names;
  size_t count;
  /* what was read */
  uint64_t records, foreign, offsets, done;
  struct digest_set young, old; /* ids; old ones go when there are too many young */
  bool forgot, no_memory;
  struct suspects *twice, *keyless, *dead, *pending;
  uint64_t known_seen; /* of v->known: records with such an id */
  struct table known;  /* id -> itself, of v->known that no record was seen of */
  /* ids on their way to Redis */
  struct arena arena;
  struct span ids[VERIFY_KEYS], places[VERIFY_KEYS];
  size_t asking;
};

/* ---- which topics ---- */

static bool listed(const struct topics *t, const char *name) {
  for (size_t i = 0; i < t->count; i++)
    if (strcmp(t->names[i], name) == 0) return true;
  return false;
}

static enum status add_topic(struct topics *t, const char *name, struct error *err) {
  enum topic_state state = TOPIC_UNCLEAR;
  if (listed(t, name)) return ST_OK;
  enum status st = cluster_topic(t->v->cluster, name, ANSWER_MS, &state, NULL, err);
  if (st != ST_OK || state == TOPIC_MISSING) return st;
  const char **grown = realloc(t->names, (t->count + 1) * sizeof *grown);
  if (!grown) return error_set(err, ST_NO_MEMORY, "out of memory");
  t->names = grown;
  t->names[t->count++] = name;
  return ST_OK;
}

/* The routing's, and the batches' where the routing was changed since. */
static enum status choose_topics(struct topics *t, struct error *err) {
  const struct routing *routing = t->v->s->routing;
  enum status st = ST_OK;
  struct span key, last = {0};
  void *value;
  for (unsigned i = 0; st == ST_OK && i < routing_topics(routing); i++)
    st = add_topic(t, routing_topic_name(routing, i), err);
  for (size_t at = 0; st == ST_OK && table_each(&t->v->batch_ids, &at, &key, &value);) {
    struct span topic = ((struct verify_id *)value)->entry->topic;
    if (span_eq(topic, last)) continue;
    last = topic;
    const char *name = arena_copy(&t->v->arena, topic);
    st = name ? add_topic(t, name, err) : error_set(err, ST_NO_MEMORY, "out of memory");
  }
  return st;
}

/* ---- a record ---- */

static struct span header(const struct message *m, const char *name) {
  for (size_t i = 0; i < m->header_count; i++)
    if (strcmp(m->headers[i].name, name) == 0) return m->headers[i].value;
  return (struct span){0};
}

static void ask_keys(struct topics *t) {
  bool seen[VERIFY_KEYS];
  if (t->asking && verify_keys_known(t->v, t->ids, t->asking, seen, NULL, NULL))
    for (size_t i = 0; i < t->asking; i++)
      if (!seen[i]) suspects_add(t->keyless, t->ids[i], t->places[i]);
  t->asking = 0;
  arena_reset(&t->arena);
}

/* One whose key may have expired is not asked for. */
static void want_key(struct topics *t, const struct message *m, struct span id, struct span place) {
  const struct verify_request *r = t->v->request;
  int64_t age_ms = clock_wall_us(r->clock) / 1000 - m->timestamp_ms;
  if (routing_event_times(t->v->s->routing, span_of(m->topic))) return; /* nobody knows its age */
  if (!t->v->keys || t->v->keys_away || age_ms >= setting_number(r->settings, SETTING_REDIS_TTL))
    return;
  t->ids[t->asking] = arena_span(&t->arena, id);
  t->places[t->asking] = arena_span(&t->arena, place);
  if (t->ids[t->asking].ptr && t->places[t->asking].ptr && ++t->asking == VERIFY_KEYS) ask_keys(t);
}

/* Was it seen before? Of very many only the last are known. */
static bool seen_before(struct topics *t, struct digest d) {
  if (digest_set_has(&t->young, d) || digest_set_has(&t->old, d)) return true;
  if (t->young.count >= VERIFY_RECORDS) {
    digest_set_release(&t->old);
    t->old = t->young;
    t->young = (struct digest_set){0};
    t->forgot = true;
  }
  if (digest_set_add(&t->young, d) != ST_OK) t->no_memory = true;
  return false;
}

static void see_record(struct topics *t, const struct message *m) {
  struct verify *v = t->v;
  struct span id = header(m, "ce_id"), source = header(m, "ce_source");
  char text[320];
  t->records++;
  if (!id.len || (source.len && !span_is(source, t->v->s->plan.source))) {
    t->foreign++;
    return;
  }
  int len =
      snprintf(text, sizeof text, "%.249s/%d/%lld", m->topic, m->partition, (long long)m->offset);
  struct span place = {text, (size_t)len};
  struct digest d = digest_of(id);
  if (seen_before(t, d)) suspects_add(t->twice, id, place);
  if (digest_set_has(&v->dead, d)) suspects_add(t->dead, id, place);
  if (digest_set_has(&v->pending, d)) suspects_add(t->pending, id, place);
  struct verify_id *wanted = table_get(&v->batch_ids, id);
  if (wanted && span_is(wanted->entry->topic, m->topic)) wanted->seen++;
  if (t->known.count && table_remove(&t->known, id)) t->known_seen++;
  want_key(t, m, id, place);
}

/* ---- reading ---- */

static int64_t oldest_batch_ms(const struct verify *v) {
  int64_t oldest = INT64_MAX;
  for (size_t i = 0; i < v->batch_count; i++)
    if (v->batches[i].manifest.count && v->batches[i].written_ms < oldest)
      oldest = v->batches[i].written_ms;
  return oldest;
}

static enum status next(struct topics *t, struct topic_reader *reader, struct message *m,
                        struct error *err) {
  enum status st = topic_reader_next(reader, QUIET_MS, m, err);
  if (st == ST_AGAIN)
    return error_set(err, ST_UNAVAILABLE,
                     "Kafka said nothing for %d s: the topics could not be read to their end",
                     QUIET_MS / 1000);
  if (st == ST_OK && t->no_memory) return error_set(err, ST_NO_MEMORY, "out of memory");
  return st;
}

static enum status read_all(struct topics *t, struct error *err) {
  const struct verify_request *r = t->v->request;
  struct topic_reader *reader = NULL;
  struct message m;
  int64_t from_ms = oldest_batch_ms(t->v), last = r->full ? INT64_MAX : (int64_t)r->sample;
  if (from_ms != INT64_MAX) from_ms = from_ms > SKEW_MS ? from_ms - SKEW_MS : 0;
  enum status st = topic_reader_open(&t->v->s->plan.kafka, r->log, t->names, t->count, false,
                                     ANSWER_MS, &reader, err);
  if (st == ST_OK) st = topic_reader_seek_back(reader, from_ms, last, ANSWER_MS, &t->offsets, err);
  while (st == ST_OK) {
    st = next(t, reader, &m, err);
    if (st == ST_OK) see_record(t, &m);
    if (st == ST_OK && r->progress) r->progress(r->progress_ctx, t->records, t->offsets);
  }
  topic_reader_close(reader);
  ask_keys(t);
  return st == ST_END ? ST_OK : st;
}

/* ---- the last batches ---- */

static uint64_t unseen(struct verify *v, struct suspects *out, uint64_t *twice) {
  struct span key;
  void *value;
  suspects_clear(out);
  *twice = 0;
  for (size_t at = 0; table_each(&v->batch_ids, &at, &key, &value);) {
    const struct verify_id *id = value;
    if (!id->seen) suspects_add(out, key, id->entry->topic);
    *twice += id->seen > 1;
  }
  return out->count;
}

/* Nothing was ever removed from the beginnings of the topics that these ids belong to; or the topic
 * is gone, whole. */
static bool beginnings_kept(struct verify *v, const struct suspects *missing) {
  struct span last = {0};
  for (size_t i = 0; i < missing->kept; i++) {
    enum topic_state state = TOPIC_UNCLEAR;
    int64_t low = 0, high;
    int partitions = 0;
    char name[256];
    if (span_eq(missing->at[i].place, last)) continue;
    last = missing->at[i].place;
    snprintf(name, sizeof name, "%.*s", SPAN_ARGS(last));
    if (cluster_topic(v->cluster, name, ANSWER_MS, &state, &partitions, NULL) != ST_OK)
      return false;
    for (int p = 0; state == TOPIC_THERE && p < partitions; p++)
      if (cluster_offsets(v->cluster, name, p, ANSWER_MS, &low, &high, NULL) != ST_OK || low > 0)
        return false;
  }
  return true;
}

/* Does any of them carry the event's own time? No time tells then where to look. */
static bool times_of_events(const struct verify *v) {
  struct span key;
  void *value;
  for (size_t at = 0; table_each(&v->batch_ids, &at, &key, &value);)
    if (((struct verify_id *)value)->entry->event_time) return true;
  return false;
}

/* Once more, from as far back as clocks may differ, or whole. *older: records from before the
 * batches are still there, so that retention cannot have taken theirs. */
static enum status look_far(struct topics *t, bool *older, struct error *err) {
  const struct verify_request *r = t->v->request;
  struct topic_reader *reader = NULL;
  struct message m;
  struct span key;
  void *value;
  uint64_t offsets;
  bool whole = times_of_events(t->v);
  int64_t oldest = oldest_batch_ms(t->v);
  int64_t from_ms = oldest > SKEW_FAR_MS && !whole ? oldest - SKEW_FAR_MS : 0;
  for (size_t at = 0; table_each(&t->v->batch_ids, &at, &key, &value);)
    ((struct verify_id *)value)->seen = 0;
  enum status st = topic_reader_open(&t->v->s->plan.kafka, r->log, t->names, t->count, false,
                                     ANSWER_MS, &reader, err);
  if (st == ST_OK)
    st = topic_reader_seek_back(reader, from_ms, r->full ? INT64_MAX : (int64_t)r->sample,
                                ANSWER_MS, &offsets, err);
  while (st == ST_OK && (st = next(t, reader, &m, err)) == ST_OK) {
    struct verify_id *wanted = table_get(&t->v->batch_ids, header(&m, "ce_id"));
    if (!whole && m.timestamp_ms < oldest - SKEW_MS) *older = true;
    if (wanted && span_is(wanted->entry->topic, m.topic)) wanted->seen++;
  }
  topic_reader_close(reader);
  return st == ST_END ? ST_OK : st;
}

/* reached: the topics still have what is as old as the batches. */
static void say_batches(struct verify *v, struct suspects *missing, uint64_t twice, bool reached) {
  char some[NUMBER_TEXT], all[NUMBER_TEXT];
  number_text(v->batch_ids.count, all);
  if (missing->count) {
    struct buffer names = {0};
    verify_samples(missing, true, &names);
    verify_found(v, "last batches", reached ? REPORT_FAILED : REPORT_WARNING,
                 "%s of the %s ids of the last batches are not in their topic: %s%s",
                 number_text(missing->count, some), all, buffer_z(&names),
                 reached ? "" : "; what is older has been removed from there too");
    buffer_release(&names);
    verify_next(
        v, "%s",
        reached ? "The ledger says that they were committed: was a topic made anew, or its records "
                  "deleted? Ask their producers for them again"
                : "Nothing to do, if the topics' retention is as wanted");
  } else if (twice) {
    verify_found(v, "last batches", REPORT_FAILED,
                 "%s of the %s ids of the last batches are in their topic more than once",
                 number_text(twice, some), all);
    verify_next(v, "See records, below");
  } else if (v->batch_ids.count) {
    verify_found(v, "last batches", REPORT_OK,
                 "each of the %s ids of the last batches is in its topic once", all);
  } else {
    verify_found(v, "last batches", REPORT_SKIPPED, "no batch with entries is known");
  }
}

static enum status check_batches(struct topics *t, struct error *err) {
  struct verify *v = t->v;
  struct suspects *missing = calloc(1, sizeof *missing);
  uint64_t twice = 0;
  bool reached = false;
  enum status st = missing ? ST_OK : error_set(err, ST_NO_MEMORY, "out of memory");
  if (st == ST_OK && unseen(v, missing, &twice)) {
    verify_pause(v);
    if (t->count) st = look_far(t, &reached, err);
    if (st == ST_OK) unseen(v, missing, &twice);
    reached = reached || beginnings_kept(v, missing);
  }
  if (st == ST_OK) say_batches(v, missing, twice, reached);
  if (missing) arena_release(&missing->arena);
  free(missing);
  return st;
}

/* ---- once more ---- */

/* Keeps those of which still(…) holds. What is beyond the kept ones is not counted any more. */
static void keep_record(struct suspects *s, bool (*still)(struct verify *v, struct span id),
                        struct verify *v) {
  size_t kept = 0;
  for (size_t i = 0; i < s->kept; i++)
    if (still(v, s->at[i].id)) s->at[kept++] = s->at[i];
  s->kept = kept;
  s->count = kept;
}

static bool has_no_key(struct verify *v, struct span id) {
  bool seen = false;
  return verify_keys_known(v, &id, 1, &seen, NULL, NULL) && !seen &&
         !digest_set_has(&v->pending, digest_of(id));
}

static bool is_dead(struct verify *v, struct span id) {
  return digest_set_has(&v->dead, digest_of(id));
}

/* Published, still there, and neither a key nor a manifest tells the worker so. */
static bool would_go_again(struct verify *v, struct span id) {
  bool seen = false, named = false;
  if (!digest_set_has(&v->pending, digest_of(id))) return false;
  if (v->keys && (!verify_keys_known(v, &id, 1, &seen, NULL, NULL) || seen)) return false;
  return manifest_names(v->s->store, &id, 1, &named, NULL) != ST_OK || !named;
}

static enum status look_again(struct topics *t, struct error *err) {
  if (!t->keyless->count && !t->dead->count && !t->pending->count) return ST_OK;
  verify_pause(t->v);
  if (!t->v->keys_away) verify_open_keys(t->v);
  enum status st = verify_survey(t->v, err);
  if (st != ST_OK) return st;
  keep_record(t->keyless, has_no_key, t->v);
  keep_record(t->dead, is_dead, t->v);
  keep_record(t->pending, would_go_again, t->v);
  return ST_OK;
}

/* ---- what it says ---- */

PRINTF_LIKE(5, 6)
static void say_topics(struct topics *t, const char *check, const struct suspects *s,
                       const char *next, const char *fmt, ...) {
  struct buffer names = {0};
  char what[300], count[NUMBER_TEXT];
  va_list args;
  va_start(args, fmt);
  vsnprintf(what, sizeof what, fmt, args);
  va_end(args);
  if (!s->count) return verify_found(t->v, check, REPORT_OK, "%s", what);
  verify_samples(s, true, &names);
  verify_found(t->v, check, REPORT_FAILED, "%s %s: %s", number_text(s->count, count), what,
               buffer_z(&names));
  verify_next(t->v, "%s", next);
  buffer_release(&names);
}

static void say_records(struct topics *t) {
  char records[NUMBER_TEXT], foreign[NUMBER_TEXT];
  const char *how = t->v->request->full ? "" : ", the last of each partition; --full reads all";
  if (t->twice->count)
    say_topics(
        t, "records", t->twice,
        "An entry goes out once; an id twice means that it was written twice while Redis did not "
        "know it, replayed by force, or that another producer wrote it. Consumers drop the second "
        "by ce_id",
        "records have an id that an earlier one has");
  else
    verify_found(t->v, "records", REPORT_OK, "%s read (%s of others%s), no id twice%s",
                 number_text(t->records, records), number_text(t->foreign, foreign), how,
                 t->forgot ? " among the last " : "");
}

static void say_known(struct topics *t) {
  struct suspects *lost = calloc(1, sizeof *lost);
  struct span key;
  void *value;
  if (!lost) return verify_found(t->v, "keys of others", REPORT_FAILED, "out of memory");
  for (size_t at = 0; table_each(&t->known, &at, &key, &value);)
    suspects_add(lost, key, (struct span){0});
  if (lost->count)
    say_topics(
        t, "pending ids", lost,
        "They would be removed as duplicates though no topic holds them (or no longer, where "
        "retention is short): busbridge replay --force ID forgets the key",
        "wait, are known to Redis, and are in no topic");
  arena_release(&lost->arena);
  free(lost);
}

static void say_all(struct topics *t) {
  struct verify *v = t->v;
  bool keys = v->keys && !v->keys_away;
  say_records(t);
  if (keys)
    say_topics(
        t, "record keys", t->keyless,
        "It lost keys before redis.ttl: an entry written again under one of these ids would be "
        "published again. See busbridge doctor, redis memory",
        "%s",
        t->keyless->count ? "records younger than redis.ttl have no key in Redis"
                          : "Redis knows the ids of all");
  else
    verify_found(v, "record keys", REPORT_SKIPPED, "%s",
                 v->keys ? "Redis is away" : "redis.url is off");
  say_topics(
      t, "dead letters", t->dead,
      "They were published: busbridge purge ID takes the dead letter away. A replay is refused "
      "while Redis knows the id",
      "%s",
      t->dead->count ? "ids are published and dead letters too" : "none of them is published too");
  say_topics(
      t, "pending entries", t->pending,
      "A worker would publish them a second time (which is what replay --force is for); else take "
      "the entry away",
      "%s",
      t->pending->count ? "are published already, and neither Redis nor a manifest tells so"
                        : "none of them would be published a second time");
  if (v->request->full) say_known(t);
}

/* ---- all of it ---- */

static void release_topics(struct topics *t) {
  struct suspects *all[] = {t->twice, t->keyless, t->dead, t->pending};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (all[i]) arena_release(&all[i]->arena);
    free(all[i]);
  }
  digest_set_release(&t->young);
  digest_set_release(&t->old);
  table_release(&t->known);
  arena_release(&t->arena);
  free(t->names);
  free(t);
}

static struct topics *begin_topics(struct verify *v) {
  struct topics *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->v = v;
  t->twice = calloc(1, sizeof *t->twice);
  t->keyless = calloc(1, sizeof *t->keyless);
  t->dead = calloc(1, sizeof *t->dead);
  t->pending = calloc(1, sizeof *t->pending);
  for (size_t i = 0; i < v->known.kept; i++)
    if (table_put(&t->known, v->known.at[i].id, &v->known.at[i]) == ST_NO_MEMORY)
      t->no_memory = true;
  if (t->twice && t->keyless && t->dead && t->pending) return t;
  release_topics(t);
  return NULL;
}

void verify_topics(struct verify *v) {
  struct error err = {0};
  if (!v->cluster) {
    verify_found(v, "records", REPORT_SKIPPED, "not read: see broker");
    return;
  }
  struct topics *t = begin_topics(v);
  if (!t) return verify_found(v, "records", REPORT_FAILED, "out of memory");
  enum status st = choose_topics(t, &err);
  if (st == ST_OK && t->count) st = read_all(t, &err);
  if (st == ST_OK && v->s->plan.exactly_once) st = check_batches(t, &err);
  if (st == ST_OK && t->count) st = look_again(t, &err);
  if (st != ST_OK) {
    verify_found(v, "records", REPORT_FAILED, "%s", err.text);
    verify_next(v, "Try again; busbridge doctor tells more");
  } else if (t->count) {
    say_all(t);
  } else {
    verify_found(v, "records", REPORT_SKIPPED, "none of the topics exists yet");
  }
  release_topics(t);
}
