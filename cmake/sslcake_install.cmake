# cmake --install, and find_package(sslcake) afterwards.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/sslcake")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/sslcake" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
# Two sets of targets: who links the compiled library needs neither Eigen nor stb.
install(TARGETS sslcake EXPORT sslcakeTargets)
install(TARGETS sslcake_compiled EXPORT sslcakeCompiledTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT sslcakeTargets NAMESPACE sslcake:: DESTINATION "${package_dir}")
install(EXPORT sslcakeCompiledTargets NAMESPACE sslcake:: DESTINATION "${package_dir}")
if(SSLCAKE_CUDA)
  install(TARGETS sslcake_cuda EXPORT sslcakeCudaTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT sslcakeCudaTargets NAMESPACE sslcake:: DESTINATION "${package_dir}")
endif()
configure_package_config_file(cmake/sslcakeConfig.cmake.in "${PROJECT_BINARY_DIR}/sslcakeConfig.cmake" INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a minor version may change interfaces.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/sslcakeConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/sslcakeConfig.cmake" "${PROJECT_BINARY_DIR}/sslcakeConfigVersion.cmake"
  cmake/sslcake_dependencies.cmake cmake/sslcake_jpeg_turbo.cmake DESTINATION "${package_dir}")
file(GLOB notices CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/LICENSE*" "${PROJECT_SOURCE_DIR}/NOTICE*")
install(FILES ${notices} DESTINATION "${CMAKE_INSTALL_DOCDIR}")
