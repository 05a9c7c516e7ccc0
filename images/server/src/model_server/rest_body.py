"""A predict body: what it says is read when it is first asked for, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving_codec import json_numbers, json_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from model_server.saved_model import Runner
    from serving_codec.json_numbers import Numbers

    # The tensors by alias, and whether they are in row form.
    Inputs = tuple[dict[str, NDArray[Any]], bool]


class Body:
    """A body whose request may begin on the event loop and go on on a thread, which reads nothing again."""

    __slots__ = ("_document", "_inputs", "_is_read", "_numbers", "_signature_name", "content")

    def __init__(self, content: bytes) -> None:
        # For the life of the request.
        self.content = content
        # As it is asked.
        self._is_read = False
        self._numbers: Numbers | None = None
        self._document: Any = None
        self._signature_name = ""
        self._inputs: tuple[Runner, str, Inputs] | None = None

    def signature_name(self) -> str:
        """Return the signature that is asked for, "" where none is named; raise ServingError for what is not JSON."""
        self._read()
        return self._signature_name

    def inputs(self, model: Runner, signature_name: str, dtypes: Mapping[str, int]) -> Inputs:
        """Return the tensors for a model's signature; raise ServingError where they do not fit it.

        Another version than before, which came into service in between, may take something else: it is read for anew.
        """
        if self._inputs is not None and self._inputs[0] is model and self._inputs[1] == signature_name:
            return self._inputs[2]
        self._read()
        found = self._tensors(dtypes)
        self._inputs = model, signature_name, found
        # Python's objects of a document take many times what its tensors do.
        self._numbers = self._document = None
        return found

    def _read(self) -> None:
        if self._is_read:
            return
        self._numbers = json_numbers.read(self.content, json_tensors.KEYS)
        if self._numbers is None:
            self._document = json_tensors.parse(self.content)
            self._signature_name = json_tensors.signature_name_of(self._document)
        else:
            self._signature_name = self._numbers.signature_name
        self._is_read = True

    def _tensors(self, dtypes: Mapping[str, int]) -> Inputs:
        """Return the tensors; the short way is for numbers of one input."""
        if self._numbers is not None:
            found = json_tensors.read_numbers(self._numbers, dtypes)
            if found is not None:
                return found
        document = json_tensors.parse(self.content) if self._document is None else self._document
        may_hold_booleans = json_tensors.may_hold_booleans(self.content)
        return json_tensors.read_inputs(document, dtypes, may_hold_booleans=may_hold_booleans)
