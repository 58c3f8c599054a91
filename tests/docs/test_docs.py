"""The sessions on the pages are run: each command, in order, prints what the page shows."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.matching import Known
from tests.docs.page import read
from tests.docs.running import RECEIVER, ROOT, session
from tests.docs.serving import ALIGNMENT, Service, on_s3, service, together
from tests.servers import SeaweedServer, free_ports

PAGES = {
    str(path.relative_to(ROOT)): page
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if (page := read(path)).steps
}
"""Every page that shows anything that can be run."""


SET_UP = {name: page for name, page in PAGES.items() if page.settings or "s3" in page.asks}
"""Those that a service with the default settings is not enough for."""


def tenant(name: str) -> str:
    return Path(name).stem.lower()


@pytest.fixture(scope="module")
def receiver() -> int:
    """The port that pages' own receivers listen on."""
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Each page is a tenant of its own here, and sees no other."""
    folder = tmp_path_factory.mktemp("plain")
    with service(folder, {}, tuple(tenant(name) for name in PAGES)) as running:
        yield running


@pytest.fixture(scope="module")
def set_up(
    tmp_path_factory: pytest.TempPathFactory, seaweed: SeaweedServer, receiver: int
) -> Iterator[Service]:
    """On S3, with the settings that the pages show; all are the tenant that they name."""
    settings = together([page.settings for page in SET_UP.values()])
    settings = {n: v.replace(f":{RECEIVER}", f":{receiver}") for n, v in settings.items()}
    environment = settings | on_s3(seaweed, settings)
    with service(tmp_path_factory.mktemp("set-up"), environment) as running:
        yield running


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_what_happens(
    name: str,
    tmp_path: Path,
    receiver: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From its first command to its last, at a service that has what the page says it has."""
    page = PAGES[name]
    running: Service = request.getfixturevalue("set_up" if name in SET_UP else "plain")
    running.prepare(aligned=f"with {ALIGNMENT}" in page.asks)
    key = running.keys.get(tenant(name), running.key)
    reader = session(running, tmp_path / "reader", key, receiver)
    for variable, value in reader.environment.items():
        monkeypatch.setenv(variable, value)
    try:
        for step in page.steps:
            came = reader.run(step)
            assert came is None, f"{name}:{step.line}: {step.text}\nprinted:\n{came}"
    finally:
        os.kill(running.worker, signal.SIGCONT)


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

- In a list:

        $ curl d

```python
print(2)
```

    2

<!-- run: settings -->

    export A='[1]' B=2

Text.

    no prompt
"""


def test_a_page_is_read_as_it_is_meant(tmp_path: Path) -> None:
    """Commands of several lines, what they print, Python with its output, settings, and what is
    left out."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert [(step.kind, step.text.split()[:2], step.printed) for step in read(page).steps] == [
        ("shell", ["curl", "a"], "printed\n\nmore"),
        ("shell", ["curl", "c"], ""),
        ("python", ["print(1)"], "1"),
        ("shell", ["curl", "d"], ""),
        ("python", ["print(2)"], "2"),
    ]
    found = read(page)
    assert found.settings == {"A": "[1]", "B": "2"}
    assert found.left_out == ["it would cost money"]
    assert found.shown == ["no prompt"]


def test_settings_of_pages_are_put_together() -> None:
    """Lists have what each page wants; what cannot be both is told."""
    assert together([{"A": "[1]", "B": "x"}, {"A": "[2]", "B": "x"}]) == {"A": "[1, 2]", "B": "x"}
    with pytest.raises(ValueError, match="B"):
        together([{"B": "x"}, {"B": "y"}])


def test_a_command_that_cannot_be_run_is_no_step(tmp_path: Path) -> None:
    """A page cannot hide a command behind …: it is written out, or marked."""
    page = tmp_path / "page.md"
    page.write_text("    $ curl … -F x=y\n")
    with pytest.raises(ValueError, match="line 1"):
        read(page)
