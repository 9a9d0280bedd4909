"""Writing rules into the ca.toml of a test's CA."""

from __future__ import annotations

from cipsec.ca_folder import CaFolder


def rules(folder: CaFolder, *tables: str, head: str = "") -> None:
    """Replace ca.toml by one with these rules."""
    text = f'name = "Line 4"\n{head}\n' + "\n".join(f"[[rule]]\n{table}" for table in tables)
    folder.config_file.write_text(text)
