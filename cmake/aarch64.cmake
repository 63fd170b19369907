# Cross-compiles for 64-bit ARM with Debian's g++-aarch64-linux-gnu; qemu-aarch64 (package qemu-user) runs the tests.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)

# The header-only libraries of this machine serve the other one too. They must come after the other machine's own C
# library, and may not be named by a plain -isystem, which would put this machine's C library first.
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(CMAKE_CXX_FLAGS_INIT "-idirafter /usr/include")
set(CMAKE_PROJECT_sslcake_INCLUDE "${CMAKE_CURRENT_LIST_DIR}/aarch64_host_headers.cmake")

# A compiled library of this machine does not: libjpeg-turbo stays out, even where it is found.
set(SSLCAKE_JPEG_TURBO OFF CACHE STRING "")
