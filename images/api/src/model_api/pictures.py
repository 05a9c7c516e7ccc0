"""Pictures, PNG and JPEG, as one row of an input that is described as an image."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from model_api.errors import ApiError, InputError, MediaTypeError, TooLargeError
from model_description import dtypes
from serving_codec import tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from model_api.knowledge import Known
    from model_description.description import InputDescription
    from model_description.signature import Signature, TensorSpec

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
FORMATS = ("PNG", "JPEG")
MULTIPART = b"multipart/form-data"
# Whose content says what it is.
UNNAMED = b"application/octet-stream"
NAMED = (b"image/png", b"image/jpeg", b"image/jpg", b"image/pjpeg")
# 4096 by 4096: decoded, each pixel takes up to 4 bytes and there are up to three copies.
MAXIMUM_PIXELS = 1 << 24
# Where the model leaves the size open, every pixel becomes numbers that travel to the server.
MAXIMUM_OPEN_PIXELS = 1 << 22
# Each scan of a JPEG may be a few bytes that go over all of its pixels. Progressive ones have ten.
MAXIMUM_SCANS = 40
SCAN = b"\xff\xda"
# Parts of a form: the parser takes 8 us for each, however little is in it.
MAXIMUM_PARTS = 100
# Pictures that are looked at side by side, whatever is asked: what bounds their memory.
AT_ONCE = 2
PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA", "F"})
# 65535 is white where a pixel has 16 bits, and 255 is white here.
SIXTEEN_BITS = 257
# MNIST's own description: size-normalised to fit a 20x20 box with the aspect ratio kept, grey levels by anti-aliasing,
# and placed in 28x28 with the centre of mass of the pixels at its centre (http://yann.lecun.com/exdb/mnist/).
BOX_SHARE = 20 / 28
# Drawings are recognised in small grey inputs alone: a photo has no strokes.
DRAWING_SIDE = 64
DRAWING_PIXELS = 1024
# What differs less than this share of the clearest stroke is background: paper has a grain, JPEG a ripple.
BACKGROUND_SHARE = 0.2
# A sheet whose clearest mark is fainter has nothing on it.
FAINTEST = 8.0
MIDDLE_GREY = 127.5
WHITE = 255.0
_WORKERS = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pictures")


@dataclass(frozen=True)
class Target:
    """The input a picture is for: its row's size (None: the picture's own), channels (None: no axis) and range."""

    name: str
    dtype: str
    rows: int | None
    columns: int | None
    channels: int | None
    minimum: float
    maximum: float

    @property
    def is_grey(self) -> bool:
        """Tell whether a pixel is one number."""
        return self.channels != 3  # noqa: PLR2004 - red, green, blue

    @property
    def is_drawing(self) -> bool:
        """Tell whether pictures are looked at as drawings: strokes that are found, fitted and centred."""
        sides = (self.rows, self.columns)
        return self.is_grey and all(side is not None and side <= DRAWING_SIDE for side in sides)


def is_picture(headers: Mapping[bytes, bytes], body: bytes) -> bool:
    """Tell whether a request's body is for `read`: a form, a picture by its type, or one by its first bytes."""
    kind = _kind(headers)
    return kind == MULTIPART or kind.startswith(b"image/") or (kind == UNNAMED and body.startswith((PNG, JPEG)))


async def read(headers: Mapping[bytes, bytes], body: bytes, known: Known) -> dict[str, NDArray[Any]]:
    """Return the row that a request's picture is, by the input's name: (row, column) or (row, column, channel).

    The picture is the body, or the first file of a multipart/form-data body. It is turned as its EXIF orientation says,
    put on white where it is transparent, brought to the input's size and channels, and scaled from black..white to the
    input's described range. Raise MediaTypeError for what is not PNG or JPEG, and for a model that takes no picture;
    TooLargeError for too many pixels; InputError for a broken one. The event loop is not held.
    """
    target = target_of(known.served, known.told.inputs)
    loop = asyncio.get_running_loop()
    return {target.name: await loop.run_in_executor(_WORKERS, lambda: pixels(_content(headers, body), target))}


def target_of(signature: Signature, described: Mapping[str, InputDescription]) -> Target:
    """Return the input that takes a picture; raise MediaTypeError unless that is the signature's one required input."""
    required = [spec for name, spec in signature.inputs.items() if name not in signature.optional]
    if len(required) != 1:
        raise MediaTypeError(f"this model takes {len(required)} inputs, not a picture alone: send JSON")
    spec = required[0]
    told = described.get(spec.name)
    if told is None or told.meaning != "image":
        raise MediaTypeError(f"the input {spec.name!r} is not described as an image: send JSON")
    shape = spec.row_shape if signature.has_rows else spec.shape
    if shape is None or len(shape) not in {2, 3} or (len(shape) == 3 and shape[2] not in {1, 3}):  # noqa: PLR2004
        raise MediaTypeError(f"the input {spec} is no (row, column) or (row, column, 1 or 3): send JSON")
    if spec.dtype in {"string", "bool"} or spec.dtype not in tensors.NUMPY:
        raise MediaTypeError(f"the input {spec} does not hold numbers: send JSON")
    return _target(spec, shape, told)


def takes_pictures(signature: Signature, described: Mapping[str, InputDescription]) -> bool:
    """Tell whether a model takes a picture as it is."""
    try:
        target_of(signature, described)
    except MediaTypeError:
        return False
    return True


def _target(spec: TensorSpec, shape: tuple[int | None, ...], told: InputDescription) -> Target:
    # Undescribed, floats are taken to be in 0..1 and integers to be 8-bit levels, as Keras' own models have them.
    highest = 1.0 if spec.dtype in dtypes.FLOATS else WHITE
    return Target(
        name=spec.name,
        dtype=spec.dtype,
        rows=shape[0],
        columns=shape[1],
        channels=shape[2] if len(shape) > 2 else None,  # noqa: PLR2004 - (row, column, channel)
        minimum=0.0 if told.minimum is None else told.minimum,
        maximum=highest if told.maximum is None else told.maximum,
    )


# ---- the body


def _content(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    """Return the bytes of a request's picture; raise MediaTypeError, or InputError for a form without a file."""
    content_type = headers.get(b"content-type", b"")
    kind = _kind(headers)
    if kind == MULTIPART:
        body = _first_file(content_type, body)
    elif kind not in {*NAMED, UNNAMED}:
        shown = kind[:60].decode("latin-1") or "none"
        raise MediaTypeError(f"Content-Type: expected image/png, image/jpeg or multipart/form-data, got {shown}")
    if not body:
        raise InputError("expected a picture (PNG or JPEG), got nothing")
    if not body.startswith((PNG, JPEG)):
        raise MediaTypeError("expected a picture in PNG or JPEG, got something else")
    return body


def _kind(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _first_file(content_type: bytes, body: bytes) -> bytes:
    """Return the content of a form's first part with a file name, else of its first part."""
    form = _Form()
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise InputError("Content-Type: expected multipart/form-data with a boundary")
    try:
        parser = MultipartParser(boundary, form.callbacks, max_size=max(1, len(body)))
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InputError(f"the multipart/form-data body is broken: {error}") from error
    if not form.is_complete:
        raise InputError("the multipart/form-data body is cut short")
    if form.chosen is None:
        raise InputError("expected a multipart/form-data body with a file, got one without parts")
    return bytes(form.chosen)


class _Form:
    """What a form parser tells: the first part that is a file, or the first part while none is."""

    def __init__(self) -> None:
        # For the whole body.
        self.chosen: bytearray | None = None
        self.is_complete = False
        self._has_file = False
        self._parts = 0
        # For the part that is being read.
        self._field = bytearray()
        self._value = bytearray()
        self._is_file = False
        self._is_kept = False

    @property
    def callbacks(self) -> Any:
        """Return what the parser calls, by the names it has for them."""
        return {
            "on_header_begin": self._header_begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._part_begin,
            "on_part_begin": self._clear,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _clear(self) -> None:
        self._parts += 1
        if self._parts > MAXIMUM_PARTS:
            raise InputError(f"expected a multipart/form-data body of at most {MAXIMUM_PARTS} parts")
        self._is_file = False
        self._is_kept = False

    def _header_begin(self) -> None:
        self._field.clear()
        self._value.clear()

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._is_file = b"filename" in parse_options_header(bytes(self._value))[1]

    def _part_begin(self) -> None:
        self._is_kept = not self._has_file and (self._is_file or self.chosen is None)
        if self._is_kept:
            self.chosen = bytearray()
            self._has_file = self._is_file

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_kept and self.chosen is not None:
            self.chosen += data[start:end]

    def _end(self) -> None:
        self.is_complete = True


# ---- the picture


def pixels(content: bytes, target: Target) -> NDArray[Any]:
    """Return a PNG's or JPEG's pixels as the target has them; raise TooLargeError or InputError."""
    if content.startswith(JPEG) and content.count(SCAN) > MAXIMUM_SCANS:
        raise InputError(f"expected a JPEG of at most {MAXIMUM_SCANS} scans, got {content.count(SCAN)}")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            _check_size(picture, target)
            upright = ImageOps.exif_transpose(picture)
            levels = _drawn(upright, target) if target.is_drawing else _resized(upright, target)
    except ApiError:
        raise
    except UnidentifiedImageError as error:
        # Its first bytes were right.
        raise InputError("the picture is broken or cut short: nothing behind its first bytes is of one") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(f"expected a picture of at most {MAXIMUM_PIXELS} pixels") from error
    except Exception as error:
        raise InputError(f"the picture is broken or cut short: {error}") from error
    return _scaled(levels, target)


def _check_size(picture: Image.Image, target: Target) -> None:
    """Raise TooLargeError before anything is decoded; have a JPEG decoded no larger than is of use."""
    columns, rows = picture.size
    most = MAXIMUM_PIXELS if target.rows is not None and target.columns is not None else MAXIMUM_OPEN_PIXELS
    if columns * rows > most:
        raise TooLargeError(f"expected a picture of at most {most} pixels, got {columns}x{rows}")
    if most == MAXIMUM_PIXELS:
        side = DRAWING_PIXELS if target.is_drawing else 2 * max(target.rows or 1, target.columns or 1)
        picture.draft(None, (side, side))


def _plain(picture: Image.Image) -> Image.Image:
    """Return a picture in a mode that can be resized: L, LA, RGB, RGBA, or F for 16 bits, in levels 0..255."""
    if picture.mode.startswith("I"):
        return Image.fromarray(np.asarray(picture, np.float32) / np.float32(SIXTEEN_BITS))
    if picture.mode in PLAIN_MODES and "transparency" not in picture.info:
        return picture
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _opaque(picture: Image.Image) -> Image.Image:
    """Return a plain picture without transparency: what shows through is white paper."""
    if picture.mode not in {"LA", "RGBA"}:
        return picture
    coloured = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured).convert("RGB")


def _resized(picture: Image.Image, target: Target) -> NDArray[np.float32]:
    """Return levels 0..255 of the target's size, bilinear and anti-aliased: (row, column[, channel])."""
    rows, columns = _size(picture, target)
    if rows * columns > MAXIMUM_PIXELS:
        raise TooLargeError(f"expected a picture of at most {MAXIMUM_PIXELS} pixels, got {columns}x{rows} once resized")
    plain = _plain(picture)
    if plain.size != (columns, rows):
        plain = plain.resize((columns, rows), Image.Resampling.BILINEAR)
    return _levels(_opaque(plain), target)


def _levels(picture: Image.Image, target: Target) -> NDArray[np.float32]:
    """Return an opaque picture's levels 0..255: (row, column) where the target is grey, else with a last axis of 3."""
    if picture.mode == "F":
        levels = np.asarray(picture, np.float32)
        return levels if target.is_grey else np.repeat(levels[..., np.newaxis], 3, axis=2)
    return np.asarray(picture.convert("L" if target.is_grey else "RGB"), np.float32)


def _size(picture: Image.Image, target: Target) -> tuple[int, int]:
    """Return the rows and columns to bring a picture to: the target's; open ones are its own, with the aspect kept."""
    if target.rows is None and target.columns is None:
        return picture.height, picture.width
    if target.rows is None:
        return max(1, round(picture.height * (target.columns or 1) / picture.width)), target.columns or 1
    return target.rows, target.columns or max(1, round(picture.width * target.rows / picture.height))


def _scaled(levels: NDArray[np.float32], target: Target) -> NDArray[Any]:
    """Return levels 0..255 in the target's range, dtype and number of axes."""
    values = target.minimum + levels.astype(np.float64) * ((target.maximum - target.minimum) / WHITE)
    dtype = np.dtype(tensors.NUMPY[target.dtype])
    if target.dtype not in dtypes.FLOATS:
        limits = np.iinfo(dtype)
        values = np.rint(values).clip(limits.min, limits.max)
    scaled = values.astype(dtype)
    return scaled[..., np.newaxis] if target.channels == 1 else scaled


# ---- drawings, as MNIST has them: bright strokes on black


def _drawn(picture: Image.Image, target: Target) -> NDArray[np.float32]:
    """Return a drawing's strokes, bright on black, fitted and centred; one that is so already is left as it is."""
    size = (target.rows or 1, target.columns or 1)
    plain = _plain(picture)
    # What is left of a large picture still has all its strokes, and is quickly looked through.
    plain.thumbnail((DRAWING_PIXELS, DRAWING_PIXELS), Image.Resampling.BILINEAR)
    opaque = _opaque(plain)
    levels = _levels(opaque, target)
    if levels.shape == size:
        # Somebody has prepared it; all there is to do is to turn paper into black.
        return levels if float(np.median(_border(levels))) < MIDDLE_GREY else WHITE - levels
    strokes = _strokes(np.asarray(opaque if opaque.mode in {"F", "L"} else opaque.convert("RGB"), np.float32))
    if strokes is None:
        return np.zeros(size, np.float32)
    return _centred(_fitted(strokes, size), size)


def _border(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the outermost pixels (pixel[, channel])."""
    return np.concatenate([levels[0], levels[-1], levels[1:-1, 0], levels[1:-1, -1]])


def _strokes(levels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return what is drawn, 0..255 on black and cut to its bounds; None for a sheet with nothing on it.

    A stroke is what differs from the border's median colour, so that dark on light, light on dark and one colour on
    another are the same drawing.
    """
    difference = np.abs(levels - np.median(_border(levels), axis=0))
    strokes = difference.max(axis=2) if difference.ndim == 3 else difference  # noqa: PLR2004 - red, green, blue
    highest = float(strokes.max())
    if highest < FAINTEST:
        return None
    is_stroke = strokes > BACKGROUND_SHARE * highest
    rows, columns = np.flatnonzero(is_stroke.any(axis=1)), np.flatnonzero(is_stroke.any(axis=0))
    drawn = np.where(is_stroke, strokes * (WHITE / highest), 0).astype(np.float32)
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fitted(strokes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return strokes resized, anti-aliased, into the box that MNIST's digits fill, with the aspect kept."""
    rows, columns = strokes.shape
    factor = min(size[0] * BOX_SHARE / rows, size[1] * BOX_SHARE / columns)
    fitted = max(1, round(columns * factor)), max(1, round(rows * factor))
    resized = np.asarray(Image.fromarray(strokes).resize(fitted, Image.Resampling.BILINEAR))
    # Thin lines fade where many pixels become one; MNIST's have their full brightness.
    return resized * np.float32(WHITE / max(1.0, float(resized.max())))


def _centred(strokes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return strokes on black, their centre of mass at the centre as far as whole pixels and the edges let it be.

    The centre is pixel (14, 14) of 28 by 28: where it is, within half a pixel, in each of MNIST's test images.
    """
    total = max(1.0, float(strokes.sum()))
    starts = []
    for axis in (0, 1):
        weights = strokes.sum(axis=1 - axis)
        centre = float(np.arange(len(weights)) @ weights) / total
        starts.append(min(max(0, round(size[axis] / 2 - centre)), size[axis] - len(weights)))
    placed = np.zeros(size, np.float32)
    placed[starts[0] : starts[0] + strokes.shape[0], starts[1] : starts[1] + strokes.shape[1]] = strokes
    return placed
