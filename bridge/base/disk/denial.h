/* denial.h - what stands in the way of a path that this process may not use: which part of it,
 * whose that is, and what to do. For messages only: the answer is the moment's. Any thread.
 */
#ifndef BRIDGE_BASE_DISK_DENIAL_H
#define BRIDGE_BASE_DISK_DENIAL_H

#include "bridge/base/status.h"

struct denial {
  char what[300]; /* "/etc/busbridge belongs to root:root, mode 0700, and this is uid 1000"; empty:
                     nobody knows */
  char remedy[240]; /* "Run this as root: sudo ..."; never a chown or chmod of what belongs to
                       somebody else */
};
/* mode: of access(2), what was wanted of the path itself. */
void denial_of(const char *path, int mode, struct denial *out);
/* To an error that error_sys made of EACCES or EPERM for that path, append both. Others
 * stay as they are. */
void error_denied(struct error *err, const char *path, int mode);

/* What to do about an errno, one sentence without a full stop, wherever it stands in the way: of
 * files, of sockets. */
const char *sys_remedy(int sys);

#endif
