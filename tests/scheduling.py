"""Who runs which test, where several processes run them (`-n2 --dist=loadfile`)."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# Their modules share a server of every kind of model, and an api for each model: together they are started once.
FOLDERS = ("tests/gateway/",)


class LoadFolderScheduling(LoadFileScheduling):  # type: ignore[misc]
    """Give a module to one process, with the server its tests share; and a folder of FOLDERS, with its servers."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in FOLDERS if nodeid.startswith(folder)), super()._split_scope(nodeid))
