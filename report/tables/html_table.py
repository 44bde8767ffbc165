"""Tables as HTML, which both engines parse: `simple_table` with one header row, `html_table` of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from IPython.display import Markdown


def html_table(
    head: Sequence[str], bodies: Iterable[Sequence[str]], classes: str = "", widths: Sequence[float] = ()
) -> Markdown:
    """An HTML table from rows that are already cells; both engines parse it for HTML and PDF.

    `widths` of the columns are shares of the text's width, for a table with sentences in it.
    """
    if widths:
        classes = f"{classes} full-width".strip()
    top = "".join(f"<tr>{row}</tr>" for row in head)
    rest = "".join(f"<tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody>" for body in bodies)
    attribute = f' class="{classes}"' if classes else ""
    columns = "".join(f'<col style="width: {100 * width:g}%">' for width in widths)
    group = f"<colgroup>{columns}</colgroup>" if widths else ""
    return Markdown(f"```{{=html}}\n<table{attribute}>\n{group}<thead>{top}</thead>\n{rest}\n</table>\n```")


def simple_table(columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> Markdown:
    """A table with one header row; `numeric` columns are aligned on the right."""

    return html_table([cells_of(columns, numeric, "th")], [[cells_of(row, numeric) for row in rows]])


def cells_of(values: Sequence[object], numeric: Sequence[int], tag: str = "td") -> str:
    """Cells of one row; the tag may bring attributes."""
    return "".join(
        f"<{tag}{' class=num' if place in numeric else ''}>{value}</{tag.split()[0]}>"
        for place, value in enumerate(values)
    )
