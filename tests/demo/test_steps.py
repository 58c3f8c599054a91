"""What goes on is shown step by step."""

import io
import logging

import pytest
from rich.console import Console

from demo.llm.steps import TOLD, Steps


def test_a_step_is_numbered_and_timed() -> None:
    """Its heading comes before its work, its seconds after."""
    output = io.StringIO()
    steps = Steps(Console(file=output), total=2)
    with steps.step("first"):
        assert "1 of 2: first" in output.getvalue()
        assert "done" not in output.getvalue()
    assert "done in 0 s" in output.getvalue()


def test_a_step_that_fails_is_not_done() -> None:
    """Nothing says that it was, and nobody listens to the log any longer."""
    output = io.StringIO()
    with pytest.raises(ValueError, match="no"), Steps(Console(file=output), 1).step("first"):
        raise ValueError("no")
    assert "done" not in output.getvalue()
    assert not any(logging.getLogger(name).handlers for name in TOLD)


def test_a_terminal_shows_the_last_line_of_the_log() -> None:
    """So that minutes of training show where they are."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with Steps(console, total=1).step("train"):
        logging.getLogger(TOLD[0]).info("step 7 of 9")
    assert "step 7 of 9" in output.getvalue()
