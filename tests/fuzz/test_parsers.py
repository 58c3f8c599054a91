"""What is accepted or rejected, in little time and memory, and with nothing else raised."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.conftest import Try
from tests.fuzz.strategies import archives, configs, damaged, headers, name_lists

MANY = settings(
    max_examples=400,
    deadline=None,  # the guard has its own, which counts the processor's time
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@MANY
@given(headers().flatmap(damaged))
def test_header(tried: Try, data: bytes) -> None:
    """A safetensors file is, whatever its tensors, dtypes, shapes, offsets and bytes."""
    tried("header", data)


@MANY
@given(configs() | configs().flatmap(damaged))
def test_config(tried: Try, data: bytes) -> None:
    """A config is, whatever its fields and values, in the form of PEFT or of MLX."""
    tried("config", data)


@MANY
@given(name_lists())
def test_names(tried: Try, data: bytes) -> None:
    """A list of tensor names is, whatever the names."""
    tried("names", data)


@MANY
@given(archives() | archives().flatmap(damaged))
def test_archive(tried: Try, data: bytes) -> None:
    """An archive is, whatever its members and format, whole or damaged."""
    tried("archive", data)


@MANY
@given(st.sampled_from(["header", "config", "names", "archive", "upload"]), st.binary(max_size=99))
def test_noise(tried: Try, target: str, data: bytes) -> None:
    """Any bytes are, for whatever they are taken."""
    tried(target, data)
