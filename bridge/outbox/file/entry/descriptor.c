/* The descriptor of a raw dead letter: the object <stem>.json that lies in dlq/ beside its bytes,
 * <stem>.raw.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/file/entry/entry_file.h"

bool fs_of_bytes(enum reason reason) {
  return (reason >= REASON_EMPTY_FILE && reason <= REASON_NOT_OBJECT) ||
         reason == REASON_CRASHES_WORKER;
}

/* All 64 bits, which json_int has no room for. */
static bool inode_of(const struct json_doc *doc, uint64_t *inode) {
  uint32_t node = json_member(doc, 0, "inode");
  if (node == JSON_NONE || doc->nodes[node].type != JSON_NUMBER ||
      !(doc->nodes[node].flags & JSON_INTEGER))
    return false;
  struct span text = json_slice(doc, node);
  *inode = 0;
  for (size_t i = 0; i < text.len; i++) {
    unsigned digit = (unsigned)text.ptr[i] - '0';
    if (digit > 9 || __builtin_mul_overflow(*inode, 10, inode) ||
        __builtin_add_overflow(*inode, digit, inode))
      return false;
  }
  return true;
}

/* An event may have a member inode and an empty payload too. It has a name; and where it died
 * without one, a reason that no bytes have, which its producer cannot write: the dead form sets it.
 */
bool fs_descriptor(const struct json_doc *doc, uint64_t *inode) {
  uint32_t payload = json_member(doc, 0, "payload"), name = json_member(doc, 0, "name");
  if (json_member(doc, 0, "message_id") != JSON_NONE) name = json_member(doc, 0, "event_type");
  uint32_t reason = json_member(doc, 0, "reason");
  if (!inode_of(doc, inode)) return false;
  if (payload == JSON_NONE || doc->nodes[payload].type != JSON_OBJECT || doc->nodes[payload].count)
    return false;
  if (name != JSON_NONE && (doc->nodes[name].type != JSON_STRING || json_raw(doc, name).len))
    return false;
  return reason == JSON_NONE || (doc->nodes[reason].type == JSON_STRING &&
                                 fs_of_bytes(reason_from_word(json_raw(doc, reason))));
}

/* In the form of the bus whose tools list it. */
void fs_describe_raw(enum side side, struct span stem, const struct stamp *stamp,
                     const struct failure *why, struct buffer *out) {
  char time[TIME_TEXT];
  bool typed = side == SIDE_TYPED;
  buffer_add_z(out, typed ? "{\"message_id\": " : "{\"id\": ");
  json_write_string(out, stem);
  buffer_printf(out,
                ", \"%s\": \"\", \"payload\": {}, \"created_at\": \"%s\", \"attempts\": %u%s"
                ", \"last_error\": ",
                typed ? "event_type" : "name", time_format(stamp->mtime_ns / 1000, time),
                why->attempts, typed ? "" : ", \"dispatched_at\": null");
  json_write_string(out, span_of(why->error ? why->error : reason_word(why->reason)));
  buffer_printf(out, ", \"failed_at\": \"%s\", \"status\": \"%s\"",
                time_format(why->failed_us, time), typed ? "errored" : "dlq");
  if (!typed) {
    buffer_add_z(out, ", \"storage_key\": ");
    json_write_string(out, stem);
  }
  enum reason reason =
      fs_of_bytes(why->reason) ? why->reason : REASON_NOT_JSON; /* what fs_descriptor knows it by */
  buffer_printf(out, ", \"reason\": \"%s\", \"error_code\": ", reason_word(reason));
  if (why->error_code)
    json_write_int(out, why->error_code);
  else
    buffer_add_z(out, "null");
  buffer_printf(out, ", \"inode\": %llu}", (unsigned long long)stamp->inode);
}
