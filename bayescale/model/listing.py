"""Tables of the available datasets and model cards."""

import pandas as pd

from bayescale.data.card import DatasetCard
from bayescale.data.catalog import CARD_NAME, dataset_folders, model_cards
from bayescale.model.card import load_model


def list_datasets() -> pd.DataFrame:
    """Return the datasets found: title, licence and source, indexed by id."""
    rows = []
    for name, folder in dataset_folders().items():
        card = DatasetCard.read(folder / CARD_NAME)
        rows.append(
            {"dataset": name, "title": card.title, "licence": card.licence, "source": card.source}
        )
    return pd.DataFrame(rows, columns=["dataset", "title", "licence", "source"]).set_index(
        "dataset"
    )


def list_models() -> pd.DataFrame:
    """Return the model cards found: title, law, noise and references, indexed by id."""
    rows = []
    for name, path in model_cards().items():
        model = load_model(path)
        rows.append(
            {
                "model": name,
                "title": model.title,
                "law": model.law.name,
                "noise": str(model.noise),
                "references": "; ".join(model.references),
            }
        )
    return pd.DataFrame(rows, columns=["model", "title", "law", "noise", "references"]).set_index(
        "model"
    )
