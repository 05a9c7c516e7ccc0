"""Where the published data sets are that come with the training image."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "DATASETS_DIR"
IMAGES_OWN = "/opt/training/data"


def folder() -> Path:
    """Return the folder that has one for each data set."""
    return Path(os.environ.get(VARIABLE) or IMAGES_OWN)
