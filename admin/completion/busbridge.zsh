#compdef busbridge
# zsh completion of busbridge(1). The program knows its commands and options: it is asked for every word.

_busbridge() {
  local -a lines whole open
  local line word
  lines=("${(@f)$("${(Q)words[1]}" completion --words -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $lines[1] == :files ]]; then
    _files
    return
  fi
  for line in $lines; do
    word=${line%%$'\t'*}
    line="${word//:/\\:}:${line#*$'\t'}"
    if [[ $word == *= ]]; then open+=("$line"); else whole+=("$line"); fi
  done
  _describe busbridge whole -- open -S ''
}

if [[ $funcstack[1] == _busbridge ]]; then
  _busbridge "$@"
else
  compdef _busbridge busbridge
fi
