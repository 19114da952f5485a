# A .deb for the Debian it is built on, by CPack, from a build folder of any preset:
#
#   cmake --preset release && cmake --build build/release && cpack --config build/release/CPackConfig.cmake -B build/packages
#
# It holds what `cmake --install` lays out and what staged.cmake beside this adds: the settings as a conffile, copyright, changelogs.
# A commit that is not tagged v and the project's version is a version after it, by the commit's time, so that it upgrades one.

set(BUSBRIDGE_MAINTAINER "busbridge maintainers <busbridge@packages.invalid>" CACHE STRING "Who answers for a package")

# Empty, or +YYYYMMDDHHMM.COMMIT: of git, or what source_tarball wrote down.
function(packaged_revision out)
  set(revision "")
  if(EXISTS ${CMAKE_SOURCE_DIR}/deploy/packages/revision)
    file(STRINGS ${CMAKE_SOURCE_DIR}/deploy/packages/revision revision)
  elseif(EXISTS ${CMAKE_SOURCE_DIR}/.git)
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/deploy/packages/revision_of_git ${PROJECT_VERSION}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  set(${out} "${revision}" PARENT_SCOPE)
endfunction()

# 12 and 13 have other libraries, and one who goes from 12 to 13 is to get the package of 13.
function(debian_release out)
  set(release "")
  if(EXISTS /etc/os-release)
    file(STRINGS /etc/os-release line REGEX "^VERSION_ID=")
    string(REGEX REPLACE "[^0-9]" "" release "${line}")
  endif()
  set(${out} "${release}" PARENT_SCOPE)
endfunction()

packaged_revision(revision)
debian_release(release)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME busbridge)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}${revision}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "relay of an outbox of event files into Kafka, exactly once")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "An application writes each event as a small JSON file into a folder, its
outbox. busbridge-worker relays them to Kafka: exactly once, in order for each
key, Avro encoded by a schema for each event type. What can never be published
goes to a dead letter queue with its reason. busbridge is the operator's
command.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/staged.cmake)
set(CPACK_BUSBRIDGE_SOURCE ${CMAKE_SOURCE_DIR})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE "1~deb${release}")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${BUSBRIDGE_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# procps has the kill of ExecReload. The second words are for containers, which have no systemd and need its user and folders all the same.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "procps, systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server, prometheus, kcat")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(script postinst prerm postrm conffiles)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/${script})
endforeach()
include(CPack)
