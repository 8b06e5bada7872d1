"""``export``: a saved fit in the formats of other tools."""

import argparse

from bayescale._outputs import EXPORT
from bayescale.cli.files import Writes
from bayescale.cli.options import add_fit, fit_or_constants, saved_fit
from bayescale.cli.render import computed_from, passed, print_json
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    export = verbs.add(
        "export", run, "Write a saved fit for other tools; the suffix sets the format."
    )
    add_fit(export, constants=True)
    export.add_argument(
        "--out",
        type=Writes(EXPORT),
        metavar="FILE",
        help="draws as .csv or .parquet, an ArviZ tree as .nc, a summary as .json or all of "
        "these as sheets of an .xlsx; the default prints the coefficients of the law",
    )


def run(options: Arguments) -> None:
    """Write draws, or print the coefficients of the law."""
    from bayescale.errors import UnsuitableLawError
    from bayescale.laws.published import Constants, EmpiricalFrontier
    from bayescale.posterior.export import export_fit

    source = fit_or_constants(options) if options.out is None else saved_fit(options)
    if isinstance(source, EmpiricalFrontier):
        raise UnsuitableLawError(
            f"{source.name} is a published frontier, which has no law with coefficients. Give a "
            "saved fit, or constants of a law."
        )
    if isinstance(source, Constants):
        coefficients, diagnostics = dict(source.parameters), None
        headline = source.description
    else:
        if options.out is not None:
            export_fit(source, options.out)
        coefficients, diagnostics = source.coefficients(), source.diagnostics
        headline = source.headline
    if options.json:
        written = str(options.out) if options.out else None
        print_json({"passed": passed(diagnostics), "coefficients": coefficients, "export": written})
        return
    with computed_from(headline, diagnostics):
        if options.out is not None:
            print(f"export: {options.out}")
            return
        for name, value in coefficients.items():
            print(f"{name} = {value:.6g}")
