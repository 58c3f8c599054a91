"""What docs/webhooks.md has to copy works."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from core.settings.webhooks import WebhookSettings
from core.store.local import LocalStore
from core.webhooks.schedule import PAUSES
from core.webhooks.signing import Secrets, sign

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()


@pytest.fixture
def is_genuine() -> Any:
    snippet = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(snippet, names)
    return names["is_genuine"]


def test_the_ten_lines_tell_messages_apart(is_genuine: Any, local_store: LocalStore) -> None:
    """Either secret of an overlap is good; another body, id, time or secret is not."""
    secrets, now = Secrets(local_store, "acme"), int(time.time())
    old = secrets.rotate(overlap_ms=0, now_ms=1)
    new = secrets.rotate(overlap_ms=10, now_ms=2)
    headers = sign(secrets.signing(3), message_id="msg_1", timestamp=now, body=b"{}")
    assert is_genuine(old.secret, headers, b"{}")
    assert is_genuine(new.secret, headers, b"{}")
    stranger = secrets.rotate(overlap_ms=10, now_ms=4)
    stale = sign([new], message_id="msg_1", timestamp=now - 301, body=b"{}")
    for secret, given, body in (
        (new, headers, b"{ }"),
        (new, headers | {"webhook-id": "msg_2"}, b"{}"),
        (new, headers | {"webhook-timestamp": str(now + 1)}, b"{}"),
        (stranger, headers, b"{}"),
        (new, stale, b"{}"),
    ):
        assert not is_genuine(secret.secret, given, body)


def test_the_settings_are_all_told() -> None:
    """With their names."""
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))
    assert table == {name.upper() for name in WebhookSettings.model_fields}


def test_the_table_of_retries_is_the_schedule() -> None:
    """To the second."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| after the one before"))
    units = {"s": 1, "min": 60, "h": 3600}
    told = [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h) ", row)]
    assert tuple(told) == PAUSES
