"""Why an attestation does not hold."""

from core.errors import GateError
from core.model import Frozen


class Problem(Frozen):
    """`code` is stable; `subject` the file or field at fault; `message` says what is wrong."""

    code: str
    subject: str
    message: str


class NotVerified(GateError):
    """The attestation does not hold, and nothing that it says counts."""

    code = "not_verified"
    status = 422

    def __init__(self, code: str, message: str, *, subject: str = "attestation.json") -> None:
        super().__init__(message, code=code)
        self.problem = Problem(code=code, subject=subject, message=message)
