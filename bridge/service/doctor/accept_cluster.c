/* Makes the cluster now reached the outbox's own. A crash leaves the old note or the new one.
 * One thread. */
#include "bridge/base/disk/durable.h"
#include "bridge/outbox/store.h"
#include "bridge/service/doctor/parts.h"
#include "bridge/service/operations.h"

enum { ANSWER_MS = 10000 };

static void begin_cluster(struct doctor *d, const struct doctor_request *request) {
  *d = (struct doctor){.request = request, .settings = request->settings, .clock = request->clock};
}

/* Looked at before it is opened for change: an outbox that no worker has seen gets no .busbridge
 * from us. */
static enum status hold(struct doctor *d, struct error *err) {
  struct store_options options = {.clock = d->clock};
  enum status st = plan_make(d->settings, &d->plan, err);
  if (st == ST_OK) st = store_open(d->plan.outbox, &options, &d->store, err);
  if (st != ST_OK) return st;
  if (!*store_id(d->store))
    return error_set(err, ST_NOT_FOUND,
                     "No worker was started on the outbox %s yet: there is nothing to change",
                     store_name(d->store));
  store_close(d->store);
  d->store = NULL;
  options.create = true;
  st = store_open(d->plan.outbox, &options, &d->store, err);
  return st == ST_OK ? store_lock(d->store, 0, err) : st;
}

static enum status ask_cluster(struct doctor *d, struct error *err) {
  enum status st = kafka_config_check(&d->plan.kafka, NULL, err);
  if (st == ST_OK) st = cluster_open(&d->plan.kafka, NULL, &d->cluster, err);
  if (st == ST_OK) st = cluster_id(d->cluster, ANSWER_MS, d->cluster_id, err);
  if (st == ST_OK && span_starts(span_of(d->cluster_id), "mockCluster"))
    return error_set(err, ST_UNSUPPORTED,
                     "A development broker is another one each time: it is not accepted");
  return st;
}

enum status doctor_accept_cluster(const struct doctor_request *request, struct buffer *json,
                                  struct error *err) {
  struct doctor d;
  struct buffer was = {0};
  bool first = true;
  begin_cluster(&d, request);
  enum status st = hold(&d, err);
  if (st == ST_OK) st = ask_cluster(&d, err);
  if (st == ST_OK) {
    enum status known = store_note_read(d.store, NOTE_CLUSTER, &was, NULL);
    if (known != ST_OK) buffer_clear(&was); /* missing or damaged: it is about to be right */
    st = store_note_write(d.store, NOTE_CLUSTER, span_of(d.cluster_id), err);
  }
  if (st == ST_OK) {
    buffer_add_char(json, '{');
    member_int(json, &first, "version", 1);
    member_text(json, &first, "outbox", span_of(store_name(d.store)));
    member_text(json, &first, "cluster", span_of(d.cluster_id));
    member_text_or_null(json, &first, "was", span_trim(buffer_span(&was)));
    buffer_add_char(json, '}');
    st = buffer_status(json, err);
  }
  buffer_release(&was);
  doctor_release(&d);
  return st;
}
