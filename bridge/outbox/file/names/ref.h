/* ref.h - inside bridge/outbox/file only: in which folder an entry lies and which bytes it was, and
 * what the contract knows of both: a shelf and a token. Any thread. */
#ifndef BRIDGE_OUTBOX_FILE_NAMES_REF_H
#define BRIDGE_OUTBOX_FILE_NAMES_REF_H

#include "bridge/outbox/file/names/folder.h"
#include "bridge/outbox/store.h"

/* The outbox, and beside it the older typed bus's own (outbox.typed): each side has a folder, what
 * lies in its .busbridge, and these places. Their numbers stand in the names of leftover.h. */
enum side { SIDE_FLAT, SIDE_TYPED };
#define SIDES 2
enum place {
  PLACE_FLAT,
  PLACE_PENDING,
  PLACE_DLQ,
  PLACE_SENT,
  PLACE_TYPED_PENDING,
  PLACE_TYPED_PROCESSING,
  PLACE_TYPED_ERRORED,
  PLACE_TYPED_SENT
};
#define PLACES 8
static inline enum side place_side(enum place p) {
  return p >= PLACE_TYPED_PENDING ? SIDE_TYPED : SIDE_FLAT;
}
/* "", "pending/", "dlq/", "typed/errored/": in front of a name in messages */
const char *place_path(enum place p);
/* Its name in the folder of its side; "." for PLACE_FLAT */
const char *place_folder(enum place p);
const char *place_inside(enum place p); /* the same in front of a name; "" for PLACE_FLAT */
const char *place_word(enum place p); /* in .busbridge: "flat", "pending", "typed", "processing" */
bool place_from_word(struct span word, enum place *out); /* false: of none that entries wait in */
/* On the same side: where dead letters go, published ones, and those that come back. */
enum place place_dead(enum place p);
enum place place_sent(enum place p);
enum place place_home(enum place p);

struct stamp { /* which bytes it was */
  uint64_t inode;
  int64_t size, ctime_ns, mtime_ns;
};

/* Which entry it is. As long as the stamp is that of its file, it is; where another stamp lies at
 * its name (somebody touched it, linked it, wrote the same bytes again) the id decides, and for a
 * rewrite the content too. */
struct fs_ref {
  struct span name; /* file name in its place, e.g. "3f2b....json" */
  struct stamp stamp;
  enum place place;
  bool young;       /* the stamp was so new when it was read that other bytes may have the same: it
                       decides nothing */
  struct span id;   /* empty: it has none, the stamp alone decides */
  uint64_t content; /* event_content of what was read, 0 = not known */
};

/* A token is the file's name, behind "pending/" where it lies there; on the typed side behind
 * place_path. */
#define TOKEN_SIZE (NAME_SIZE + 17)
enum shelf fs_shelf(enum place place);
/* The token of that name; it may be the name itself. */
const char *fs_token(enum place place, const char *name, char room[TOKEN_SIZE]);
/* The name that a token stands for, and its place. */
struct span fs_token_name(enum shelf shelf, struct span token, enum place *place);

/* place_path of where it lies */
const char *fs_shelf_words(enum shelf shelf, struct span token);

/* Borrows all texts. */
struct fs_ref fs_ref_of(const struct entry_ref *ref);
/* Its texts but the token are borrowed, the token lives in keep. False: memory is out. */
MUST_CHECK bool fs_ref_give(const struct fs_ref *ref, struct arena *keep, struct entry_ref *out);

#endif
