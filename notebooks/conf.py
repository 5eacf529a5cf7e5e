"""Sphinx configuration of the site; `python -m cm384 report` renders the staged pages with it."""

import sys
from pathlib import Path

from pybtex.plugin import register_plugin
from pybtex.style.formatting import unsrt
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle
from pybtex.style.template import field, optional, sentence

sys.path.insert(0, str(Path(__file__).with_name("_ext")))

project = "CloudMatrix 384 from first principles"
author = "The CloudMatrix 384 from first principles authors"
copyright = "the authors; text and data CC BY 4.0, code MIT"
language = "en"
html_title = project
html_last_updated_fmt = None
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
html_show_search_summary = False  # it would fetch pages, which a browser refuses for files

extensions = ["myst_nb", "sphinxcontrib.bibtex", "cm384_site"]
exclude_patterns = ["_build", "_ext", "_templates"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "show the code"
nb_code_prompt_hide = "hide the code"
myst_heading_anchors = 3

bibtex_bibfiles = ["sources.bib"]
bibtex_cite_id = "cite-{key}"

html_static_path = ["_static"]
html_css_files = ["page.css", "claims.css", "sentence.css"]
html_js_files = [("page.js", {"defer": "defer"})]
html_favicon = "_static/favicon.svg"
html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}  # light or dark as the reader's system asks
html_sidebars = {"**": ["search-button-field.html", "sbt-sidebar-nav.html"]}
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "max_navbar_depth": 1,
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_source_button": False,
    "use_repository_button": False,
}


class KeyLabels(BaseLabelStyle):
    """Each source bears the key by which the tables name it."""

    def format_labels(self, entries):
        return [entry.key for entry in entries]


class ByKey(BaseSortingStyle):
    """Sources in the order of their keys."""

    def sorting_key(self, entry):
        return entry.key


class Sources(unsrt.Style):
    """Titles as their documents print them, and each date once."""

    default_label_style = KeyLabels
    default_sorting_style = ByKey

    def format_title(self, entry, which_field, as_sentence=True):
        title = field(which_field)
        return sentence[title] if as_sentence else title

    def get_misc_template(self, entry):
        place = entry.fields.get("howpublished", "")
        dated = entry.fields.get("year", "") in place
        return unsrt.toplevel[
            optional[sentence[self.format_names("author")]],
            optional[self.format_title(entry, "title")],
            sentence[optional[field("howpublished")], None if dated else optional[unsrt.date]],
            sentence[optional[field("note")]],
            self.format_web_refs(entry),
        ]


register_plugin("pybtex.style.formatting", "sources", Sources)
