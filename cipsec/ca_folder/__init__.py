"""The CA's folder: what lies in it, how it is read and opened."""

from cipsec.ca_folder.folder import CaFolder, open_folder, waiting
from cipsec.ca_folder.generation import Generation, certificates_in
from cipsec.ca_folder.keyed import CrlIssuer
from cipsec.ca_folder.paths import fingerprint

__all__ = [
    "CaFolder",
    "CrlIssuer",
    "Generation",
    "certificates_in",
    "fingerprint",
    "open_folder",
    "waiting",
]
