"""Interactive parts of the page: `block` writes one as raw HTML that holds its style, data and script.

`shared` is what all of them need; the document has it once, before the first. Nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

from IPython.display import Markdown

HERE = Path(__file__).parent


def shared() -> Markdown:
    """Style and script that all interactive parts use."""
    style, script = ((HERE / f"interactive.{suffix}").read_text("utf-8") for suffix in ("css", "js"))
    return _raw(f"<style>\n{style}</style>\n<script>\n{script}</script>")


def block(folder: Path, data: dict) -> Markdown:
    """The part of the page in `folder`: its HTML, style and script have the folder's name.

    Its script reads `data` by `interactive.read`: JSON, deflated, for a quarter of the page would else be such data.
    """
    name = folder.name
    markup, style, script = ((folder / f"{name}.{suffix}").read_text("utf-8") for suffix in ("html", "css", "js"))
    text = base64.b64encode(zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)).decode()
    return _raw(
        f"<style>\n{style}</style>\n{markup}"
        f'<script type="text/plain" id="{name}-data">{text}</script>\n<script>\n{script}</script>'
    )


def _raw(html: str) -> Markdown:
    return Markdown(f"```{{=html}}\n{html}\n```")
