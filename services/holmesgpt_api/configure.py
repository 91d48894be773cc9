"""For whoever writes the configuration file: its schema, a check before a reload, keys and encrypted values.

    python -m services.holmesgpt_api.configure schema                     JSON Schema, for editors
    python -m services.holmesgpt_api.configure check FILE [--key-file K]  what a start or a reload would say
    python -m services.holmesgpt_api.configure new-key                    a line for HOLMESGPT_CONFIG_KEY_FILE
    python -m services.holmesgpt_api.configure seal --key-file K          standard input, as it may stand in the file

Opens no connection and asks no model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from services.holmesgpt_api.adapters.config_file import EXTENDS, BadConfiguration, load, seal
from services.holmesgpt_api.domain.configuration import Configuration, not_honoured
from services.holmesgpt_api.domain.custom.bound import bound
from services.holmesgpt_api.domain.toolsets import Toolsets, UnknownToolset


def main(arguments: Sequence[str] | None = None) -> int:
    """Its exit code: 0, or 1 when the file or the key cannot be used."""
    given = _parser().parse_args(arguments)
    try:
        match given.what:
            case "schema":
                said = json.dumps(_schema(), indent=2)
            case "check":
                said = _checked(given.file, given.key_file)
            case "new-key":
                said = Fernet.generate_key().decode()
            case _:
                key = _first_key(given.key_file)
                said = seal(sys.stdin.read().rstrip("\n"), key)
    except (BadConfiguration, UnknownToolset) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="configure", description=__doc__.splitlines()[0] if __doc__ else "")
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("schema")
    check = what.add_parser("check")
    check.add_argument("file", type=Path)
    check.add_argument("--key-file", type=Path)
    what.add_parser("new-key")
    what.add_parser("seal").add_argument("--key-file", type=Path, required=True)
    return parser


def _schema() -> dict[str, Any]:
    schema = Configuration.model_json_schema()
    inherits = {"type": "string", "description": "path of the file that this one is put over"}
    return {**schema, "properties": {EXTENDS: inherits, **schema["properties"]}}


def _checked(file: Path, key_file: Path | None) -> str:
    loaded = load(file, key_file)
    configuration = loaded.configuration
    others = [bound(one, (), ()) for one in configuration.toolsets.custom]
    chosen = configuration.holmesgpt
    Toolsets.chosen(chosen.enabled_toolsets, chosen.default_toolsets, others)
    models = ", ".join(configuration.llm.entries) if configuration.llm else "none"
    lines = [f"{file.name} can be used: version {loaded.digest}, models: {models}"]
    lines += [
        f"toolset {one.name} {one.version}: {one.type} at {one.origin}"
        for one in configuration.toolsets.custom
    ]
    lines += [f"without effect: {where}: {why}" for where, why in not_honoured(configuration).items()]
    return "\n".join(lines)


def _first_key(file: Path) -> str:
    try:
        keys = file.read_text("ascii").split()
        Fernet(keys[0])
    except OSError as error:
        raise BadConfiguration(f"{file.name} cannot be read: {error.strerror}") from None
    except (ValueError, IndexError):
        raise BadConfiguration(f"{file.name}: want one Fernet key a line") from None
    return keys[0]


if __name__ == "__main__":
    sys.exit(main())
