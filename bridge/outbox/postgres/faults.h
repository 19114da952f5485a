/* faults.h - what PostgreSQL's error codes (SQLSTATE) mean for whoever waits for it, and what to
 * do. Inside bridge/outbox/postgres only. Pure. */
#ifndef BRIDGE_OUTBOX_POSTGRES_FAULTS_H
#define BRIDGE_OUTBOX_POSTGRES_FAULTS_H

#include "bridge/base/span.h"

/* In `cause` of an error that comes from here. */
enum pg_fault {
  PG_NO_FAULT,
  PG_AWAY,      /* no connection, or it was cut: what was sent may have been done */
  PG_ENDING,    /* the server ends or starts: as away */
  PG_CROWDED,   /* it has no connection left for us */
  PG_REPEAT,    /* a deadlock, a conflict, a cancel: nothing was done, send it again */
  PG_READ_ONLY, /* a replica, or a server that was told to write nothing */
  PG_DISK_FULL, /* its disk */
  PG_OUT_OF_MEMORY,
  PG_LOGIN, /* it does not let us in */
  PG_NO_DATABASE,
  PG_NO_RIGHT,     /* the role may not */
  PG_NOT_MIGRATED, /* the tables are not there, or of another release */
  PG_TWICE,        /* such a row is there already */
  PG_BAD_DATA,     /* what was sent is no value of its type */
  PG_REFUSED,      /* a trigger or a constraint of the database refuses it */
  PG_KEPT,         /* a row that was to go stays without a word (settle.c divides by zero then) */
  PG_RULED,        /* a rule stands in the way of what is sent */
  PG_DAMAGED,      /* a table or index is corrupt */
  PG_OTHER
};
/* code: five characters, or empty where the connection gave none: PG_AWAY. */
enum pg_fault pg_fault_of(struct span code);
/* The same of a refused statement. context: where it came from, as the server tells, or NULL. What
 * a function of the application's meets is its trigger's refusal, not a fault of ours. */
enum pg_fault pg_fault_in(struct span code, const char *context);
enum status pg_fault_status(enum pg_fault fault);
/* The nearest errno, never 0 of a fault: errors of the outbox are told from Kafka's by it. */
int pg_fault_sys(enum pg_fault fault);
/* What people can do, one sentence without a full stop; empty: nothing but wait. Static. */
const char *pg_fault_remedy(enum pg_fault fault);
/* Nothing more is to be sent over that connection: it is cut, or leads to the wrong server. */
bool pg_fault_parts(enum pg_fault fault);

#endif
