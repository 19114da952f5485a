# What CPack runs when the files of a package are laid out, before it packs them: what a package of Debian has beside what
# `cmake --install` brings, and has not. Variables are those of package.cmake.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(doc ${root}/usr/share/doc/busbridge)
set(source ${CPACK_BUSBRIDGE_SOURCE})

function(compress file)
  execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# A broker for trying things out is none to have on every machine.
file(REMOVE ${root}/usr/bin/busbridge-devbroker)

file(GLOB pages ${root}/usr/share/man/man*/*)
foreach(page ${pages})
  compress(${page})
endforeach()

# The settings: as the example has them, but for the outbox, which is the one that busbridge.tmpfiles makes.
file(READ ${source}/deploy/config/busbridge.conf settings)
string(REPLACE "\n#outbox.url = file:temp/bus_outbox\n" "\noutbox.url = file:/var/lib/busbridge/outbox\n" installed "${settings}")
if(installed STREQUAL settings)
  message(FATAL_ERROR "deploy/config/busbridge.conf shows no outbox.url")
endif()
file(WRITE ${root}/etc/busbridge/busbridge.conf "${installed}")

file(WRITE ${doc}/copyright "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: busbridge

Files: *
Copyright: 2025-2026 the authors of busbridge
License: Apache-2.0

License: Apache-2.0
 The text of the licence stands in /usr/share/common-licenses/Apache-2.0.
")
file(COPY ${source}/README.md DESTINATION ${doc})
if(EXISTS ${source}/deploy/CHANGELOG.md) # 0.1.0 had none
  file(COPY_FILE ${source}/deploy/CHANGELOG.md ${doc}/changelog)
  compress(${doc}/changelog)
endif()
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC) # that of SOURCE_DATE_EPOCH where it is set
file(WRITE ${doc}/changelog.Debian "busbridge (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) stable; urgency=medium

  * Packed from the sources. What changed stands in changelog.gz.

 -- ${CPACK_DEBIAN_PACKAGE_MAINTAINER}  ${now}
")
compress(${doc}/changelog.Debian)
execute_process(COMMAND chmod -R u=rwX,go=rX ${root} COMMAND_ERROR_IS_FATAL ANY)
