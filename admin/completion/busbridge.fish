# fish completion of busbridge(1). The program knows its commands and options: it is asked for every word.

function __busbridge_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] completion --words -- $words[2..-1] "$current" 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path "$current"
    else
        printf '%s\n' $lines
    end
end

complete -c busbridge -f -a '(__busbridge_complete)'
