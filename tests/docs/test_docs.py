"""The sessions on the pages are run: each command, in order, prints what the page shows."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.matching import Known
from tests.docs.page import Page, read
from tests.docs.running import RECEIVER, ROOT, session
from tests.docs.serving import ALIGNMENT, Service, on_s3, service
from tests.servers import SeaweedServer, free_ports

PAGES = {
    str(path.relative_to(ROOT)): page
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if (page := read(path)).steps
}
"""Every page that shows anything that can be run."""


def tenant(name: str) -> str:
    return Path(name).stem.lower()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For the pages that ask for no settings: each is a tenant of its own, and sees no other."""
    folder = tmp_path_factory.mktemp("shared")
    with service(folder, {}, tuple(tenant(name) for name in PAGES)) as running:
        yield running


def service_for(
    page: Page, folder: Path, receiver: int, request: pytest.FixtureRequest, stack: ExitStack
) -> Service:
    """The shared one, or where the page has settings one of its own."""
    if not page.settings and "s3" not in page.asks:
        shared: Service = request.getfixturevalue("shared")
        return shared
    settings = {n: v.replace(f":{RECEIVER}", f":{receiver}") for n, v in page.settings.items()}
    if "s3" in page.asks:
        seaweed: SeaweedServer = request.getfixturevalue("seaweed")
        settings |= on_s3(seaweed, settings)
    return stack.enter_context(service(folder, settings))


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_what_happens(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its first command to its last, at a service that has what the page says it has."""
    page = PAGES[name]
    (receiver,) = free_ports(1)
    with ExitStack() as stack:
        running = service_for(page, tmp_path, receiver, request, stack)
        running.set_up(aligned=f"with {ALIGNMENT}" in page.asks)
        stack.callback(os.kill, running.worker, signal.SIGCONT)
        key = running.keys.get(tenant(name), running.key)
        reader = session(running, tmp_path / "reader", key, receiver)
        for variable, value in reader.environment.items():
            monkeypatch.setenv(variable, value)
        for step in page.steps:
            came = reader.run(step)
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
    assert [(step.kind, step.text.split()[:2], step.printed) for step in read(page).steps] == [
        ("shell", ["curl", "a"], "printed\n\nmore"),
        ("shell", ["curl", "c"], ""),
        ("python", ["print(1)"], "1"),
    ]


def test_a_command_that_cannot_be_run_is_no_step(tmp_path: Path) -> None:
    """A page cannot hide a command behind …: it is written out, or marked."""
    page = tmp_path / "page.md"
    page.write_text("    $ curl … -F x=y\n")
    with pytest.raises(ValueError, match="line 1"):
        read(page)
