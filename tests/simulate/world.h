/* world.h - what lies outside the worker in a simulated life: a Kafka with transactions, a Redis,
 * the small texts of an outbox; and what may go wrong with each. The library's publisher, cluster,
 * reader, keys and state are made of it here, by the linker. */
#ifndef TESTS_SIMULATE_WORLD_H
#define TESTS_SIMULATE_WORLD_H

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/topic_reader.h"
#include "bridge/keys/keys.h"
#include "bridge/outbox/store.h"

enum {
  PARTITIONS = 2,
  RECORDS = 4096,
  TOPICS = 8,
  POSITIONS = 64,
  KEYS = 1024,
  IDENTITIES = 32,
  FLAKY = 64
};

enum fate { OPEN, COMMITTED, ABORTED };
struct sim_record {
  char id[64], key[64];
  unsigned topic;
  int partition;
  int64_t offset, timestamp_ms;
  uint64_t transaction; /* 0: none */
  enum fate fate;
};

struct sim_position {
  char topic[64], group[100], digest[40];
  int64_t number;
};

/* What the broker knows of a transactional id. */
struct sim_identity {
  char id[100];
  int epoch;
  uint64_t transaction; /* that is open, 0: none */
  int64_t open_since_ns;
  struct sim_position pending; /* number -1: none */
  bool late_commit;
  int late_epoch;
  int64_t late_ns;
};

/* Percent, per call. */
struct sim_faults {
  unsigned answer_lost; /* it was done, and nobody is told */
  unsigned call_lost;   /* it was not done */
  unsigned late;        /* of those lost: it is done later */
  unsigned again, stale, queue_full, world, together;
};

struct sim_world {
  bool kafka_up, redis_up, redis_off;
  int64_t redis_ns; /* it takes at most so long */
  struct sim_faults faults;
  /* Kafka */
  char topics[TOPICS][64];
  unsigned topic_count;
  struct sim_record records[RECORDS];
  size_t record_count;
  struct sim_position positions[POSITIONS];
  size_t position_count;
  struct sim_identity identities[IDENTITIES];
  size_t identity_count;
  uint64_t transactions;
  int64_t timeout_ns,
      flaky_until_ns[FLAKY]; /* flaky<n> is refused until then; 0: it was not seen yet */
  unsigned stale_left;
  int shut_topic; /* -1: none; what the others do with records of it: */
  enum kafka_fault shut_fault;
  bool unanswered; /* a commit was sent, and no answer to it has come yet */
  /* Redis: ids, and those that are to be set (which lie in the outbox) */
  char keys[KEYS][64], due[KEYS][64];
  size_t key_count, keys_due_count;
};
extern struct sim_world world;

/* kafka.c: what has happened by itself since the last call; a request's way, waited for at most so
 * long. */
void kafka_tick(void);
bool kafka_reachable(int64_t most_ms);
int64_t kafka_position(void); /* the highest that is committed, -1: none */

void world_begin(void);
void world_lose_positions(void);
const char *fate_word(enum fate fate);

/* Counted over all lives: which rows of the tables were reached. */
enum reached {
  REACHED_COMMIT_LOST,
  REACHED_COMMIT_UNKNOWN,
  REACHED_COMMIT_LATE,
  REACHED_FENCED,
  REACHED_TIMED_OUT,
  REACHED_REFUSED,
  REACHED_TOGETHER,
  REACHED_STALE,
  REACHED_POSITION_LOST,
  REACHED_TOPIC,
  REACHED_WORLD,
  REACHED_QUEUE_FULL,
  REACHED_OUTAGE,
  REACHED_KILL,
  REACHED_TAKEOVER,
  REACHED_STOPPED,
  REACHED_RECOVERED,
  REACHED_REPLAYED,
  REACHED_REDIS_AWAY,
  REACHED_PAUSED,
  /* what the outbox refused, by its cause */
  REACHED_FULL,
  REACHED_BAD,
  REACHED_UNSYNCED,
  REACHED_READ_ONLY,
  REACHED_DENIED,
  REACHED_UNREADABLE,
  REACHED_SLOW,
  /* bridge/relay/PROTOCOL.md 5: what a crash found the outbox in */
  REACHED_TABLES,
  REACHED_CRASH_BEFORE_MANIFEST = REACHED_TABLES,
  REACHED_CRASH_BEFORE_COMMIT,
  REACHED_CRASH_UNANSWERED,
  REACHED_CRASH_SETTLING,
  REACHED_CRASH_RENAMES,
  REACHED_CRASH_MOVING,
  /* verdicts, by what came of them */
  REACHED_PUBLISHED,
  REACHED_DUPLICATE,
  REACHED_RETRIED,
  REACHED_HELD,
  REACHED_WAITS,
  REACHED_DEAD,
  REACHED_HOPELESS,
  REACHED_REFUSED_DEAD,
  REACHED_EITHER, /* up to here in both kinds of lives; behind it on the disk alone */
  REACHED_POWER = REACHED_EITHER,
  REACHED_ONE,
  REACHED_ASIDE,
  REACHED_TYPED,
  REACHED_TAKEN_UP,
  REACHED_NEW_ID,
  /* bridge/relay/PROTOCOL.md 4: what a start found, in the order of enum standing_kind */
  REACHED_STANDING,
  REACHED_COUNT = REACHED_STANDING + 6
};
/* life.c: what all lives share; one of them, true: all that was promised held. theme: of enum theme
 * (life.h), 0: as the seed says. history: a digest of it, which is the same whenever it is lived.
 */
void open_shared(void);
int theme_of(const char *word); /* -1: none is called so */
bool one_life(uint64_t seed, bool on_disk, int theme, uint64_t *history);

extern uint32_t *reached; /* shared by all processes of a run */
static inline void reach(enum reached what) {
  __atomic_add_fetch(&reached[what], 1, __ATOMIC_RELAXED);
}

#endif
