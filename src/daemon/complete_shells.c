/* The scripts. Each hands the words to `vub complete`, by the name that the
 * user typed, and its answer to the shell, by what the shell has for that. What
 * is behind the last "=" of a word is completed by itself: bash takes "=" for
 * the end of a word, the others do not. */
#include "daemon/complete.h"

static const char bash[] =
    "# vub --print-completion bash\n"
    "_vub()\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} word rest key= IFS=$' \\t\\n'\n"
    "    local -a words\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    rest=${words[${#words[@]} - 1]}\n"
    "    local vub=${words[0]}\n"
    "    [[ ${vub##*/} == vub-* ]] && vub=${vub%-*}\n"
    "    if [[ $rest == *=* ]]; then\n"
    "        key=${rest%%=*}= rest=${rest#*=}\n"
    "    fi\n"
    "    local shown=$key\n"
    "    [[ $COMP_WORDBREAKS == *=* ]] && shown=\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r word; do\n"
    "        word=${word%%$'\\t'*}\n"
    "        if [[ $word == :files ]]; then\n"
    "            while IFS= read -r word; do\n"
    "                COMPREPLY+=(\"$shown$word\")\n"
    "            done < <(compgen -f -- \"$rest\")\n"
    "            compopt -o filenames 2>/dev/null\n"
    "        else\n"
    "            [[ $word == *= ]] && compopt -o nospace 2>/dev/null\n"
    "            COMPREPLY+=(\"$shown${word#\"$key\"}\")\n"
    "        fi\n"
    "    done < <(\"$vub\" complete \"${words[@]}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _vub vub vub-block vub-scsi vub-input vub-gpu\n";

static const char zsh[] =
    "#compdef vub vub-block vub-scsi vub-input vub-gpu\n"
    "# vub --print-completion zsh\n"
    "_vub()\n"
    "{\n"
    "    local line word vub=${words[1]}\n"
    "    [[ ${vub:t} == vub-* ]] && vub=${vub%-*}\n"
    "    local -a whole keys shown_whole shown_keys\n"
    "    for line in \"${(@f)$(\"$vub\" complete "
    "\"${(@)words[1,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "        word=${line%%$'\\t'*}\n"
    "        if [[ $word == :files ]]; then\n"
    "            [[ $PREFIX == *=* ]] && compset -P 1 '*='\n"
    "            _files\n"
    "            return\n"
    "        fi\n"
    "        [[ -n $word ]] || continue\n"
    "        [[ $line == *$'\\t'* ]] && line=\"$word -- ${line#*$'\\t'}\"\n"
    "        if [[ $word == *= ]]; then\n"
    "            keys+=(\"$word\") shown_keys+=(\"$line\")\n"
    "        else\n"
    "            whole+=(\"$word\") shown_whole+=(\"$line\")\n"
    "        fi\n"
    "    done\n"
    "    compadd -l -d shown_whole -a whole\n"
    "    compadd -l -S '' -d shown_keys -a keys\n"
    "}\n"
    "if [[ ${funcstack[1]} == _vub ]]; then\n"
    "    _vub \"$@\"\n"
    "else\n"
    "    compdef _vub vub vub-block vub-scsi vub-input vub-gpu\n"
    "fi\n";

static const char fish[] =
    "# vub --print-completion fish\n"
    "function __vub_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    test (count $words) -gt 1; or set words $words ''\n"
    "    set -l last $words[-1]\n"
    "    set -l vub (string replace -r 'vub-[a-z]*$' vub -- $words[1])\n"
    "    for line in ($vub complete $words 2>/dev/null)\n"
    "        if test \"$line\" = :files\n"
    "            set -l key (string match -r '^[^=]*=' -- $last)\n"
    "            set -q key[1]; or set key ''\n"
    "            set -l rest (string replace -r '^[^=]*=' '' -- $last)\n"
    "            for path in (complete -C \"'' $rest\")\n"
    "                echo $key$path\n"
    "            end\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "for name in vub vub-block vub-scsi vub-input vub-gpu\n"
    "    complete -c $name -f -a '(__vub_complete)'\n"
    "end\n";

void complete_print(FILE *f, int shell)
{
    static const char *const scripts[] = {bash, zsh, fish};

    fputs(scripts[shell], f);
}
