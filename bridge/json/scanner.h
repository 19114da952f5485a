/* scanner.h - inside bridge/json only: the state of one scan, shared by the files that do it.
 *
 * Functions that return bool leave s->p behind what they read, or have filled the fault by
 * json_fail and return false.
 */
#ifndef BRIDGE_JSON_SCANNER_H
#define BRIDGE_JSON_SCANNER_H

#include "bridge/json/json.h"

/* An open container: where the scan is inside it, for the path in messages. */
struct json_frame {
  uint32_t node;
  uint32_t key; /* object: the node of the member name read last */
  bool object;
  bool in_value; /* the scan is in a member or an element, not between two */
};

struct json_scanner {
  const unsigned char *text, *p, *end;
  struct json_doc *doc;
  unsigned depth;
  char why[200]; /* filled by json_fail */
  struct json_frame frames[JSON_MAX_DEPTH];
};

/* Sets the fault with its message (without place and path) and returns false. */
bool json_fail(struct json_scanner *s, enum json_fault fault, const unsigned char *at,
               const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The text ended too early: "ends in the middle of <what>". Returns false. */
bool json_fail_cut(struct json_scanner *s, const char *what);
/* How a message shows one byte: 'x' or "byte 0x01". Returns out. */
const char *json_byte_text(unsigned char byte, char out[16]);
/* Puts place, path and reason into err. */
enum status json_fault_report(const struct json_scanner *s, struct error *err);

bool json_scan_string(struct json_scanner *s, bool *escaped); /* s->p is at the opening quote */
bool json_scan_number(struct json_scanner *s,
                      bool *integer); /* s->p is at the sign or first digit */
/* No two members of a finished object have the same name after unescaping. */
bool json_scan_unique(struct json_scanner *s, uint32_t object);

/* The bytes of a checked string, unescaped one at a time without memory. */
struct json_stream {
  const unsigned char *p, *end;
  unsigned char held[4]; /* the rest of an escape that gave several bytes */
  unsigned have, given;
};
struct json_stream json_stream_of(struct span raw);
int json_stream_next(struct json_stream *s); /* -1 at the end */
/* A number by its value: its digits that matter, as an integer, and a power of ten. */
void json_number_write(const struct json_doc *d, uint32_t node, struct buffer *out);
/* Orders two string nodes by their unescaped bytes. */
int json_string_cmp(const struct json_doc *d, uint32_t a, uint32_t b);

#endif
