"""A data set of one's own: what is taken, what is refused, and that it is known by its name."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from lr_core import datasets, own
from lr_core.__main__ import cli
from lr_core.errors import LatentReplayError, UsageError

LABELS = np.repeat(np.arange(10), 2)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)


# -- arrays and folders -----------------------------------------------------------------------------------------------


def test_arrays_are_taken_as_they_are():
    data = own.from_arrays("noise", IMAGES, LABELS, [f"n{n}" for n in range(10)], title="Noise")
    assert torch.equal(data.images, torch.from_numpy(IMAGES))
    assert data.labels.tolist() == LABELS.tolist()
    assert (data.name, data.title, data.class_names[9]) == ("noise", "Noise", "n9")


@pytest.mark.parametrize(
    ("images", "first"),
    [
        (IMAGES / 255, IMAGES[0]),
        (np.full((20, 56, 56), 7, np.uint8), np.full((28, 28), 7)),  # resized
        (np.full((20, 14, 28), 9, np.uint8), np.pad(np.full((14, 28), 9), ((7, 7), (0, 0)))),  # padded to a square
    ],
    ids=["floats", "large", "oblong"],
)
def test_other_images_are_brought_to_28_x_28_bytes(images, first):
    data = own.from_arrays("noise", images, LABELS)
    assert data.images.dtype == torch.uint8
    assert data.images[0].tolist() == first.tolist()


@pytest.mark.parametrize(
    ("name", "images", "labels", "complaint"),
    [
        ("Noise", IMAGES, LABELS, "'Noise' cannot be the name of a data set"),
        ("../noise", IMAGES, LABELS, "cannot be the name"),
        ("mnist", IMAGES, LABELS, "'mnist' cannot be the name"),
        ("noise", IMAGES[:, 0], LABELS, r"they must be \(n, height, width\) and \(n,\)"),
        ("noise", IMAGES, LABELS[:5], "they must be"),
        ("noise", IMAGES[:0], LABELS[:0], "they must be"),
        ("noise", IMAGES.astype(float), LABELS, "images of float64; they must be uint8, or floats from 0 to 1"),
        ("noise", IMAGES / 255, LABELS / 2, "labels of float64; they must be whole numbers"),
        ("noise", IMAGES, LABELS - 1, "there is no class -1; labels count from 0"),
        ("noise", IMAGES, LABELS + 1, "class 0 has no images"),
        ("noise", IMAGES, np.arange(20), "20 classes; the classifier has room for 10"),
        ("noise", IMAGES, LABELS * 0, "1 classes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(name, images, labels, complaint):
    with pytest.raises(UsageError, match=complaint) as refusal:
        own.from_arrays(name, images, labels)
    assert "\n" not in str(refusal.value)


def write_folder(folder):
    for number in range(20):
        path = folder / ("ab"[number % 2]) / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(path)
    return folder


def test_a_folder_of_folders_of_images(tmp_path):
    data = own.from_folder("letters", write_folder(tmp_path))
    assert data.class_names == ("a", "b")
    assert data.labels.tolist() == [0] * 10 + [1] * 10
    assert torch.equal(data.images[:10], torch.from_numpy(IMAGES[::2]))
    assert torch.equal(own.from_folder("letters", tmp_path, invert=True).images, 255 - data.images)


@pytest.mark.parametrize(
    ("spoil", "error", "complaint"),
    [
        (lambda folder: (folder / "b" / "01.png").write_bytes(b"no image"), LatentReplayError, "01.png: is no image"),
        (lambda folder: [p.unlink() for p in folder.glob("*/*")], UsageError, "its folders hold no images"),
        (lambda folder: [p.unlink() for p in folder.glob("b/*")], UsageError, "class b has no images"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), UsageError, "holds no folders"),
    ],
    ids=["damaged file", "no images", "a class without images", "no folder"],
)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path, spoil, error, complaint):
    folder = write_folder(tmp_path / "letters")
    spoil(folder)
    with pytest.raises(error, match=complaint):
        own.from_folder("letters", folder)


# -- known by its name ------------------------------------------------------------------------------------------------


def test_what_was_added_is_loaded_as_it_was(data_root):
    data = own.from_arrays("noise", IMAGES, LABELS, [f'"{n}" é' for n in range(10)], title="Noise")
    own.add(data, origin="made here", licence="none", root=data_root)
    loaded = datasets.load("noise")
    assert torch.equal(loaded.images, data.images)
    assert torch.equal(loaded.labels, data.labels)
    assert (loaded.title, loaded.class_names) == (data.title, data.class_names)
    assert "noise" in datasets.available()
    assert datasets.DATASETS[-1] == "noise"
    assert set(loaded.checksums) == {file for part in datasets.IDX_PARTS for file in part}


def test_what_was_added_is_verified_like_any_other(data_root):
    folder = own.add(own.from_arrays("noise", IMAGES, LABELS), origin="made here", licence="none", root=data_root)
    file = folder / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.warns(UserWarning, match="SHA-256"), pytest.raises(LatentReplayError, match="no intact"):
        datasets.load("noise")


def test_the_grid_needs_ten_classes(data_root):
    with pytest.raises(UsageError, match="noise: 5 classes; the grid's cases need 10"):
        own.add(own.from_arrays("noise", IMAGES[:10], LABELS[:10]), origin="made here", licence="none", root=data_root)
    assert not data_root.exists()


def test_the_grid_plans_it_as_a_built_in_set(data_root, tmp_path):
    own.add(own.from_arrays("noise", IMAGES, LABELS), origin="made here", licence="none", root=data_root)
    command = ["status", "--profile", "smoke", "--dataset", "noise", "--case", "1", "--runs", str(tmp_path)]
    result = CliRunner().invoke(cli, command)
    assert "noise case 1 seed 0: no record" in result.output
