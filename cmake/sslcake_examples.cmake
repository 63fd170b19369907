# examples/*.cpp: one program each. examples/support/ is compiled once, CLI11 with it.
file(GLOB programs CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
file(GLOB support CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/support/*.cpp")

if(programs OR support)
  find_package(CLI11 QUIET)
  if(NOT TARGET CLI11::CLI11)
    message(FATAL_ERROR "The programs in examples/ need CLI11 (on Debian and Ubuntu: apt-get install libcli11-dev).\n"
      "-DSSLCAKE_BUILD_EXAMPLES=OFF builds the rest.")
  endif()
endif()

if(support)
  add_library(sslcake_support STATIC ${support})
  target_link_libraries(sslcake_support PUBLIC sslcake::compiled PRIVATE CLI11::CLI11)
  target_include_directories(sslcake_support PUBLIC "${PROJECT_SOURCE_DIR}/examples")
  sslcake_own_target(sslcake_support)
endif()

foreach(program IN LISTS programs)
  get_filename_component(name "${program}" NAME_WE)
  add_executable(${name} "${program}")
  target_link_libraries(${name} PRIVATE sslcake::compiled)
  if(support)
    target_link_libraries(${name} PRIVATE sslcake_support)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  sslcake_own_target(${name})
endforeach()
