"""How the output that a page shows is compared with what its code prints."""

from contextlib import nullcontext

import pytest
from pages import blocks, run_page

PAGE = """
```pycon
>>> print({said!r})  # doctest: +ROUGHLY
N_opt 36.7B [20.3B, 63.7B] at 5.76e23 FLOP, 90 %
```
"""


def shown(said: str, path) -> int:
    path.write_text(PAGE.format(said=said), encoding="utf-8")
    return run_page(path, lambda arguments: 0, lambda: "")


def test_rough_output_holds_for_other_draws(tmp_path):
    assert shown("N_opt 38.1B [17.0B, 70B] at 5.76e23 FLOP, 90 %", tmp_path / "page.md") == 1


@pytest.mark.parametrize(
    "said",
    [
        "N_opt 36.7M [20.3B, 63.7B] at 5.76e23 FLOP, 90 %",
        "N_opt 36.7B [20.3B, 163B] at 5.76e23 FLOP, 90 %",
        "D_opt 36.7B [20.3B, 63.7B] at 5.76e23 FLOP, 90 %",
        "N_opt 36.7B [20.3B] at 5.76e23 FLOP, 90 %",
        "",
    ],
)
def test_rough_output_is_still_compared(said, tmp_path):
    with pytest.raises(AssertionError):
        shown(said, tmp_path / "page.md")


def test_a_page_is_read_in_blocks():
    (block,) = blocks(PAGE)
    assert (block.language, block.line) == ("pycon", 2)


@pytest.mark.parametrize(("rough", "fails"), [(":class: roughly\n", False), ("", True)])
def test_commands_are_compared_roughly_where_a_block_says_so(rough, fails, tmp_path):
    page = tmp_path / "page.md"
    block = f"```{{code-block}} console\n{rough}$ bayescale allocate fit.nc\nN_opt 36.7B\n```\n"
    page.write_text(block, encoding="utf-8")
    for said, wrong in (("N_opt 38B", fails), ("N_opt 380B", True), ("D_opt 36.7B", True)):
        with pytest.raises(AssertionError) if wrong else nullcontext():
            run_page(page, lambda arguments: 0, lambda said=said: said)
