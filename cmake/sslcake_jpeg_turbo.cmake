# JPEGs by libjpeg-turbo, where it is installed: SSLCAKE_JPEG_TURBO is AUTO, ON (an error where it is missing) or OFF. Read
# by the build and, installed beside the package's configuration, by find_package(sslcake). Makes two targets:
#   sslcake::turbojpeg    its library, for those who link the compiled sslcake; where it is found
#   sslcake::jpeg_turbo   for header-only use: the definition that switches it on, and the library; empty where it is off
# Sets sslcake_jpeg_turbo_on; where that is false, sslcake_jpeg_turbo_why; where it was asked for, sslcake_jpeg_turbo_missing.
if(NOT DEFINED SSLCAKE_JPEG_TURBO)
  set(SSLCAKE_JPEG_TURBO "AUTO" CACHE STRING "Decode JPEGs by libjpeg-turbo: AUTO (where it is found), ON or OFF")
  set_property(CACHE SSLCAKE_JPEG_TURBO PROPERTY STRINGS AUTO ON OFF)
endif()
set(sslcake_jpeg_turbo_on FALSE)
set(sslcake_jpeg_turbo_missing FALSE)
set(sslcake_jpeg_turbo_why "SSLCAKE_JPEG_TURBO is OFF")

# libjpeg-turbo's own package file names libraries that distributions put into other packages, and then fails.
find_path(SSLCAKE_TURBOJPEG_INCLUDE_DIR turbojpeg.h DOC "The folder that holds libjpeg-turbo's turbojpeg.h")
find_library(SSLCAKE_TURBOJPEG_LIBRARY turbojpeg DOC "libjpeg-turbo's library turbojpeg")
mark_as_advanced(SSLCAKE_TURBOJPEG_INCLUDE_DIR SSLCAKE_TURBOJPEG_LIBRARY)
if(SSLCAKE_TURBOJPEG_LIBRARY AND NOT TARGET sslcake::turbojpeg)
  add_library(sslcake::turbojpeg UNKNOWN IMPORTED GLOBAL)
  set_target_properties(sslcake::turbojpeg PROPERTIES IMPORTED_LOCATION "${SSLCAKE_TURBOJPEG_LIBRARY}")
  if(SSLCAKE_TURBOJPEG_INCLUDE_DIR)
    set_target_properties(sslcake::turbojpeg PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${SSLCAKE_TURBOJPEG_INCLUDE_DIR}")
  endif()
endif()

if(NOT SSLCAKE_JPEG_TURBO STREQUAL "AUTO" AND NOT SSLCAKE_JPEG_TURBO)
  # off
elseif(NOT SSLCAKE_TURBOJPEG_INCLUDE_DIR OR NOT SSLCAKE_TURBOJPEG_LIBRARY)
  set(sslcake_jpeg_turbo_why "turbojpeg.h and its library were not found; Debian and Ubuntu: libturbojpeg0-dev")
else()
  file(STRINGS "${SSLCAKE_TURBOJPEG_INCLUDE_DIR}/turbojpeg.h" stops_on_warning REGEX "define TJFLAG_STOPONWARNING" LIMIT_COUNT 1)
  if(stops_on_warning)
    set(sslcake_jpeg_turbo_on TRUE)
  else()
    set(sslcake_jpeg_turbo_why "${SSLCAKE_TURBOJPEG_INCLUDE_DIR}/turbojpeg.h is older than version 2.0")
  endif()
endif()
if(SSLCAKE_JPEG_TURBO AND NOT SSLCAKE_JPEG_TURBO STREQUAL "AUTO" AND NOT sslcake_jpeg_turbo_on)
  set(sslcake_jpeg_turbo_missing TRUE)
endif()

if(NOT TARGET sslcake::jpeg_turbo)
  add_library(sslcake::jpeg_turbo INTERFACE IMPORTED GLOBAL)
  if(sslcake_jpeg_turbo_on)
    set_target_properties(sslcake::jpeg_turbo PROPERTIES
      INTERFACE_COMPILE_DEFINITIONS SSLCAKE_JPEG_TURBO INTERFACE_LINK_LIBRARIES sslcake::turbojpeg)
  endif()
endif()
