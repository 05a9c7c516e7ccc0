"""The recipes that come with the trainer: each module but the shared ones holds one."""

# Modules that recipes here have in common.
SHARED = frozenset({"idx", "network", "published"})
