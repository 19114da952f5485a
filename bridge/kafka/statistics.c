/* Keeps the latest statistics as text, and reads them into gauges only when somebody asks.
 * Kept on the publisher's thread, read by any; a crash leaves nothing. */
#include "bridge/kafka/statistics.h"

#include "bridge/base/thread.h"
#include "bridge/json/json.h"

#include <math.h>

#define LABELS 100 /* brokers, and topics, shown */

struct statistics {
  struct mutex lock;
  char *text; /* the latest */
  size_t len;
};

enum status statistics_open(struct statistics **out) {
  struct statistics *s = calloc(1, sizeof *s);
  if (!s) return ST_NO_MEMORY;
  mutex_init(&s->lock);
  *out = s;
  return ST_OK;
}

void statistics_close(struct statistics *s) {
  if (!s) return;
  free(s->text);
  mutex_destroy(&s->lock);
  free(s);
}

void statistics_take(struct statistics *s, char *text, size_t len) {
  mutex_lock(&s->lock);
  free(s->text);
  s->text = text;
  s->len = len;
  mutex_unlock(&s->lock);
}

/* ---- showing ---- */

/* member, and of that its member `inner` where there is one, is shown as `metric`, times unit. */
struct figure {
  enum metric metric;
  const char *member, *inner;
  double unit;
};
static const struct figure of_client[] = {
    {METRIC_KAFKA_TIME, "time", NULL, 1},
    {METRIC_KAFKA_SENT_BYTES, "tx_bytes", NULL, 1},
    {METRIC_KAFKA_REQUESTS, "tx", NULL, 1},
    {METRIC_KAFKA_RECEIVED_BYTES, "rx_bytes", NULL, 1},
    {METRIC_KAFKA_RESPONSES, "rx", NULL, 1},
    {METRIC_KAFKA_QUEUE, "msg_cnt", NULL, 1},
    {METRIC_KAFKA_QUEUE_BYTES, "msg_size", NULL, 1},
};
static const struct figure of_broker[] = {
    {METRIC_KAFKA_RTT, "rtt", "avg", 1e-6},
    {METRIC_KAFKA_RTT_P99, "rtt", "p99", 1e-6},
    {METRIC_KAFKA_WAIT_P99, "outbuf_latency", "p99", 1e-6},
    {METRIC_KAFKA_ERRORS, "txerrs", NULL, 1},
    {METRIC_KAFKA_RETRIES, "txretries", NULL, 1},
    {METRIC_KAFKA_TIMEOUTS, "req_timeouts", NULL, 1},
    {METRIC_KAFKA_CONNECTS, "connects", NULL, 1},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

struct showing {
  struct metrics *m;
  struct json_doc doc;
  char label[256];
};

static uint32_t member_of(const struct showing *s, uint32_t object, const char *key) {
  if (object == JSON_NONE || s->doc.nodes[object].type != JSON_OBJECT) return JSON_NONE;
  return json_member(&s->doc, object, key);
}

static double number(const struct showing *s, uint32_t node) {
  double x;
  if (node == JSON_NONE || s->doc.nodes[node].type != JSON_NUMBER ||
      !json_double(&s->doc, node, &x, NULL))
    return NAN;
  return x;
}

static void set(struct showing *s, enum metric metric, const char *label, double value) {
  if (!isnan(value)) series_set(metrics_series(s->m, metric, label, NULL), value);
}

static void show_figures(struct showing *s, const struct figure *figures, size_t count,
                         uint32_t object, const char *label) {
  for (size_t i = 0; i < count; i++) {
    uint32_t node = member_of(s, object, figures[i].member);
    if (figures[i].inner) node = member_of(s, node, figures[i].inner);
    set(s, figures[i].metric, label, number(s, node) * figures[i].unit);
  }
}

static void show_broker(struct showing *s, uint32_t broker) {
  uint32_t name = member_of(s, broker, "nodename"), state = member_of(s, broker, "state");
  if (!(number(s, member_of(s, broker, "nodeid")) >= 0))
    return; /* a bootstrap address, the coordinator's line */
  if (name == JSON_NONE || s->doc.nodes[name].type != JSON_STRING || state == JSON_NONE) return;
  snprintf(s->label, sizeof s->label, "%.*s", SPAN_ARGS(json_raw(&s->doc, name)));
  show_figures(s, of_broker, COUNT(of_broker), broker, s->label);
  set(s, METRIC_KAFKA_UP, s->label, json_string_is(&s->doc, state, SPAN("UP")));
}

static void show_topic(struct showing *s, uint32_t topic) {
  uint32_t name = member_of(s, topic, "topic"), partitions = member_of(s, topic, "partitions");
  double messages = 0, bytes = 0;
  if (name == JSON_NONE || partitions == JSON_NONE || s->doc.nodes[partitions].type != JSON_OBJECT)
    return;
  for (uint32_t at = partitions + 1; at < s->doc.nodes[partitions].next;
       at = s->doc.nodes[at + 1].next) {
    double n = number(s, member_of(s, at + 1, "txmsgs")),
           b = number(s, member_of(s, at + 1, "txbytes"));
    if (isnan(n) || isnan(b)) continue;
    messages += n;
    bytes += b;
  }
  snprintf(s->label, sizeof s->label, "%.*s", SPAN_ARGS(json_raw(&s->doc, name)));
  set(s, METRIC_KAFKA_MESSAGES, s->label, messages);
  set(s, METRIC_KAFKA_BYTES, s->label, bytes);
}

static void show_each(struct showing *s, const char *key,
                      void (*show)(struct showing *, uint32_t)) {
  uint32_t object = member_of(s, 0, key);
  if (object == JSON_NONE || s->doc.nodes[object].type != JSON_OBJECT) return;
  unsigned shown = 0;
  for (uint32_t at = object + 1; at < s->doc.nodes[object].next && shown < LABELS;
       at = s->doc.nodes[at + 1].next)
    show(s, at + 1), shown++;
}

static void show_all(struct showing *s) {
  show_figures(s, of_client, COUNT(of_client), 0, NULL);
  show_each(s, "brokers", show_broker);
  show_each(s, "topics", show_topic);
}

/* Brokers come and go: what it does not tell any more is not shown. */
static void unset(struct metrics *m) {
  for (size_t i = 0; i < COUNT(of_client); i++) metrics_unset(m, of_client[i].metric);
  for (size_t i = 0; i < COUNT(of_broker); i++) metrics_unset(m, of_broker[i].metric);
  metrics_unset(m, METRIC_KAFKA_UP);
  metrics_unset(m, METRIC_KAFKA_MESSAGES);
  metrics_unset(m, METRIC_KAFKA_BYTES);
}

/* Read from a copy: the publisher does not wait for it. */
void statistics_show(struct statistics *s, struct metrics *m) {
  struct showing showing = {.m = m};
  struct buffer text = {0};
  mutex_lock(&s->lock);
  if (s->text) buffer_append(&text, s->text, s->len);
  mutex_unlock(&s->lock);
  unset(m);
  if (!text.failed && text.len && json_scan(&showing.doc, buffer_span(&text), NULL) == ST_OK)
    show_all(&showing);
  json_doc_release(&showing.doc);
  buffer_release(&text);
}
