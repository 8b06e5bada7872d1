"""Shown: the figure of an object and its notebook output, provided by the packages above."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FIGURES, _PAGES = "bayescale.plots.figures", "bayescale.reports.notebook"


class Shown:
    """An object with a figure and with notebook output.

    Figures and pages are made of all kinds of results, so their packages lie above those of the
    results, and no result imports them. They are imported by name when a figure or a page is asked
    for, as pandas imports its plotting backend: `bayescale.plots.figures` lists the figure of each
    class, and `bayescale.reports.notebook` writes the page of any.
    """

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Draw the figure that answers the question of this result.

        Parameters
        ----------
        ax
            Where to draw; new Axes unless given.
        **options
            Options of the function of `bayescale.plots` that draws it, which its documentation
            names.

        Returns
        -------
        Axes

        Examples
        --------
        >>> import bayescale as bs
        >>> plan = bs.allocate(bs.published("besiroglu2024"), budget=["1e21", "1e23"])
        >>> plan.plot().get_ylabel()
        'compute-optimal parameters N_opt'
        """
        return import_module(_FIGURES).draw(self, ax, **options)  # type: ignore[no-any-return]

    def _repr_html_(self) -> str:
        return import_module(_PAGES).page_of(self)  # type: ignore[no-any-return]
