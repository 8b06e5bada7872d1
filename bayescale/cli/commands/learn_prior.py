"""``learn-prior``: a card whose priors are learnt from several sweeps."""

import argparse

from bayescale._outputs import LEARNT_CARD
from bayescale.cli.files import Reads, Writes
from bayescale.cli.numbers import positive_integer
from bayescale.cli.options import add_reading, add_seed, reading_of, selected
from bayescale.cli.render import print_json, table_text
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    learn = verbs.add(
        "learn-prior", run, "Learn the priors of a card from several sweeps, for the next one."
    )
    learn.add_argument(
        "sweeps",
        nargs="+",
        type=Reads(),
        metavar="RUNS",
        help="tables of runs, one for each sweep: dataset ids, folders or files",
    )
    learn.add_argument(
        "--base", type=Reads(), metavar="CARD", help="card to start from (the default card)"
    )
    learn.add_argument("--id", default="", help="id of the card (that of the base with -learnt)")
    learn.add_argument(
        "--out", type=Writes(LEARNT_CARD), required=True, help="toml file to write the card in"
    )
    add_reading(learn)
    add_seed(learn)
    learn.add_argument(
        "--draws", type=positive_integer, default=1000, help="posterior draws per chain (1000)"
    )


def run(options: Arguments) -> None:
    """Write the card, and print its priors next to those of its base."""
    import pandas as pd

    from bayescale._io import whole_file
    from bayescale.inference.learn_prior import learn_prior
    from bayescale.model.card import DEFAULT_CARD, load_model
    from bayescale.model.inputs import runs_for

    base = load_model(options.base or DEFAULT_CARD)
    sweeps = [
        selected(runs_for(source, [base], **reading_of(options)), options)
        for source in options.sweeps
    ]
    card = learn_prior(sweeps, base=base, id=options.id, seed=options.seed, draws=options.draws)
    with whole_file(options.out) as part:
        part.write_text(card.to_toml(), encoding="utf-8")
    before = {name: str(prior) for name, prior in base.all_priors.items()}
    changed = [
        {"quantity": name, "base": before[name], "learnt": str(prior)}
        for name, prior in card.all_priors.items()
        if str(prior) != before[name]
    ]
    if options.json:
        print_json({"id": card.id, "priors": changed, "out": str(options.out)})
        return
    print(f"{card.id}: {card.title}.")
    print(table_text(pd.DataFrame(changed).set_index("quantity")))
    print(f"card: {options.out}")
