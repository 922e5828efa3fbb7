# cmake -DVUB=PROGRAM -DTO=DIRECTORY -P asked.cmake: what the program itself
# knows of how it is used, as files in the directory: completions of shells, and
# links by whose names it is the program of one type of device, with their man
# pages. A program that does not know such a thing has no file of it.
file(REMOVE_RECURSE ${TO})
file(MAKE_DIRECTORY ${TO})

foreach(shell bash zsh fish)
  execute_process(COMMAND ${VUB} --print-completion ${shell}
                  OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE status)
  if(status STREQUAL 0)
    file(WRITE ${TO}/completion.${shell} "${text}")
  endif()
endforeach()

file(CREATE_LINK ${VUB} ${TO}/vub SYMBOLIC)
foreach(type block scsi input gpu)
  file(CREATE_LINK vub ${TO}/vub-${type} SYMBOLIC)
  execute_process(COMMAND ${TO}/vub-${type} --print-capabilities
                  OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE status)
  if(status STREQUAL 0)
    file(CREATE_LINK vub.1.gz ${TO}/vub-${type}.1.gz SYMBOLIC)
  else()
    file(REMOVE ${TO}/vub-${type})
  endif()
endforeach()
