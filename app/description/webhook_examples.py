"""Examples of webhooks and deliveries for the API's documentation."""

from typing import Any, Final

from app.description.examples import JOB

_JOB: Final = "/v1/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z"

ORDER: Final[dict[str, Any]] = {
    "url": "https://platform.example/hooks/safelora",
    "events": ["job.succeeded", "job.rejected"],
}
CHANGE: Final[dict[str, Any]] = {"enabled": False}

WEBHOOK: Final[dict[str, Any]] = {
    "id": "7ybq9gpzre4jtsesmhcf0nxj34",
    "url": "https://platform.example/hooks/safelora",
    "events": ["job.succeeded", "job.rejected"],
    "enabled": True,
    "disabled": None,
    "created_at": "2026-11-27T09:30:00.000Z",
}

SECRET_SHOWN: Final[dict[str, Any]] = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
    "created_at": "2026-11-27T09:29:00.000Z",
    "previous_until": "2026-11-28T09:29:00.000Z",
}
SECRET: Final[dict[str, Any]] = {k: v for k, v in SECRET_SHOWN.items() if k != "secret"}

DELIVERY: Final[dict[str, Any]] = {
    "id": "msg_5d41402abc4b2a76b9719d911017c592",
    "webhook_id": "7ybq9gpzre4jtsesmhcf0nxj34",
    "type": "job.succeeded",
    "url": "https://platform.example/hooks/safelora",
    "state": "pending",
    "attempts": [
        {"at": "2026-11-27T09:31:04.512Z", "seconds": 0.214, "status": 500, "error": "status"},
        {"at": "2026-11-27T09:31:11.030Z", "seconds": 15.0, "status": None, "error": "timeout"},
    ],
    "next_attempt_at": "2026-11-27T09:36:21.780Z",
}

MESSAGE: Final[dict[str, Any]] = {
    "type": "job.succeeded",
    "timestamp": "2026-11-23T09:30:02.871Z",
    "data": {
        "id": "7h2k9m4p6q8r0s1t3v5w7x9y2z",
        "state": "succeeded",
        "verdict": "projected",
        "alignment": JOB["alignment"],
        "summary": JOB["summary"],
        "findings": [],
        "findings_total": 0,
        "error": None,
        "metadata": {"run": "ft-2041"},
        "source": "upload",
        "destination": None,
        "retry_of": None,
        "from_earlier_result": False,
        "created_at": "2026-11-23T09:30:00.000Z",
        "finished_at": "2026-11-23T09:30:02.871Z",
        "links": {
            "self": _JOB,
            "report": f"{_JOB}/report",
            "adapter": f"{_JOB}/adapter",
            "attestation": f"{_JOB}/attestation",
        },
    },
}
