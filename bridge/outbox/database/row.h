/* row.h - how the columns of a row become an entry: its JSON text is built of them, so that whoever
 * reads an event (bridge/event) is the same for every kind of outbox. Any thread.
 *
 * A row is the entry
 *   {"id": ID, "name": NAME, "payload": PAYLOAD, "created_at": CREATED_AT, "attempts": N,
 *    "dispatched_at": null, "last_error": E, "failed_at": T, "status": "pending",
 *    "storage_key": ID, "first_failed_at": T, "headers": HEADERS}
 * with last_error, failed_at null and first_failed_at missing before its first failure, headers
 * missing where that column is NULL; a dead letter has the status dlq and, behind that, reason,
 * error_code and topic. PAYLOAD and HEADERS stand in it byte by byte as the application wrote them.
 * So the member headers has what an entry's has (traceparent and tracestate; all else goes along as
 * a member that nobody knows), and created_at is the event's time; one that is not a time: the
 * arrival.
 *
 * The column key is the key of the event wherever neither its route, routing.keys nor its schema
 * names a field that the payload has (event.subject, unless an envelope in the payload has its
 * own); an empty one is none.
 *
 * A row whose name is "*" holds the whole entry in its payload, as an application that used to
 * write entries had it: an object with members of its own, say. Where that is a JSON string, the
 * entry is the text in it, whatever it is. Its column id is the storage key. What store_emit is
 * given and the columns cannot hold goes that way.
 *
 * What is refused: a payload or headers that are not one JSON value, alone, between the members
 * around them, have their own fault and its byte ("payload: byte 3: ..."), and nothing that stands
 * behind them is ever read as a member. A NUL, a lone surrogate, bytes that are not UTF-8 are such
 * faults. The dead letter keeps the columns, and so the bytes. */
#ifndef BRIDGE_OUTBOX_DATABASE_ROW_H
#define BRIDGE_OUTBOX_DATABASE_ROW_H

#include "bridge/outbox/database/steps.h"

#define ROW_WHOLE "*"

/* ---- tokens: "SEQ-ID", of an id that is none "SEQ+" and 32 hex digits made of it ---- */

#define ROW_TOKEN_MOST 180
/* Returns its length; out has ROW_TOKEN_MOST bytes and is terminated. */
size_t row_token(int64_t seq, struct span id, char out[ROW_TOKEN_MOST]);
/* Which row a token names. *id is in it; digest: it is the digits of one that row_is must find. */
struct row_name {
  int64_t seq;
  struct span id;
  bool digest;
};
bool row_name_read(struct span token, struct row_name *out); /* false: it is no token */
bool row_is(const struct db_row *row, const struct row_name *name);

/* ---- entries ---- */

struct row_entry {
  struct span text; /* empty: the row was cut, and is REASON_TOO_LARGE */
  struct json_doc doc;
  struct event event;
  enum reason reason;
  struct error words; /* where there is a reason */
  bool raw;           /* text is not a JSON object */
};
/* All in arena, the nodes too, but for what the row has (its spans must stay). max: an entry of
 * more bytes is too large; 0: none is. ST_NO_MEMORY. */
MUST_CHECK enum status row_read(const struct db_row *row, enum shelf shelf, uint64_t max,
                                const struct event_lifting *lifting, struct arena *arena,
                                struct row_entry *out, struct error *err);
/* What stands before the payload, and what behind it, in the text of a row; of a whole entry
 * nothing. */
void row_front(const struct db_row *row, struct buffer *out);
void row_back(const struct db_row *row, enum shelf shelf, struct buffer *out);
/* The columns of a text that is to be emitted, in arena. ST_INVALID: no row can hold it. */
MUST_CHECK enum status row_columns(struct span storage_key, struct span text, struct arena *arena,
                                   struct db_row *out, struct error *err);

#endif
