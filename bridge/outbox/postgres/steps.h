/* steps.h - the steps of bridge/outbox/database/steps.h as PostgreSQL takes them. Private to
 * bridge/outbox. */
#ifndef BRIDGE_OUTBOX_POSTGRES_STEPS_H
#define BRIDGE_OUTBOX_POSTGRES_STEPS_H

#include "bridge/outbox/database/steps.h"

extern const struct db_steps postgres_steps;

#endif
