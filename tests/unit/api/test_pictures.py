"""Pictures become the row that a model was trained on: of its size, its channels, its range, and centred as MNIST's."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from PIL import Image, ImageDraw

from model_api import pictures
from model_api.errors import ApiError, InputError, MediaTypeError, TooLargeError
from model_api.knowledge import Known
from model_description.description import Description, InputDescription
from model_description.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PNG = {b"content-type": b"image/png"}
IMAGE = InputDescription("image", 0.0, 1.0)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# What Pillow can read and nobody needs to send here.
OTHERS = ("GIF", "BMP", "TIFF", "WEBP")


def known(
    shape: tuple[int | None, ...] | None = (None, 28, 28),
    dtype: str = "float32",
    told: InputDescription | None = IMAGE,
    *more: TensorSpec,
) -> Known:
    """Return what is known of a version that takes a picture of this shape."""
    inputs = {spec.name: spec for spec in (TensorSpec("pixels", dtype, shape), *more)}
    signature = Signature("serving_default", inputs, {"y": TensorSpec("y", "float32", (None, 2))})
    description = Description(inputs={} if told is None else {"pixels": told})
    return Known(1, {signature.name: signature}, description, signature, "", "raw", ())


MNIST = known()
COLOURED = known((None, 10, 20, 3))


def read(body: bytes, of: Known = MNIST, headers: Mapping[bytes, bytes] = PNG) -> NDArray[Any]:
    """Return the row that a picture becomes."""
    return asyncio.run(pictures.read(headers, body, of))["pixels"]


def encoded(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Return an encoded picture."""
    content = io.BytesIO()
    picture.save(content, form, **options)
    return content.getvalue()


def digit(
    size: tuple[int, int] = (200, 300),
    ink: Any = BLACK,
    paper: Any = WHITE,
    mode: str = "RGB",
    at: tuple[int, int] = (20, 30),
) -> Image.Image:
    """Return a drawing of a seven, 60 wide and 100 high, somewhere on a sheet."""
    sheet = Image.new(mode, size, paper)
    left, top = at
    strokes = [(left, top), (left + 60, top), (left + 20, top + 100)]
    ImageDraw.Draw(sheet).line(strokes, ink, width=12, joint="curve")
    return sheet


def centre_of(row: NDArray[Any]) -> tuple[float, float]:
    """Return the centre of mass (row, column)."""
    rows, columns = np.indices(row.shape)
    return float((rows * row).sum() / row.sum()), float((columns * row).sum() / row.sum())


# ---- drawings


@pytest.mark.parametrize(
    "picture",
    [
        digit(),
        digit(at=(120, 170)),
        digit((999, 333), at=(700, 200)),
        digit(ink=WHITE, paper=BLACK),
        digit(ink=(200, 30, 30), paper=(250, 240, 200)),
        digit(ink=(255, 255, 0), paper=(0, 0, 255)),
        digit(ink=(40, 60, 200), paper=(60, 40, 20)),
        digit(mode="L", ink=10, paper=240),
        digit(mode="1", ink=0, paper=1),
        digit(mode="RGBA", ink=(0, 0, 0, 255), paper=(0, 0, 0, 0)),
        digit(mode="LA", ink=(0, 255), paper=(0, 0)),
        digit(mode="I;16", ink=65535, paper=0),
        digit().convert("P"),
    ],
    ids=lambda picture: f"{picture.mode}-{picture.size}",
)
def test_digit_is_the_same_wherever_and_in_whatever_colour_it_is_drawn(picture: Image.Image) -> None:
    row = read(encoded(picture))
    expected = read(encoded(digit()))
    assert (row.shape, row.dtype.name, row.min()) == ((28, 28), "float32", 0.0)
    assert row.max() > 0.99
    assert np.abs(row - expected).mean() < 0.03
    assert centre_of(row) == pytest.approx((14, 14), abs=0.75)


def test_digit_fills_the_box_that_mnists_fill() -> None:
    row = read(encoded(digit()))
    rows = np.flatnonzero(row.max(axis=1) > 0.1)
    columns = np.flatnonzero(row.max(axis=0) > 0.1)
    assert rows[-1] - rows[0] + 1 == pytest.approx(20, abs=1)
    assert columns[-1] - columns[0] + 1 < 20


def test_photo_with_grain_and_jpeg_ripple_has_a_clean_background() -> None:
    noise = np.random.default_rng(1).normal(0, 6, (300, 200, 3))
    grainy = np.clip(np.asarray(digit(paper=(225, 220, 210)), np.float64) + noise, 0, 255).astype(np.uint8)
    row = read(encoded(Image.fromarray(grainy), "JPEG", quality=70), headers={b"content-type": b"image/jpeg"})
    assert (row[:3].max(), row[:, :3].max()) == (0.0, 0.0)
    assert np.abs(row - read(encoded(digit()))).mean() < 0.03


def test_prepared_digit_is_left_as_it_is() -> None:
    levels = np.zeros((28, 28), np.uint8)
    levels[5:20, 3:6] = 200
    np.testing.assert_array_equal(read(encoded(Image.fromarray(levels))), (levels / 255).astype(np.float32))
    np.testing.assert_array_equal(read(encoded(Image.fromarray(255 - levels))), (levels / 255).astype(np.float32))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_empty_sheet_is_black(level: int) -> None:
    assert read(encoded(Image.new("L", (300, 200), level))).max() == 0.0


def test_orientation_of_a_phones_photo_is_followed() -> None:
    turned = digit().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    # Turn by 90 degrees clockwise to see it (EXIF 2.3, tag 0x0112).
    exif[0x0112] = 6
    jpeg = {b"content-type": b"image/jpeg"}
    upright = read(encoded(digit(), "JPEG", quality=95), headers=jpeg)
    assert np.abs(read(encoded(turned, "JPEG", quality=95, exif=exif), headers=jpeg) - upright).mean() < 0.02
    assert np.abs(read(encoded(turned, "JPEG", quality=95), headers=jpeg) - upright).mean() > 0.05


# ---- other pictures


@pytest.mark.parametrize(
    ("dtype", "told", "white", "black"),
    [
        ("float32", InputDescription("image", -1.0, 1.0), 1.0, -1.0),
        ("float32", InputDescription("image"), 1.0, 0.0),
        ("uint8", InputDescription("image"), 255, 0),
        ("int8", InputDescription("image", -128, 127), 127, -128),
        ("float16", InputDescription("image", 0.0, 255.0), 255.0, 0.0),
        ("bfloat16", InputDescription("image"), 1.0, 0.0),
    ],
)
def test_levels_are_brought_to_the_inputs_range_and_dtype(
    dtype: str, told: InputDescription, white: float, black: float
) -> None:
    of = known((None, 1, 2, 3), dtype, told)
    row = read(encoded(Image.fromarray(np.array([[BLACK, WHITE]], np.uint8))), of)
    assert (row.shape, row.dtype.name) == ((1, 2, 3), dtype)
    assert row.astype(np.float64).tolist() == [[[black] * 3, [white] * 3]]


def test_colours_keep_their_order_and_their_place() -> None:
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    picture.paste((0, 0, 255), (20, 0, 40, 20))
    row = read(encoded(picture), COLOURED)
    assert row.shape == (10, 20, 3)
    assert row[5, 2].tolist() == [1.0, 0.0, 0.0]
    assert row[5, 17].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [("L", 255, 1.0), ("RGBA", (9, 9, 9, 0), 1.0), ("CMYK", (0, 0, 0, 0), 1.0), ("I;16", 65535, 1.0), ("1", 0, 0.0)],
)
def test_every_kind_of_pixel_is_read(mode: str, colour: Any, expected: float) -> None:
    is_jpeg = mode == "CMYK"
    body = encoded(Image.new(mode, (30, 30), colour), "JPEG" if is_jpeg else "PNG")
    headers = {b"content-type": b"image/jpeg"} if is_jpeg else PNG
    np.testing.assert_allclose(read(body, COLOURED, headers), expected, atol=0.01)


def test_open_sizes_are_the_pictures_own() -> None:
    picture = encoded(Image.new("RGB", (30, 70)))
    assert read(picture, known((None, None, None, 3))).shape == (70, 30, 3)
    assert read(picture, known((None, 35, None, 3))).shape == (35, 15, 3)
    assert read(picture, known((None, None, 15, 1))).shape == (35, 15, 1)


# ---- what is refused


def test_picture_with_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = pictures.PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    for of in (MNIST, COLOURED, known((None, None, None, 3))):
        with pytest.raises(TooLargeError, match="expected a picture of at most"):
            read(bomb, of)


def test_open_sizes_take_fewer_pixels() -> None:
    picture = encoded(Image.new("L", (2100, 2100)))
    assert read(picture, COLOURED).shape == (10, 20, 3)
    with pytest.raises(TooLargeError, match="got 2100x2100"):
        read(picture, known((None, None, None, 3)))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_picture_that_is_cut_short_is_refused(form: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), form)
    for size in (3 if form == "JPEG" else 8, 40, len(whole) // 2):
        with pytest.raises(InputError, match="broken or cut short"):
            read(whole[:size], COLOURED, {b"content-type": f"image/{form.lower()}".encode()})


@settings(max_examples=60)
@given(strategies.binary(min_size=1, max_size=40), strategies.integers(0, 400))
def test_spoilt_picture_is_read_or_refused(spoil: bytes, place: int) -> None:
    whole = bytearray(encoded(digit((60, 60), at=(0, 0))))
    whole[place : place + len(spoil)] = spoil
    try:
        row = read(bytes(whole))
    except ApiError as error:
        assert error.status in {413, 415, 422}
    else:
        assert row.shape == (28, 28)


def test_jpeg_of_many_scans_is_refused_before_it_is_decoded() -> None:
    progressive = encoded(Image.new("L", (64, 64), 128), "JPEG", progressive=True)
    assert read(progressive).shape == (28, 28)
    head, *scans = progressive.split(pictures.SCAN)
    # Each goes over all pixels, and takes 30 bytes.
    many = pictures.SCAN.join([head, *scans[:-1], *[scans[-2]] * 50, scans[-1]])
    with pytest.raises(InputError, match="expected a JPEG of at most 40 scans, got 5"):
        read(many)


@pytest.mark.parametrize("form", OTHERS)
def test_other_formats_are_refused_by_type_and_by_content(form: str) -> None:
    body = encoded(Image.new("L", (9, 9)), form)
    with pytest.raises(MediaTypeError, match="expected image/png, image/jpeg or multipart/form-data, got image/"):
        read(body, headers={b"content-type": f"image/{form.lower()}".encode()})
    with pytest.raises(MediaTypeError, match="expected a picture in PNG or JPEG"):
        read(body)


def test_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="got nothing"):
        read(b"")


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (known(told=None), "not described as an image"),
        (known(told=InputDescription("text")), "not described as an image"),
        (known((None, 784)), "no \\(row, column\\)"),
        (known((None, 28, 28, 4)), "no \\(row, column\\)"),
        (known(None), "no \\(row, column\\)"),
        (known(dtype="string"), "does not hold numbers"),
        (known((None, 28, 28), "float32", InputDescription("image"), TensorSpec("b", "float32", (None,))), "2 inputs"),
    ],
)
def test_model_that_takes_no_picture_says_why(of: Known, words: str) -> None:
    assert not pictures.takes_pictures(of.served, of.told.inputs)
    with pytest.raises(MediaTypeError, match=words):
        read(encoded(digit()), of)


# ---- forms


def form_of(*parts: tuple[str, bytes]) -> tuple[dict[bytes, bytes], bytes]:
    """Return the headers and the body of a form; each part is what its Content-Disposition says, and its content."""
    body = b"".join(
        b"--line\r\nContent-Disposition: form-data; " + said.encode() + b"\r\n\r\n" + content + b"\r\n"
        for said, content in parts
    )
    return {b"content-type": b"multipart/form-data; boundary=line"}, body + b"--line--\r\n"


def test_first_file_of_a_form_is_the_picture() -> None:
    picture = encoded(digit())
    other = encoded(Image.new("L", (9, 9)))
    headers, body = form_of(
        ('name="note"', b"a seven"), ('name="a"; filename="seven.png"', picture), ('name="b"; filename="b.png"', other)
    )
    assert pictures.is_picture(headers, body)
    np.testing.assert_array_equal(read(body, headers=headers), read(picture))


def test_form_without_a_file_is_read_by_its_first_part() -> None:
    picture = encoded(digit())
    headers, body = form_of(('name="picture"', picture), ('name="note"', b"a seven"))
    np.testing.assert_array_equal(read(body, headers=headers), read(picture))


@pytest.mark.parametrize(
    ("content_type", "cut", "words"),
    [
        (b"multipart/form-data", 0, "with a boundary"),
        (b"multipart/form-data; boundary=other", 0, "broken"),
        (b"multipart/form-data; boundary=line", 9, "cut short"),
        (b"multipart/form-data; boundary=line", 400, "cut short"),
    ],
)
def test_broken_form_is_refused(content_type: bytes, cut: int, words: str) -> None:
    _, body = form_of(('name="a"; filename="seven.png"', encoded(digit())))
    with pytest.raises(InputError, match=words):
        read(body[: len(body) - cut], headers={b"content-type": content_type})


def test_form_of_many_parts_is_refused() -> None:
    body = b"--line\r\n\r\n\r\n" * (pictures.MAXIMUM_PARTS + 1) + b"--line--\r\n"
    with pytest.raises(InputError, match="at most 100 parts"):
        read(body, headers={b"content-type": b"multipart/form-data; boundary=line"})


def test_empty_form_is_refused() -> None:
    with pytest.raises(InputError):
        read(b"--line--\r\n", headers={b"content-type": b"multipart/form-data; boundary=line"})


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (b"image/png", b"", True),
        (b"IMAGE/JPEG; q=1", b"", True),
        (b"multipart/form-data; boundary=a", b"", True),
        (b"application/octet-stream", pictures.PNG, True),
        (b"application/octet-stream", b'{"input": 1}', False),
        (b"application/json", pictures.PNG, False),
        (b"", b"{}", False),
    ],
)
def test_picture_is_told_by_its_type(content_type: bytes, body: bytes, expected: bool) -> None:  # noqa: FBT001
    assert pictures.is_picture({b"content-type": content_type}, body) is expected
