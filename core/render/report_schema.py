"""docs/report.schema.json: report.json's form, from the model itself. `make docs` writes it."""

import json
import sys

from core.report import SCHEMA, Report


def report_schema() -> str:
    """JSON Schema, draft 2020-12, ending in a newline."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        **Report.model_json_schema(by_alias=True, mode="serialization"),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(report_schema())
