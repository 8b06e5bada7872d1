"""Completion of the command line, written for a shell from the parser itself."""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping

from bayescale.data.catalog import dataset_folders, model_cards


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a script that completes commands, their options, and names of what ships.

    Parameters
    ----------
    parser
        The parser of the whole command line.
    shell
        ``"bash"``, ``"zsh"`` or ``"fish"``.
    """
    return _SHELLS[shell](parser.prog, dict(_verbs(parser)))


def _verbs(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _options(verb: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in verb._actions if action.option_strings]


def _long(action: argparse.Action) -> str:
    return action.option_strings[-1]


def _names(verb: argparse.ArgumentParser) -> list[str]:
    """Return the words that the arguments of a command may be, beside files."""
    found: list[str] = []
    for action in verb._actions:
        if not action.option_strings:
            found += map(str, action.choices or ())
            found += model_cards() if action.dest == "model" else ()
            found += dataset_folders() if action.dest == "runs" else ()
    return sorted(set(found))


def _said(text: str | None) -> str:
    """Return a help text without what a shell would read in it."""
    spoken = (text or "").replace(": ", " - ").replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    return re.sub(r"[^\w ,.;()/=\N{RIGHT SINGLE QUOTATION MARK}-]", "", spoken)


def _bash(prog: str, verbs: Mapping[str, argparse.ArgumentParser]) -> str:
    cases = "\n".join(
        f'        {name}) words="{" ".join([*map(_long, _options(verb)), *_names(verb)])}" ;;'
        for name, verb in verbs.items()
    )
    return f"""# Completion of {prog} for bash: eval "$({prog} completion bash)"
_{prog}() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{" ".join(verbs)}" -- "$current"))
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
}}
complete -o filenames -F _{prog} {prog}
"""


def _zsh(prog: str, verbs: Mapping[str, argparse.ArgumentParser]) -> str:
    commands = "\n".join(f"    '{name}:{_said(verb.description)}'" for name, verb in verbs.items())
    cases = "\n".join(
        f"    {name}) offered=("
        + " ".join(
            [
                *(f"'{_long(action)}:{_said(action.help)}'" for action in _options(verb)),
                *(f"'{word}'" for word in _names(verb)),
            ]
        )
        + ") ;;"
        for name, verb in verbs.items()
    )
    return f"""#compdef {prog}
# Completion of {prog} for zsh: source <({prog} completion zsh)
_{prog}() {{
  local -a commands offered
  commands=(
{commands}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "${{words[2]}}" in
{cases}
  esac
  _describe option offered
  _files
}}
compdef _{prog} {prog}
"""


def _fish(prog: str, verbs: Mapping[str, argparse.ArgumentParser]) -> str:
    lines = [f"# Completion of {prog} for fish: {prog} completion fish | source"]
    for name, verb in verbs.items():
        lines.append(
            f"complete -c {prog} -n __fish_use_subcommand -f -a {name} "
            f"-d '{_said(verb.description)}'"
        )
        there = f"complete -c {prog} -n '__fish_seen_subcommand_from {name}'"
        for action in _options(verb):
            takes = " -r" if action.nargs != 0 else ""
            lines.append(f"{there} -l {_long(action)[2:]}{takes} -d '{_said(action.help)}'")
        if _names(verb):
            lines.append(f"{there} -a '{' '.join(_names(verb))}'")
    return "\n".join(lines) + "\n"


_SHELLS: Mapping[str, Callable[[str, Mapping[str, argparse.ArgumentParser]], str]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
SHELLS = tuple(_SHELLS)
