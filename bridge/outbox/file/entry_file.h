/* entry_file.h - inside bridge/outbox/file only: one entry's file read and parsed, on a desk of
 * whoever reads it. Any thread, a desk each.
 */
#ifndef BRIDGE_OUTBOX_FILE_ENTRY_FILE_H
#define BRIDGE_OUTBOX_FILE_ENTRY_FILE_H

#include "bridge/outbox/file/ref.h"

#include <sys/stat.h>

enum fs_read {
  FS_READ,
  FS_GONE,
  FS_ODD,        /* no regular file with one link */
  FS_UNREADABLE, /* no right to, or the disk cannot */
  FS_UNSTABLE,   /* its size changed while it was read */
  FS_TOO_LARGE,  /* not read; the stamp is there */
  FS_FAILED      /* out of descriptors or memory: not the file's fault, err says so */
};
struct fs_desk {
  char *text;
  const struct event_lifting *lifting;
  size_t cap, len, limit; /* limit: bytes that an entry may have, unless it was rewritten by us */
  int sys;                /* errno behind FS_UNREADABLE */
  struct stamp stamp;
  bool young; /* see fs_ref */
  struct json_doc doc;
  struct arena arena; /* what event_parse unescapes */
  struct event event;
  enum reason reason; /* why it can never be published */
  struct error error; /* words for it */
};
void fs_desk_release(struct fs_desk *d);
struct fs; /* file.h */
enum fs_read fs_desk_read(struct fs *s, struct fs_desk *d, enum place place, const char *name,
                          struct error *err);
/* The same of a file that was read before: how many links it has now says nothing. */
enum fs_read fs_desk_reread(struct fs *s, struct fs_desk *d, int folder, const char *name,
                            struct error *err);
/* Scans and parses what was read: reason and error, doc and event as far as they go. ST_OK or
 * ST_NO_MEMORY. */
MUST_CHECK enum status fs_desk_parse(struct fs_desk *d, struct error *err);
void fs_desk_too_large(struct fs_desk *d);                /* reason and words */
bool fs_desk_is_object(const struct fs_desk *d);          /* complete JSON, an object */
bool fs_ours(enum place place, enum event_status status); /* is it an entry that waits to be sent */
bool fs_newer_form(const struct json_doc *doc);           /* dead letter of the newer producer */

#endif
