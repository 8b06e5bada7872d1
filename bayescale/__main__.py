"""Entry point of the command line: `bayescale`, and `python -m bayescale`."""

import sys

from bayescale.cli.interrupts import end_at_once, ignore, raise_again


def main() -> int:
    """Run the command line, which takes interrupts from its first import on."""
    end_at_once()
    # Where dask is installed xarray imports it for its first array, which takes half a second.
    sys.modules["dask"] = None  # type: ignore[assignment]
    from bayescale.cli.main import main

    raise_again()
    code = main()
    ignore()
    return code


if __name__ == "__main__":
    sys.exit(main())
