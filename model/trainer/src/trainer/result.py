"""What a run leaves for the publisher: the SavedModel's folder, and the result file last."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from trainer.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def clear(model_dir: Path, result_file: Path) -> None:
    """Remove what an earlier try left; raise StorageError when that cannot be."""
    try:
        result_file.unlink(missing_ok=True)
        if model_dir.exists():
            shutil.rmtree(model_dir)
        for folder in (model_dir.parent, result_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{model_dir} cannot be made ready: {error.strerror}") from error


def reveal(partial: Path, model_dir: Path, result_file: Path, content: Mapping[str, Any]) -> None:
    """Move the SavedModel to its place, then write the result file: each is there complete, or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    unfinished = result_file.with_name(f".{result_file.name}.partial")
    try:
        partial.rename(model_dir)
        unfinished.write_text(text + "\n", encoding="utf-8")
        os.replace(unfinished, result_file)  # noqa: PTH105 - says that the target may be there
    except OSError as error:
        raise StorageError(f"the result cannot be written to {result_file}: {error.strerror}") from error
