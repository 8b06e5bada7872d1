"""Every model card, as shipped and with a stated floor, and runs to which each can be fitted."""

import dataclasses
import itertools

import numpy as np
import pytest

import bayescale as bs
from bayescale.data.catalog import dataset_folders, model_cards
from bayescale.data.levels import Sizes
from bayescale.model.card import load_model

FLOOR_STATED = ", floor stated"
"""Suffix of the name of a card whose model also states a prior on the floor."""

STATED = itertools.cycle(
    [
        bs.LogNormal(median=1.7, log_sd=0.1, why="a floor that was assumed"),
        bs.Normal(mean=1.7, sd=0.2, why="a floor that was assumed"),
        bs.Gamma(shape=20.0, rate=12.0, why="a floor that was assumed"),
        bs.HalfNormal(scale=2.0, why="a floor that was assumed"),
        bs.HalfCauchy(scale=2.0, why="a floor that was assumed"),
    ]
)
FLOORS = {
    card + FLOOR_STATED: next(STATED)
    for card in sorted(model_cards())
    if load_model(card).law.floor
}
"""A prior on the floor, by name, for every card whose law has a floor."""

COMPILED_FLOORS = [
    card + FLOOR_STATED
    for card in (
        *("broken-power-law-1", "broken-power-law-4", "chinchilla", "chinchilla-corpora"),
        *(
            "coupled-discrepancy",
            "data-constrained",
            "encoder-decoder",
            "learning-rate-batch",
            "moe-sparsity",
            "over-fitting",
            "power-law-floor",
        ),
    )
]
"""Models with a stated floor whose compiled density is tested. Together they have every kind of prior, laws
of zero to three shares, pooled levels and a discrepancy. Of the other models the graph is evaluated in
Python, which is quicker than compiling; graphs with as many operands as those of learning rates and of
four breaks cannot be."""

every_card = pytest.mark.parametrize("card", sorted(model_cards()))
FLOOR_PARAMETERS = [
    pytest.param(card, marks=() if card in COMPILED_FLOORS else pytest.mark.slow) for card in FLOORS
]
every_model = pytest.mark.parametrize("card", [*sorted(model_cards()), *FLOOR_PARAMETERS])
every_floor = pytest.mark.parametrize("card", FLOOR_PARAMETERS)
every_dataset = pytest.mark.parametrize("dataset", sorted(dataset_folders()))


def runs_with_every_column() -> bs.Runs:
    """Return the shipped Chinchilla runs with a made-up column for every further input and response."""
    table = bs.load_runs("chinchilla").table
    size, tokens, loss = table["n_params"], table["n_tokens"], table["loss"]
    row = np.arange(len(table))
    return bs.load_runs(
        table.assign(
            n_unique_tokens=tokens / 3,
            n_steps=tokens / 2**19,
            batch_tokens=2.0 ** (18 + row % 4),
            learning_rate=1e-3 * 2.0 ** (row // 4 % 3),
            n_experts=4.0 ** (row % 4),
            activation_ratio=4.0 ** -(row % 4),
            granularity=2.0 ** (row % 5),
            n_encoder_params=size / (2 + row % 3),
            n_decoder_params=size / (4 - row % 3),
            n_finetuning_tokens=tokens / 1e4,
            critical_batch=2e5 * (tokens / 1e9) ** 0.6,
            n_transferred_tokens=1e4 * tokens**0.2 * size**0.4,
            error=0.85 - 2.0 * np.exp(-0.7 * loss),
            bleu=80 * np.exp(-0.5 * loss),
            target_loss=0.5 + 0.9 * loss,
            **{f"domain_{j}": 1.0 + (row + j) % (j + 1) for j in range(1, 6)},
            accuracy=0.25 + 0.65 / (1.0 + np.exp(2.0 * (loss - 2.5))),
        )
    )


def model_of(card) -> bs.Model:
    model = load_model(card.removesuffix(FLOOR_STATED))
    return dataclasses.replace(model, floor=FLOORS.get(card))


def room_for(model) -> Sizes:
    return tuple((column, 8) for column in model.groupings)


def runs_for(model, runs) -> bs.Runs:
    """Return the runs, with a column of two families if the model is pooled by family."""
    table = runs.table.assign(family=np.where(np.arange(len(runs)) % 3, "one", "other"))
    return bs.load_runs(table) if "family" in model.groupings else runs
