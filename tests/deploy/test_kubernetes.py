"""The manifests of every overlay, as kubectl renders them."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis.strategies import ip_addresses

from app.main import create_app
from core.settings import Settings, load_settings
from core.webhooks import addresses
from core.webhooks.addresses import Address, is_public
from tests.deploy.reading import (
    COMPONENT,
    OVERLAYS,
    ROOT,
    SETTINGS,
    Json,
    components_of,
    containers,
    dockerfile,
    image_environment,
    kind,
    manifests,
    named,
    secrets,
    selected,
    templates,
)
from tests.deploy.strict_kinds import STRICT_KINDS
from worker.courier import LEAVE_SECONDS

OLDEST, NEWEST = "1.30", "1.37"
GATE = {"api", "worker", "courier", "first-start"}

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@each_overlay
def test_kubernetes_takes_it(overlay: str) -> None:
    """Strictly: no field that it does not know, in the oldest version that is meant and the newest.
    Kinds of KEDA and the Prometheus operator are held to what is written down here of them."""
    for resource in manifests(overlay):
        if resource["kind"] in STRICT_KINDS:
            STRICT_KINDS[resource["kind"]].model_validate(resource)
            continue
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(resource, version, strict=True)


@each_overlay
def test_everything_lies_in_one_namespace(overlay: str) -> None:
    """Which admits none but restricted pods."""
    [space] = kind(overlay, "Namespace")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for resource in manifests(overlay):
        if resource["kind"] != "Namespace":
            assert resource["metadata"]["namespace"] == space["metadata"]["name"]


@each_overlay
def test_pods_are_restricted(overlay: str) -> None:
    """As the profile of that name demands, and with a read-only root file system."""
    for name, pod, container in containers(overlay):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume], name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


@each_overlay
def test_pods_say_what_they_take(overlay: str) -> None:
    """CPU and memory to be placed by, memory to be bounded by, and bounds on what they write."""
    for name, pod, container in containers(overlay):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert "memory" in container["resources"]["limits"], name
        on_disk = [v for v in pod["volumes"] if "emptyDir" in v and "medium" not in v["emptyDir"]]
        assert not on_disk or "ephemeral-storage" in container["resources"]["requests"], name
        for volume in pod["volumes"]:
            assert volume.get("emptyDir") is None or "sizeLimit" in volume["emptyDir"], name
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claimed = {
            claim["metadata"]["name"]
            for claim in next(
                (
                    r["spec"].get("volumeClaimTemplates", [])
                    for r in kind(overlay, "StatefulSet")
                    if r["metadata"]["name"] == name
                ),
                [],
            )
        }
        assert mounted == {volume["name"] for volume in pod["volumes"]} | claimed, name


@each_overlay
def test_what_is_referred_to_is_there(overlay: str) -> None:
    """ConfigMaps, Secrets with their keys, service accounts."""
    maps = {resource["metadata"]["name"] for resource in kind(overlay, "ConfigMap")}
    accounts = {resource["metadata"]["name"] for resource in kind(overlay, "ServiceAccount")}
    for name, pod, container in containers(overlay):
        for source in container.get("envFrom", []):
            assert source["configMapRef"]["name"] in maps, name
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets(), name
        assert pod.get("serviceAccountName", "safelora-gate") in accounts, name
    for monitor in kind(overlay, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            credentials = endpoint["authorization"]["credentials"]
            assert credentials["key"] in secrets()[credentials["name"]]
    for ingress in kind(overlay, "Ingress"):
        for tls in ingress["spec"]["tls"]:
            assert {"tls.crt", "tls.key"} <= set(secrets()[tls["secretName"]])


@each_overlay
def test_what_is_selected_is_there(overlay: str) -> None:
    """By services, disruption budgets, policies, monitors and what scales; ports by their names."""
    for service in kind(overlay, "Service"):
        [name] = selected(overlay, service["spec"]["selector"])
        ports = {
            port["name"]
            for container in templates(overlay)[name]["spec"]["containers"]
            for port in container["ports"]
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for budget in kind(overlay, "PodDisruptionBudget"):
        assert len(selected(overlay, budget["spec"]["selector"]["matchLabels"])) == 1
    for monitor in kind(overlay, "ServiceMonitor"):
        labels = monitor["spec"]["selector"]["matchLabels"]
        [service] = [
            s
            for s in kind(overlay, "Service")
            if labels.items() <= s["metadata"].get("labels", {}).items()
        ]
        offered = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= offered
    for scaled in kind(overlay, "ScaledObject"):
        assert named(overlay, "Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    for ingress in kind(overlay, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = named(overlay, "Service", backend["name"])
                assert backend["port"]["name"] in {p["name"] for p in service["spec"]["ports"]}
    for policy in kind(overlay, "NetworkPolicy"):
        for component in components_of(policy["spec"]["podSelector"]):
            assert selected(overlay, {COMPONENT: component}), policy["metadata"]["name"]


def reached(overlay: str, component: str) -> set[Any]:
    """Where its pods may connect to: components of the namespace, and what else is let out."""
    found: set[Any] = set()
    for policy in kind(overlay, "NetworkPolicy"):
        own = policy["spec"]["podSelector"]
        if own and component not in components_of(own):
            continue
        for rule in policy["spec"].get("egress", []):
            for peer in rule.get("to", [{"everywhere": True}]):
                if "podSelector" in peer:
                    found |= components_of(peer["podSelector"])
                elif "namespaceSelector" in peer:
                    found.add("names")
                else:
                    found.add("outside")
    return found


@each_overlay
def test_nothing_is_reached_but_what_is_needed(overlay: str) -> None:
    """A worker that an adapter took over could send what it sees nowhere, unless the store lies
    outside."""
    closed = named(overlay, "NetworkPolicy", "closed")["spec"]
    assert closed["podSelector"] == {}
    assert set(closed["policyTypes"]) == {"Ingress", "Egress"}
    store = "outside" if overlay == "s3-outside" else "store"
    assert reached(overlay, "api") == {"names", "queue", store}
    assert reached(overlay, "worker") == {"names", "queue", "cache", store}
    assert reached(overlay, "courier") == {"names", "queue", store, "outside"}
    assert reached(overlay, "first-start") == {"names", store}
    for own in {"queue", "cache", "store"} & set(templates(overlay)):
        assert reached(overlay, own) == {"names"}


def lets_out(block: Json, address: Address) -> bool:
    held = [ip_network(text) for text in (block["cidr"], *block["except"])]
    return address in held[0] and not any(address in network for network in held[1:])


@given(ip_addresses())
def test_webhooks_go_where_the_courier_lets_them_go(address: Address) -> None:
    """To anybody's machine, and to none that may be the operator's own: both bounds are one."""
    [rule] = named("cpu", "NetworkPolicy", "webhooks")["spec"]["egress"]
    assert rule["ports"] == [{"port": 443}]
    assert any(lets_out(peer["ipBlock"], address) for peer in rule["to"]) == is_public(address)


def test_webhooks_go_nowhere_that_is_left_out_by_either() -> None:
    """Small networks too, which addresses at random seldom meet."""
    [rule] = named("cpu", "NetworkPolicy", "webhooks")["spec"]["egress"]
    left_out = [ip_network(text) for peer in rule["to"] for text in peer["ipBlock"]["except"]]
    for network in (*left_out, *addresses._BLOCKED):
        assert not is_public(network[0])
        assert not any(lets_out(peer["ipBlock"], network[0]) for peer in rule["to"])


@each_overlay
def test_a_drain_is_held_up_by_none_that_does_not_serve(overlay: str) -> None:
    """A pod that cannot start would keep its node for ever; those that serve go one at a time."""
    budgets = kind(overlay, "PodDisruptionBudget")
    assert {budget["metadata"]["name"] for budget in budgets} == GATE - {"first-start"}
    for budget in budgets:
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@each_overlay
def test_what_there_are_several_of_is_on_several_nodes(overlay: str) -> None:
    """As far as there are any."""
    for maker in kind(overlay, "Deployment"):
        if maker["spec"].get("replicas", 1) > 1:
            [spread] = maker["spec"]["template"]["spec"]["topologySpreadConstraints"]
            assert spread["topologyKey"] == "kubernetes.io/hostname"
            assert selected(overlay, spread["labelSelector"]["matchLabels"]) == {
                maker["metadata"]["name"]
            }


@each_overlay
def test_who_connects_is_let_in(overlay: str) -> None:
    """Each way out has its way in."""
    allowed: dict[str, set[str]] = {}
    for policy in kind(overlay, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            for peer in rule["from"]:
                if "namespaceSelector" not in peer:
                    for target in components_of(policy["spec"]["podSelector"]):
                        allowed.setdefault(target, set()).update(components_of(peer["podSelector"]))
    for component in GATE:
        for target in reached(overlay, component) - {"names", "outside"}:
            assert component in allowed[target], (component, target)


@each_overlay
@pytest.mark.parametrize("part", sorted(GATE))
def test_a_part_starts_with_its_settings(
    overlay: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each variable is a setting and is taken, with secrets of the example's form."""
    pod = templates(overlay)[part]["spec"]
    [container] = pod["containers"]
    [settings_map] = [r["data"] for r in kind(overlay, "ConfigMap")]
    own = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    environment = {**image_environment(), **settings_map, **own}
    ours = {name: text for name, text in environment.items() if name.startswith("SAFELORA_")}
    assert set(ours) <= SETTINGS
    assert pod["enableServiceLinks"] is False  # else another service's name could be taken for one
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    [secret] = [
        v["secret"]["secretName"]
        for v in pod["volumes"]
        if v["name"] == mounts[ours["SAFELORA_SECRETS_DIR"]]
    ]
    for name, text in secrets()[secret].items():
        (tmp_path / name).write_text(text)
    for variable in [variable for variable in os.environ if variable.startswith("SAFELORA_")]:
        monkeypatch.delenv(variable)
    for variable, text in ours.items():
        monkeypatch.setenv(variable, text)
    monkeypatch.setenv("SAFELORA_SECRETS_DIR", str(tmp_path))
    settings = load_settings()
    assert settings.store.kind == "s3"
    if settings.attestation.key is not None:
        assert str(settings.attestation.key.parent) in mounts
        assert settings.attestation.key.name in secrets()["safelora-signing"]


def probes(container: Json) -> dict[str, Json]:
    names = ("startupProbe", "readinessProbe", "livenessProbe")
    return {name: container[name] for name in names if name in container}


@each_overlay
def test_probes_ask_what_there_is(overlay: str) -> None:
    """Paths are routes of the API, the file is the one that the image has touched, and what is
    started is what the image has."""
    routes = {getattr(route, "path", "") for route in create_app(Settings()).routes}
    routes |= set(create_app(Settings()).openapi()["paths"])
    for name, _, container in containers(overlay):
        if name in GATE - {"first-start"}:
            assert set(probes(container)) >= {"startupProbe", "livenessProbe"}, name
            for probe in probes(container).values():
                if "httpGet" in probe:
                    assert probe["httpGet"]["path"] in routes
                else:
                    assert image_environment()["SAFELORA_HEARTBEAT"] in probe["exec"]["command"][-1]
        if name == "first-start":
            assert (ROOT / "deploy/image" / Path(container["command"][1]).name).exists()
            assert "COPY deploy/image /opt/gate/deploy" in dockerfile()


@each_overlay
def test_no_outage_elsewhere_has_a_pod_killed(overlay: str) -> None:
    """What is ready depends on the store and Redis; what is alive does not."""
    for _, _, container in containers(overlay):
        alive = container.get("livenessProbe", {})
        assert alive.get("httpGet", {}).get("path") in (None, "/livez")


@each_overlay
def test_there_is_time_to_end(overlay: str) -> None:
    """More than a courier waits for its threads at most, and than a drained worker needs."""
    seconds = {
        name: template["spec"].get("terminationGracePeriodSeconds", 30)
        for name, template in templates(overlay).items()
    }
    assert seconds["courier"] > 3 * LEAVE_SECONDS
    assert seconds["worker"] >= 60
    api = templates(overlay)["api"]["spec"]["containers"][0]
    assert seconds["api"] > api["lifecycle"]["preStop"]["sleep"]["seconds"] + 60


def test_gpu_workers_have_one_card_each() -> None:
    """And start on no node whose card they do not find."""
    for overlay in ("gpu", "s3-outside"):
        [container] = templates(overlay)["worker"]["spec"]["containers"]
        for bound in ("requests", "limits"):
            assert container["resources"][bound]["nvidia.com/gpu"] == "1"
        assert {"name": "SAFELORA_WORKER__DEVICE", "value": "cuda"} in container["env"]
        assert container["image"].endswith("-cuda")
        keys = {
            toleration["key"] for toleration in templates(overlay)["worker"]["spec"]["tolerations"]
        }
        assert keys == {"nvidia.com/gpu"}


@each_overlay
def test_the_disk_tier_has_the_room_that_it_is_told_of(overlay: str) -> None:
    """The volume is larger than the tier, else the pod is evicted instead of the tier trimmed."""
    pod = templates(overlay)["worker"]["spec"]
    own = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "alignments"]
    if "ephemeral" in volume:
        claim = volume["ephemeral"]["volumeClaimTemplate"]["spec"]
        size = claim["resources"]["requests"]["storage"]
    else:
        size = volume["emptyDir"]["sizeLimit"]
        asked = pod["containers"][0]["resources"]["requests"]["ephemeral-storage"]
        assert int(asked.removesuffix("Gi")) * 2**30 >= int(own["SAFELORA_ALIGNMENTS__DISK_BYTES"])
    assert int(size.removesuffix("Gi")) * 2**30 >= 1.2 * int(own["SAFELORA_ALIGNMENTS__DISK_BYTES"])
    memory = pod["containers"][0]["resources"]["limits"]["memory"]
    if "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]:
        ram = int(own["SAFELORA_ALIGNMENTS__RAM_BYTES"])
        assert int(memory.removesuffix("Gi")) * 2**30 >= 1.5 * ram


def test_workers_are_scaled_by_what_waits_and_what_runs() -> None:
    """By waiting jobs alone, busy workers would be taken away; the number is KEDA's alone."""
    [scaled] = kind("s3-outside", "ScaledObject")
    [trigger] = scaled["spec"]["triggers"]
    assert re.search(r'safelora_jobs\{.*state=~"queued\|running"', trigger["metadata"]["query"])
    assert "replicas" not in named("s3-outside", "Deployment", "worker")["spec"]
    down = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 600
    assert scaled["spec"]["minReplicaCount"] >= 1


def test_an_upload_that_the_gate_takes_passes_the_proxy() -> None:
    """Its bound is the gate's own, and what is sent is not kept back."""
    [ingress] = kind("s3-outside", "Ingress")
    annotations = ingress["metadata"]["annotations"]
    size = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(size.removesuffix("g")) * 2**30 >= Settings().limits.upload
    for name in ("proxy-request-buffering", "proxy-buffering"):
        assert annotations[f"nginx.ingress.kubernetes.io/{name}"] == "off"


@each_overlay
def test_images_have_versions(overlay: str) -> None:
    """`latest` is another one tomorrow."""
    for name, _, container in containers(overlay):
        tag = container["image"].rpartition(":")[2]
        assert re.match(r"\d", tag), name
