"""Messages of commands that cannot finish their outputs."""

import errno
import os
import resource
from argparse import Namespace
from contextlib import contextmanager

from bayescale._io import whole_file
from bayescale.cli.files import Outputs
from bayescale.cli.main import main
from bayescale.cli.parser import make_parser


@contextmanager
def full_disk():
    """Limit the size of files to a few bytes, as on a full disk, during the command only."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_one_sentence_that_names_the_file(tmp_path, capsys):
    path = tmp_path / "report.json"
    older = '{"passed": 1, "answers": 1, "budgets": 1, "format": 1}'
    path.write_text(older)
    with full_disk():
        code = main(["report", "besiroglu2024", "--budget", "1e22", "--quiet", "--out", str(path)])
    assert code == 2
    said = capsys.readouterr().err
    assert said == f"bayescale: {path}: {os.strerror(errno.EFBIG)}. Nothing was written.\n"
    assert path.read_text() == older and list(tmp_path.iterdir()) == [path]


def test_outputs_that_were_written_are_named(tmp_path):
    command = make_parser().verbs["plan"]
    fit, report = tmp_path / "fit.nc", tmp_path / "report.html"
    report.write_text("older")
    outputs = Outputs.of(command, Namespace(save=fit, out=report, runs="chinchilla"))
    assert outputs.written == "nothing was written"
    fit.write_text("new")
    assert outputs.written == f"{fit} was written, nothing else"
    with whole_file(report) as part:
        part.write_text("newer")
    assert outputs.written == f"{report} and {fit} were written, nothing else"
