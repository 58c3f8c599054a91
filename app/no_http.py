"""What is no HTTP gets a problem document too, where the server would answer in plain text."""

from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.problems import OTHER_HTTP_CODE, problem

_DETAIL: Final = (
    "the request is no HTTP that the gate understands, or its head is larger than is accepted: mend"
    " it, and connect again"
)


class ProblemProtocol(H11Protocol):
    """uvicorn's own, but for that answer."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (it may not say more)
        """And end the connection. Where an answer is on its way already, none follows it."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = problem(400, OTHER_HTTP_CODE, _DETAIL, headers={"Connection": "close"})
            head = h11.Response(status_code=400, headers=answer.raw_headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
