"""The kinds of KEDA and the Prometheus operator that the manifests use, field by field.

Their own definitions are part of no package; what is not written down here is refused.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Strict):
    name: str
    namespace: str
    labels: dict[str, str] = {}


class Target(Strict):
    name: str


class Fallback(Strict):
    failure_threshold: Annotated[int, Field(ge=1)]
    replicas: Annotated[int, Field(ge=0)]
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher"]


class ScalingPolicy(Strict):
    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(ge=1)]
    period_seconds: Annotated[int, Field(ge=1, le=1800)]


class Rules(Strict):
    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)]
    policies: list[ScalingPolicy]


class Behavior(Strict):
    scale_up: Rules
    scale_down: Rules


class Autoscaler(Strict):
    behavior: Behavior


class Advanced(Strict):
    horizontal_pod_autoscaler_config: Autoscaler


class PrometheusQuery(Strict):
    server_address: Annotated[HttpUrl, Field(strict=False)]
    query: str
    ignore_null_values: Literal["false"]
    threshold: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]


class Trigger(Strict):
    type: Literal["prometheus"]
    metadata: PrometheusQuery


class ScaledSpec(Strict):
    scale_target_ref: Target
    min_replica_count: int
    max_replica_count: int
    polling_interval: int
    cooldown_period: int
    fallback: Fallback
    advanced: Advanced
    triggers: list[Trigger]


class ScaledObject(Strict):
    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledSpec


class SecretKey(Strict):
    name: str
    key: str


class Authorization(Strict):
    type: Literal["Bearer"]
    credentials: SecretKey


class Relabeling(Strict):
    target_label: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    replacement: str


class PodEndpoint(Strict):
    port: str
    interval: Annotated[str, Field(pattern=r"^\d+s$")]
    scrape_timeout: Annotated[str, Field(pattern=r"^\d+s$")]
    relabelings: list[Relabeling]


class Endpoint(PodEndpoint):
    path: str
    authorization: Authorization


class Selector(Strict):
    match_labels: dict[str, str]


class MonitorSpec(Strict):
    selector: Selector
    endpoints: list[Endpoint]


class ServiceMonitor(Strict):
    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: MonitorSpec


class PodMonitorSpec(Strict):
    selector: Selector
    pod_metrics_endpoints: list[PodEndpoint]


class PodMonitor(Strict):
    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["PodMonitor"]
    metadata: Metadata
    spec: PodMonitorSpec


class Alert(Strict):
    alert: str
    expr: str
    for_: Annotated[str, Field(pattern=r"^\d+[smh]$")] | None = Field(None, alias="for")
    labels: dict[str, str]
    annotations: dict[str, str]


class AlertGroup(Strict):
    name: str
    rules: list[Alert]


class AlertGroups(Strict):
    groups: list[AlertGroup]


class PrometheusRule(Strict):
    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["PrometheusRule"]
    metadata: Metadata
    spec: AlertGroups


STRICT_KINDS: Final[dict[str, type[BaseModel]]] = {
    "ScaledObject": ScaledObject,
    "ServiceMonitor": ServiceMonitor,
    "PodMonitor": PodMonitor,
    "PrometheusRule": PrometheusRule,
}
