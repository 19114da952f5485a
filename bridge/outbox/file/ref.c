/* What the contract knows of an entry and what this kind knows of it, both ways. Any thread;
 * nothing lasts.
 * It changes nothing that a crash could leave. */
#include "bridge/outbox/file/ref.h"

#include "bridge/base/words.h"

enum { INODE, SIZE, CTIME, YOUNG }; /* entry_ref.own */

const char *place_path(enum place p) {
  switch (p) {
  case PLACE_FLAT: return "";
  case PLACE_PENDING: return "pending/";
  case PLACE_DLQ: return "dlq/";
  case PLACE_SENT: return "sent/";
  }
  return "?/";
}

enum shelf fs_shelf(enum place place) {
  switch (place) {
  case PLACE_DLQ: return SHELF_DEAD;
  case PLACE_SENT: return SHELF_SENT;
  case PLACE_FLAT:
  case PLACE_PENDING: break;
  }
  return SHELF_PENDING;
}

const char *fs_token(enum place place, const char *name, char room[TOKEN_SIZE]) {
  if (place != PLACE_PENDING) return name;
  snprintf(room, TOKEN_SIZE, "%s%s", place_path(place), name);
  return room;
}

struct span fs_token_name(enum shelf shelf, struct span token, enum place *place) {
  static const enum place places[] = {
      [SHELF_PENDING] = PLACE_FLAT, [SHELF_DEAD] = PLACE_DLQ, [SHELF_SENT] = PLACE_SENT};
  size_t folder = strlen(place_path(PLACE_PENDING));
  *place = places[shelf];
  if (shelf != SHELF_PENDING || !span_starts(token, place_path(PLACE_PENDING))) return token;
  *place = PLACE_PENDING;
  return (struct span){token.ptr + folder, token.len - folder};
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
  const char *folder = ref->place == PLACE_PENDING ? place_path(PLACE_PENDING) : "";
  size_t before = strlen(folder);
  char *token = arena_alloc(keep, before + ref->name.len + 1);
  if (!token) return false;
  memcpy(token, folder, before);
  if (ref->name.len) memcpy(token + before, ref->name.ptr, ref->name.len);
  token[before + ref->name.len] = '\0';
  *out = (struct entry_ref){.shelf = fs_shelf(ref->place),
                            .token = {token, before + ref->name.len},
                            .name = {token + before, ref->name.len},
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
