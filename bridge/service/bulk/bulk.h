/* bulk.h - a replay or a purge of many dead letters: a selection that is frozen first and then gone
 * through in steps, by whoever asked for it. The worker runs nothing of it by itself, so a
 * selection nobody drives just stays.
 *
 * freeze writes down which dead letters are meant (frozen_selection.h says what a crash leaves);
 * step does the next few of them, in a second at most; asked again and again it comes to the end,
 * where one audit line is written and the selection is gone. What is busy is tried again in a
 * second and third round over the selection. Steps of several callers for one selection take turns;
 * one of them sees the end, the others ST_NOT_FOUND. Any thread. Needs CHANGE or RELAY; a dry run
 * works in every mode.
 */
#ifndef BRIDGE_SERVICE_BULK_BULK_H
#define BRIDGE_SERVICE_BULK_BULK_H

#include "bridge/service/entries/selection.h"
#include "bridge/service/service.h"

struct bulk_request {
  bool purge;                 /* else replay */
  bool force;                 /* replay what is in Kafka already */
  bool all;                   /* without it a filter or ids are needed */
  bool dry_run;               /* only tell */
  struct selection selection; /* initialised in any case; of dead letters; not together with ids */
  struct span ids; /* one a line, whole ones: of an entry, or the stem of its file; empty: none */
  const struct caller *by;
};
/* {"version":1,"selection":N|null,"kind":"replay|purge","count":N,"topics":{},"reasons":{},
 * "samples":[5 ids],"missing":N,"missing_samples":[5]}, of a replay's dry run also "fits":N (would
 * be published now),"would_die":{reason:N}: topics where they would go, reasons why they died,
 * missing ids that no dead letter has. selection is null for a dry run and for nothing. ST_INVALID:
 * neither filter nor ids nor all, or both. */
MUST_CHECK enum status service_bulk_freeze(struct service *s, const struct bulk_request *request,
                                           struct buffer *json, struct error *err);

/* At most limit entries (0: as many as a second allows).
 * {"version":1,"selection":N,"kind","filter":"...","force":bool,
 * "began":"...","total":N,"left":N,"round":N,"replayed"|"purged":N,"refused":N,"busy":N,
 * "failed":N,"vanished":N,
 * "finished":bool,"done":N of this step,"wait":bool,"errors":[{"file","code","text"}, at most 10]}
 * refused: in Kafka already. busy: in a batch that is not settled yet. vanished: not in dlq/ any
 * more, or another by now. wait: a round ended; ask again in a second. The counts are of all steps;
 * of refused, busy and failed, of this round. ST_UNAVAILABLE, ST_NO_SPACE, ST_NO_MEMORY: it cannot
 * go on now, nothing is lost, ask later. */
MUST_CHECK enum status service_bulk_step(struct service *s, bool purge, uint64_t selection,
                                         size_t limit, struct buffer *json, struct error *err);
/* The same without doing anything. */
MUST_CHECK enum status service_bulk_progress(struct service *s, bool purge, uint64_t selection,
                                             struct buffer *json, struct error *err);
/* {"version":1,"selections":[the same, ...]}: those unfinished. */
MUST_CHECK enum status service_bulk_list(struct service *s, bool purge, struct buffer *json,
                                         struct error *err);
/* Gives it up: what is not done stays in dlq/. Its last state, as progress. */
MUST_CHECK enum status service_bulk_cancel(struct service *s, bool purge, uint64_t selection,
                                           struct buffer *json, struct error *err);
/* The contents of a selection, for a copy before a purge. from: "" or the "next" of the answer
 * before; limit 0: 500.
 * {"version":1,"entries":[...],"next":"..."|null}. Each entry: {"file":"a.json","entry":{...}} with
 * the file's bytes as they are, or {"file","bytes":base64} where they are not a JSON object in one
 * line; a raw dead letter also has "raw":base64 of its bytes and "raw_size", and where these are
 * many, more elements {"file","offset":N,"raw"} follow. Those that are not in dlq/ any more are
 * left out. */
MUST_CHECK enum status service_bulk_entries(struct service *s, uint64_t selection, const char *from,
                                            size_t limit, struct buffer *json, struct error *err);

#endif
