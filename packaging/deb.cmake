# The Debian package: cmake --preset package, cmake --build --preset package,
# cpack --preset package.
#
# VUB_MAINTAINER is who makes it. SOURCE_DATE_EPOCH, if it is set, is the date
# of the change log, so that the same source gives the same package.
set(VUB_MAINTAINER "The vub developers <vub@packages.invalid>"
    CACHE STRING "Who makes packages: NAME <ADDRESS>")
set(VUB_DEB_RELEASE 0upstream1
    CACHE STRING "The part of the version after the dash; a distribution's is newer")

string(TIMESTAMP VUB_DEB_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(debian/changelog.in changelog.Debian @ONLY)
install_compressed(${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian
                   changelog.Debian ${doc})
install(FILES debian/copyright DESTINATION ${doc})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME vub)
set(CPACK_PACKAGE_VENDOR "vub")
set(CPACK_PACKAGE_CONTACT "${VUB_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_SOURCE_DIR}/cpack.cmake)
# What it makes is left in peace by what else is in there.
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
    WORLD_EXECUTE)

file(READ debian/description text)
string(STRIP "${text}" text)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "${text}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${VUB_DEB_RELEASE})
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Those that devices load: there is vub without, and it says what it lacks.
list(JOIN VUB_RECOMMENDS ", " CPACK_DEBIAN_PACKAGE_RECOMMENDS)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "qemu-system-x86 | qemu-system")
set(CPACK_DEBIAN_PACKAGE_ENHANCES "qemu-system-x86, libvirt-daemon")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/postinst
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/prerm
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
