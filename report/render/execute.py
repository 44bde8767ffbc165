"""Running a document: every cell and every inline expression, in document order, in one kernel.

Public: run.
"""

from __future__ import annotations

import re
import sys
import tempfile
from base64 import b64decode
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from source import Cell, Problem, Prose, Source, resolve

from lr_lab.jupyter import ThisInterpreter, environment

# Figures as SVG whose ids do not change from run to run; and a helper that evaluates a paragraph's expressions at once.
# A string is text, whatever it holds; only an object that has a Markdown form is read as Markdown. So does Quarto.
SETUP = r"""
def _evaluate(expressions):
    import html, json, re
    from IPython.display import display
    shell, results = get_ipython(), []
    for expression in expressions:
        try:
            value = eval(expression, shell.user_ns)
        except BaseException as error:
            results.append({"error": f"{type(error).__name__}: {error}"})
            break
        data = {} if isinstance(value, str) else shell.display_formatter.format(value)[0]
        text = data.get("text/markdown")
        results.append({"text": text if text is not None else
                        re.sub(r"([\\`*_{}\[\]()<>#+\-.!~$@^|&])", r"\\\1", value if isinstance(value, str) else data["text/plain"])})
    display({"application/json": results}, raw=True)

def _setup():
    import matplotlib
    matplotlib.rcdefaults()  # whatever lies in the document's folder
    from matplotlib_inline.backend_inline import set_matplotlib_formats
    get_ipython().run_line_magic("matplotlib", "inline")
    set_matplotlib_formats("svg")
    matplotlib.rcParams["svg.hashsalt"] = "report"

_setup()
del _setup
"""


def run(source: Source, media: Path, epoch: int) -> None:
    """Fill in `markdown` of every part. Figures go to `media`. Raises Problem where a cell or an expression fails."""
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisInterpreter())
    client = NotebookClient(
        nbformat.v4.new_notebook(), km=manager, timeout=None, resources={"metadata": {"path": str(source.path.parent)}}
    )
    own = {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0", "RENDER_MEDIA": str(media)}
    defaults = source.metadata.get("execute") or {}
    with tempfile.TemporaryDirectory() as ipython, client.setup_kernel(env=environment(Path(ipython)) | own):
        execute(client, source.path, 0, SETUP)
        for index, part in enumerate(source.parts):
            if isinstance(part, Prose):
                evaluate(client, source.path, part)
            else:
                options = defaults | part.options
                outputs = (
                    execute(client, source.path, part.line + part.option_lines, part.code)
                    if options.get("eval", True)
                    else []
                )
                part.markdown = cell_markdown(source.path, part, options, outputs, media / f"cell-{index}")


def execute(client: NotebookClient, path: Path, line: int, code: str) -> list:
    """Run one cell, whose code starts below `line`; its outputs."""
    cell = nbformat.v4.new_code_cell(code)
    client.nb.cells.append(cell)
    try:
        client.execute_cell(cell, len(client.nb.cells) - 1)
    except CellExecutionError as error:
        trace = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback)
        inside = re.search(r"Cell In\[\d+\], line (\d+)", trace)
        last = " ".join(f"{error.ename}: {error.evalue}".split())
        raise Problem(path, line + int(inside[1]) if inside else line, f"the cell raised {last}") from None
    except DeadKernelError:
        raise Problem(path, line, "the kernel died while it ran this cell") from None
    for output in cell.outputs:  # a warning is for whoever renders, not for the reader
        if output.get("name") == "stderr":
            for line in re.findall(r"(?m)^.*\bUserWarning: (.*)$", output.text):
                print(f"warning: {line}", file=sys.stderr)
    return cell.outputs


def evaluate(client: NotebookClient, path: Path, prose: Prose) -> None:
    """Put the values of inline expressions, and what shortcodes stand for, into the text."""
    values = []
    if prose.expressions:
        call = f"_evaluate({[expression for _, expression in prose.expressions]!r})"
        outputs = execute(client, path, prose.line, call)
        values = next(output["data"]["application/json"] for output in outputs if "data" in output)
        if "error" in values[-1]:
            line, expression = prose.expressions[len(values) - 1]
            raise Problem(path, line, f"`{{python}} {expression}` raised {values[-1]['error']}")
    prose.markdown = resolve(prose.text, (value["text"] for value in values))


def cell_markdown(path: Path, cell: Cell, options: dict, outputs: list, stem: Path) -> str:
    """A cell and its outputs as Markdown, in the divs that Quarto writes; a labelled cell becomes a float."""
    asis = options.get("output") == "asis"
    show = options.get("include", True)
    blocks = []
    if show and options.get("output", True):
        for number, output in enumerate(outputs):
            if output.output_type == "stream" and output.name == "stderr" and not options.get("warning", True):
                continue
            text = output_markdown(output, asis, options.get("fig-alt"), stem.with_name(f"{stem.name}-{number}"))
            if text:
                blocks.append(text)
    if asis:
        return "\n\n" + "\n\n".join(blocks) + "\n\n" if blocks else ""
    label, captions = options.get("label", ""), options.get("fig-subcap") or []
    kind = label[:3]
    if captions and len(captions) != len(blocks):
        raise Problem(
            path, cell.line, f"'fig-subcap' has {len(captions)} captions for {len(blocks)} figures; give one for each"
        )
    if captions:
        blocks = [
            f"::: {{#{label}-{n}}}\n{block}\n\n{caption}\n:::"
            for n, (block, caption) in enumerate(zip(blocks, captions, strict=True), 1)
        ]
    if caption := options.get(f"{kind}-cap"):
        blocks.append(str(caption))
    attributes = [f"#{label}" if caption else "", ".cell"]
    attributes += [f".column-{options['column']}"] if "column" in options else []
    attributes += [f'layout-ncol="{options["layout-ncol"]}"'] if "layout-ncol" in options else []
    if not caption:  # in a float of the author's own, the last paragraph is the caption: keep outputs apart from it
        blocks = [f"::: {{.cell-output}}\n{block}\n:::" for block in blocks]
    if blocks:
        blocks = [f"::::: {{{' '.join(filter(None, attributes))}}}\n" + "\n\n".join(blocks) + "\n:::::"]
    if show and options.get("echo", True):
        blocks.insert(0, fenced(cell.code, "python"))
    return "\n\n" + "\n\n".join(blocks) + "\n\n" if blocks else ""


def output_markdown(output, asis: bool, alt: str | None, stem: Path) -> str:
    """One output as Markdown; an image is written to `stem` plus its suffix."""
    if output.output_type == "stream":
        return output.text if asis else fenced(output.text.rstrip("\n"), ".cell-output")
    data = output.get("data", {})
    for mime, suffix in (("image/svg+xml", ".svg"), ("image/png", ".png")):
        if mime in data and "text/markdown" not in data:
            path = stem.with_suffix(suffix)
            path.write_bytes(data[mime].encode() if suffix == ".svg" else b64decode(data[mime]))
            description = str(alt or "").replace('"', "&quot;")
            return f"![](<{path.as_posix()}>)" + (f'{{fig-alt="{description}"}}' if alt else "")
    if "text/markdown" in data:
        return data["text/markdown"]
    if "text/html" in data:
        return fenced(data["text/html"], "=html")
    return fenced(data["text/plain"], ".cell-output") if "text/plain" in data else ""


def fenced(text: str, kind: str) -> str:
    """A code block whose fence is longer than any in the text."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}{kind if kind.isalpha() else '{' + kind + '}'}\n{text}\n{ticks}"
