// The one translation unit that holds doctest's body and main(); every test program links its object.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
