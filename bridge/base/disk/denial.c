/* Finds the first part of a path that refuses us, names its owner and mode, and says how to get
 * past it; what to do about other errnos too.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/disk/denial.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME 48
#define ROOM 4096 /* of getpwuid_r and getgrgid_r */

static void user_name(uid_t uid, char out[NAME]) {
  char room[ROOM];
  struct passwd entry, *found = NULL;
  if (getpwuid_r(uid, &entry, room, sizeof room, &found) == 0 && found)
    snprintf(out, NAME, "%.40s", found->pw_name);
  else
    snprintf(out, NAME, "uid %ld", (long)uid);
}

static void group_name(gid_t gid, char out[NAME]) {
  char room[ROOM];
  struct group entry, *found = NULL;
  if (getgrgid_r(gid, &entry, room, sizeof room, &found) == 0 && found)
    snprintf(out, NAME, "%.40s", found->gr_name);
  else
    snprintf(out, NAME, "gid %ld", (long)gid);
}

static bool denies(const char *path, int mode) {
  return faccessat(AT_FDCWD, path, mode, AT_EACCESS) != 0 && (errno == EACCES || errno == EPERM);
}

/* The first folder above that may not be passed, else the path itself. Returns whether that is a
 * folder above. */
static bool culprit(const char *path, char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%s", path);
  for (char *at = out; (at = strchr(at + 1, '/'));) {
    *at = '\0';
    if (denies(out, X_OK)) return true;
    *at = '/';
  }
  return false;
}

/* The permission bits that would have allowed it, as those of others. */
static mode_t bits_of(int mode) {
  return (mode_t)((mode & R_OK ? 4 : 0) | (mode & W_OK ? 2 : 0) | (mode & X_OK ? 1 : 0));
}

static void remedy_for(const char *path, const struct stat *st, mode_t wanted, const char *owner,
                       const char *group, struct denial *out) {
  size_t room = sizeof out->remedy;
  bool shared = st->st_gid != 0 && ((st->st_mode >> 3) & wanted) == wanted;
  bool as_owner = st->st_uid == geteuid();
  if (as_owner && ((st->st_mode >> 6) & wanted) != wanted)
    snprintf(out->remedy, room, "It is yours: chmod u+%s%s%s '%.180s'", wanted & 4 ? "r" : "",
             wanted & 2 ? "w" : "", wanted & 1 ? "x" : "", path);
  else if (as_owner)
    snprintf(out->remedy, room,
             "Its mode allows it: an access list, a mount or a security module does not");
  else if (strncmp(owner, "uid ", 4) == 0)
    snprintf(out->remedy, room, "Run this as that user: sudo -u '#%ld' ...%s%s", (long)st->st_uid,
             shared ? "; or become a member of the group " : "", shared ? group : "");
  else
    snprintf(out->remedy, room, "Run this as that user: sudo -u %s ...%s%s", owner,
             shared ? "; or become a member of the group " : "", shared ? group : "");
}

void denial_of(const char *path, int mode, struct denial *out) {
  char part[PATH_MAX], owner[NAME], group[NAME];
  struct stat st;
  *out = (struct denial){0};
  mode_t wanted = culprit(path, part) ? 1 : bits_of(mode);
  if (stat(part, &st) != 0) return;
  user_name(st.st_uid, owner);
  group_name(st.st_gid, group);
  snprintf(out->what, sizeof out->what, "%.180s belongs to %s:%s, mode %04o, and this is uid %ld",
           part, owner, group, (unsigned)st.st_mode & 07777, (long)geteuid());
  remedy_for(part, &st, wanted, owner, group, out);
}

void error_denied(struct error *err, const char *path, int mode) {
  if (!err || (err->sys != EACCES && err->sys != EPERM)) return;
  struct denial d;
  denial_of(path, mode, &d);
  size_t len = strlen(err->text);
  if (d.what[0]) snprintf(err->text + len, sizeof err->text - len, " (%s). %s", d.what, d.remedy);
}

const char *sys_remedy(int sys) {
  switch (sys) {
  case EMFILE:
  case ENFILE:
    return "Raise the worker's limit of open files: LimitNOFILE= of its unit, ulimit -n, --ulimit "
           "nofile of a container";
  case EFBIG:
    return "Raise the worker's limit of a file's size: LimitFSIZE= of its unit, ulimit -f";
  case ENOSPC:
  case EDQUOT: return "Free space there (df -h, df -i), or raise the quota";
  case EROFS: return "Mount it for writing again; dmesg tells why it is not";
  case EACCES:
  case EPERM: return "Give the worker's user the right to it; busbridge doctor tells whose it is";
  case EIO: return "See whether the disk is sound (dmesg)";
  default: return "Fix the folder or its rights; busbridge doctor tells more";
  }
}
