/* output.h - turning answers into what people and scripts read. Appends to a buffer; prints
 * nothing. */
#ifndef ADMIN_OUTPUT_H
#define ADMIN_OUTPUT_H

#include "admin/client/answer.h"

struct column {
  const char *title;
  bool right;   /* numbers */
  double share; /* hint of the width on a terminal: 0..1 of it, or characters from 1 on */
  bool cut;     /* may be cut to fit a terminal */
};
/* cells: rows * columns strings of UTF-8, terminated; libsmartcols escapes control bytes. terminal:
 * fit its width. */
MUST_CHECK enum status output_table(const struct column *columns, size_t count, char *const *cells,
                                    size_t rows, bool terminal, struct buffer *out,
                                    struct error *err);
/* The elements of a JSON array: one a line (lines), or as an array over several lines. */
void output_array(const struct json_doc *doc, uint32_t array, bool lines, struct buffer *out);
/* A whole answer as it is, one line. */
void output_json(const struct json_doc *doc, uint32_t node, struct buffer *out);
/* A value over several lines, indented by two spaces a level, its bytes printable; no line break at
 * the end. */
void output_pretty(const struct json_doc *doc, uint32_t node, struct buffer *out);
/* Columns that printable text takes on a terminal (wide characters take two). */
size_t output_width(struct span text);
/* "2h 3m" since a time in text; "-" when there is none. */
void output_age(const struct json_doc *doc, uint32_t object, const char *key, int64_t now_us,
                struct buffer *out);

/* For dry runs: the root's member key, an object of numbers, under a title; its member "samples",
 * an array of texts. */
void output_counts(const struct json_doc *doc, const char *key, const char *title,
                   struct buffer *out);
void output_samples(const struct json_doc *doc, struct buffer *out);

enum paint { PAINT_RED, PAINT_GREEN, PAINT_YELLOW, PAINT_BOLD };
/* text between colour codes when on. */
void output_paint(struct buffer *out, bool on, enum paint paint, const char *text);

#endif
