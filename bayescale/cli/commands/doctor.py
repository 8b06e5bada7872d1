"""``doctor``: checks of the installation."""

import argparse

from bayescale.cli.render import print_json
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace

FAILED = 1


def add(verbs: Verbs) -> None:
    """Add the command."""
    doctor = verbs.add("doctor", run, "Check that the installation works; exit code 1 if not.")
    doctor.add_argument("--no-fit", action="store_true", help="do not compile and sample a model")


def run(options: Arguments) -> int:
    """Print each check of the installation, and return 1 if one failed."""
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
