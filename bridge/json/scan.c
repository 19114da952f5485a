/* The scanner's main loop: values and containers become nodes in document order, without recursion.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/json/scanner.h"

#define NODES_FIRST 32
#define NODES_GUESS_MAX 4096

/* An arena cannot free, so the first guess fits most texts and then memory doubles: what is left
 * behind in the arena is never more than what is used. */
static bool grow(struct json_doc *d) {
  size_t guess = d->text.len / 8 < NODES_GUESS_MAX ? d->text.len / 8 : NODES_GUESS_MAX;
  size_t cap = d->cap ? 2 * (size_t)d->cap : guess > NODES_FIRST ? guess : NODES_FIRST;
  struct json_node *nodes = NULL;
  if (cap > UINT32_MAX) cap = UINT32_MAX;
  if (!d->arena) {
    nodes = realloc(d->nodes, cap * sizeof *nodes);
  } else if ((nodes = arena_alloc(d->arena, cap * sizeof *nodes)) && d->count) {
    memcpy(nodes, d->nodes, d->count * sizeof *nodes);
  }
  if (!nodes) return false;
  d->nodes = nodes;
  d->cap = (uint32_t)cap;
  return true;
}

/* A new node whose value begins at s->p. */
static struct json_node *push(struct json_scanner *s, enum json_type type) {
  struct json_doc *d = s->doc;
  if (d->count == d->cap && !grow(d)) {
    json_fail(s, JSON_NO_MEMORY, s->p, "no memory");
    return NULL;
  }
  struct json_node *n = &d->nodes[d->count++];
  *n =
      (struct json_node){.at = (uint32_t)(s->p - s->text), .next = d->count, .type = (uint8_t)type};
  return n;
}

static void skip_blank(struct json_scanner *s) {
  while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r')) s->p++;
}

static bool string_node(struct json_scanner *s) {
  struct json_node *n = push(s, JSON_STRING);
  bool escaped;
  if (!n || !json_scan_string(s, &escaped)) return false;
  n->len = (uint32_t)(s->p - s->text) - n->at;
  n->flags = escaped ? JSON_ESCAPED : 0;
  return true;
}

static bool number_node(struct json_scanner *s) {
  struct json_node *n = push(s, JSON_NUMBER);
  bool integer;
  if (!n || !json_scan_number(s, &integer)) return false;
  n->len = (uint32_t)(s->p - s->text) - n->at;
  n->flags = integer ? JSON_INTEGER : 0;
  return true;
}

static bool no_value(struct json_scanner *s) {
  char shown[16];
  if (s->end - s->p >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
    return json_fail(s, JSON_SYNTAX, s->p, "a byte order mark; write plain UTF-8 without it");
  if (*s->p == ']' || *s->p == '}')
    return json_fail(s, JSON_SYNTAX, s->p, "a value must stand before %s",
                     json_byte_text(*s->p, shown));
  return json_fail(s, JSON_SYNTAX, s->p, "no value begins with %s", json_byte_text(*s->p, shown));
}

/* The text has this word at s->p; when it ends inside the word that is a cut, when it differs there
 * is not a value. */
static bool word(struct json_scanner *s, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (s->p + i == s->end) return json_fail_cut(s, "a value");
    if (s->p[i] != (unsigned char)text[i]) return no_value(s);
  }
  return true;
}

static bool literal(struct json_scanner *s, const char *text, size_t len, enum json_type type) {
  if (!word(s, text, len)) return false;
  struct json_node *n = push(s, type);
  if (!n) return false;
  n->len = (uint32_t)len;
  s->p += len;
  return true;
}

/* Python's spellings, refused by their own name. */
static bool not_a_number(struct json_scanner *s, const char *text, size_t len) {
  if (!word(s, text, len)) return false;
  return json_fail(s, JSON_NOT_A_NUMBER, s->p, "%s is not JSON; write a number or null", text);
}

static bool open_container(struct json_scanner *s, bool object) {
  if (s->depth == JSON_MAX_DEPTH)
    return json_fail(s, JSON_TOO_DEEP, s->p, "more than %d levels; nest fewer", JSON_MAX_DEPTH);
  struct json_node *n = push(s, object ? JSON_OBJECT : JSON_ARRAY);
  if (!n) return false;
  s->frames[s->depth++] = (struct json_frame){.node = s->doc->count - 1, .object = object};
  s->p++;
  return true;
}

/* A whole plain value, or the opening of a container. */
static bool scan_value(struct json_scanner *s) {
  skip_blank(s);
  if (s->p == s->end) return json_fail(s, JSON_SYNTAX, s->end, "ends where a value should follow");
  switch (*s->p) {
  case '{': return open_container(s, true);
  case '[': return open_container(s, false);
  case '"': return string_node(s);
  case 't': return literal(s, "true", 4, JSON_TRUE);
  case 'f': return literal(s, "false", 5, JSON_FALSE);
  case 'n': return literal(s, "null", 4, JSON_NULL);
  case 'N': return not_a_number(s, "NaN", 3);
  case 'I': return not_a_number(s, "Infinity", 8);
  case '-': return number_node(s);
  default: return *s->p >= '0' && *s->p <= '9' ? number_node(s) : no_value(s);
  }
}

/* "key": of an object. */
static bool scan_key(struct json_scanner *s, struct json_frame *f) {
  char shown[16];
  skip_blank(s);
  if (s->p == s->end) return json_fail_cut(s, "an object");
  if (*s->p != '"')
    return json_fail(s, JSON_SYNTAX, s->p, "a member's name in quotes must stand here, found %s",
                     json_byte_text(*s->p, shown));
  f->key = s->doc->count;
  if (!string_node(s)) return false;
  f->in_value = true;
  skip_blank(s);
  if (s->p == s->end) return json_fail_cut(s, "an object");
  if (*s->p != ':')
    return json_fail(s, JSON_SYNTAX, s->p, "a colon must follow the member's name, found %s",
                     json_byte_text(*s->p, shown));
  s->p++;
  return true;
}

static bool close_container(struct json_scanner *s, const struct json_frame *f) {
  struct json_node *n = &s->doc->nodes[f->node];
  s->p++;
  n->len = (uint32_t)(s->p - s->text) - n->at;
  n->next = s->doc->count;
  if (f->object && !json_scan_unique(s, f->node)) return false;
  s->depth--;
  return true;
}

/* In the innermost container, behind its bracket or behind a value of it: close it, or go on to its
 * next value. */
static bool scan_step(struct json_scanner *s) {
  struct json_frame *f = &s->frames[s->depth - 1];
  const char *what = f->object ? "an object" : "an array";
  char close = f->object ? '}' : ']', shown[16];
  f->in_value = false;
  skip_blank(s);
  if (s->p == s->end) return json_fail_cut(s, what);
  if (*s->p == close) return close_container(s, f);
  if (s->doc->nodes[f->node].count > 0) {
    if (*s->p != ',')
      return json_fail(s, JSON_SYNTAX, s->p, "a comma or '%c' must follow, found %s", close,
                       json_byte_text(*s->p, shown));
    s->p++;
  }
  if (f->object && !scan_key(s, f)) return false;
  s->doc->nodes[f->node].count++;
  f->in_value = true;
  return scan_value(s);
}

static bool scan_all(struct json_scanner *s) {
  char shown[16];
  skip_blank(s);
  if (s->p == s->end) return json_fail(s, JSON_EMPTY, s->text, "nothing is written here");
  if (!scan_value(s)) return false;
  while (s->depth > 0)
    if (!scan_step(s)) return false;
  skip_blank(s);
  if (s->p == s->end) return true;
  return json_fail(s, JSON_SYNTAX, s->p, "the value ends before %s; nothing may follow it",
                   json_byte_text(*s->p, shown));
}

enum status json_scan(struct json_doc *doc, struct span text, struct error *err) {
  struct json_scanner s;
  s.text = s.p = (const unsigned char *)(text.len ? text.ptr : "");
  s.end = s.text + text.len;
  s.doc = doc;
  s.depth = 0;
  doc->text = text;
  doc->count = 0;
  doc->fault = JSON_OK;
  doc->fault_at = 0;
  if (text.len >= UINT32_MAX)
    json_fail(&s, JSON_SYNTAX, s.text, "a text of 4 GiB or more is not read");
  else if (scan_all(&s))
    return ST_OK;
  return json_fault_report(&s, err);
}

void json_doc_release(struct json_doc *doc) {
  if (!doc->arena) free(doc->nodes);
  *doc = (struct json_doc){.arena = doc->arena};
}
