"""Every figure of the notebooks and the report: functions that take data and return a matplotlib `Figure`.

They round what they draw, and `svg` what it writes, so that a figure is the same on every processor (`rounding`).

One colour per meaning throughout (`TASK_COLOURS`, `CLASS_COLOURS`), from the palette of Okabe and Ito (2008), which
readers with any colour vision can tell apart; line styles repeat the distinction without colour.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor

from lr_core.memory import pixel_share
from lr_core.tasks import Dataset
from lr_lab.data.idx import SIDE
from lr_lab.rounding import rounded

if TYPE_CHECKING:
    from lr_core.experiment import Evaluation, Forgotten

WIDTH = 6.5  # inches; the text width of the PDF
SAMPLES = 19  # images a class that the sample figures show
LATENT_POINTS = 150  # of each task in a latent map: more hide one another

TASK_COLOURS = {"first": "#0072B2", "second": "#D55E00"}
# Ten classes need more than the palette's eight colours: five hues, and a filled or an open mark for either task.
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v")  # of the same classes, for those who see no colours
# Of the second task's arms in their order: budgets are amounts, so steps of one hue, the smallest the lightest.
ARM_COLOURS = ("#b65d92", "#8a3a6b", "#5a1f44", "#6b6b6b")

EVALUATION_NAMES = {"running": "running statistics", "batch": "batch statistics", "mixed": "mixed-batch statistics"}
EVALUATION_STYLES: dict[str, Any] = {
    "running": "-",
    "batch": (0, (1, 1.2)),
    "mixed": (0, (4, 1.5)),
}

_FONTS = "DejaVu Sans, Verdana, sans-serif"  # the first is matplotlib's own, and wider than most that stand in for it

P = ParamSpec("P")
R = TypeVar("R")

_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # names and titles are drawn as they are, dollar signs too
    "svg.hashsalt": "latent-replay",  # element ids would be random otherwise, and the file different every time
}


def _styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the project's style over matplotlib's defaults, whatever the user has set, and leave that as it was."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_STYLE)
            return draw(*args, **kwargs)

    return styled


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


@_styled
def svg(figure: Figure) -> str:
    """The figure as an SVG document that is the same, byte for byte, whenever and wherever it is drawn.

    Warns, once of the same words, where no font at hand has what is written.
    """
    texts = figure.findobj(Text)
    missing = dict.fromkeys(word for text in texts for word in _add_fonts(text))
    _warn_of_missing(missing)
    # Text stays text, but for scripts that a reader's machine may lack a font for. Where this one does, the reader's may
    # have it.
    outlined = not missing and any(_is_rare(character) for text in texts for character in text.get_text())
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path" if outlined else "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # said above, in one line
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _compact(buffer.getvalue())


def _is_rare(character: str) -> bool:
    """Whether it is of none of the scripts that every machine has: Latin, Greek, Cyrillic; and signs."""
    return character > "\u2fff" or (character > "\u052f" and unicodedata.category(character)[0] in "LM")


def _add_fonts(text: Text) -> list[str]:
    """Let a text fall back on fonts for what its own lacks; the words with characters that no font at hand has."""
    own, words = font_manager.findfont(text.get_fontproperties()), text.get_text().split()
    drawn = {character for word in words for character in word if unicodedata.category(character) != "Cf"}
    found = {character: _family_with(character) for character in sorted(drawn) if not _has(own, character)}
    families = [family for family in dict.fromkeys(found.values()) if family]
    if families:
        text.get_fontproperties().set_file(None)  # a file would be the only font
        text.set_fontfamily([*text.get_fontfamily(), *families])
    missing = {character for character, family in found.items() if family is None}
    return [word for word in words if missing.intersection(word)]


@functools.cache
def _family_with(character: str) -> str | None:
    """A font at hand that has the character; that of the project's packages first."""
    japanese = str(japanese_font().get_file())
    if _has(japanese, character):
        font_manager.fontManager.addfont(japanese)
        return font_manager.get_font(japanese).family_name
    upright = [font for font in font_manager.fontManager.ttflist if font.style == "normal" and font.weight == 400]
    for font in sorted(upright, key=lambda font: (font.name, font.fname)):
        if "LastResort" not in font.name.replace(" ", "") and _has(font.fname, character):  # that one has boxes alone
            return font.name
    return None


@functools.cache
def _has(font: str, character: str) -> bool:
    try:
        return font_manager.get_font(font).get_char_index(ord(character)) != 0
    except (OSError, RuntimeError):  # a font that was removed, or is none
        return False


def without_font(text: str) -> list[str]:
    """The words of a text that the fonts of the project's packages cannot show, in which the PDF is set."""
    fonts = font_manager.findfont("DejaVu Sans"), str(japanese_font().get_file())
    return [word for word in text.split() if not all(any(_has(font, sign) for font in fonts) for sign in word)]


_warned: set[str] = set()  # words that are known to lack a font: a notebook draws the same names again and again


def _warn_of_missing(words: Iterable[str]) -> None:
    new = [word for word in words if word not in _warned]
    if new:
        _warned.update(new)
        more = f" and {len(new) - 5} more" if len(new) > 5 else ""
        warnings.warn(
            f"no font here can draw {', '.join(new[:5])}{more}: figures may lack them in the PDF. Install a font that can, "
            "such as one of the Noto fonts, or use other names",
            stacklevel=4,
        )


def _compact(document: str) -> str:
    """Less than half the size, and looks the same: the paper carries all its figures in one file.

    Numbers in hundredths, of a point or another unit, a style once for all marks in a row that share it, one font
    throughout, and images (which are grey and opaque) as such. Ids are numbered: matplotlib makes them of numbers that
    are not rounded.
    """
    document = re.sub(r"<!.*?>|<metadata>.*?</metadata>", "", document, flags=re.DOTALL)
    document = re.sub(r"\s*\n\s*", "\n", document)
    document = re.sub(r"<\w[^>]*>", _round_numbers, document)
    document = re.sub(r"; font-family: [^;\"]*", "", document).replace("<svg", f'<svg font-family="{_FONTS}"', 1)
    document = re.sub(
        r'<use [^>]* style="([^"]*)"/>\n(?:<use [^>]* style="\1"/>\n)+',
        lambda marks: f'<g style="{marks[1]}">\n' + re.sub(' style="[^"]*"', "", marks[0]) + "</g>\n",
        document,
    )
    document = re.sub(r"(?<=data:image/png;base64,)[^\"]+", _as_grey, document)
    return _number_ids(document)


def _round_numbers(tag: re.Match[str]) -> str:
    """A tag with its numbers in hundredths; those that others are multiplied by keep more."""

    def shorter(number: str, decimals: int) -> str:
        # What lies in the middle between two hundredths, as round numbers do, is read a little more or less: it is
        # moved up, so that the processor does not decide.
        short = f"{float(number) + 0.0123 * 10**-decimals:.{decimals}f}".rstrip("0").rstrip(".")
        return "0" if short == "-0" else short

    def piece(found: re.Match[str]) -> str:
        decimals = 5 if found["factors"] else 2
        return re.sub(r"-?\d+\.\d+", lambda number: shorter(number[0], decimals), found[0])

    return re.sub(r"(?P<factors>scale\([^)]*\)|matrix\((?:[-.\d]+ ){4})|-?\d+\.\d+", piece, tag[0])


def _number_ids(document: str) -> str:
    """Ids in the order in which they appear, with a mark of the drawing: a page may hold several drawings."""
    # Clip paths, marks, images and patterns: they end in ten digits of a digest. They may be used before they are defined.
    names = dict.fromkeys(re.findall(r'(?:\bid="|#)(\w*[0-9a-f]{10})\b', document))
    numbers = {name: str(number) for number, name in enumerate(names, start=1)}
    pattern = re.compile(rf"\b({'|'.join(names) or '(?!)'})\b")
    mark = hashlib.sha256(pattern.sub(lambda name: numbers[name[0]], document).encode()).hexdigest()[:6]
    return pattern.sub(lambda name: f"d{mark}-{numbers[name[0]]}", document)


def _as_grey(found: re.Match[str]) -> str:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(found[0]))).convert("L").save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


# -- data sets (Figures 1 to 4 of the paper) ------------------------------------------------------------------------


def first_images(dataset: Dataset, columns: int = SAMPLES) -> pd.DataFrame:
    """The images that `samples` and `glyph_rows` show, as a table (class, name, place in the row, image)."""
    rows = [
        (number, dataset.class_names[number], place, image)
        for number in range(len(dataset.class_names))
        for place, image in enumerate((dataset.labels == number).nonzero().flatten()[:columns].tolist())
    ]
    return pd.DataFrame(rows, columns=["class", "name", "place", "image"])


@_styled
def samples(dataset: Dataset, columns: int = SAMPLES) -> Figure:
    """The first images of each class: one row a class, named at its left (Figures 1 and 3)."""
    classes = len(dataset.class_names)
    figure = _figure(WIDTH, WIDTH * classes / columns * 0.86)
    axes = figure.subplots()
    axes.imshow(255 - _tiles(dataset, columns), cmap="gray", vmin=0, vmax=255, interpolation="none")
    axes.set_yticks(SIDE * np.arange(classes) + 13.5, map(_short, dataset.class_names))
    _bare(axes)
    return figure


@_styled
def glyph_rows(dataset: Dataset, columns: int = SAMPLES) -> Figure:
    """One row a class, led by the character that its images are a form of (Figure 4: modern hiragana)."""
    classes = len(dataset.class_names)
    figure = _figure(WIDTH, WIDTH * classes / (columns + 1) * 0.96)
    left, right = figure.subplots(1, 2, width_ratios=(1, columns))
    font, glyphs = japanese_font(), [*map(_short, dataset.glyphs or dataset.class_names)]
    size = 15 * min(1, 11 / max(map(len, glyphs)))
    for row, glyph in enumerate(glyphs):
        left.text(0.5, row + 0.5, glyph, ha="center", va="center", fontproperties=font, fontsize=size)
    left.set(xlim=(0, 1), ylim=(classes, 0))
    right.imshow(255 - _tiles(dataset, columns), cmap="gray", vmin=0, vmax=255, interpolation="none", aspect="auto")
    right.set_yticks([])
    left.set_yticks([])
    _bare(left)
    _bare(right)
    return figure


def pca_points(dataset: Dataset, per_class: int = 100) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Some images of each class in the plane of the first two principal components of all of them.

    Returns a table (class, name, image, x, y), `per_class` rows a class, and the two components' shares of the variance.
    """
    pixels = dataset.images.flatten(1).numpy().astype(np.float64) / 255
    labels = dataset.labels.numpy()
    pca = PCA(n_components=2, svd_solver="covariance_eigh").fit(pixels)
    chosen = np.concatenate(
        [np.flatnonzero(labels == number)[:per_class] for number in range(len(dataset.class_names))]
    )
    x, y = rounded(pca.transform(pixels[chosen])).T
    names = [dataset.class_names[number] for number in labels[chosen]]
    points = pd.DataFrame({"class": labels[chosen], "name": names, "image": chosen, "x": x, "y": y})
    first, second = map(float, pca.explained_variance_ratio_)
    return points, (first, second)


@_styled
def pca_images(points: pd.DataFrame, shares: tuple[float, float]) -> Figure:
    """The images of `pca_points`, a mark for each class (Figure 2)."""
    figure = _figure(WIDTH * 0.8, WIDTH * 0.62)
    axes = figure.subplots()
    marks = {}
    for (number, name), of_class in points.groupby(["class", "name"], sort=False):
        (marks[name],) = axes.plot(rounded(of_class.x), rounded(of_class.y), **_mark(number))
    axes.set(
        xlabel=f"first component ({shares[0]:.1%} of the variance)",
        ylabel=f"second component ({shares[1]:.1%} of the variance)",
    )
    _legend(figure, marks, loc="outside right center", fontsize=7.5, markerscale=1.6)
    return figure


def japanese_font() -> font_manager.FontProperties:
    """A font that has hiragana and comes with the project's packages, so that it is there on every machine."""
    # Found without importing the package, which would make its font the default of every figure.
    package = importlib.util.find_spec("matplotlib_fontja")
    assert package is not None, "a declared dependency"
    assert package.origin is not None, "a declared dependency"
    return font_manager.FontProperties(fname=str(next(Path(package.origin).parent.glob("fonts/*.ttf"))))


def _tiles(dataset: Dataset, columns: int) -> np.ndarray:
    """(classes * 28, columns * 28) uint8: the first `columns` images of each class side by side, then background."""
    tiles = np.zeros((len(dataset.class_names), columns, SIDE, SIDE), np.uint8)
    for number, row in enumerate(tiles):
        images = dataset.images[dataset.labels == number][:columns].numpy()
        row[: len(images)] = images
    return tiles.swapaxes(1, 2).reshape(-1, columns * SIDE)


# -- one run ----------------------------------------------------------------------------------------------------------


@_styled
def forgetting_curves(record: Mapping, evaluation: str = "mixed") -> Figure:
    """Accuracy on old (solid) and new classes (dashed) over the epochs of the second task, an axis for each arm."""
    arms = [arm for arm in record["arms"] if "old" in arm["curve"]]
    figure = _figure(WIDTH, 1.9)
    axes = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    for axis, arm in zip(axes, arms, strict=True):
        draw_curves(axis, arm, evaluation)
        axis.set(title=arm_name(arm), xlabel="epoch")
    axes[0].set_ylabel("test accuracy")
    _curve_legend(figure)
    return figure


@_styled
def forgetting_grid(records: Sequence[Mapping], evaluation: str = "mixed") -> Figure:
    """The forgetting curves of several runs of one data set: a row for each run, a column for each arm, one scale."""
    arms = [arm for arm in records[0]["arms"] if "old" in arm["curve"]]
    figure = _figure(WIDTH, 0.6 + 1.25 * len(records))
    axes = figure.subplots(len(records), len(arms), sharex=True, sharey=True, squeeze=False)
    for row, record in zip(axes, records, strict=True):
        for axis, arm in zip(row, (a for a in record["arms"] if "old" in a["curve"]), strict=True):
            draw_curves(axis, arm, evaluation)
        row[0].set_ylabel(f"case {record['run']['case']}\ntest accuracy")
    for axis, arm in zip(axes[0], arms, strict=True):
        axis.set_title(arm_name(arm))
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    _curve_legend(figure)
    return figure


def draw_curves(axis: Axes, arm: Mapping, evaluation: str) -> None:
    """One arm's two curves; epoch 0 is the state before the second task."""
    for task, style in (("old", "-"), ("new", (0, (3, 1.5)))):
        curve = rounded(arm["curve"][task][evaluation])
        axis.plot(
            arm["curve"]["epochs"], curve, color=TASK_COLOURS["first" if task == "old" else "second"], linestyle=style
        )
    axis.set_ylim(-0.03, 1.03)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _curve_legend(figure: Figure) -> None:
    lines = [
        Line2D([], [], color=TASK_COLOURS["first"], label="old classes (first task)"),
        Line2D([], [], color=TASK_COLOURS["second"], linestyle=(0, (3, 1.5)), label="new classes (second task)"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=2, fontsize=7.5, frameon=False)


@_styled
def latents(record: Mapping, class_names: Sequence[str]) -> Figure:
    """Test latents of the first and the second task in one plane with the same axes, coloured by class.

    The plane is that of the first task's two main components; the compressor was frozen before it saw the second.
    """
    figure = _figure(WIDTH, WIDTH * 0.5)
    axes = figure.subplots(1, 2, sharex=True, sharey=True, squeeze=False)[0]
    drawn = _draw_latents(axes, record, class_names)
    shares = record["latents"]["explained_variance_ratio"]
    for axis, marks, title in zip(axes, drawn, ("first task", "second task"), strict=True):
        axis.set(title=title, xlabel=f"first component ({shares[0]:.0%} of the variance)")
        _legend(axis, marks, loc="best", fontsize=7, handletextpad=0.2, markerscale=1.6)
    axes[0].set_ylabel(f"second component ({shares[1]:.0%})")
    return figure


@_styled
def latents_grid(records: Sequence[Mapping], class_names: Sequence[str]) -> Figure:
    """`latents` for several runs of one data set: a column for each run, first task above second."""
    figure = _figure(WIDTH, WIDTH * 0.58)
    axes = figure.subplots(2, len(records), sharex="col", sharey="col", squeeze=False)
    for column, record in zip(axes.T, records, strict=True):
        _draw_latents(column, record, class_names)
        column[0].set_title(f"case {record['run']['case']}")
        for axis in column:
            axis.tick_params(labelsize=6)
    axes[0, 0].set_ylabel("first task")
    axes[1, 0].set_ylabel("second task")
    marks = {name: Line2D([], [], **_mark(number, size=4)) for number, name in enumerate(class_names)}
    longest = max(map(len, map(_short, class_names)))
    columns = 10 if longest <= 3 else max(1, min(5, 100 // (longest + 5)))  # a row has room for 100 characters
    _legend(figure, marks, loc="outside lower center", ncols=columns, fontsize=7.5, handletextpad=0.1)
    return figure


def _mark(number: int, size: float = 2.6) -> dict[str, Any]:
    """Colour and shape of a class: hue and shape by its number modulo five, open from class five on."""
    colour = CLASS_COLOURS[number % 5]
    return _marks(MARKERS[number % 5], size, colour, hollow=number >= 5)


def _marks(shape: str, size: float, colour: str, hollow: bool = False) -> dict[str, Any]:
    # Marks of a line that is not drawn: as SVG a quarter of what a scatter plot takes.
    face = "none" if hollow else colour
    return {"marker": shape, "color": colour, "linestyle": "", "markersize": size, "markeredgewidth": 0.6,
            "markerfacecolor": face}  # fmt: skip


def _draw_latents(axes: Iterable[Axes], record: Mapping, class_names: Sequence[str]) -> list[dict[str, Line2D]]:
    """Draw a task on each of two axes; for each, the marks by class name."""
    drawn: list[dict[str, Line2D]] = []
    for axis, task in zip(axes, ("first", "second"), strict=True):
        points = record["latents"]["tasks"][task]
        positions, labels = rounded(points["xy"])[:LATENT_POINTS], np.array(points["label"])[:LATENT_POINTS]
        drawn.append({})
        for number in record["tasks"][task]["classes"]:
            (drawn[-1][class_names[number]],) = axis.plot(*positions[labels == number].T, **_mark(number))
    return drawn


# -- many runs --------------------------------------------------------------------------------------------------------


@_styled
def budget(
    records: Sequence[Mapping], evaluations: Sequence[str], published: Mapping[tuple[int, float], float]
) -> Figure:
    """Accuracy on the first task's test images after the second, against the memory, an axis for each case.

    Parameters
    ----------
    records : runs of one data set
    evaluations : modes to show
    published : (case, share of the images) -> the paper's value
    """
    figure = _figure(WIDTH, 2.35)
    axes = figure.subplots(1, len(records), sharey=True, squeeze=False)[0]
    for axis, record in zip(axes, records, strict=True):
        arms = [arm for arm in record["arms"] if arm["arm"] == "replay"]
        shares = [arm["memory_share"] for arm in arms]
        for evaluation in evaluations:
            values = rounded([arm["accuracy"][evaluation]["original_test"] for arm in arms])
            axis.plot(shares, values, color=TASK_COLOURS["first"], linestyle=EVALUATION_STYLES[evaluation])
            axis.scatter(shares, values, s=14, color=ARM_COLOURS[: len(shares)], zorder=3)
        theirs = [published.get((record["run"]["case"], share)) for share in shares]
        axis.plot(shares, rounded([np.nan if v is None else v for v in theirs]), marker="x", markersize=5, linestyle="",
                  color=TASK_COLOURS["second"])  # fmt: skip
        axis.set_xscale("log")
        axis.set_xticks(
            shares,
            [
                f"{share:.0%}\n{pixel_share(1, 1) * share:.2%}\n{arm['memory_bytes'] / 1000:,.0f} kB"
                for share, arm in zip(shares, arms, strict=True)
            ],
        )
        axis.minorticks_off()
        axis.set_xlim(shares[0] / 1.7, shares[-1] * 1.7)
        axis.set_title(f"case {record['run']['case']}")
        axis.tick_params(axis="x", labelsize=6.5)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes[0].set_ylabel("accuracy on old classes")
    figure.supxlabel("memory: share of the images, share of the pixels, bytes", fontsize="medium")
    lines = [
        Line2D([], [], color=TASK_COLOURS["first"], linestyle=EVALUATION_STYLES[e], label=f"ours, {EVALUATION_NAMES[e]}")
        for e in evaluations
    ]  # fmt: skip
    lines.append(Line2D([], [], color=TASK_COLOURS["second"], marker="x", linestyle="", label="published"))
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), fontsize=7.5, frameon=False)
    return figure


@_styled
def agreement(differences: pd.DataFrame, near: float = 0.02) -> Figure:
    """Every published accuracy beside ours: a dot at the difference, a row for each kind, an axis for each mode.

    Parameters
    ----------
    differences : arm, measure, evaluation, difference (ours less published)
    near : half the width of the band within which the share of dots is counted
    """
    kinds = list(differences[["arm", "measure"]].drop_duplicates().itertuples(index=False, name=None))
    modes = list(dict.fromkeys(differences.evaluation))
    figure = _figure(WIDTH, 0.7 + 0.3 * len(kinds))
    axes = figure.subplots(1, len(modes), sharex=True, sharey=True, squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        axis.axvspan(-near, near, color="#e8e8e8", linewidth=0)
        axis.axvline(0, color="black", linewidth=0.6)
        for row, (arm, measure) in enumerate(kinds):
            values = rounded(
                differences.query("arm == @arm and measure == @measure and evaluation == @mode").difference
            )
            # Side by side rather than on top of each other, in an order that is no message: that of the runs.
            heights = row + (np.arange(len(values)) % 5 - 2) * 0.13
            colour = TASK_COLOURS["first" if measure == "original_test" or arm == "first-task" else "second"]
            inside = np.abs(values) <= near
            axis.plot(values[inside], heights[inside], **_marks("o", 2.4, colour))
            axis.plot(values[~inside], heights[~inside], **_marks("o", 2.4, colour, hollow=True))
            if len(values):
                axis.text(1.0, row, f"{inside.mean():.0%}", transform=axis.get_yaxis_transform(), ha="left", va="center",
                          fontsize=6.5)  # fmt: skip
        axis.set(title=EVALUATION_NAMES[mode], xlabel="ours less published")
        axis.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{100 * value:+z.0f}".replace("-", "−").replace("+0", "0"))
        )
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
    names = {"train": "training", "test": "testing", "original_test": "old classes"}
    axes[0].set_yticks(range(len(kinds)), [f"{arm.replace('-', ' ')}, {names[measure]}" for arm, measure in kinds])
    axes[0].invert_yaxis()
    return figure


@_styled
def pictures(rows: Sequence[tuple[str, Sequence[tuple[np.ndarray, str]]]], columns: int = 14) -> Figure:
    """Images with a word below each, a named row for each run or kind; dark is a large value.

    Parameters
    ----------
    rows : (name, [((height, width) values, what stands below it), ...]); bytes are shaded from 0 to 255, other values
        from the smallest to the largest of their row
    """
    figure = _figure(WIDTH, 0.05 + 0.66 * 14 / columns * len(rows))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for (name, images), line in zip(rows, axes, strict=True):
        shown = np.array([values for values, _ in images[:columns]])
        shown = shown if shown.dtype == np.uint8 else rounded(shown)
        low, high = (0, 255) if shown.dtype == np.uint8 or not len(shown) else (shown.min(), shown.max())
        for axis in line:
            _bare(axis)
            axis.set_yticks([])
        for axis, values, (_, below) in zip(line, shown, images, strict=False):
            axis.imshow(values, cmap="gray_r", vmin=low, vmax=high, interpolation="none")
            axis.set_xlabel(below, fontsize=6 * (14 / columns) ** 0.5, labelpad=1.5)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=4)
    return figure


@_styled
def rates(measured: Sequence[Mapping], experiments: Sequence[str]) -> Figure:
    """New images a second of the benchmark's programs, an axis for each experiment: median, and every round as a dot.

    Parameters
    ----------
    measured : of `make bench`: experiment, program, rates (one a round)
    experiments : those to show, in this order
    """
    shown = [[m for m in measured if m["experiment"] == experiment] for experiment in experiments]
    figure = _figure(WIDTH, 0.55 * len(experiments) + 0.17 * sum(map(len, shown)))
    axes = figure.subplots(len(experiments), 1, squeeze=False, height_ratios=[len(group) for group in shown])[:, 0]
    for axis, experiment, group in zip(axes, experiments, shown, strict=True):
        colours = [TASK_COLOURS["first" if m["program"].startswith("lr_core") else "second"] for m in group]
        medians = rounded([np.median(m["rates"]) for m in group])
        axis.barh(range(len(group)), medians, color=colours, alpha=0.55, height=0.7)
        for place, m in enumerate(group):
            axis.plot(
                rounded(m["rates"]), [place] * len(m["rates"]), "|", color="black", markersize=5, markeredgewidth=0.7
            )
        axis.set_yticks(range(len(group)), [m["program"] for m in group])
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.set_title(experiment)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes[-1].set_xlabel("new images a second")
    return figure


# -- sequences of tasks ----------------------------------------------------------------------------------------------

# The two tasks of the paper keep their colours; up to eight more follow.
SEQUENCE_COLOURS = (*TASK_COLOURS.values(), "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
SEQUENCE_STYLES: tuple[Any, ...] = ("-", (0, (3, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))


@_styled
def task_curves(runs: Mapping[str, Sequence[Evaluation]], evaluation: str = "mixed", columns: int = 3) -> Figure:
    """Test accuracy on each task while the tasks are learned in turn, an axis for each run; a task begins at a line.

    Parameters
    ----------
    runs : title -> what was seen (`TaskSequence.evaluations`), of at least one run
    evaluation : where BatchNorm takes its statistics from
    """
    rows = -(-len(runs) // columns)
    figure = _figure(WIDTH, 0.35 + 1.75 * rows)
    axes = figure.subplots(rows, min(columns, max(2, len(runs))), sharey=True, squeeze=False)
    most = 0
    for axis, (title, looks) in zip(axes.flat, runs.items(), strict=False):
        most = max(most, _draw_tasks(axis, looks, evaluation))
        axis.set(title=title, xlabel="epoch", ylim=(-0.03, 1.03))
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))  # there is no half an epoch
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axis in axes.flat[len(runs) :]:
        axis.set_visible(False)
    for row in axes:
        row[0].set_ylabel("test accuracy")
    lines = [Line2D([], [], **_task_line(task), label=f"task {task + 1}") for task in range(most)]
    figure.legend(handles=lines, loc="outside upper center", ncols=min(len(lines), 5), fontsize=7.5, frameon=False)
    return figure


def _draw_tasks(axis: Axes, looks: Sequence[Evaluation], evaluation: str) -> int:
    """One run's curves, which begin with their tasks; returns how many there are."""
    before = 0
    places: list[int] = []
    for look in looks:
        if look.task and look.epoch == 0:
            before = places[-1]
            axis.axvline(before, color="#999999", linewidth=0.6)
        places.append(before + look.epoch)
    tasks = looks[-1].task + 1 if looks else 0
    for task in range(tasks):
        seen = [
            (x, look.accuracy[evaluation][task]) for x, look in zip(places, looks, strict=True) if look.task >= task
        ]
        axis.plot(*rounded(seen).T, **_task_line(task), marker="." if len(seen) == 1 else "", markersize=4)
    return tasks


def _task_line(task: int) -> dict[str, Any]:
    return {
        "color": SEQUENCE_COLOURS[task % len(SEQUENCE_COLOURS)],
        "linestyle": SEQUENCE_STYLES[task % len(SEQUENCE_STYLES)],
    }


@_styled
def accuracy_matrix(rows: Sequence[Sequence[float]]) -> Figure:
    """Row i: the accuracy on each task so far after task i, in percent."""
    size = len(rows)
    figure = _figure(0.9 + 0.5 * size, 0.7 + 0.42 * size)
    values = np.full((size, size), np.nan)
    for number, row in enumerate(rows):
        values[number, : len(row)] = row
    axes = _draw_cells(figure, 100 * values, list(map(str, range(1, size + 1))), 100)
    axes.set(xlabel="accuracy (%) on task", ylabel="after task")
    return figure


@_styled
def confusion_matrix(
    counts: Sequence[Sequence[int]], tasks: Sequence[Sequence[int]], class_names: Sequence[str]
) -> Figure:
    """Test images by true class (row) and by what they are taken for (column), in the order of learning.

    Lines part the tasks. Classes of none of the tasks are left out; they have no images, and are rarely an answer.
    """
    order = [number for task in tasks for number in task]
    values = np.array(counts, dtype=float)[np.ix_(order, order)]
    figure = _figure(WIDTH * 0.62, WIDTH * 0.56)
    names = [_short(class_names[number]) for number in order]
    axes = _draw_cells(figure, np.where(values, values, np.nan), names, values.max())
    axes.set(xlabel="taken for", ylabel="true class")
    for end in np.cumsum([len(task) for task in tasks])[:-1] - 0.5:
        axes.axhline(end, color="black", linewidth=0.8)
        axes.axvline(end, color="black", linewidth=0.8)
    return figure


def _draw_cells(figure: Figure, values: np.ndarray, names: Sequence[str], top: float) -> Axes:
    """A square of cells shaded by their value from 0 to `top`, with the value written in each; NaN stays empty."""
    axes = figure.subplots()
    values = rounded(values)
    # As a mesh, not as an image: `svg` takes all images to be grey.
    axes.pcolormesh(np.arange(len(values)), np.arange(len(values)), values, cmap="Blues", vmin=0, vmax=top)
    for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
        shade = "white" if values[row, column] > 0.6 * top else "black"
        axes.text(column, row, f"{values[row, column]:.0f}", ha="center", va="center", fontsize=7, color=shade)
    axes.set_xticks(range(len(names)), names, rotation=90 if len(max(names, key=len)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return axes


def forgotten(dataset: Dataset, lost: Forgotten) -> Figure:
    """The first images that were forgotten, with their class and what they are taken for now."""
    names = [_short(name, below=True) for name in dataset.class_names]
    fates = [f"{names[was]}\n→ {names[now]}" for was, now in zip(lost.labels, lost.predicted, strict=True)]
    return pictures([("", list(zip(dataset.images[lost.positions].numpy(), fates, strict=True)))], columns=10)


def image_latents(dataset: Dataset, positions: Tensor, latents: Tensor) -> Figure:
    """The first of the images at (n,) positions above their latents, (n, c, height, width), of which channel 0."""
    names = [_short(dataset.class_names[number], below=True) for number in dataset.labels[positions]]
    images = [(image, "") for image in dataset.images[positions].numpy()]
    below = list(zip(latents[:, 0].cpu().double().numpy(), names, strict=True))
    return pictures([("image", images), ("latent", below)], columns=10)


@_styled
def latent_planes(
    planes: Sequence[tuple[np.ndarray, np.ndarray]], shares: tuple[float, float], class_names: Sequence[str]
) -> Figure:
    """Latents of each task in one plane with the same axes (`TaskSequence.plane`), coloured by class."""
    columns = min(len(planes), 3)
    rows = -(-len(planes) // columns)
    figure = _figure(WIDTH, rows * WIDTH / columns * (0.95 if columns > 2 else 0.8))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for task, (axis, (points, labels)) in enumerate(zip(axes.flat, planes, strict=False), start=1):
        marks = {}
        for number in dict.fromkeys(sorted(labels.tolist())):
            (marks[class_names[number]],) = axis.plot(*rounded(points[labels == number]).T, **_mark(number))
        axis.set_title(f"task {task}")
        _legend(axis, marks, loc="best", fontsize=6.5, handletextpad=0.2, markerscale=1.4)
    for axis in axes.flat[len(planes) :]:
        axis.set_visible(False)
    figure.supxlabel(f"first component ({shares[0]:.0%} of the first task's variance)", fontsize=8)
    figure.supylabel(f"second component ({shares[1]:.0%})", fontsize=8)
    return figure


def arm_name(arm: Mapping) -> str:
    """An arm in words, as in titles and tables."""
    if arm["arm"] == "replay":
        return f"replay {100 * arm['memory_share']:g} %"
    return {"first-task": "first task", "no-replay": "no replay"}[arm["arm"]]


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(owner: Figure | Axes, marks: Mapping[str, Line2D], **options: Any) -> None:
    """A legend with every name in it: those that begin with an underscore, matplotlib would leave out."""
    legend = owner.legend(list(marks.values()), list(map(str, range(len(marks)))), frameon=False, **options)
    for text, name in zip(legend.get_texts(), marks, strict=True):
        text.set_text(_short(name))


def _short(name: str, *, below: bool = False) -> str:
    """A class name for which a figure has room, beside an axis or `below` an image: the middle of a long one left out."""
    begin, end = (7, 4) if below else (11, 5)
    return name if len(name) <= begin + 1 + end else f"{name[:begin].rstrip()}…{name[-end:].lstrip()}"
