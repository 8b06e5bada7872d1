"""`plan`: pooling over a column, levels of it, and laws that it does not take."""

import pytest

from bayescale.cli.main import main
from bayescale.cli.options import model_of
from bayescale.cli.parser import make_parser
from bayescale.cli.rules import complete


def model(*given: str):
    options = make_parser().parse_args(["plan", "chinchilla", "--budget", "1e22", *given])
    complete(options)
    return model_of(options)


def test_a_column_is_pooled_in_parts_of_the_law_or_in_all():
    assert model().groupings == ("n_params",)
    pooled = model("--model", "chinchilla", "--pool", "optimizer=E, A", "--pool", "corpus=B")
    found = {(effect.of, effect.over) for effect in pooled.effects}
    assert found == {("E", "optimizer"), ("A", "optimizer"), ("B", "corpus")}
    whole = model("--model", "chinchilla", "--pool", "optimizer")
    assert [effect.of for effect in whole.effects] == ["E", "A", "B", "alpha", "beta"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--pool", "optimizer="), "--pool: found 'optimizer=', expected a column such as family"),
        (("--pool", "=E"), "--pool: found '=E', expected a column"),
        (("--group", "optimizer=muon"), "expected one of the columns by which the model pools"),
        (("--new-level", "family"), "expected one of the columns by which the model pools"),
        (("--model", "critical-batch"), "give the saved fit as --critical-batch to a plan"),
        (("--model", "learning-rate-batch"), "give the saved fit as --hyperparameters to a plan"),
        (("--model", "data-constrained"), "Use fit, then decide or report with --at."),
        (("--model", "power-law"), "Use fit, then predict, requirements or report with --at."),
    ],
)
def test_what_cannot_be_planned_is_refused_before_runs_are_read(given, said, capsys):
    assert main(["plan", "no-such-file.csv", "--budget", "1e22", *given]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
