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
_ONE_BY_ONE: Final[tuple[tuple[str, str, str, str, dict[str, str]], ...]] = (
    # method, path, and those of the operation led to, with all its parameters
    (
        *("post", "/v1/uploads", "put", "/v1/uploads/{upload_id}/files/{name}"),
        {"upload_id": "$response.body#/id", "name": "$response.body#/files/0/name"},
    ),
    (
        *("get", "/v1/jobs/{job_id}/deliveries", "post"),
        "/v1/jobs/{job_id}/deliveries/{delivery_id}/replay",
        {
            "job_id": "$request.path.job_id",
            "delivery_id": "$response.body#/deliveries/0/id",
        },
    ),
)


def add_links(document: dict[str, Any]) -> None:
    """From each answer that names a job, an alignment, an upload or a webhook to all that is done
    with one."""
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
        _link(paths[path][method], links)
    for method, path, led_by, led_to, parameters in _ONE_BY_ONE:
        name = paths[led_to][led_by]["operationId"]
        _link(paths[path][method], {name: {"operationId": name, "parameters": parameters}})


def _link(operation: dict[str, Any], links: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            response["links"] = response.get("links", {}) | links


def _asks_for_no_more(operation: dict[str, Any], parameter: str) -> bool:
    asked = {found["name"] for found in operation["parameters"] if found["in"] == "path"}
    return asked == {parameter}
