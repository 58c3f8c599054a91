"""OpenAPI links: what an answer holds that other operations ask for."""

from typing import Any, Final

_FROM: Final = (
    # method, path, the parameter that is given, and the member of the answer that it is
    ("post", "/v1/jobs", "job_id", "id"),
    ("post", "/v1/jobs/{job_id}/retry", "job_id", "id"),
    ("post", "/v1/alignments", "name", "name"),
    ("post", "/v1/uploads", "upload_id", "id"),
    ("post", "/v1/webhooks", "webhook_id", "id"),
)


def add_links(document: dict[str, Any]) -> None:
    """From each answer that names a job or an alignment to all that is done with one."""
    paths = document["paths"]
    for method, path, parameter, member in _FROM:
        links = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {parameter: f"$response.body#/{member}"},
            }
            for target, item in paths.items()
            if target.startswith(f"{path.partition('/{')[0]}/{{{parameter}}}")
            for operation in item.values()
            if _asks_for_no_more(operation, parameter)
        }
        for status, response in paths[path][method]["responses"].items():
            if status.startswith("2"):
                response["links"] = links


def _asks_for_no_more(operation: dict[str, Any], parameter: str) -> bool:
    asked = {found["name"] for found in operation["parameters"] if found["in"] == "path"}
    return asked == {parameter}
