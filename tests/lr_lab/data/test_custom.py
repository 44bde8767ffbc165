"""A data set of one's own: what is taken, what is refused, and that it is known by its name."""

import warnings

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.cli import cli
from lr_lab.data import catalogue, custom
from lr_lab.data.idx import IDX_PARTS
from lr_lab.panel import Panel

LABELS = np.repeat(np.arange(10), 2)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)


# -- arrays and folders -----------------------------------------------------------------------------------------------


def test_arrays_are_taken_as_they_are():
    data = custom.from_arrays("noise", IMAGES, LABELS, [f"n{n}" for n in range(10)], title="Noise")
    assert torch.equal(data.images, torch.from_numpy(IMAGES))
    assert data.labels.tolist() == LABELS.tolist()
    assert (data.name, data.title, data.class_names[9]) == ("noise", "Noise", "n9")


@pytest.mark.parametrize(
    ("images", "first"),
    [
        (IMAGES / 255, IMAGES[0]),
        (IMAGES.repeat(2, 1).repeat(2, 2), None),  # resized
        (IMAGES[:, :14], np.pad(IMAGES[0, :14], ((7, 7), (0, 0)))),  # padded to a square
    ],
    ids=["floats", "large", "oblong"],
)
def test_other_images_are_brought_to_28_x_28_bytes(images, first):
    data = custom.from_arrays("noise", images, LABELS)
    assert data.images.dtype == torch.uint8
    assert data.images.shape == (20, 28, 28)
    assert first is None or data.images[0].tolist() == first.tolist()


RAGGED = [[[0.0, 1.0]], [[0.0]]]
MASKED = np.ma.masked_equal(IMAGES, 0)
WITH_NAN = np.where(np.arange(20)[:, None, None] == 3, np.nan, IMAGES / 255)
TEN = [f"n{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("name", "images", "labels", "complaint"),
    [
        ("Noise", IMAGES, LABELS, "'Noise' cannot be the name of a data set"),
        ("../noise", IMAGES, LABELS, "cannot be the name"),
        ("mnist", IMAGES, LABELS, "'mnist' cannot be the name"),
        (7, IMAGES, LABELS, "7 cannot be the name"),
        ("noise", IMAGES[:, 0], LABELS, r"they must be \(n, height, width\) and \(n,\)"),
        ("noise", IMAGES, LABELS[:5], "they must be"),
        ("noise", IMAGES[:0], LABELS[:0], "they must be"),
        ("noise", IMAGES[:, :0], LABELS, "they must be"),
        ("noise", RAGGED, [0, 1], "images are no array of one shape"),
        ("noise", MASKED, LABELS, "images are no array of one shape .*mask"),
        ("noise", torch.ones(20, 28, 28, requires_grad=True), LABELS, "images are no array of one shape .*grad"),
        ("noise", IMAGES, [*LABELS[:19], [9]], "labels are no array of one shape"),
        ("noise", IMAGES[:, :1].repeat(30, axis=2)[:, :, :29], LABELS, "is 29 x 1 pixels, too oblong for 28 x 28"),
        # values that were meant otherwise
        ("noise", IMAGES.astype(float), LABELS, r"float64 from 0.0 to 255.0; .* floats from 0 to 1: divide"),
        ("noise", IMAGES / 255 * 1.0000001, LABELS, r"from 0.0 to 1.0000001; .*numpy.clip"),
        ("noise", IMAGES / 255 - 0.5, LABELS, "from -0.5 to 0.5"),
        ("noise", np.where(IMAGES > 9, np.inf, 0), LABELS, "from 0.0 to inf"),
        ("noise", WITH_NAN, LABELS, "image 3 holds NaN"),
        ("noise", IMAGES.astype(np.uint16), LABELS, "images of uint16; they must be uint8, or floats from 0 to 1"),
        ("noise", IMAGES > 127, LABELS, "images of bool; they must be uint8"),
        ("noise", IMAGES // 128, LABELS, r"grey values from 0 to 1, where .* 255 .*; scale them"),
        ("noise", IMAGES // 15, LABELS, "grey values from 0 to 17"),
        ("noise", IMAGES / 255 / 255, LABELS, "grey values from 0 to 1, where"),
        ("noise", 240 + IMAGES // 16, LABELS, "grey values from 240 to 255"),
        ("noise", np.where(LABELS[:, None, None] == 4, 7, IMAGES).astype(np.uint8), LABELS,
         r"each image of class 4 is of one grey value \(image 8 is the first\)"),
        # labels
        ("noise", IMAGES, LABELS / 2, "labels of float64; they must be whole numbers"),
        ("noise", IMAGES, np.where(LABELS == 4, np.nan, LABELS), "label 8 is NaN"),
        ("noise", IMAGES, list("aabbccddeeffgghhiijj"), "labels of <U1; .*names go to `class_names`"),
        ("noise", IMAGES, LABELS - 1, "labels from -1 to 8; they must number the classes from 0 to 9 at most"),
        ("noise", IMAGES, LABELS + 1, "labels from 1 to 10; they must number the classes from 0 to 9 at most"),
        ("noise", IMAGES, LABELS * 10**8, "labels from 0 to 900000000; they must number"),
        ("noise", IMAGES, LABELS.astype(np.uint64) * 2**60, "labels from 0 to 10376293541461622784; they must number"),
        ("noise", IMAGES, np.where(LABELS == 4, 5, LABELS), "class 4 has no images"),
        ("noise", IMAGES, LABELS * 0, "1 classes"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused_in_one_line(name, images, labels, complaint):
    with pytest.raises(UsageError, match=complaint) as refusal:
        custom.from_arrays(name, images, labels)
    assert "\n" not in str(refusal.value)


def test_arrays_are_copied():
    images, labels = IMAGES.copy(), LABELS.astype(np.int64)
    data = custom.from_arrays("noise", images, labels)
    images[:], labels[:] = 0, 0
    assert torch.equal(data.images, torch.from_numpy(IMAGES))
    assert data.labels.tolist() == LABELS.tolist()


def test_some_images_of_one_value_are_warned_of():
    images = np.where(np.arange(20)[:, None, None] % 6 == 3, 9, IMAGES).astype(np.uint8)
    with pytest.warns(UserWarning, match="noise: 3 of 20 images are of one grey value, image 3 is the first"):
        custom.from_arrays("noise", images, LABELS)


def test_a_drawing_that_resizing_removes_is_warned_of():
    images = IMAGES.repeat(10, 1).repeat(10, 2)
    images[3] = 0
    images[3, 0, 0] = 30
    with pytest.warns(UserWarning, match="noise: 1 of 20 images are of one grey value, image 3 is the first"):
        custom.from_arrays("noise", images, LABELS)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (range(10), "0123456789"),
        (np.arange(10), "0123456789"),
        (np.array(list("abcdefghij")), "abcdefghij"),
        (["e\u0301", *"bcdefghij"], "\u00e9bcdefghij"),  # as some file systems take letters apart
        ([" a ", *"bcdefghij"], "abcdefghij"),
        (["$$", "a $ b $ c", "_background_", "<b>", "*s*", "@home", "\\frac", "ಅ", "ا", "%s {}"], None),
    ],
    ids=["whole numbers", "array of numbers", "array of texts", "accents", "blanks", "signs"],
)
def test_class_names_that_can_be_written_are_taken(names, taken):
    data = custom.from_arrays("noise", IMAGES, LABELS, names)
    assert data.class_names == tuple(taken or names)
    assert {type(name) for name in data.class_names} == {str}


@pytest.mark.parametrize(
    ("names", "title", "complaint"),
    [
        (TEN[:9], "", "labels from 0 to 9; they must number the classes from 0 to 8$"),
        ([*TEN, "n10"], "", "11 classes; the classifier has room for 10"),
        ([*TEN[:9], "n0"], "", "two classes are called n0"),
        ([*TEN[:9], ""], "", "a class name is empty"),
        ([*TEN[:9], " \u00a0"], "", "a class name is empty"),
        ([*TEN[:9], "\u200b\ufeff"], "", "a class name is empty"),  # nothing that can be seen
        ([*TEN[:9], "a\nb"], "", r"a class name holds the character '\\n'"),
        ([*TEN[:9], "a\x1b[31m"], "", r"a class name holds the character '\\x1b'"),
        ([*TEN[:9], "a\x7f"], "", r"a class name holds the character '\\x7f'"),
        ([*TEN[:9], "a\udc80"], "", r"a class name holds the character '\\udc80'"),
        ([*TEN[:9], "a\u2028b"], "", "a class name holds the character"),
        ([*TEN[:9], "a\u202eb"], "", "a class name holds the character"),
        ([*TEN[:9], "a" * 61], "", "a class name has 61 characters"),
        ([*TEN[:9], None], "", "a class name is None; it must be a text"),
        ([*TEN[:9], 1.5], "", "a class name is 1.5; it must be a text"),
        ([*TEN[:9], True], "", "a class name is True; it must be a text"),
        (7, "", "class_names is 7; it must list one name per class, in order"),
        (set(TEN), "", "class_names is {'n0', .*}; it must list one name per class, in order"),
        (dict(enumerate(TEN)), "", "class_names is {0: 'n0', .*}; it must list one name per class, in order"),
        (TEN, "two\nlines", "title holds the character"),
        (TEN, "\x00", "title holds the character"),
        (TEN, 3, "title is 3; it must be a text"),
    ],
)
def test_names_are_checked_at_the_door(names, title, complaint):
    with pytest.raises(UsageError, match=complaint) as refusal:
        custom.from_arrays("noise", IMAGES, LABELS, names, title)
    assert str(refusal.value).isprintable()


def write_folder(folder, classes="ab"):
    for number in range(20):
        path = folder / classes[number % len(classes)] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(path)
    return folder


@pytest.fixture(autouse=True)
def quiet(tmp_path_factory, monkeypatch):
    """A warning that no test expects is an error; what lies in data/raw of the checkout is not looked at."""
    raw = tmp_path_factory.getbasetemp() / "no data"
    monkeypatch.setattr(catalogue, "raw_folder", lambda: raw)
    catalogue.reread()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    monkeypatch.undo()
    catalogue.reread()


def test_a_folder_of_folders_of_images(tmp_path):
    data = custom.from_folder("letters", write_folder(tmp_path))
    assert data.class_names == ("a", "b")
    assert data.labels.tolist() == [0] * 10 + [1] * 10
    assert torch.equal(data.images[:10], torch.from_numpy(IMAGES[::2]))
    assert torch.equal(custom.from_folder("letters", tmp_path, invert=True).images, 255 - data.images)


# -- what kinds of image files there are

INK = np.zeros((28, 28), np.uint8)
INK[4:20, 8:14] = 255  # in no symmetry
STEPS = (INK // 255 * np.arange(0, 28, dtype=np.uint8) * 9)[:, ::-1]  # grey values from 0 to 243


def transparent(mode):
    """Black ink, in the alpha channel alone."""
    picture = Image.fromarray(np.stack([np.zeros_like(INK)] * 3 + [INK], axis=-1))
    return picture if mode == "RGBA" else picture.convert(mode)


def palette(transparency=True):
    picture = Image.fromarray(INK // 255).convert("P")
    picture.putpalette([0, 0, 0, 0, 0, 0] if transparency else [255, 255, 255, 0, 0, 0])
    picture.info = {"transparency": 0} if transparency else {}
    return picture


def write_kind(folder, picture, suffix, **options):
    for name in "ab":
        (folder / name).mkdir()
        for number in range(2):
            picture.save(folder / name / f"{number}{suffix}", **options)
    return folder


@pytest.mark.parametrize("invert", [True, False])
@pytest.mark.parametrize(
    ("picture", "suffix"),
    [
        *((transparent("RGBA"), suffix) for suffix in (".png", ".tif", ".gif", ".jp2")),
        (transparent("RGBA"), ".webp"),
        (transparent("LA"), ".png"),
        (palette(), ".png"),
        (palette(), ".gif"),
    ],
)
def test_ink_in_the_alpha_channel_is_laid_on_the_background(tmp_path, picture, suffix, invert):
    write_kind(tmp_path, picture, suffix, **({"lossless": True, "exact": True} if suffix == ".webp" else {}))
    if invert:
        data = custom.from_folder("letters", tmp_path, invert=True)
        assert data.images[3].tolist() == INK.tolist()
    else:  # black on black
        with pytest.raises(UsageError, match=r"each image of class a is of one grey value \(.*0\..* is the first\)"):
            custom.from_folder("letters", tmp_path)


def test_white_ink_in_the_alpha_channel_shows_on_black(tmp_path):
    white = Image.fromarray(np.stack([np.full_like(INK, 255), INK], axis=-1))
    assert custom.from_folder("letters", write_kind(tmp_path, white, ".png")).images[0].tolist() == INK.tolist()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_more_than_eight_bits_are_scaled_by_their_range(tmp_path, bits, suffix):
    values = STEPS.astype(np.uint16) * (2**bits - 1) // 255
    values[4, 8] = 2**bits - 1
    expected = (values.astype(np.int64) * 510 + 2**bits - 1) // (2 * (2**bits - 1))
    data = custom.from_folder("letters", write_kind(tmp_path, Image.fromarray(values), suffix))
    assert np.abs(data.images[0].numpy() - expected).max() <= 1
    assert data.images.max() == 255


def test_images_of_more_than_eight_bits_are_scaled_alike(tmp_path):
    write_kind(tmp_path, Image.fromarray(INK.astype(np.uint16) * 257), ".png")
    Image.fromarray(INK.astype(np.uint16) * 16).save(tmp_path / "a" / "dark.png")
    Image.fromarray(INK).save(tmp_path / "a" / "eight.png")
    data = custom.from_folder("letters", tmp_path)
    assert [int(image.max()) for image in data.images] == [255, 255, 16, 255, 255, 255]


@pytest.mark.parametrize("white", [1, 0], ids=["white is the largest value", "white is zero"])
@pytest.mark.parametrize(
    ("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)], ids=["8 bits", "16 bits", "floats"]
)
def test_a_tiff_says_whether_white_is_zero(tmp_path, dtype, full, white):
    values = (INK // 255).astype(dtype) * dtype(full)
    if not white and dtype != np.uint8:  # which Pillow itself turns round as it writes
        values = dtype(full) - values
    write_kind(tmp_path, Image.fromarray(values), ".tif", tiffinfo={262: white})
    assert custom.from_folder("letters", tmp_path).images[0].tolist() == INK.tolist()


def test_floats_are_grey_from_0_to_1(tmp_path):
    data = custom.from_folder("letters", write_kind(tmp_path, Image.fromarray((INK / 255).astype(np.float32)), ".tif"))
    assert data.images[0].tolist() == INK.tolist()


@pytest.mark.parametrize(("size", "bars"), [((28, 14), np.s_[:, :7, :]), ((14, 28), np.s_[:, :, :7])])
def test_an_oblong_scan_is_inverted_before_it_is_padded(tmp_path, size, bars):
    paper = Image.new("L", size, "white")
    paper.paste("black", (4, 4, 10, 10))
    data = custom.from_folder("letters", write_kind(tmp_path, paper, ".png"), invert=True)
    assert data.images[bars].max() == 0
    assert data.images.max() == 255


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.T),
        (6, lambda a: a.T[:, ::-1]),
        (7, lambda a: a[::-1, ::-1].T),
        (8, lambda a: a.T[::-1]),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_images_are_turned_upright_as_exif_says(tmp_path, orientation, turned, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    write_kind(tmp_path, Image.fromarray(INK), suffix, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    assert custom.from_folder("letters", tmp_path).images[0].tolist() == turned(INK).tolist()


@pytest.mark.parametrize(
    ("picture", "suffix"),
    [
        *(
            (Image.fromarray(INK), s)
            for s in (".PNG", ".bmp", ".gif", ".pgm", ".tif", ".TIFF", ".jp2", ".apng", ".dib")
        ),
        (Image.fromarray(INK).convert("RGB"), ".ppm"),
        (Image.fromarray(INK).convert("1"), ".pbm"),
        (Image.fromarray(INK).convert("I;16").point(lambda v: v * 257), ".png"),
        (palette(False).convert("L").point(lambda v: 255 - v), ".png"),
    ],
)
def test_a_kind_of_image_is_read(tmp_path, picture, suffix):
    data = custom.from_folder("letters", write_kind(tmp_path, picture, suffix))
    assert data.images.tolist() == [INK.tolist()] * 4


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JFIF", ".jpe", ".webp", ".avif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_kind_of_photograph_is_read(tmp_path, suffix, mode):
    if mode == "CMYK" and not suffix.lower().startswith(".j"):
        mode = "RGB"
    options = {} if suffix != ".JFIF" else {"format": "JPEG"}
    data = custom.from_folder("letters", write_kind(tmp_path, Image.fromarray(INK).convert(mode), suffix, **options))
    assert np.abs(data.images[0].numpy().astype(int) - INK).mean() < 5


# -- how a folder may be laid out


@pytest.mark.parametrize(
    "foreign",
    [".ipynb_checkpoints/0.png", ".git/HEAD", "@eaDir/0.png", "__MACOSX/._0.png", "a/._0.png", "a/.DS_Store",
     "a/Thumbs.db", "a/desktop.ini", "a/.ipynb_checkpoints/0-checkpoint.png", "a/@eaDir/0.png/SYNO.png", ".hidden.png"],
)  # fmt: skip
def test_what_nobody_means_is_passed_over(tmp_path, foreign):
    path = write_folder(tmp_path) / foreign
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")
    data = custom.from_folder("letters", tmp_path)
    assert (data.class_names, len(data.images)) == (("a", "b"), 20)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (["a/notes.txt"], r"left out, as no image files of a class: a/notes.txt$"),
        (["a/1.svg", "a/2.svg", "b/1.svg", "b/2.svg"], r"a/1.svg, a/2.svg, b/1.svg and 1 more$"),
        (["a/more/1.png"], r"a/more$"),
        (["stray.png"], r"stray.png$"),
    ],
)
def test_what_is_left_out_is_named(tmp_path, others, said):
    write_folder(tmp_path)
    for other in others:
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_bytes(b"something")
    with pytest.warns(UserWarning, match=said):
        assert len(custom.from_folder("letters", tmp_path).images) == 20


def test_classes_and_files_are_in_natural_order(tmp_path):
    for place, name in enumerate(["1", "2", "10", "a2", "a10", "b"]):
        (tmp_path / name).mkdir()
        for number in (1, 2, 10):
            Image.fromarray(IMAGES[place] // 11 * number).save(tmp_path / name / f"{number}.png")
    data = custom.from_folder("letters", tmp_path, title="Letters")
    assert data.class_names == ("1", "2", "10", "a2", "a10", "b")
    assert data.images[2].tolist() == (IMAGES[0] // 11 * 10).tolist()
    assert (
        catalogue.summary(data)
        == "Letters: 18 images, classes 0 1 (3), 1 2 (3), 2 10 (3), 3 a2 (3), 4 a10 (3), 5 b (3)"
    )


@pytest.mark.parametrize("parts", [("train", "test"), ("Training", "Validation", "Testing"), ("train",)])
def test_training_and_test_images_are_taken_together(tmp_path, parts):
    for part in parts:
        write_folder(tmp_path / part)
    Image.fromarray(INK).save(tmp_path / parts[-1] / "a" / "last.png")
    data = custom.from_folder("letters", tmp_path)
    count = 10 * len(parts)
    assert data.labels.tolist() == [0] * (count + 1) + [1] * count
    assert data.images[count].tolist() == INK.tolist()  # training images first, test images last
    assert torch.equal(data.images[:10], torch.from_numpy(IMAGES[::2]))


def test_classes_may_be_called_train_and_test(tmp_path):
    (write_folder(tmp_path) / "a").rename(tmp_path / "train")
    (tmp_path / "b").rename(tmp_path / "test")
    assert custom.from_folder("letters", tmp_path).class_names == ("test", "train")


def write_bomb(path):
    path.write_bytes(b"P5 20000 20000 255\n")


def write_broken(kind):
    """Files whose headers make Pillow raise what is neither OSError nor UnidentifiedImageError."""
    return {
        "png": b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + b"IHDR" + bytes(17),
        "bmp": b"BM" + bytes(12) + (124).to_bytes(4, "little") + bytes([255] * 120),
        "chunk": b"\x89PNG\r\n\x1a\n\0\0\0\r????" + bytes(30),
        "gif": b"GIF89a",
        "text": b"no image",
        "empty": b"",
    }[kind]


@pytest.mark.parametrize(
    ("spoil", "error", "complaint"),
    [
        *(
            (lambda folder, kind=kind: (folder / "b" / "01.png").write_bytes(write_broken(kind)), LatentReplayError,
             r"01.png: is no image that can be read \(.+\); take it out")
            for kind in ("png", "bmp", "chunk", "gif", "text", "empty")
        ),
        (lambda folder: (folder / "b" / "01.png").write_bytes((folder / "b" / "03.png").read_bytes()[:200]),
         LatentReplayError, "01.png: is no image that can be read"),
        (lambda folder: write_bomb(folder / "b" / "01.pgm"), LatentReplayError, "01.pgm: has more than .* pixels"),
        (lambda folder: Image.fromarray(INK).save(folder / "b" / "two.gif", save_all=True,
                                                  append_images=[Image.fromarray(255 - INK)]),
         LatentReplayError, "two.gif: holds 2 pictures; save the one"),
        (lambda folder: Image.fromarray(INK.astype(np.float32)).save(folder / "b" / "f.tif"),
         LatentReplayError, "f.tif: has values from 0 to 255; they must be from 0 to 1"),
        (lambda folder: Image.fromarray(INK.astype(np.int32) * 1000).save(folder / "b" / "i.tif"),
         LatentReplayError, "i.tif: has values from 0 to 255000; they must be from 0 to 65535"),
        (lambda folder: Image.fromarray(INK.astype(np.uint16)).save(folder / "b" / "t.png", transparency=0),
         LatentReplayError, "t.png: has a transparent value among more than eight bits; save it with eight"),
        (lambda folder: Image.new("L", (2900, 100), 9).save(folder / "b" / "line.png"),
         LatentReplayError, "line.png: is 2900 x 100 pixels, too oblong"),
        (lambda folder: [p.unlink() for p in folder.glob("*/*")], UsageError, "class a has no images"),
        (lambda folder: [p.unlink() for p in folder.glob("b/*")], UsageError, "class b has no images; known are .*png"),
        (lambda folder: [p.rename(p.with_suffix(".svg")) for p in folder.glob("b/*")], UsageError,
         "class b has no images, only .svg; known are"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), UsageError,
         "letters: is no folder; put the images of each class into a folder"),
        (lambda folder: [p.rename(folder / p.name) for p in folder.glob("*/*")] and [p.rmdir() for p in folder.glob("?")],
         UsageError, "letters: holds no folders; put the images of each class into a folder"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(tmp_path, spoil, error, complaint):
    folder = write_folder(tmp_path / "letters")
    spoil(folder)
    with pytest.raises(error, match=complaint) as refusal:
        custom.from_folder("letters", folder)
    assert str(folder) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".jpg", ".pgm", ".tif", ".webp", ".avif", ".jp2"])
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path, suffix):
    draw = np.random.default_rng(0)
    write_kind(tmp_path, Image.fromarray(IMAGES[0]), suffix)
    path = tmp_path / "b" / f"1{suffix}"
    whole = path.read_bytes()
    for _ in range(100):
        content = np.frombuffer(whole, np.uint8).copy()
        places = draw.integers(0, min(len(content), draw.choice([30, 100, 10_000])), 4)
        content[places] = draw.integers(0, 256, 4)
        path.write_bytes(content[: draw.integers(1, len(content))] if draw.random() < 0.3 else content)
        lines = []
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                assert custom.from_folder("letters", tmp_path).images.shape == (4, 28, 28)
            except LatentReplayError as refusal:
                lines.append(str(refusal))
        lines += [str(warning.message) for warning in warned]
        assert all(str(path) in line and "\n" not in line for line in lines)


@pytest.mark.parametrize("above", ["data", "letters/images"])
def test_where_the_classes_lie_deeper_is_said(tmp_path, above):
    write_folder(tmp_path / above)
    where = tmp_path if above == "data" else tmp_path / "letters"
    with pytest.raises(UsageError, match=r"has no images, its folders have \(.*/a\); name the folder that holds"):
        custom.from_folder("letters", where)


def test_a_folder_that_may_not_be_looked_into_is_one_line(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied")

    write_folder(tmp_path)
    monkeypatch.setattr(type(tmp_path), "iterdir", refused)
    with pytest.raises(LatentReplayError, match=r"cannot be looked into \(Permission denied\)"):
        custom.from_folder("letters", tmp_path)


# -- known by its name ------------------------------------------------------------------------------------------------


def test_what_was_added_is_loaded_as_it_was(data_root):
    data = custom.from_arrays("noise", IMAGES, LABELS, [f'"{n}" é' for n in range(10)], title="Noise")
    custom.add(data, origin="made here", licence="none", root=data_root)
    loaded = catalogue.load("noise")
    assert torch.equal(loaded.images, data.images)
    assert torch.equal(loaded.labels, data.labels)
    assert (loaded.title, loaded.class_names) == (data.title, data.class_names)
    assert "noise" in catalogue.available()
    assert catalogue.DATASETS[-1] == "noise"
    assert set(loaded.checksums) == {file for part in IDX_PARTS for file in part}


def test_what_was_added_is_verified_like_any_other(data_root):
    folder = custom.add(custom.from_arrays("noise", IMAGES, LABELS), origin="made here", licence="none", root=data_root)
    file = folder / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.warns(UserWarning, match="SHA-256"), pytest.raises(LatentReplayError, match="no intact"):
        catalogue.load("noise")


def test_the_grid_needs_ten_classes(data_root):
    with pytest.raises(UsageError, match="noise: 5 classes; the grid's cases need 10"):
        custom.add(
            custom.from_arrays("noise", IMAGES[:10], LABELS[:10]), origin="made here", licence="none", root=data_root
        )
    assert not data_root.exists()


@pytest.mark.parametrize(
    ("titles", "shown"),
    [
        (("Signs", "Letters"), ["Signs", "Letters"]),
        (("Signs", "Signs"), ["Signs (one)", "Signs (two)"]),
        (("MNIST", "Signs"), ["MNIST (one)", "Signs"]),
        (("Digits", "Digits"), ["Digits (one)", "Digits (two)"]),
        (("Signs (two)", "Signs", "Signs"), ["Signs (two) (one)", "Signs (two) (two)", "Signs (three)"]),
    ],
)
def test_sets_of_one_title_are_told_apart_by_name(data_root, titles, shown):
    names = ("one", "two", "three")[: len(titles)]
    for name, title in zip(names, titles, strict=True):
        custom.add(
            custom.from_arrays(name, IMAGES, LABELS, title=title), origin="made here", licence="none", root=data_root
        )
    assert [catalogue.load(name).title for name in names] == shown
    assert [catalogue.describe(name).title for name in ("mnist", "digits")] == ["MNIST", "Digits"]
    field = Panel().fields["dataset"].control
    options = {name: title for title, name in field.options.items()}
    assert [options[name] for name in names] == shown
    field.value = "two"
    assert field.value == "two"


def test_a_tilde_is_the_user_s_own_folder_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LR_DATA_PATH", "~/data")
    monkeypatch.setenv("LR_RUNS", "~/runs")
    write_folder(tmp_path / "home" / "letters", "abcdefghij")
    try:
        data = custom.from_folder("letters", "~/letters")
        assert custom.add(data, origin="made here", licence="none", root="~/data") == tmp_path / "home/data/letters"
        assert len(catalogue.load("letters").images) == 20
        (tmp_path / "home" / "runs").mkdir()
        for target, place in (("r.csv", []), ("~/r.csv", ["--runs", "~/runs"])):
            result = CliRunner().invoke(cli, ["results", target, "smoke", *place])
            assert (result.exit_code, result.output) == (0, f"{target}: 0 runs\n")
        assert (tmp_path / "home" / "r.csv").exists()
    finally:
        monkeypatch.undo()
        catalogue.reread()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "r.csv"]


def test_the_grid_plans_it_as_a_built_in_set(data_root, tmp_path):
    custom.add(custom.from_arrays("noise", IMAGES, LABELS), origin="made here", licence="none", root=data_root)
    command = ["status", "--profile", "smoke", "--dataset", "noise", "--case", "1", "--runs", str(tmp_path)]
    result = CliRunner().invoke(cli, command)
    assert "noise case 1 seed 0: no record" in result.output
