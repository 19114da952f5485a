/* folder.h - inside bridge/outbox only: walking a folder's names and judging them. Any thread. */
#ifndef BRIDGE_OUTBOX_FOLDER_H
#define BRIDGE_OUTBOX_FOLDER_H

#include "bridge/base/status.h"

/* type: DT_* of dirent.h, DT_UNKNOWN where the file system does not say. False stops the walk. */
typedef bool (*folder_visit_fn)(void *ctx, const char *name, unsigned char type);
/* Calls visit for each name but . and ..; the names may be removed or moved meanwhile. */
MUST_CHECK enum status folder_walk(int folder, folder_visit_fn visit, void *ctx, struct error *err);
/* Can it be an entry's name: ends in .json and does not start with a dot. */
bool name_is_entry(const char *name);
/* The same with a dot in front: no entry's. */
bool name_is_hidden(const char *name);

#define NAME_SIZE 256 /* of a file name and its NUL */
/* stem of name, then __n unless n is 0, then suffix (".json"); false when that is too long for a file name. */
bool name_with(const char *name, unsigned n, const char *suffix, char out[NAME_SIZE]);

#endif
