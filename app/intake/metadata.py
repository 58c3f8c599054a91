"""What a caller may label a job with."""

from typing import Annotated

from pydantic import Field

Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=1024)],
    ],
    Field(max_length=64, description="Yours to label the job with; handed back as it came."),
]
