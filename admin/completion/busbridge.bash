# bash completion of busbridge(1). The program knows its commands and options: it is asked for every word.

_busbridge() {
  local words=() lines=() glue='' word line front='' i
  # Readline cuts words at = and : too; they are put together again, and what lies before the cut is not repeated.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == [=:] && ${#words[@]} -gt 0 ]]; then
      words[${#words[@]} - 1]+=$word
      glue=1
    elif [[ $glue ]]; then
      words[${#words[@]} - 1]+=$word
      glue=''
    else
      words+=("$word")
    fi
  done
  word=${words[${#words[@]} - 1]}
  [[ $word == *[=:]* ]] && front=${word%"${word##*[=:]}"}
  COMPREPLY=()
  mapfile -t lines < <("${COMP_WORDS[0]/#\~/$HOME}" completion --words -- "${words[@]}" 2>/dev/null)
  if [[ ${lines[0]} == :files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "${word#"$front"}")
    return
  fi
  for line in "${lines[@]}"; do
    line=${line%%$'\t'*}
    [[ $line == *= ]] && compopt -o nospace 2>/dev/null
    COMPREPLY+=("${line#"$front"}")
  done
}
complete -F _busbridge busbridge
