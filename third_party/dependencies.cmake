# What vub is built on; README.md here says why. No code is copied: each comes
# from the system, found by pkg-config. Targets are named vub::NAME.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(vub_dependency name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET "${module}")
  add_library(vub::${name} ALIAS PkgConfig::${name})
endfunction()

# Libraries that few configs have a use for are loaded by those (os/library.h),
# which a program can that is linked with a shared C library.
set(lazy ON)
if(CMAKE_EXE_LINKER_FLAGS MATCHES "-static" OR NOT CMAKE_READELF)
  set(lazy OFF)
endif()
option(VUB_LAZY_LIBRARIES
       "Load the libraries of devices when a config has a use for them" ${lazy})

vub_dependency(uv "libuv>=1.44")
vub_dependency(cjson "libcjson>=1.7.15")
vub_dependency(evdev "libevdev>=1.13")
vub_dependency(yaml "yaml-0.1>=0.2.5")
vub_dependency(iscsi "libiscsi>=1.19")
vub_dependency(pixman "pixman-1>=0.42")
vub_dependency(png "libpng>=1.6.39")
vub_dependency(xxhash "libxxhash>=0.8")
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
