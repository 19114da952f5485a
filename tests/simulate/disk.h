/* disk.h - the disk of a life: a real folder, and tests/unit/power.h below the file kind, which
 * knows what of it is durable. Its files have the times of the virtual clock. What a process has
 * open is closed when it is killed, its locks with it.
 */
#ifndef TESTS_SIMULATE_DISK_H
#define TESTS_SIMULATE_DISK_H

#include "bridge/base/span.h"

#include <stdbool.h>

/* An empty outbox, the typed bus's own beside it, and their urls. dlq_far: its dlq/ is a file
 * system of its own. Ended, nothing of it is left. */
void disk_begin(bool dlq_far);
const char *disk_url(void);
const char *disk_typed(void);
void disk_end(void);

void disk_close_all(int group);

/* The lock's file is replaced, as when the machine that held it is given up. */
void disk_unlock(void);

/* What others do to a file; its path begins with "outbox/" or "typed/". False: none lies there. A
 * new file comes in its place by a rename, as editors and rsync do it; with the old one's time, if
 * that is kept. */
bool disk_touch(const char *file);
bool disk_replace(const char *file, struct span text, bool keep_time);
void disk_write(const char *file, struct span text); /* as a producer does */
bool disk_move(const char *from, const char *to);    /* over nothing; durable */
/* Appended to out. */
bool disk_read(const char *file, struct buffer *out);

/* Second links, whose other name lies elsewhere. A strange file is somebody else's, with a link at
 * that path; it has to be linked again when the power was gone. */
void disk_put_strange(const char *file, struct span text);
void disk_link_strange(const char *file);
bool disk_strange_lies(const char *file); /* still that file, at that path */
bool disk_link(const char *file);         /* as a backup does with an entry */
void disk_unlink_all(void);               /* and removes it again later */

/* Some entry's new form is exchanged with the old one, by files that are known by their inodes. */
bool disk_is_rewritten(void);

/* A copy of all of it, and the copy in its place, durable: nobody has anything open. */
void disk_back_up(void);
void disk_restore(void);

/* What was not synced is lost, or is not, as the draw says. Nobody has anything open. */
void disk_lose_power(void);

#endif
