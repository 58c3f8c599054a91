"""How several processes share the tests: `make test` runs two."""

import re

_KIND_OF_STORE = re.compile(r"\[(local|s3)\b")


def shared(nodeid: str) -> str:
    """What one process has whole: a file, and of tests/service all that is on one kind of store,
    for the service that it runs on is then started once."""
    file, _, test = nodeid.partition("::")
    kind = _KIND_OF_STORE.search(test)
    if kind is not None and file.startswith("tests/service/"):
        return f"tests/service on {kind[1]}"
    return file
