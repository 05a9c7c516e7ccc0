"""Documents name values that are there."""

from __future__ import annotations

import re

from ci import chart_docs, paths

FOLDERS = ("charts", "docs", "images", "model")
DOCUMENTS = [
    # What is gone is named there too.
    *(path for path in paths.ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
    *(path for name in FOLDERS for path in (paths.ROOT / name).rglob("*.md")),
]
VALUE = re.compile(r"(?<![\w./-])([a-z][A-Za-z]+(?:\.[A-Za-z][A-Za-z0-9]*)+)(?![\w(/-])")
# Beginnings ("api.max..."), and methods of Keras.
OTHERS = {"api.max", "model.export", "model.fit", "model.compile", "model.evaluate", "model.predict", "model.save"}
# What looks like a value and is a file, an attribute, or of another chart.
SUFFIXES = ("tflite", "py", "yaml", "yml", "json", "md", "tpl", "txt", "toml")


def known() -> set[str]:
    """Return every value's path, and those of the groups they are in."""
    schema = chart_docs.load_schema()
    keys = {value.key for value in chart_docs.walk(schema, chart_docs.load_values(), schema)}
    return {".".join(key.split(".")[:depth]) for key in keys for depth in range(1, key.count(".") + 2)}


def is_known(path: str, keys: set[str]) -> bool:
    """Tell whether a path is a value or lies within one whose shape is Kubernetes' or the user's."""
    parts = path.split(".")
    if path in keys:
        return True
    inside = [".".join(parts[:depth]) for depth in range(2, len(parts)) if ".".join(parts[:depth]) in keys]
    # The nearest that is known must be a leaf of the reference: its inside is not listed there.
    return bool(inside) and not any(key.startswith(f"{inside[-1]}.") for key in keys)


def test_values_that_documents_name_are_there() -> None:
    keys = known()
    groups = {key for key in keys if "." not in key}
    named = {
        (path.name, found[0])
        for path in DOCUMENTS
        for found in VALUE.finditer(path.read_text(encoding="utf-8"))
        if found[0].partition(".")[0] in groups and found[0].rpartition(".")[2] not in SUFFIXES
    }
    assert len(named) > 100
    unknown = {(document, name) for document, name in named if name not in OTHERS and not is_known(name, keys)}
    assert not unknown, sorted(unknown)
