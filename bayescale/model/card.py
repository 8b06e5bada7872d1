"""Model: a law with priors and noise, and its conversion from and to a TOML card."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.data.catalog import find_model_card
from bayescale.data.runs import Runs
from bayescale.data.toml_file import check_content, read_card
from bayescale.errors import CardError, as_list, expect_mapping, is_name, quoted, refuse_unknown
from bayescale.laws import Law
from bayescale.laws import law as find_law
from bayescale.model.discrepancy import SLOPES, Discrepancy
from bayescale.model.floor import check_floor
from bayescale.model.noise import Noise
from bayescale.model.pooling import Pooling, pooling_of
from bayescale.model.priors import Prior, check_priors, prior_from_dict

DEFAULT_CARD = "coupled-discrepancy"
"""Default card; its intervals include model discrepancy outside the range of the runs."""

_REQUIRED = ("law", "priors", "noise")
_CARD_KEYS: Mapping[str, tuple[type, str]] = {
    "id": (str, "text"),
    "title": (str, "text"),
    "law": (str, "a name"),
    "references": (list, "a list of texts"),
    "inputs": (Mapping, "a table"),
    "priors": (Mapping, "a table"),
    "floor": (Mapping, "a table"),
    "noise": (Mapping, "a table"),
    "discrepancy": (Mapping, "a table"),
    "pooling": (Mapping, "a table"),
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A statistical model: a law, priors with reasons, noise, pooling and discrepancy.

    Attributes
    ----------
    law
        The law (`bayescale.laws`), or its name.
    priors
        A prior for each coordinate of the law's reference parametrisation. The reference point
        is the geometric centre of the runs, so the elasticities are those inside the data.
    noise
        Distribution of the response about the law.
    floor
        A prior on the irreducible response itself, in its own unit (such as nats), from other
        information than these runs: another sweep with the same evaluation set
        (`Fit.floor_prior`), or an assumption. It replaces the prior on the level
        (``loss_ref``), which any table determines; all other priors are kept. For a pooled
        floor it is on the population median.
    discrepancy
        Model discrepancy of the law; none unless given.
    pooling
        Parts of the law that vary between levels of a grouping factor, such as families, or
        sizes or curves whose runs share errors.
    inputs
        Column of the runs for each input of the law, where the names differ: a law of one
        variable needs ``{"x": "compute"}`` or the like.
    id, title, references
        Identifier, title and citations.

    Raises
    ------
    UnknownNameError
        If there is no such law.
    CardError
        If a prior is missing, or is on a parameter that the law does not have.

    Examples
    --------
    >>> import bayescale as bs
    >>> from dataclasses import replace
    >>> model = bs.load_model("chinchilla")
    >>> wide = bs.LogNormal(median=0.4, log_sd=0.9, why="twice as wide")
    >>> replace(model, priors={**model.priors, "alpha": wide}).priors["alpha"].log_sd
    0.9
    """

    law: Law
    priors: Mapping[str, Prior]
    noise: Noise
    floor: Prior | None = None
    discrepancy: Discrepancy | None = None
    pooling: tuple[Pooling, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    id: str = "unnamed"
    title: str = ""
    references: tuple[str, ...] = ()

    if TYPE_CHECKING:  # the dataclass signature, except that the law may be given by name

        def __init__(
            self,
            *,
            law: str | Law,
            priors: Mapping[str, Prior],
            noise: Noise,
            floor: Prior | None = None,
            discrepancy: Discrepancy | None = None,
            pooling: tuple[Pooling, ...] = (),
            inputs: Mapping[str, str] = ...,
            id: str = "unnamed",
            title: str = "",
            references: tuple[str, ...] = (),
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            object.__setattr__(self, "law", find_law(self.law))  # type: ignore[unreachable]
        object.__setattr__(self, "references", tuple(as_list(self.references)))
        expect_mapping(self.inputs, "inputs", "{'x': 'compute'}", CardError)
        for name, texts in (
            ("id and title", (self.id, self.title)),
            ("references", self.references),
            ("inputs", tuple(self.inputs.values())),
        ):
            wrong = [text for text in texts if not isinstance(text, str)]
            if wrong:
                raise CardError(f"{name}: found {quoted(wrong[0])}, expected texts.")
        if not is_name(self.id):
            raise CardError(f"id: found {quoted(self.id)}, expected a name: one line of text.")
        coordinates = self.law.coordinates
        check_priors("priors", f"the law {self.law.name}", tuple(coordinates), self.priors)
        for name, prior in self.priors.items():
            relative = self.law.scale_free and name == self.law.level
            expected = "observed" if relative else ""
            if prior.relative_to != expected:
                raise CardError(
                    f"priors.{name}: found relative_to = {quoted(prior.relative_to)}, expected "
                    f"{quoted(expected)}. The level of a law is stated relative to what was "
                    "observed, so that its unit does not matter; nothing else is."
                )
            # A prior on part of the support is allowed, such as a positive one on a real parameter.
            if coordinates[name].support not in (prior.support, "real"):
                raise CardError(
                    f"priors.{name}: found a {prior.kind} prior, which is on a {prior.support} "
                    f"quantity, expected one on a {coordinates[name].support} quantity."
                )
        if self.floor is not None:
            check_floor(self.law, self.floor)
        for name in self.inputs:
            if name not in self.law.inputs:
                raise CardError(
                    f"inputs: found {quoted(name)}, expected one of {', '.join(self.law.inputs)}."
                )
        self.noise.check(self.law, self.columns)
        if self.discrepancy is not None:
            self.discrepancy.check(self.law)
        for pooling in self.pooling:
            pooling.check(self.law, self.pooling)
        # In the order of a card's tables, so that a model and what is read from its card are the
        # same to the last digit: variables, random streams and compiled code follow the order.
        object.__setattr__(self, "pooling", self._in_order(self.pooling))
        effects = [pooling.effect for pooling in self.pooling]
        twice = [name for name in effects if effects.count(name) > 1]
        if twice:
            raise CardError(f"pooling: found {twice[0]} twice, expected each once.")
        if "x" in self.law.inputs and "x" not in self.inputs:
            raise CardError(
                f"inputs: the law {self.law.name} is of one variable; say which column it is, as "
                'in [inputs] x = "compute".'
            )

    @property
    def columns(self) -> dict[str, str]:
        """Column of the runs for each input of the law."""
        return {name: self.inputs.get(name, name) for name in self.law.inputs}

    @property
    def other_priors(self) -> dict[str, Prior]:
        """The priors on noise, discrepancy and group effects."""
        return {
            **self.noise.all_priors,
            **(self.discrepancy.scales if self.discrepancy else {}),
            **{name: prior for p in self.effects for name, prior in p.priors.items()},
        }

    @property
    def all_priors(self) -> dict[str, Prior]:
        """The priors on coordinates, and on all others."""
        return {**self.priors, **self.other_priors}

    @property
    def stated_priors(self) -> dict[str, Prior]:
        """The priors that make up the density: a stated floor replaces that of the level."""
        if self.floor is None:
            return self.all_priors
        others = {name: p for name, p in self.all_priors.items() if name != self.law.level}
        return {self.law.floor: self.floor, **others}

    @property
    def effects(self) -> tuple[Pooling, ...]:
        """The group effects, each after the effect that it is correlated with."""
        differing = [pooling for pooling in self.pooling if pooling.kind != "complete"]
        return tuple(sorted(differing, key=lambda pooling: bool(pooling.with_)))

    @property
    def has_steps(self) -> bool:
        """Whether there is a discrepancy or any group effect."""
        return bool(self.effects) or self.discrepancy is not None

    @property
    def groupings(self) -> tuple[str, ...]:
        """The grouping factors, coarser before finer ones."""
        columns = dict.fromkeys(effect.over for effect in self.effects)
        return tuple(sorted(columns, key=lambda column: column.count("+")))

    def identified_by(self, runs: Runs) -> "Model":
        """Return the model without the group effects for which a table has too few levels.

        Parameters
        ----------
        runs
            The runs to fit; see `Pooling.min_levels`.
        """
        kept = tuple(pooling for pooling in self.pooling if pooling.is_identified(runs))
        return self if kept == self.pooling else replace(self, pooling=kept)

    def pool(
        self, over: str, of: Collection[str] | None = None, *, sd: Prior | None = None
    ) -> "Model":
        """Return the model with parts that vary between the levels of a column.

        Parameters
        ----------
        over
            The column of the grouping factor, such as ``family``; columns joined by ``+`` form one
            factor, nested in each of them.
        of
            Parameters, inputs (the elasticity along one) or the response; all parameters of the
            law that are not shares, unless given. Parts that are pooled over the column are
            replaced.
        sd
            Prior of the standard deviation between levels, on the log scale for positive parts;
            half-normal of scale 0.35 unless given.

        Examples
        --------
        >>> import bayescale as bs
        >>> model = bs.load_model("kaplan-nd").pool("family")
        >>> [effect.effect for effect in model.effects][:2]
        ['N_c_by_family', 'D_c_by_family']
        >>> spread = bs.HalfNormal(scale=0.02, why="seeds scatter by less than 2 %")
        >>> model.pool("family+seed", of=["loss"], sd=spread).groupings
        ('family', 'family+seed')
        """
        new = pooling_of(self.law, over, of, sd)
        names = {pooling.effect for pooling in new}
        kept = tuple(pooling for pooling in self.pooling if pooling.effect not in names)
        return replace(self, id=f"{self.id}-by-{over}", pooling=(*kept, *new))

    def _in_order(self, pooling: tuple[Pooling, ...]) -> tuple[Pooling, ...]:
        """Return pooling in the order of the parts of the law, coarser before finer factors."""
        parts = [*self.law.parameters, *self.law.inputs, self.law.response]
        return tuple(sorted(pooling, key=lambda p: (parts.index(p.of), p.over.count("+"), p.over)))

    def effects_by(self, column: str) -> tuple[Pooling, ...]:
        """Return the effects of one grouping factor."""
        return tuple(effect for effect in self.effects if effect.over == column)

    @property
    def grouped_and_noted(self) -> tuple[str, ...]:
        """The columns of the runs that pooling and noise need, in addition to those of the law."""
        return tuple(dict.fromkeys((*self.grouping_columns, *self.noise.columns)))

    @property
    def grouping_columns(self) -> tuple[str, ...]:
        """The single columns that `groupings` are made of: ``family+recipe`` is of two."""
        return tuple(dict.fromkeys(part for by in self.groupings for part in by.split("+")))

    @property
    def grouping(self) -> str:
        """The grouping factor of natural parameters, empty if they are not pooled.

        With several nested factors it is the finest.
        """
        pooled = [effect.over for effect in self.effects if effect.of in self.law.parameters]
        return max(pooled, key=lambda column: (column.count("+"), pooled.index(column)), default="")

    def step_scales(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scale of each set of standard normal steps, by name.

        Parameters
        ----------
        values
            Values of the unknowns of `other_priors`, by name.
        """
        scales = {effect.effect: effect.scale(values) for effect in self.effects}
        return scales | ({SLOPES: 1.0} if self.discrepancy else {})

    @property
    def n_free(self) -> int:
        """Number of quantities that the runs must determine."""
        return len(self.priors) + len(self.noise.all_priors)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as nested dictionaries, in the order of a card file."""
        return {
            "id": self.id,
            "title": self.title,
            "law": self.law.name,
            "references": list(self.references),
            **({"inputs": dict(self.inputs)} if self.inputs else {}),
            "priors": {name: prior.to_dict() for name, prior in self.priors.items()},
            **({"floor": self.floor.to_dict()} if self.floor else {}),
            "noise": self.noise.to_dict(),
            **({"discrepancy": self.discrepancy.to_dict()} if self.discrepancy else {}),
            **({"pooling": self._pooling_tables()} if self.pooling else {}),
        }

    def _pooling_tables(self) -> dict[str, dict[str, Any]]:
        tables: dict[str, dict[str, Any]] = {}
        for pooling in self.pooling:
            tables.setdefault(pooling.of, {})[pooling.over] = pooling.to_dict()
        return tables

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str = "card") -> "Model":
        """Build a model from a card's content; unknown keys raise CardError."""
        check_content(content, where)
        known = {f.name for f in fields(cls)}
        refuse_unknown(content, known, where)
        for key, (expected, called) in _CARD_KEYS.items():
            if (key in content or key in _REQUIRED) and not isinstance(content.get(key), expected):
                raise CardError(
                    f"{where}: found {key} = {quoted(content.get(key))}, expected {called}."
                )
        return cls(
            law=content["law"],
            priors={
                name: prior_from_dict(prior, f"{where}: priors.{name}")
                for name, prior in content["priors"].items()
            },
            noise=Noise.from_dict(content["noise"], f"{where}: noise"),
            floor=prior_from_dict(content["floor"], f"{where}: floor")
            if "floor" in content
            else None,
            discrepancy=Discrepancy.from_dict(content["discrepancy"], f"{where}: discrepancy")
            if "discrepancy" in content
            else None,
            pooling=tuple(
                Pooling.from_dict(entry, of, by, f"{where}: pooling.{of}.{by}")
                for of, entries in content.get("pooling", {}).items()
                for by, entry in _table(entries, f"{where}: pooling.{of}").items()
            ),
            inputs=content.get("inputs", {}),
            id=content.get("id", "unnamed"),
            title=content.get("title", ""),
            references=tuple(content.get("references", ())),
        )

    def to_toml(self) -> str:
        """Return the card as TOML; `load_model` reads it back as an equal model."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    def __repr__(self) -> str:
        noise = f"{self.noise.kind} noise on log {self.law.response}"
        floor = f"{self.law.floor} ~ {self.floor}, " if self.floor else ""
        return f"<Model {self.id}: law {self.law.name}, {floor}{noise}>"


def load_model(source: "str | Path | Model" = DEFAULT_CARD) -> Model:
    """Load a model card.

    Parameters
    ----------
    source
        A card id (see `bayescale.list_models`), or the path of a .toml card. A Model is returned
        unchanged. The default is the default card.

    Returns
    -------
    Model

    Raises
    ------
    UnknownNameError
        If there is no such card.
    CardError
        If the card cannot be read or is invalid; the message says where.

    Examples
    --------
    >>> import bayescale as bs
    >>> bs.load_model("kaplan-nd")
    <Model kaplan-nd: law kaplan-nd, student-t noise on log loss>
    """
    if isinstance(source, Model):
        return source
    if not isinstance(source, str | Path):
        raise TypeError(
            f"model: found a {type(source).__name__}, expected the id of a card, its path, or a "
            "Model. Runs come first: bs.fit(runs, model)."
        )
    path = Path(source)
    if path.suffix != ".toml":
        path = find_model_card(str(source))
    elif not path.is_file():
        raise CardError(f"{path}: there is no such card. Give its path, or the id of a card.")
    model = Model.from_dict(read_card(path), path.name)
    return replace(model, id=path.stem) if model.id == "unnamed" else model


def _table(content: object, where: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise CardError(f"{where}: found {quoted(content)}, expected a table for each column.")
    return content
