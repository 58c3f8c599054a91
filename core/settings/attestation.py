"""What results are signed with."""

from pathlib import Path

from core.settings.forms import Section


class AttestationSettings(Section):
    """`key`: the file with the workers' private key, as `safelora-gate signing-keys create` makes
    it; it is read anew for each result. None: results are not attested. The API needs none."""

    key: Path | None = None
