"""The sessions on these pages are run: each command, in order, prints what the page shows."""

from pathlib import Path
from uuid import uuid4

import pytest

from core.store.settings import StoreSettings
from tests.docs.matching import Known
from tests.docs.page import on_s3, steps
from tests.docs.running import ROOT, session
from tests.servers import SeaweedServer
from tests.service.running import store_environment

PAGES = ("docs/api.md",)


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_what_happens(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a service that has just started."""
    page = ROOT / name
    environment: dict[str, str] = {}
    if on_s3(page.read_text()):
        seaweed: SeaweedServer = request.getfixturevalue("seaweed")
        store = StoreSettings(kind="s3", s3=seaweed.settings(prefix=uuid4().hex))
        environment = store_environment(store)
    found = steps(page)
    assert found, f"{name} shows nothing that could be run"
    with session(tmp_path, environment) as running:
        monkeypatch.setenv("SAFELORA_KEY", running.environment["SAFELORA_KEY"])
        for step in found:
            came = running.run(step)
            assert came is None, f"{name}:{step.line}: {step.text}\nprinted:\n{came}"


SHOWN = """{"id":"7ybqv25qt6vt2rr7h22ybvjmrd","state":"queued", …
 "retained":0.6579665494090222}"""
JOB = "7ybqqh3h8r9wwrjvt8ragzya2m"


def test_what_differs_from_run_to_run_fits() -> None:
    """Another id and another last digit; then the id is known."""
    known = Known()
    came = f'{{"id":"{JOB}","state":"queued","x":1,"retained":0.657966549}}'
    assert known.learn(SHOWN, came)
    assert known.real("jobs/7ybqv25qt6vt2rr7h22ybvjmrd/x") == f"jobs/{JOB}/x"


@pytest.mark.parametrize(
    "came",
    [
        f'{{"id":"{JOB}","state":"running","x":1,"retained":0.657966549}}',
        f'{{"id":"{JOB}","state":"queued","x":1,"retained":0.67}}',
        '{"id":"none","state":"queued","x":1,"retained":0.657966549}',
        f'{{"id":"{JOB}","state":"queued","x":1}}',
        "",
    ],
)
def test_what_differs_in_what_it_says_does_not(came: str) -> None:
    """A page that shows another state, number, form or member is wrong."""
    assert not Known().learn(SHOWN, came)


def test_an_id_is_the_same_each_time() -> None:
    """What is shown as one job is one, and one that nothing showed is none."""
    known = Known()
    known.learn('"7ybqv25qt6vt2rr7h22ybvjmrd"', f'"{JOB}"')
    other = "7ybqqh3hcytrz4m3bb6yc3092p"
    assert not known.learn('"7ybqv25qt6vt2rr7h22ybvjmrd"', f'"{other}"')
    with pytest.raises(ValueError, match="no output before"):
        known.real(other)


PAGE = """Text.

    $ curl a \\
        -d '{
          "b": 1}'
    printed

    more
    $ curl c

```python
print(1)
```
```text
1
```

<!-- not run: it would cost money -->

    $ rm x

    no prompt
"""


def test_a_page_is_read_as_it_is_meant(tmp_path: Path) -> None:
    """Commands of several lines, what they print, Python with its output, and what is left out."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert [(step.kind, step.text.split()[:2], step.printed) for step in steps(page)] == [
        ("shell", ["curl", "a"], "printed\n\nmore"),
        ("shell", ["curl", "c"], ""),
        ("python", ["print(1)"], "1"),
    ]


def test_a_command_that_cannot_be_run_is_no_step(tmp_path: Path) -> None:
    """A page cannot hide a command behind …: it is written out, or marked."""
    page = tmp_path / "page.md"
    page.write_text("    $ curl … -F x=y\n")
    with pytest.raises(ValueError, match="line 1"):
        steps(page)
