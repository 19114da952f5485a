/* folder.h - inside bridge/outbox/file only: walking a folder's names and judging them. Any thread.
 */
#ifndef BRIDGE_OUTBOX_FILE_NAMES_FOLDER_H
#define BRIDGE_OUTBOX_FILE_NAMES_FOLDER_H

#include "bridge/base/span.h"
#include "bridge/base/status.h"

#include <stdint.h>
#include <sys/stat.h>

/* type: DT_* of dirent.h, DT_UNKNOWN where the file system does not say. False stops the walk. */
typedef bool (*folder_visit_fn)(void *ctx, const char *name, unsigned char type);
/* Calls visit for each name but . and ..; the names may be removed or moved meanwhile. */
MUST_CHECK enum status folder_walk(int folder, folder_visit_fn visit, void *ctx, struct error *err);
bool folder_same(const struct stat *a, const struct stat *b);
bool folder_has(int folder, const char *name);
/* Can it be an entry's name: ends in .json and does not start with a dot. */
bool name_is_entry(const char *name);
/* The same with a dot in front: no entry's. */
bool name_is_hidden(const char *name);

/* Does folder/name lie on another file system, or another mount of it? Then nothing is renamed
 * between the two. */
bool folder_elsewhere(int folder, const char *name);
/* The same of two open folders. */
bool folder_apart(int a, int b);

#define NAME_SIZE 256 /* of a file name and its NUL */
/* An entry's name as a text of its own; false: it is none. */
bool name_from(struct span name, char out[NAME_SIZE]);
/* stem of name, then suffix: the other file of a pair. */
void name_with(const char *name, const char *suffix, char out[NAME_SIZE]);

/* The n-th name to be tried for one that is taken: name itself, then __1 and up behind its stem,
 * from NAME_NUMBERED on
 * __<long number>, made out of which: so one of the NAME_TRIES is free however many files have that
 * name. A stem that is too long for it is cut, between characters. */
#define NAME_NUMBERED 16
#define NAME_TRIES 32
void name_try(const char *name, unsigned n, uint64_t which, const char *suffix,
              char out[NAME_SIZE]);
uint64_t name_which(int folder,
                    const char *file); /* of a file: the same as long as it is only moved */

#endif
