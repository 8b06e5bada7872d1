"""``export``: a saved fit in the formats of other tools."""

import argparse
from typing import TYPE_CHECKING

from bayescale._outputs import EXPORT
from bayescale.cli.files import Writes
from bayescale.cli.options import add_fit, fit_or_constants, saved_fit
from bayescale.cli.render import computed_from, passed, print_json
from bayescale.cli.verbs import Verbs

if TYPE_CHECKING:
    from bayescale.posterior.protocol import Posterior

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
    from bayescale.posterior.export import export_fit
    from bayescale.posterior.point import as_posterior

    source: Posterior
    if options.out is None:
        source = as_posterior(fit_or_constants(options))
    else:
        source = fit = saved_fit(options)
        export_fit(fit, options.out)
    coefficients, diagnostics = source.coefficients(), source.diagnostics
    if options.json:
        written = str(options.out) if options.out else None
        print_json({"passed": passed(diagnostics), "coefficients": coefficients, "export": written})
        return
    with computed_from(source.headline, diagnostics):
        if options.out is not None:
            print(f"export: {options.out}")
            return
        for name, value in coefficients.items():
            print(f"{name} = {value:.6g}")
