"""The answers of /predict as JSON: of a small call's rows for all its callers at once, of a large one's in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from model_api import answers
from model_api.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from model_api.batcher import Share
    from model_api.inputs import Inputs
    from model_api.knowledge import Known

# What is made for all of a call at once.
SHARED_OUTPUT_BYTES = 256 << 10
# A class told by name takes as long as so many bytes of numbers.
CLASS_BYTES = 48
# What is made of all rows of a call, for its callers together: more of it is another wish for each, and made for none.
MOST_SHARED = 2


def written(given: Inputs, shares: Sequence[tuple[Share, Known]], top: int) -> bytes:
    """Return the answers to a request's inputs in their order; each is written by itself (see json_arrays)."""
    texts = [b""] * given.count
    for group, (share, known) in zip(given.groups, shares, strict=True):
        for position, answer in zip(group.positions, _answers(known, share, top), strict=True):
            texts[position] = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return texts[0] if given.is_single else b'{"predictions":[%b]}' % b",".join(texts)


def classes_bytes(shares: Sequence[tuple[Share, Known]], top: int) -> int:
    """Return how many bytes of numbers the classes that are told by name take as long as."""
    return sum([_row_classes_bytes(known, share, top) * (share.end - share.start) for share, known in shares])


def _row_classes_bytes(known: Known, share: Share, top: int) -> int:
    if (not top and known.task != "multilabel") or known.scores is None:
        return 0
    shape = share.whole.outputs[known.scores.name].shape
    width = shape[-1] if len(shape) > 1 else 1
    return CLASS_BYTES * (min(top, width) if top else width)


def _answers(known: Known, share: Share, top: int) -> Iterable[dict[str, Any]]:
    """Return what /predict answers to a share's rows; made for all of a small call at once, by the first who asks."""
    whole, kind = share.whole, (known, top)
    row_bytes = _row_classes_bytes(known, share, top) + whole.size // whole.rows
    if row_bytes * whole.rows > SHARED_OUTPUT_BYTES:
        return _answers_in_parts(known, share, top, max(1, SHARED_OUTPUT_BYTES // row_bytes))
    made: list[dict[str, Any]] | None = whole.made.get(kind)
    if made is None and len(whole.made) < MOST_SHARED:
        try:
            made = answers.answers(known, whole.outputs, top)
        except ModelError:
            # Perhaps of another's row: each is told of its own.
            made = []
        whole.made[kind] = made
    return made[share.start : share.end] if made else answers.answers(known, share.outputs, top)


def _answers_in_parts(known: Known, share: Share, top: int, rows: int) -> Iterator[dict[str, Any]]:
    """Yield the answers to a share's rows, made of so many at once: they may take ten times what was answered."""
    own = share.outputs
    for start in range(0, share.end - share.start, rows):
        part = {name: values[start : start + rows] for name, values in own.items()}
        try:
            made = answers.answers(known, part, top)
        except ModelError:
            # Of the whole it says which row it is.
            answers.answers(known, own, top)
            raise
        yield from made
