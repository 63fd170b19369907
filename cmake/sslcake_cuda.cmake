# The CUDA backend: target sslcake::cuda. Its runtime is linked statically and looks for the driver when the program runs, so
# that a program with it starts on machines without one.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "GPUs to compile for: 80 and newer")
endif()
foreach(architecture IN LISTS CMAKE_CUDA_ARCHITECTURES)
  if(architecture MATCHES "^([0-9]+)" AND CMAKE_MATCH_1 LESS 80)
    message(FATAL_ERROR "sslcake: CMAKE_CUDA_ARCHITECTURES has ${architecture}; expected 80 (Ampere) or newer, whose bfloat16 "
      "products the kernels use")
  endif()
endforeach()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(sslcake_nvcc nvcc PATHS /usr/local/cuda/bin /opt/cuda/bin)
  if(sslcake_nvcc)
    set(CMAKE_CUDA_COMPILER "${sslcake_nvcc}")
  endif()
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

file(GLOB sslcake_cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/sslcake/kernels/cuda/*.cu")
add_library(sslcake_cuda STATIC ${sslcake_cuda_sources})
add_library(sslcake::cuda ALIAS sslcake_cuda)
set_target_properties(sslcake_cuda PROPERTIES EXPORT_NAME cuda
  CUDA_RUNTIME_LIBRARY None POSITION_INDEPENDENT_CODE ON)
target_compile_options(sslcake_cuda PRIVATE -std=c++20 "$<$<CONFIG:>:-O3>" -Xcompiler=-Wall -Xcompiler=-Wno-unknown-pragmas)
target_compile_definitions(sslcake_cuda INTERFACE SSLCAKE_CUDA=1)
target_include_directories(sslcake_cuda PUBLIC
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_link_libraries(sslcake_cuda PUBLIC Threads::Threads CUDA::cudart_static)
