# One target per folder, dependencies only downwards.
#
#   costate_library(NAME model SRCS parser.cc HDRS model.h DEPS costate::base absl::status)
#   costate_test(NAME model_parser_test SRCS parser_test.cc DEPS costate::model)
#
# costate_library refuses a dependency whose target does not exist yet, and folders are added
# bottom-up, so no folder can link upwards. tests/layout compares includes with DEPS.

function(_costate_require_targets name)
  foreach(dep IN LISTS ARGN)
    if(NOT TARGET ${dep})
      message(FATAL_ERROR "${name} depends on ${dep}, which is not defined before it")
    endif()
  endforeach()
endfunction()

# HDRS are public headers, listed for readers and tools. PRIVATE_DEPS are linked but do not pass
# their include directories on.
function(costate_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;HDRS;DEPS;PRIVATE_DEPS" ${ARGN})
  set(target costate_${ARG_NAME})
  _costate_require_targets(${target} ${ARG_DEPS} ${ARG_PRIVATE_DEPS})
  if(ARG_SRCS)
    add_library(${target} STATIC ${ARG_SRCS} ${ARG_HDRS})
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS} costate_options)
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${ARG_DEPS})
  endif()
  add_library(costate::${ARG_NAME} ALIAS ${target})
endfunction()

# A GoogleTest program, one ctest entry each. LABELS slow keeps it out of the fast suite.
function(costate_test)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS;LABELS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  _costate_require_targets(${ARG_NAME} ${ARG_DEPS})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_include_directories(${ARG_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} costate_options GTest::gmock GTest::gtest_main)
  target_compile_definitions(${ARG_NAME} PRIVATE COSTATE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 900)
endfunction()
