"""What results are signed with."""

from pathlib import Path

from core.settings.forms import Section


class AttestationSettings(Section):
    """What results are signed with ([provenance.md](provenance.md))."""

    key: Path | None = None
    """The file with the workers' private key, as `safelora-gate signing-keys create` makes it; it
    is read anew for each result. Without it results are not attested. The API needs none."""
