"""``completion``: the completion script of a shell, made by shtab."""

import argparse
from collections.abc import Mapping

from bayescale.cli.render import print_json
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace

SHELLS = ("bash", "zsh", "fish")


def add(verbs: Verbs) -> None:
    """Add the command."""
    completion = verbs.add("completion", run, "Print the completion script of a shell.")
    completion.set_defaults(verbs=verbs)
    completion.add_argument("shell", choices=SHELLS, help="the shell")


def _ids() -> dict[str, list[str]]:
    """Return the ids that complete each argument for cards or datasets, by its name."""
    from bayescale.data.catalog import dataset_folders, model_cards

    cards, datasets = sorted(model_cards()), sorted(dataset_folders())
    return {"model": cards, "base": cards, "cards": cards, "runs": datasets, "sweeps": datasets}


def _functions(ids: Mapping[str, list[str]]) -> str:
    """Return bash functions that complete ids of cards and datasets, and paths."""
    return "\n".join(
        f'_bayescale_{argument}() {{ compgen -W "{" ".join(names)}" -- "$1"; compgen -f -- "$1"; }}'
        for argument, names in ids.items()
    )


def run(options: Arguments) -> None:
    """Print the script, which completes commands, options and the names of files."""
    import shtab

    from bayescale.cli.files import file_options

    ids = _ids()
    for verb in options.verbs.all.values():
        for action, kind in file_options(verb).items():
            has_ids = kind.is_input and action.dest in ids
            complete = {"bash": f"_bayescale_{action.dest}"} if has_ids else shtab.FILE
            action.complete = complete  # type: ignore[attr-defined]
    script = shtab.complete(
        options.verbs.parser,
        options.shell,
        preamble=_functions(ids) if options.shell == "bash" else "",
    )
    if options.json:
        print_json({"shell": options.shell, "script": script})
        return
    print(script)
