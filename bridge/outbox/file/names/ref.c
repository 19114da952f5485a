/* What the contract knows of an entry and what this kind knows of it, both ways. Any thread;
 * nothing lasts.
 * It changes nothing that a crash could leave. */
#include "bridge/outbox/file/names/ref.h"

#include "bridge/base/text/words.h"

enum { INODE, SIZE, CTIME, YOUNG }; /* entry_ref.own */

struct row {
  enum shelf shelf;
  const char *path, *folder, *word;
  const char *before; /* its names in a token */
};
static const struct row rows[PLACES] = {
    [PLACE_FLAT] = {SHELF_PENDING, "", ".", "flat", ""},
    [PLACE_PENDING] = {SHELF_PENDING, "pending/", "pending", "pending", "pending/"},
    [PLACE_DLQ] = {SHELF_DEAD, "dlq/", "dlq", "dlq", ""},
    [PLACE_SENT] = {SHELF_SENT, "sent/", "sent", "sent", ""},
#define TYPED(folder) "typed/" folder "/", folder
    [PLACE_TYPED_PENDING] = {SHELF_PENDING, TYPED("pending"), "typed", "typed/pending/"},
    [PLACE_TYPED_PROCESSING] = {SHELF_PENDING, TYPED("processing"), "processing",
                                "typed/processing/"},
    [PLACE_TYPED_ERRORED] = {SHELF_DEAD, TYPED("errored"), "errored", "typed/errored/"},
    [PLACE_TYPED_SENT] = {SHELF_SENT, TYPED("sent"), "typed-sent", "typed/sent/"},
#undef TYPED
};

const char *place_path(enum place p) {
  return rows[p].path;
}

const char *place_folder(enum place p) {
  return rows[p].folder;
}

const char *place_inside(enum place p) {
  return rows[p].path + (place_side(p) == SIDE_TYPED ? sizeof "typed/" - 1 : 0);
}

const char *place_word(enum place p) {
  return rows[p].word;
}

bool place_from_word(struct span word, enum place *out) {
  for (unsigned p = 0; p < PLACES; p++)
    if (rows[p].shelf == SHELF_PENDING && span_is(word, rows[p].word)) {
      *out = (enum place)p;
      return true;
    }
  return false;
}

enum place place_dead(enum place p) {
  return place_side(p) == SIDE_TYPED ? PLACE_TYPED_ERRORED : PLACE_DLQ;
}

enum place place_sent(enum place p) {
  return place_side(p) == SIDE_TYPED ? PLACE_TYPED_SENT : PLACE_SENT;
}

enum place place_home(enum place p) {
  return place_side(p) == SIDE_TYPED ? PLACE_TYPED_PENDING : PLACE_FLAT;
}

enum shelf fs_shelf(enum place place) {
  return rows[place].shelf;
}

const char *fs_token(enum place place, const char *name, char room[TOKEN_SIZE]) {
  if (!*rows[place].before) return name;
  snprintf(room, TOKEN_SIZE, "%s%s", rows[place].before, name);
  return room;
}

struct span fs_token_name(enum shelf shelf, struct span token, enum place *place) {
  static const enum place places[] = {
      [SHELF_PENDING] = PLACE_FLAT, [SHELF_DEAD] = PLACE_DLQ, [SHELF_SENT] = PLACE_SENT};
  _Static_assert(sizeof places / sizeof *places == SHELF_SENT + 1, "a place for each shelf");
  *place = places[shelf];
  if (!token.len || !memchr(token.ptr, '/', token.len)) return token; /* as nearly all */
  for (unsigned p = 0; p < PLACES; p++) {
    size_t before = strlen(rows[p].before);
    if (rows[p].shelf != shelf || !before || !span_starts(token, rows[p].before)) continue;
    *place = (enum place)p;
    return (struct span){token.ptr + before, token.len - before};
  }
  return token;
}

const char *fs_shelf_words(enum shelf shelf, struct span token) {
  enum place place;
  (void)fs_token_name(shelf, token, &place);
  return place_path(place);
}

struct fs_ref fs_ref_of(const struct entry_ref *ref) {
  struct fs_ref out = {.stamp = {.inode = ref->own[INODE],
                                 .size = (int64_t)ref->own[SIZE],
                                 .ctime_ns = (int64_t)ref->own[CTIME],
                                 .mtime_ns = ref->arrived_ns},
                       .young = ref->own[YOUNG],
                       .id = ref->id,
                       .content = ref->content};
  out.name = fs_token_name(ref->shelf, ref->token, &out.place);
  return out;
}

bool fs_ref_give(const struct fs_ref *ref, struct arena *keep, struct entry_ref *out) {
  const char *folder = rows[ref->place].before;
  size_t before = strlen(folder);
  char *token = arena_alloc(keep, before + ref->name.len + 1);
  if (!token) return false;
  memcpy(token, folder, before);
  if (ref->name.len) memcpy(token + before, ref->name.ptr, ref->name.len);
  token[before + ref->name.len] = '\0';
  *out = (struct entry_ref){.shelf = fs_shelf(ref->place),
                            .token = {token, before + ref->name.len},
                            .label = {token + before, ref->name.len},
                            .id = ref->id,
                            .content = ref->content,
                            .arrived_ns = ref->stamp.mtime_ns,
                            .since_ms = ref->stamp.ctime_ns / 1000000,
                            .own = {[INODE] = ref->stamp.inode,
                                    [SIZE] = (uint64_t)ref->stamp.size,
                                    [CTIME] = (uint64_t)ref->stamp.ctime_ns,
                                    [YOUNG] = ref->young}};
  return true;
}
