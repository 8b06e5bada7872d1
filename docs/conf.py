"""Configuration of Sphinx, for `make docs`."""

import sys
from pathlib import Path

from latex2mathml.converter import convert

HERE = Path(__file__).parent
# Import the checkout, even if another version is installed.
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tools")]

from gallery import write_gallery  # noqa: E402
from site_pages import write_pages  # noqa: E402

from bayescale import __version__  # noqa: E402

write_pages(HERE / "_generated")
write_gallery(HERE / "_generated" / "figures")

project = "bayescale"
copyright = "the bayescale authors"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
]
# No intersphinx: the build makes no requests to other hosts.
# The copy button omits prompts and output.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
# Amounts in dollars are not mathematics.
myst_dmath_allow_digits = False
myst_heading_anchors = 3
default_role = "py:obj"
autosummary_generate = True
autosummary_imported_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"bayescale {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
# With the version in the title, the date states which revision the pages describe.
html_last_updated_fmt = "%Y-%m-%d"


def setup(app):
    """Render formulas as MathML, which browsers display without scripts from other hosts."""

    def renderer(display):
        def visit(translator, node):
            from docutils.nodes import SkipNode

            translator.body.append(convert(node.astext(), display=display))
            raise SkipNode

        return visit, None

    app.add_html_math_renderer("mathml", renderer("inline"), renderer("block"))
