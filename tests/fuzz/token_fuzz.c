/* The file of a token: refused with words that hold nothing of it, or taken until after now. */
#include "bridge/kafka/login/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const int64_t now_us = 1000000;
  int64_t expires_us = 0;
  struct error err = {0};
  enum status st = token_check((struct span){(const char *)data, size}, now_us, &expires_us, &err);
  BUG_ON(st == ST_OK && expires_us <= now_us);
  BUG_ON(st != ST_OK && strncmp(err.text, "holds ", 6) != 0);
  return 0;
}
