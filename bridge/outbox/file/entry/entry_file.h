/* entry_file.h - inside bridge/outbox/file only: one entry's file, loaded: read and parsed;
 * is it still the same event; its text after a verdict. Any thread, a struct fs_loaded each.
 */
#ifndef BRIDGE_OUTBOX_FILE_ENTRY_ENTRY_FILE_H
#define BRIDGE_OUTBOX_FILE_ENTRY_ENTRY_FILE_H

#include "bridge/outbox/file/site/site.h"

enum fs_read {
  FS_READ,
  FS_GONE,
  FS_ODD,        /* no regular file with one link */
  FS_UNREADABLE, /* no right to, or the disk cannot */
  FS_UNSTABLE,   /* its size changed while it was read */
  FS_TOO_LARGE,  /* not read; the stamp is there */
  FS_FAILED      /* out of descriptors or memory: not the file's fault, err says so */
};
struct fs_loaded {
  char *text;
  const struct event_lifting *lifting;
  bool typed;             /* it is to be parsed as an entry of the typed side */
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
void fs_loaded_release(struct fs_loaded *d);
enum fs_read fs_load(struct fs_site *s, struct fs_loaded *d, enum place place, const char *name,
                     struct error *err);
/* The same of a file that was read before: how many links it has now says nothing. */
/* place: that it belongs to. */
enum fs_read fs_load_again(struct fs_site *s, struct fs_loaded *d, enum place place, int folder,
                           const char *name, struct error *err);
/* Scans and parses what was read: reason and error, doc and event as far as they go. ST_OK or
 * ST_NO_MEMORY. */
MUST_CHECK enum status fs_loaded_parse(struct fs_loaded *d, struct error *err);
void fs_loaded_too_large(struct fs_loaded *d);             /* reason and words */
bool fs_loaded_is_object(const struct fs_loaded *d);       /* complete JSON, an object */
bool fs_ours(enum place place, const struct event *event); /* is it one that waits to be sent */
/* Has it a dead form: refused, and on its way to dlq/? */
bool fs_dead_form(const struct fs_loaded *d);
bool fs_newer_form(const struct json_doc *doc); /* dead letter of the newer producer */
/* Is the reader to parse what it has loaded? */
static inline bool fs_may_parse(const struct fs_site *s, enum place place, const char *name) {
  char room[TOKEN_SIZE];
  return !s->c.may_parse || s->c.may_parse(s->c.parse_ctx, fs_token(place, name, room));
}

/* same_event.c: is what lies there still the ref's event? By id and content, not by stamp; read
 * into d. *how GONE: it is; REUSED, CHANGED, VANISHED: as for store_done. shown: its folder in
 * messages. What is being written is waited for a little; ST_BUSY: longer. */
MUST_CHECK enum status fs_same(struct fs_site *s, struct fs_loaded *d, int folder,
                               const char *shown, const char *name, const struct fs_ref *ref,
                               enum settled *how, struct error *err);

/* rewrite.c: the entry as it is pending anew, with attempts 0; and as it is after it has failed */
struct fs_failed; /* entry_moves.h */
MUST_CHECK enum status fs_pending_form(const struct fs_loaded *d, struct buffer *out,
                                       struct error *err);
MUST_CHECK enum status fs_failed_form(const struct fs_loaded *d, const char *name,
                                      const struct fs_failed *f, struct buffer *out,
                                      struct error *err);

/* descriptor.c: of what is not a JSON object */
bool fs_of_bytes(enum reason reason); /* why bytes are set aside unread; an event that is an object
                                         dies of others */
/* Is this object in dlq/ the descriptor of a raw dead letter, and no event? Sure of all that a
 * worker put there. */
bool fs_descriptor(const struct json_doc *doc, uint64_t *inode);
void fs_describe_raw(enum side side, struct span stem, const struct stamp *stamp,
                     const struct failure *why, struct buffer *out);

#endif
