/* The release of a broker, from what librdkafka logs of it.
 * Any thread; a crash leaves nothing. */
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/handle.h"

/* librdkafka keeps a broker's ApiVersions to itself, but tells its log: "...  ApiKey InitProducerId
 * (22) Versions 0..5". A line in another form is passed over; then the release stays unknown. */
void versions_overhear(struct versions *v, const char *text) {
  const char *at = strstr(text, "ApiKey ");
  const char *number = at ? strchr(at, '(') : NULL;
  int key = -1, oldest = 0, newest = -1;
  if (!number || sscanf(number, "(%d) Versions %d..%d", &key, &oldest, &newest) != 3) return;
  if (key < 0 || key >= (int)(sizeof v->newest / sizeof *v->newest) || newest < 0 || newest > 1000)
    return;
  atomic_store(&v->newest[key], newest + 1);
}

/* The first row that a broker satisfies tells its release: each has a request, or a version of one,
 * that came with it.
 */
static const struct {
  int key, version;
  const char *release;
} marks[] = {
    {0, 13, "4.1"}, {0, 12, "4.0"}, {1, 17, "3.9"}, {0, 11, "3.8"}, {1, 16, "3.7"},
    {1, 15, "3.5"}, {1, 13, "3.1"}, {66, 0, "3.0"}, {60, 0, "2.8"}, {50, 0, "2.7"},
    {48, 0, "2.6"}, {22, 3, "2.5"}, {47, 0, "2.4"}, {44, 0, "2.3"}, {43, 0, "2.2"},
    {1, 10, "2.1"}, {1, 8, "2.0"},  {42, 0, "1.1"}, {37, 0, "1.0"}, {22, 0, "0.11"},
};

static bool knows(struct versions *v, int key, int version) {
  return atomic_load(&v->newest[key]) > version;
}

void versions_read(struct versions *v, struct kafka_version *out) {
  enum { INIT_PRODUCER_ID = 22, ADD_OFFSETS_TO_TXN = 25, END_TXN = 26, TXN_OFFSET_COMMIT = 28 };
  out->release = "";
  for (size_t i = 0; i < sizeof marks / sizeof *marks && !*out->release; i++)
    if (knows(v, marks[i].key, marks[i].version)) out->release = marks[i].release;
  out->transactions = knows(v, INIT_PRODUCER_ID, 0) && knows(v, ADD_OFFSETS_TO_TXN, 0) &&
                      knows(v, END_TXN, 0) && knows(v, TXN_OFFSET_COMMIT, 0);
}
