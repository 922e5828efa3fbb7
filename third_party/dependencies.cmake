# What vub is built on; README.md here says why. No code is copied: each comes
# from the system, found by pkg-config. Targets are named vub::NAME.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(vub_dependency name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET "${module}")
  add_library(vub::${name} ALIAS PkgConfig::${name})
endfunction()

# Its headers, without the library.
function(vub_headers name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET "${module}")
  set(of PkgConfig::${name},INTERFACE)
  add_library(vub_headers_${name} INTERFACE)
  target_include_directories(vub_headers_${name} SYSTEM INTERFACE
    $<TARGET_PROPERTY:${of}_INCLUDE_DIRECTORIES>)
  target_compile_options(vub_headers_${name} INTERFACE
    $<TARGET_PROPERTY:${of}_COMPILE_OPTIONS>)
  add_library(vub::${name} ALIAS vub_headers_${name})
endfunction()

# Libraries that few configs have a use for are loaded by those (os/library.h),
# which a program can that is linked with a shared C library.
set(lazy ON)
if(CMAKE_EXE_LINKER_FLAGS MATCHES "-static" OR NOT CMAKE_READELF)
  set(lazy OFF)
endif()
option(VUB_LAZY_LIBRARIES
       "Load the libraries of devices when a config has a use for them" ${lazy})

# The Debian package of a library: that of this system, or what its name has to
# be by Debian's rules.
function(vub_package_of library soname out)
  find_program(VUB_DPKG_QUERY dpkg-query)
  set(package)
  if(VUB_DPKG_QUERY)
    file(REAL_PATH ${library} file)
    execute_process(COMMAND ${VUB_DPKG_QUERY} --search ${file}
                    OUTPUT_VARIABLE text ERROR_QUIET)
    string(REGEX MATCH "^[^:, ]+" package "${text}")
  endif()
  if(NOT package)
    string(TOLOWER "${soname}" package)
    string(REGEX REPLACE "([0-9])\\.so\\." "\\1-" package "${package}")
    string(REGEX REPLACE "\\.so\\.?" "" package "${package}")
  endif()
  set(${out} ${package} PARENT_SCOPE)
endfunction()

# Says VUB_LIBRARY_NAME to the compiler, soname and package; to tests the soname,
# VUB_SONAME_NAME; and in VUB_RECOMMENDS what a package of vub recommends.
function(vub_loaded_dependency name module)
  if(NOT VUB_LAZY_LIBRARIES)
    vub_dependency(${name} "${module}")
    return()
  endif()
  vub_headers(${name} "${module}")
  get_target_property(library PkgConfig::${name} INTERFACE_LINK_LIBRARIES)
  execute_process(COMMAND ${CMAKE_READELF} -d ${library}
                  OUTPUT_VARIABLE text ERROR_QUIET)
  if(NOT text MATCHES "SONAME[^\n]*\\[([^]\n]+)\\]")
    message(FATAL_ERROR "${library} is no shared library, which vub could "
                        "load: -DVUB_LAZY_LIBRARIES=OFF links it.")
  endif()
  set(soname ${CMAKE_MATCH_1})
  vub_package_of(${library} ${soname} package)
  target_compile_definitions(vub_headers_${name} INTERFACE
    "VUB_LIBRARY_${name}=\"${soname}\",\"${package}\"")
  set(VUB_SONAME_${name} ${soname} PARENT_SCOPE)
  string(REGEX MATCH "[0-9.]+$" version "${module}")
  set(VUB_RECOMMENDS ${VUB_RECOMMENDS} "${package} (>= ${version})"
      PARENT_SCOPE)
endfunction()

vub_dependency(uv "libuv>=1.44")
vub_dependency(cjson "libcjson>=1.7.15")
vub_loaded_dependency(evdev "libevdev>=1.13")
vub_loaded_dependency(yaml "yaml-0.1>=0.2.5")
vub_loaded_dependency(iscsi "libiscsi>=1.19")
vub_loaded_dependency(pixman "pixman-1>=0.42")
vub_loaded_dependency(png "libpng>=1.6.39")
vub_headers(xxhash "libxxhash>=0.8")
add_library(vub::threads ALIAS Threads::Threads)
add_library(vub_dl INTERFACE)
target_link_libraries(vub_dl INTERFACE ${CMAKE_DL_LIBS})
target_compile_definitions(vub_dl INTERFACE
                           VUB_LAZY_LIBRARIES=$<BOOL:${VUB_LAZY_LIBRARIES}>)
add_library(vub::dl ALIAS vub_dl)

# Optional at build time: without it the file store uses its threads.
pkg_check_modules(uring IMPORTED_TARGET "liburing>=2.3")
add_library(vub_uring_or_none INTERFACE)
if(uring_FOUND)
  target_link_libraries(vub_uring_or_none INTERFACE PkgConfig::uring)
  target_compile_definitions(vub_uring_or_none INTERFACE VUB_HAVE_URING=1)
endif()
add_library(vub::uring ALIAS vub_uring_or_none)

# Optional too: without it the sandbox has no filter of system calls.
pkg_check_modules(seccomp IMPORTED_TARGET "libseccomp>=2.5")
add_library(vub_seccomp_or_none INTERFACE)
if(seccomp_FOUND)
  target_link_libraries(vub_seccomp_or_none INTERFACE PkgConfig::seccomp)
  target_compile_definitions(vub_seccomp_or_none INTERFACE VUB_HAVE_SECCOMP=1)
endif()
add_library(vub::seccomp ALIAS vub_seccomp_or_none)

if(VUB_TESTS)
  vub_dependency(cmocka "cmocka>=1.1.5")
endif()
