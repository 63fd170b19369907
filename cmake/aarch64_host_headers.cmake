# Read after project() by the cross build: /usr/include is searched already (see aarch64.cmake), CMake need not name it.
list(APPEND CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES /usr/include)
