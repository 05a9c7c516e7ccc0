"""The candidate: an exact copy of what training left, described, where the server beside can read it."""

from __future__ import annotations

import datetime
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from model_description import saved_model, usable
from model_description.errors import DescriptionError, SavedModelError, UnusableError
from model_publisher.errors import NotGoodEnoughError, PassingError, PublisherError
from model_store.errors import StoreError, VerificationError
from model_store.serving import SingleModel
from model_store.store import Wanted
from model_store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from model_description.description import Description
    from model_publisher.result_file import Result

# The only version there is, until it is published under a number of its own.
VERSION = 1
CONFIG = "models.config"
MEBIBYTE = 1 << 20


def take(model_dir: Path, home: Path) -> Path:
    """Return a copy of a SavedModel in a folder the server does not look into yet; `home` is the one it does.

    Raise PublisherError when training left none, or what no model holds; PassingError when it cannot be copied.
    """
    if model_dir.is_symlink():
        # The publisher sees what user code does not: the store.
        raise PublisherError(f"what training left is no model: {model_dir} is a symbolic link")
    store = SingleModel(model_dir, VERSION)
    incoming = home / ".incoming"
    try:
        found = store.find(Wanted(home.name))
        if found is None:
            raise PublisherError(
                f"training left no SavedModel: {store.look(Wanted(home.name))}: have it end with "
                'model.export(os.environ["MODEL_DIR"])'
            )
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        copied = store.fetch(found, incoming, verify=False)
    except VerificationError as error:
        raise PublisherError(f"what training left is no model: {error}") from error
    except (StoreError, OSError) as error:
        raise PassingError(f"the model cannot be copied: {error}") from error
    tell(f"candidate: {copied.file_count} files, {copied.size_bytes / MEBIBYTE:.1f} MiB")
    return incoming


def describe(folder: Path, result: Result, signature: str, key: str, parameters: Mapping[str, Any]) -> Description:
    """Have a SavedModel tell what training says of it, and return that.

    `signature` is the one that is called unless training names one, `parameters` are those it was given. Raise
    NotGoodEnoughError where the api cannot use the model, PublisherError where it is none.
    """
    try:
        signatures = saved_model.read_signatures(folder)
        called = result.signature or signature
        description = replace(
            result.description,
            signature=called,
            task=result.description.task or "raw",
            metrics=dict(result.metrics),
            parameters=result.description.parameters or dict(parameters),
            key=key,
            weights_sha256=saved_model.weights_sha256(folder),
            created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        usable.check(signatures, called, description)
        if called != signature:
            usable.check(signatures, signature, None)
        saved_model.describe(folder, description)
    except UnusableError as error:
        raise NotGoodEnoughError(f"the model cannot be served: {error}: nothing was published") from error
    except (SavedModelError, DescriptionError) as error:
        raise PublisherError(f"what training left is no model that can be served: {error}") from error
    except OSError as error:
        raise PassingError(f"the model cannot be described: {error.strerror}") from error
    return description


def place(incoming: Path, home: Path) -> None:
    """Give a candidate its place, all of it at once."""
    try:
        incoming.rename(home / str(VERSION))
    except OSError as error:
        raise PassingError(f"the model cannot be put in its place: {error.strerror}") from error


def show(home: Path) -> None:
    """Have the server find the candidate."""
    try:
        _configure(home.parent, f'config {{ name: "{home.name}" base_path: "{home}" model_platform: "tensorflow" }}')
    except OSError as error:
        raise PassingError(f"the model cannot be shown to the server: {error.strerror}") from error


def show_nothing(folder: Path) -> None:
    """Have the server start without a model: one that cannot load its first ends, and nobody learns why."""
    try:
        _configure(folder, "")
    except OSError as error:
        raise PassingError(f"the server's configuration cannot be written: {error.strerror}") from error


def _configure(folder: Path, models: str) -> None:
    """Write the server's ModelServerConfig (model_server_config.proto), which it looks at again and again."""
    partial = folder / f".{CONFIG}"
    partial.write_text(f"model_config_list {{ {models} }}\n", encoding="utf-8")
    partial.replace(folder / CONFIG)
