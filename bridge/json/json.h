/* json.h - a strict scanner that gives slices of its input, and a small writer.
 *
 * The scanner takes RFC 8259 and nothing else: valid UTF-8, depth <= 64, no duplicate keys
 * (compared after unescaping), no lone surrogates, no NaN or Infinity, no bytes after the value. It
 * makes an array of nodes in document order; nothing is copied or converted, so numbers keep their
 * text. A document is valid as long as its text and its memory are. The same doc may be scanned
 * again and again (its nodes are kept; once doc->arena was reset, zero the doc and set arena
 * again). One thread at a time.
 */
#ifndef BRIDGE_JSON_JSON_H
#define BRIDGE_JSON_JSON_H

#include "bridge/base/span.h"

#define JSON_MAX_DEPTH 64

enum json_type {
  JSON_NULL,
  JSON_FALSE,
  JSON_TRUE,
  JSON_NUMBER,
  JSON_STRING,
  JSON_ARRAY,
  JSON_OBJECT
};

/* What the scanner refuses. Each has a stable word (json_fault_word), the dead letter's reason. */
enum json_fault {
  JSON_OK = 0,
  JSON_EMPTY,          /* no bytes, or white space only */
  JSON_SYNTAX,         /* not JSON, or cut short */
  JSON_NOT_A_NUMBER,   /* NaN, Infinity, -Infinity (named as such) */
  JSON_LONE_SURROGATE, /* \ud800 without its other half, or such bytes in UTF-8 */
  JSON_INVALID_UTF8,
  JSON_DUPLICATE_KEY,
  JSON_TOO_DEEP,
  JSON_NO_MEMORY /* not the document's fault */
};

/* An object's members are two nodes each: the key (JSON_STRING), then the value's subtree. */
struct json_node {
  uint32_t at;    /* byte offset of the value; strings include their quotes */
  uint32_t len;   /* bytes of the value */
  uint32_t next;  /* index of the first node after this subtree */
  uint32_t count; /* members or elements; else 0 */
  uint8_t type;   /* enum json_type */
  uint8_t flags;  /* JSON_ESCAPED, JSON_INTEGER */
};
#define JSON_ESCAPED 1 /* string: has a backslash */
#define JSON_INTEGER 2 /* number: no fraction, no exponent */

struct json_doc {
  struct span text;
  struct json_node *nodes; /* nodes[0] is the root */
  uint32_t count, cap;
  struct arena *arena; /* NULL: nodes are malloc'ed and owned (json_doc_release); else they live in
                          this arena */
  enum json_fault fault;
  uint32_t fault_at; /* byte offset */
};

/* Scan text (at most 4 GiB - 1). Zero-initialised docs are fine. On a fault: doc->fault,
 * doc->fault_at, and err gets a message with byte offset and, where it is known, the path
 * ("payload.issues[2].type"). Returns ST_OK, ST_INVALID or ST_NO_MEMORY. */
MUST_CHECK enum status json_scan(struct json_doc *doc, struct span text, struct error *err);
void json_doc_release(struct json_doc *doc);
const char *json_fault_word(
    enum json_fault f); /* "not_json", "empty_file", "not_a_number", "lone_surrogate", ... */

static inline struct span json_slice(const struct json_doc *d, uint32_t node) {
  return (struct span){d->text.ptr + d->nodes[node].at, d->nodes[node].len};
}
/* A string's bytes between the quotes, escapes left as they are. */
static inline struct span json_raw(const struct json_doc *d, uint32_t node) {
  return (struct span){d->text.ptr + d->nodes[node].at + 1, d->nodes[node].len - 2};
}
/* How many of its first bytes may stand in a string as they are: ASCII, no quote, no backslash, no
 * control byte. Eight a step. */
size_t json_plain_prefix(struct span text);
#define JSON_NONE UINT32_MAX
/* The value of a member of object node, JSON_NONE when absent. key is compared after unescaping. */
uint32_t json_member(const struct json_doc *d, uint32_t object, const char *key);
/* Unescape a string node: appends its bytes to out. */
void json_unescape(const struct json_doc *d, uint32_t node, struct buffer *out);
/* The same as a span: the text's own bytes where there is no escape, else made in arena. False when
 * memory is out. */
MUST_CHECK bool json_text(const struct json_doc *d, uint32_t node, struct arena *arena,
                          struct span *out);
bool json_string_is(const struct json_doc *d, uint32_t node,
                    struct span text); /* after unescaping */
/* A number node as int64_t: false when it is not an integer or beyond 64 bit ("1.0" and "1e3" are
 * not integers). */
bool json_int(const struct json_doc *d, uint32_t node, int64_t *out);
/* The same of a number's value, however it is written, exactly: "1.0", "-0.0", "1e2", "120E-1",
 * "9007199254740993.0".
 */
enum json_whole { JSON_WHOLE, JSON_FRACTION, JSON_BEYOND /* whole, but beyond 64 bit */ };
enum json_whole json_whole(const struct json_doc *d, uint32_t node, int64_t *out);
/* A number node as the nearest double; false beyond a double's range. *digits (may be NULL):
 * significant digits. */
bool json_double(const struct json_doc *d, uint32_t node, double *out, unsigned *digits);
/* "payload.issues[2].type" of a node, appended to out. */
void json_path(const struct json_doc *d, uint32_t node, struct buffer *out);
/* One step of it: .name, or ["na.me"] as it stands in the text (quotes included) when it is not
 * plain. */
void json_path_key(struct span quoted, struct buffer *out);
/* The node that json_path gives this path (the root for none); JSON_NONE: there is none, or memory
 * is out. */
uint32_t json_at_path(const struct json_doc *d, struct span path);
const char *
json_type_name(enum json_type t); /* "null", "boolean", "number", "string", "array", "object" */

/* Writing: append to a buffer. json_write_string escapes only ", \ and bytes below 0x20 (as the
 * producers do) and turns invalid UTF-8 into U+FFFD. */
void json_write_string(struct buffer *out, struct span text);
void json_write_int(struct buffer *out, int64_t n);
void json_write_double(struct buffer *out,
                       double x); /* shortest text that reads back the same; null if not finite */
/* "key": with the comma when needed: *first is true before the first member. Separators as Python
 * writes: ", " ": ". */
void json_write_key(struct buffer *out, bool *first, const char *key);

#endif
