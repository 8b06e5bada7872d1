"""Serve the page on this computer only."""

import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from bayescale.errors import MissingExtraError

HOST = "127.0.0.1"
PORT = 8501
_PORTS = 100


def free_port(first: int = PORT) -> int:
    """Return the first free port at or above a number."""
    for port in range(first, min(first + _PORTS, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ValueError(f"--port: found no free port in the {_PORTS} from {first}. Give another.")


def check_installed() -> None:
    """Raise MissingExtraError unless Streamlit is installed."""
    try:
        import streamlit  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "explore: found no streamlit. Install it (pip install 'bayescale[explore]')."
        ) from None


def serve(
    fit: str,
    *,
    groups: Mapping[str, str],
    new_levels: Sequence[str],
    fixed: Mapping[str, str],
    budget: float | None,
    plans: Sequence[str],
    prob: float,
    port: int,
    browser: bool,
) -> None:
    """Serve the page until it is interrupted.

    Parameters
    ----------
    fit
        Path of a saved fit.
    groups, new_levels
        Levels of grouping columns, and grouping columns with a new level.
    fixed
        Values of the law's other inputs.
    budget
        Initial budget.
    plans
        Initial plans to compare.
    prob
        Initial probability of intervals.
    port
        Port of this computer; it cannot be reached from others.
    browser
        Open a browser.
    """
    from streamlit.web.cli import main

    content = {
        "fit": str(Path(fit).resolve()),
        "groups": dict(groups),
        "new_levels": list(new_levels),
        "fixed": dict(fixed),
        "budget": budget,
        "plans": list(plans),
        "prob": prob,
    }
    settings = {
        "server.address": HOST,
        "server.port": port,
        "server.headless": not browser,
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": False,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": HOST,
        "logger.hideWelcomeMessage": True,
        "logger.level": "error",
        "client.toolbarMode": "minimal",
    }
    flags = [f"--{name}={str(value).lower()}" for name, value in settings.items()]
    page = Path(__file__).with_name("page.py")
    main(["run", str(page), *flags, "--", json.dumps(content)], standalone_mode=False)
