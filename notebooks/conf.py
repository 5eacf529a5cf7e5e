"""Sphinx configuration of the site; `python -m cm384 report` renders the staged pages with it."""

project = "CloudMatrix 384 from first principles"
author = "The CloudMatrix 384 from first principles authors"
copyright = "the authors; text and data CC BY 4.0, code MIT"
language = "en"
html_title = project
html_last_updated_fmt = None
html_show_sourcelink = False
html_copy_source = False

extensions = ["myst_nb", "sphinxcontrib.bibtex"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "show the {type}"
nb_code_prompt_hide = "hide the {type}"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

bibtex_bibfiles = ["sources.bib"]
bibtex_cite_id = "cite-{key}"

# One file of MathJax, copied here by the build: a page asks nothing of the network.
mathjax_path = "mathjax/tex-svg.js"
html_static_path = ["_static"]
html_css_files = ["page.css", "claims.css"]
html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}  # light or dark as the reader's system asks
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "pygments_light_style": "tango",
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_source_button": False,
    "use_repository_button": False,
}


def setup(app):
    """The table of the scorecard alone loads the scripts that filter and sort it."""

    def add(app, page, *_):
        for name in ("datatables.js", "scorecard.js") if page == "00-scorecard" else ():
            app.add_js_file(name, loading_method="defer")

    app.connect("html-page-context", add)
