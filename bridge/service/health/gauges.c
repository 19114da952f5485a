/* GET /metrics: all of this moment that is not counted on the way.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/service/health/account.h"
#include "bridge/service/health/dead_counts.h"
#include "bridge/service/operations.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

static void set_gauge(struct service *s, enum metric metric, const char *label, double value) {
  series_set(metrics_series(s->metrics, metric, label, NULL), value);
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static void set_time(struct service *s, enum metric metric, int64_t us) {
  set_gauge(s, metric, NULL, us == TIME_NONE ? NAN : (double)us / 1e6);
}

/* The relay names only doors that are not closed. Those that there always are are set to 0; an
 * event's own goes when it is closed. */
static void set_breakers(struct service *s, const struct relay_status *status) {
  metrics_unset(s->metrics, METRIC_BREAKER);
  if (*s->plan.registry.urls) set_gauge(s, METRIC_BREAKER, "registry", BREAKER_CLOSED);
  set_gauge(s, METRIC_BREAKER, "kafka", BREAKER_CLOSED);
  set_gauge(s, METRIC_BREAKER, "outbox", BREAKER_CLOSED);
  for (unsigned i = 0; i < routing_topics(s->routing); i++)
    set_gauge(s, METRIC_BREAKER, routing_topic_name(s->routing, i), BREAKER_CLOSED);
  for (size_t i = 0; i < status->breaker_count; i++)
    set_gauge(s, METRIC_BREAKER, status->breakers[i].target, status->breakers[i].state);
}

/* The states are those in which the present scan found them: unread is what it has not come to.
 * Together they are what is pending, whatever is on its way between two of them. */
static void set_pending(struct service *s, const struct store_counts *c,
                        const struct relay_status *status) {
  uint64_t read = s->relay ? least(c->in_hand + c->given_back, c->pending) : 0;
  uint64_t retrying = status ? least(status->retrying, read) : 0;
  uint64_t held = status ? least(status->held, read - retrying) : 0;
  set_gauge(s, METRIC_PENDING, "unread", (double)(c->pending - read));
  set_gauge(s, METRIC_PENDING, "retrying", (double)retrying);
  set_gauge(s, METRIC_PENDING, "held", (double)held);
  set_gauge(s, METRIC_PENDING, "ready", (double)(read - retrying - held));
}

static void set_disk(struct service *s) {
  struct store_space space;
  store_space(s->store, &space);
  set_gauge(s, METRIC_AVAIL_BYTES, NULL, space.known ? (double)space.bytes : NAN);
  set_gauge(s, METRIC_AVAIL_INODES, NULL, space.entries >= 0 ? (double)space.entries : NAN);
}

static void set_vitals(struct service *s) {
  struct store_vitals v;
  store_vitals(s->store, &v);
  set_gauge(s, METRIC_DEAD_ROWS, NULL, v.dead_rows >= 0 ? (double)v.dead_rows : NAN);
  set_time(s, METRIC_LEASE, v.claimed_us);
  set_gauge(s, METRIC_CONNECTED, NULL, v.served ? v.connected : NAN);
  set_gauge(s, METRIC_CONNECTS, NULL, v.served ? (double)v.connects : NAN);
}

/* Of /proc/self/statm's second number. */
static double resident_bytes(void) {
  char text[128];
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  uint64_t pages = 0;
  if (fd >= 0) close(fd);
  if (n <= 0) return NAN;
  struct span rest = {text, (size_t)n}, word;
  bool known =
      span_word(&rest, &word) && span_word(&rest, &word) && number_parse(word, UINT64_MAX, &pages);
  return known ? (double)pages * (double)sysconf(_SC_PAGESIZE) : NAN;
}

static double open_files(void) {
  DIR *dir = opendir("/proc/self/fd");
  double count = -3; /* ".", ".." and the one it is read by */
  if (!dir) return NAN;
  while (readdir(dir)) count++;
  closedir(dir);
  return count;
}

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void set_process(struct service *s) {
  struct rusage used;
  struct rlimit files;
  /* the asking command's own is of no interest */
  if (s->mode != SERVICE_RELAY && !s->standby) return;
  set_gauge(s, METRIC_STANDBY, NULL, s->standby && !s->away);
  if (getrusage(RUSAGE_SELF, &used) == 0)
    set_gauge(s, METRIC_CPU, NULL, seconds(used.ru_utime) + seconds(used.ru_stime));
  if (getrlimit(RLIMIT_NOFILE, &files) == 0)
    set_gauge(s, METRIC_MAX_FDS, NULL, (double)files.rlim_cur);
  set_gauge(s, METRIC_LOG_DROPPED, NULL, (double)log_dropped(s->log));
  set_gauge(s, METRIC_MEMORY, NULL, resident_bytes());
  set_gauge(s, METRIC_FDS, NULL, open_files());
  set_time(s, METRIC_START, s->opened_us);
  series_set(metrics_series(s->metrics, METRIC_BUILD, BUSBRIDGE_VERSION, kafka_library_version()),
             1);
}

/* The thread that has been silent for longest; none has turned before the publisher did. */
static int64_t oldest_beat(const struct relay_status *status) {
  int64_t oldest = status->heartbeat_us;
  if (status->reader_us < oldest) oldest = status->reader_us;
  return status->finisher_us < oldest ? status->finisher_us : oldest;
}

static void set_gauges(struct service *s, const struct store_counts *c) {
  struct relay_status *status = s->relay ? calloc(1, sizeof *status) : NULL;
  if (status) {
    relay_status(s->relay, status);
    set_gauge(s, METRIC_INFLIGHT, NULL, (double)status->in_flight);
    set_gauge(s, METRIC_STUCK, NULL, (double)status->stuck);
    set_gauge(s, METRIC_HOLDS, NULL, (double)status->holds);
    set_time(s, METRIC_LAST_PUBLISH, status->last_publish_us);
    set_time(s, METRIC_HEARTBEAT, oldest_beat(status));
    set_breakers(s, status);
  }
  set_pending(s, c, status);
  set_disk(s);
  set_time(s, METRIC_OLDEST, c->oldest_us);
  set_gauge(s, METRIC_LEFT, NULL, (double)store_left(s->store, clock_wall_us(s->clock)));
  set_gauge(s, METRIC_ASIDE, NULL, (double)c->aside);
  struct keys_state keys;
  keys_state(s->keys, &keys);
  set_gauge(s, METRIC_KEYS_DUE, NULL, (double)keys.due);
  dead_counts_show(s->dead_counts, c->dead);
  free(status);
}

enum status service_prometheus(struct service *s, struct buffer *text, struct error *err) {
  struct store_counts counts;
  mutex_lock(&s->scrape);
  /* A folder that cannot be read leaves the gauges as they were; the rest is still worth having.
   * A standby tells of itself alone: what it could tell of the outbox its owner tells, and a sum
   * over both would count it twice. */
  if (!s->standby && account_sync(s, &counts)) set_gauges(s, &counts);
  if (!s->standby) set_vitals(s);
  set_process(s);
  if (s->statistics) statistics_show(s->statistics, s->metrics);
  metrics_prometheus(s->metrics, text);
  mutex_unlock(&s->scrape);
  return buffer_status(text, err);
}
