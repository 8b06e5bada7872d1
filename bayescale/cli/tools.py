"""The commands about the tool itself: export, the check of an installation, completion."""

import argparse
from collections.abc import Callable

from bayescale._outputs import EXPORT
from bayescale.cli.completion import SHELLS, completion_script
from bayescale.cli.files import Writes
from bayescale.cli.render import add_fit, fit_or_constants, print_json, saved_fit

type Arguments = argparse.Namespace
type Verb = Callable[[str, Callable[[Arguments], int | None], str], argparse.ArgumentParser]

FAILED = 1


def add_tool_verbs(verb: Verb, parser: argparse.ArgumentParser) -> None:
    """Add the commands ``export``, ``doctor`` and ``completion``."""
    export = verb("export", _export, "Write a saved fit for other tools, as the suffix says.")
    add_fit(export, constants=True)
    export.add_argument(
        "--out",
        type=Writes(EXPORT),
        metavar="FILE",
        help="draws as .csv or .parquet, an ArviZ tree as .nc, a summary as .json; without it the "
        "law's coefficients are printed",
    )

    doctor = verb("doctor", _doctor, "Check that the installation works; exit code 1 if not.")
    doctor.add_argument("--no-fit", action="store_true", help="do not compile and sample a model")

    completion = verb("completion", _completion, "Print the completion script of a shell.")
    completion.add_argument("shell", choices=SHELLS, help="the shell")
    completion.set_defaults(parser=parser)


def _export(options: Arguments) -> None:
    from bayescale.errors import UnsuitableLawError
    from bayescale.laws.published import Constants, EmpiricalFrontier
    from bayescale.posterior.export import export_fit

    source = fit_or_constants(options) if options.out is None else saved_fit(options)
    if isinstance(source, EmpiricalFrontier):
        raise UnsuitableLawError(f"{source.name} is a frontier that a paper gives, without a law.")
    if isinstance(source, Constants):
        coefficients, passed, headline = dict(source.parameters), None, source.description
    else:
        if options.out is not None:
            export_fit(source, options.out)
        coefficients, passed = source.coefficients(), source.diagnostics.ok
        headline = source.headline
    if options.json:
        written = str(options.out) if options.out else None
        print_json({"passed": passed, "coefficients": coefficients, "export": written})
        return
    print(headline)
    if options.out is not None:
        print(f"export: {options.out}")
        return
    for name, value in coefficients.items():
        print(f"{name} = {value:.6g}")


def _doctor(options: Arguments) -> int:
    from bayescale.cli.doctor import check_installation

    checks = []
    for check in check_installation(fit=not options.no_fit):
        checks.append(check)
        if not options.json:
            print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<10} {check.found}", flush=True)
    ok = all(check.ok for check in checks)
    if options.json:
        found = [{"check": c.name, "ok": c.ok, "found": c.found} for c in checks]
        print_json({"ok": ok, "checks": found})
    return 0 if ok else FAILED


def _completion(options: Arguments) -> None:
    script = completion_script(options.parser, options.shell)
    if options.json:
        print_json({"shell": options.shell, "script": script})
        return
    print(script, end="")
