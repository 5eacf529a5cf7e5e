"""Draw the first page's figure as a picture, for the README and for links that are shared.

`python tests/draw_answer.py` after an intended change of an answer: a browser draws the page's own figure,
and the picture carries its words, so that a test sees when they part.
"""

from __future__ import annotations

import io
import re
import sys

from PIL import Image, PngImagePlugin

from cm384.notebooks import NOTEBOOKS

sys.path.insert(0, str(NOTEBOOKS / "_ext"))
PICTURE = NOTEBOOKS / "_static" / "answer.png"
SIZE = (1200, 630)
PAGE = """<!doctype html><meta charset="utf-8"><style>{css}
html {{ --pst-color-text-base: #222; --pst-color-text-muted: #555; --pst-color-border: #ccc;
  --pst-color-background: #fff; font: 18px "DejaVu Sans"; line-height: 1.2; }}
body {{ margin: 22px 40px; }} h1 {{ font-size: 34px; margin: 0 0 8px; }} p {{ font-size: 16px; }}
.hero figcaption {{ font-size: 18px; margin-bottom: 10px; }} .hero figcaption strong {{ font-size: 24px; }}
.hero .pair {{ gap: 0 60px; }} .hero .chips {{ max-width: 250px; }} .leads {{ max-height: 330px; }}
</style><h1>Did CloudMatrix 384 beat NVIDIA?</h1>{figure}"""


def drawn() -> str:
    """The figure that the first page opens with, as HTML."""
    import pages
    from facts import SHOWN

    whole = pages.render("hero", answer=pages.answer(), hero=SHOWN["hero"])
    figure = re.search(r"<figure.*?</figure>", whole, re.S)
    assert figure
    return f'<div class="hero">{figure[0]}</div>'


def words(figure: str) -> str:
    """What the figure says, without its drawing."""
    return " ".join(re.sub(r"<[^>]+>", " ", figure).split())


def main() -> None:
    from playwright.sync_api import sync_playwright
    from rendered import BROWSER, CHROMIUM

    css = (NOTEBOOKS / "_static" / "claims.css").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=CHROMIUM)
        page = browser.new_page(viewport=dict(zip(("width", "height"), SIZE, strict=True)))  # type: ignore[arg-type]
        page.set_content(PAGE.format(css=css, figure=drawn()))
        shot = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    said = PngImagePlugin.PngInfo()
    said.add_itxt("Description", words(drawn()))
    shot.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(PICTURE, pnginfo=said, optimize=True)


if __name__ == "__main__":
    main()
