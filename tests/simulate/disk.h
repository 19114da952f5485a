/* disk.h - the disk of a life: a real folder, and tests/unit/power.h below the file kind, which
 * knows what of it is durable. Its files have the times of the virtual clock. What a process has
 * open is closed when it is killed, its locks with it.
 */
#ifndef TESTS_SIMULATE_DISK_H
#define TESTS_SIMULATE_DISK_H

#include "bridge/base/span.h"

#include <stdbool.h>

/* An empty outbox, and its url. Ended, nothing of it is left. */
void disk_begin(void);
const char *disk_url(void);
void disk_end(void);

void disk_close_all(int group);

/* The lock's file is replaced, as when the machine that held it is given up. */
void disk_unlock(void);

/* What others do to a file of the outbox. False: none of that name lies there. A new file comes in
 * its place by a rename, as editors and rsync do it; with the old one's time, if that is kept. */
bool disk_touch(const char *file);
bool disk_replace(const char *file, struct span text, bool keep_time);
/* Appended to out. */
bool disk_read(const char *file, struct buffer *out);

/* What was not synced is lost, or is not, as the draw says. Nobody has anything open. */
void disk_lose_power(void);

#endif
