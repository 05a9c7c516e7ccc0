"""What TensorFlow says of itself at its import is left out, and nothing else."""

from __future__ import annotations

import os

import pytest

from trainer import quiet

NOISE = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1795850531.935135   29872 port.cc:153] oneDNN custom operations are on. You may see slightly ...\n"
)


def test_noise_is_left_out_and_the_rest_told(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet.importing():
        os.write(2, b"a warning of the user's\n" + NOISE + b"and an error\n")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "a warning of the user's\nand an error\n"
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


def test_failing_import_is_told_all_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), quiet.importing():
        os.write(2, NOISE + b"cannot open shared object file\n")
        raise ImportError
    assert capfd.readouterr().err == "cannot open shared object file\n"
