# What the bodies of the library need: Eigen and stb. Read by the build and, installed beside the
# package's configuration, by find_package(sslcake). Sets sslcake_dependencies_found, and names what is missing.
set(sslcake_dependencies_missing "")

find_package(Eigen3 3.3 QUIET NO_MODULE)
if(NOT TARGET Eigen3::Eigen)
  string(APPEND sslcake_dependencies_missing " Eigen (>= 3.3)")
endif()

# stb has no package file; programs include it as <stb/stb_image.h>, as distributions install it.
find_path(SSLCAKE_STB_INCLUDE_DIR stb/stb_image.h DOC "The folder that holds stb/stb_image.h")
if(NOT SSLCAKE_STB_INCLUDE_DIR)
  string(APPEND sslcake_dependencies_missing " stb (stb/stb_image.h)")
elseif(NOT TARGET sslcake::stb)
  add_library(sslcake::stb INTERFACE IMPORTED GLOBAL)
  set_target_properties(sslcake::stb PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${SSLCAKE_STB_INCLUDE_DIR}")
endif()

string(STRIP "${sslcake_dependencies_missing}" sslcake_dependencies_missing)
if(sslcake_dependencies_missing STREQUAL "")
  set(sslcake_dependencies_found TRUE)
else()
  set(sslcake_dependencies_found FALSE)
endif()
