"""Execute the notebooks in place, without metadata that depends on the machine."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"


def execute(path: Path) -> nbformat.NotebookNode:
    """Return an executed copy of a notebook; an error in a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    # The inline backend stores figures in the notebook.
    os.environ.pop("MPLBACKEND", None)
    NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False).execute(
        cwd=str(FOLDER)
    )
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        print(path.name, file=sys.stderr)
        nbformat.write(execute(path), path)


if __name__ == "__main__":
    main()
