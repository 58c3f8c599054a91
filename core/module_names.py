"""How one module of a model is called, with or without the name of what holds its layers."""

from typing import Final

MODEL_PREFIXES: Final = ("model.", "transformer.", "gpt_neox.")


def spellings(path: str) -> list[str]:
    """The path itself, and with one model prefix taken off or put on; never one for another."""
    prefix = next((p for p in MODEL_PREFIXES if path.startswith(p)), None)
    if prefix is None:
        return [path, *(p + path for p in MODEL_PREFIXES)]
    shorter = path.removeprefix(prefix)
    return [path] if shorter.startswith(MODEL_PREFIXES) else [path, shorter]
