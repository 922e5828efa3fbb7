# Read by cpack, before it does anything.
if(NOT CPACK_PACKAGING_INSTALL_PREFIX STREQUAL "/usr")
  message(FATAL_ERROR
          "A package's files are below /usr, and its units say so: "
          "cmake --preset package, or -DCMAKE_INSTALL_PREFIX=/usr.")
endif()
