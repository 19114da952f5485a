/* The description of the API, openapi.json, as it was when this was built.
 * A thread of each connection; a crash leaves nothing. */
#include "worker/control/control_call.h"

/* C17 has no #embed. */
__asm__(".section .rodata\n"
        "openapi_begin: .incbin \"" SOURCE_ROOT "/worker/openapi.json\"\n"
        "openapi_end:\n"
        ".previous\n");
extern const char openapi_begin[], openapi_end[];

enum status answer_openapi(const struct call *call, struct answer *answer, struct error *err) {
  (void)call;
  buffer_append(&answer->body, openapi_begin, (size_t)(openapi_end - openapi_begin));
  return buffer_status(&answer->body, err);
}
