"""Log lines: what each says, in either form, whatever was put into it."""

import json
import logging
from collections.abc import Iterator

import pytest

from core.observing.context import belonging, carried, resumed
from core.observing.logs import start_logging
from core.settings import LogSettings

HOSTILE = "a\x1b[2Jb\nlevel=fake\x7f\u202e"


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = logger.handlers, logger.level
    yield
    logger.handlers, logger.level = handlers, level
    logging.captureWarnings(capture=False)


Capture = pytest.CaptureFixture[str]


def logged_exception(text: str) -> None:
    try:
        int(text)
    except ValueError:
        logging.getLogger("app").exception("failed: %s", text)


def test_a_line_of_json_says_all_of_it(capsys: Capture) -> None:
    """Ids where there are any, and an exception in one field."""
    start_logging("worker", LogSettings(format="json"))
    with belonging(job_id="j", request_id="r"):
        logging.getLogger("worker.tasks").info("begun %d", 1)
    logged_exception("odd")
    begun, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert list(begun) == ["time", "level", "service", "logger", "event", "request_id", "job_id"]
    assert (begun["event"], begun["level"], begun["service"]) == ("begun 1", "info", "worker")
    assert "ValueError: invalid literal" in failed["exception"]
    assert "job_id" not in failed


def test_text_is_a_line_with_the_ids_behind(capsys: Capture) -> None:
    """For people; an exception follows it."""
    start_logging("api", LogSettings(format="text"))
    with belonging(job_id="j"):
        logging.getLogger("app").warning("slow")
    moment, _, rest = capsys.readouterr().err.partition(" ")
    assert (moment[-1], rest) == ("Z", "WARNING slow job_id=j\n")


@pytest.mark.parametrize("form", ["json", "text"])
def test_hostile_text_makes_no_line_and_moves_no_cursor(capsys: Capture, form: str) -> None:
    """Of a message, and of an error that was raised."""
    start_logging("api", LogSettings.model_validate({"format": form}))
    logged_exception(HOSTILE)
    written = capsys.readouterr().err
    assert not set("\x1b\x7f\u202e") & set(written)
    assert all(line.isprintable() for line in written.splitlines())
    if form == "json":
        assert json.loads(written)["event"] == f"failed: {HOSTILE}"
    else:
        assert "level=fake" in written.splitlines()[0]


def test_what_is_no_terminal_gets_json(capsys: Capture) -> None:
    """A file or a collector does; a terminal gets text."""
    start_logging("api", LogSettings())
    logging.getLogger("app").info("one")
    assert json.loads(capsys.readouterr().err)["event"] == "one"


def test_a_lower_level_is_left_out(capsys: Capture) -> None:
    """As the settings say."""
    start_logging("api", LogSettings(level="warning"))
    logging.getLogger("app").info("one")
    assert capsys.readouterr().err == ""


def test_a_request_goes_along_with_its_job() -> None:
    """As it was, to the worker; without a request there is nothing to carry."""
    assert carried() == {}
    with belonging(request_id="req-7"):
        meta = carried()
    assert meta == {"request_id": "req-7"}
    with resumed("job", meta):
        assert carried() == {"request_id": "req-7"}


@pytest.mark.parametrize("odd", ["a b", "x" * 65, "", "\n", 7, None, ["req"]])
def test_only_what_has_its_form_is_resumed(odd: object) -> None:
    """Whoever can write to Redis can write no log line."""
    with resumed("job", {"request_id": odd, "traceparent": odd}):
        assert carried() == {}
