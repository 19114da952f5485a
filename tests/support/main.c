/* The main of every test program that has none of its own. */
#include "tests/support/test.h"

int main(void) {
  return tests_run();
}
