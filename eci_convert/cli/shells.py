"""Completion scripts for bash, zsh and fish, and the format of the candidates that each takes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

_BASH = """\
%(complete_func)s() {
    local response type value
    response=$(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_CWORD=$COMP_CWORD COMP_WORDS="${COMP_WORDS[*]}" \\
        %(complete_var)s=bash_complete "$1")
    while IFS=',' read -r type value; do
        case $type in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            nospace) COMPREPLY+=("$value"); compopt -o nospace ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done <<< "$response"
    return 0
}
%(complete_func)s_setup() {
    complete -o nosort -F %(complete_func)s %(prog_name)s
}
%(complete_func)s_setup;
"""
_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a whole begun described response
    (( ! $+commands[%(prog_name)s] )) && return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s)}")
    for type key descr in ${response}; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            nospace) begun+=("$key") ;;
            plain) if [[ $descr == _ ]]; then whole+=("$key"); else described+=("$key:$descr"); fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#whole )) && compadd -U -V unsorted -a whole
    (( $#begun )) && compadd -U -S '' -V unsorted -a begun
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
_SPECIAL = frozenset(" \t\"'\\$`&|;<>()*?[]!{}#~")
"""Characters that bash takes for more than themselves."""
_SPECIAL_IN_QUOTES = frozenset('"\\$`')


@dataclass(frozen=True, slots=True)
class _Word:
    """The last word of a line, which is being typed: its *text* without quotes, how much of this is *settled*, which
    stays as it is when bash puts in a reply, and the *quote* that is open, "" if none is."""

    text: str
    settled: int
    quote: str

    @classmethod
    def of(cls, line: str) -> _Word:
        r"""The word at the end of *line*. bash breaks words at colons and equals signs, unless they are quoted.

        >>> _Word.of(r"inspect oci:lay\ o"), _Word.of('inspect "oci:lay o')
        (_Word(text='oci:lay o', settled=4, quote=''), _Word(text='oci:lay o', settled=0, quote='"'))
        """
        text, settled, quote, escaped = "", 0, "", False
        for character in line:
            if escaped or (quote and character not in (quote, "\\")) or (quote == "'" and character != quote):
                text, escaped = text + character, False
            elif character == "\\":
                escaped = True
            elif character == quote:
                quote = ""
            elif character in "\"'":
                quote, settled = character, len(text)
            elif character.isspace():
                text, settled = "", 0
            else:
                text += character
                settled = len(text) if character in ":=" else settled
        return cls(text, settled, quote)

    def reply(self, value: str) -> str:
        """What bash puts in the place of what is not settled, so that the word becomes *value*."""
        rest = value[self.settled :] if value.startswith(self.text[: self.settled]) else value
        special = {"": _SPECIAL, '"': _SPECIAL_IN_QUOTES}.get(self.quote, frozenset())
        return "".join(f"\\{character}" if character in special else character for character in rest)


class _WholeWords(ShellComplete):
    """For `--option=VALUE`, the shell is offered the word and not the value alone."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}" if item.type == "plain" else item.value
        return items


class Bash(_WholeWords, BashComplete):
    """bash breaks words at colons and equals signs, of which references are full: the whole line is read instead, and
    a reply is what goes behind the last of them, quoted as the word is."""

    source_template = _BASH
    _word = _Word("", 0, "")

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:
            return super().get_completion_args()
        self._word = _Word.of(line)
        words = split_arg_string(line)
        if words and not (line[-1:].isspace() and not self._word.text):
            words.pop()
        return words[1:], self._word.text

    def format_completion(self, item: CompletionItem) -> str:
        return f"{_kind(item)},{self._word.reply(str(item.value))}"


class Zsh(_WholeWords, ZshComplete):
    """zsh, which puts no blank behind a transport or a directory."""

    source_template = _ZSH

    def format_completion(self, item: CompletionItem) -> str:
        return _kind(item) + super().format_completion(item).removeprefix(item.type)


class Fish(_WholeWords, FishComplete):
    """fish."""


def _kind(item: CompletionItem) -> str:
    """The type of *item*; "nospace" where more follows."""
    return "nospace" if item.type == "plain" and str(item.value).endswith((":", "/")) else str(item.type)


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}
"""The shells that there is a completion for."""


def install_completion() -> None:
    """Has click use these for `_ECI_CONVERT_COMPLETE`. Nothing is said, of an interrupt for one: it would end up in the
    line that is being typed."""
    for shell in SHELLS.values():
        add_completion_class(shell)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
