"""SOPS with an age key: what its files open to, and whether they open at all."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pyrage
from pydantic import SecretStr

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.installation import program

CALL_SECONDS = 60.0
AS_YAML = ("--input-type=yaml", "--output-type=yaml")
# By SOPS's exit codes (cmd/sops/codes): its own words quote values.
TAMPERED = {
    24: "its MAC cannot be decrypted",
    25: "a value cannot be decrypted",
    51: "its MAC does not match",
    52: "it has no MAC",
}
OTHER = {1: "it is not a file of SOPS", 128: "none of the keys given opens it"}


class MacMismatch(AcceptanceError):
    """The key fits, but the content is not what was encrypted."""


class Sops:
    """SOPS with the age key in *key_file*, and no other. Errors name the file and no value."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file

    @staticmethod
    def with_new_key(folder: Path) -> Sops:
        """SOPS with an age key of its own, kept in *folder*."""
        key_file = folder / "age.key"
        key_file.touch(mode=0o600)
        key_file.write_text(f"{pyrage.x25519.Identity.generate()}\n")
        return Sops(key_file)

    def decrypt(self, name: str, text: str) -> SecretStr:
        """The plaintext of an encrypted YAML file; raises Tampered, or AcceptanceError when it does not open."""
        return SecretStr(self._run(name, "decrypt", *AS_YAML, "/dev/stdin", stdin=text))

    def encrypt(self, name: str, text: str, encrypted_regex: str) -> str:
        """Encrypt YAML for our own key: the values below the keys that match *encrypted_regex*."""
        lines = self._key_file.read_text().splitlines()
        keys = [line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-")]
        if not keys:
            raise AcceptanceError(f"{self._key_file} holds no age key")
        recipient = pyrage.x25519.Identity.from_str(keys[0]).to_public()
        rules = (f"--age={recipient}", f"--encrypted-regex={encrypted_regex}")
        return self._run(name, "encrypt", *rules, *AS_YAML, "/dev/stdin", stdin=text)

    def change(self, path: Path, keys: tuple[str, ...], value: str) -> None:
        """Replace one value in an encrypted file, as ``sops edit`` would."""
        index = "".join(f"[{json.dumps(key)}]" for key in keys)
        self._run(path.name, "set", "--value-stdin", str(path), index, stdin=json.dumps(value))

    def _run(self, name: str, *arguments: str, stdin: str) -> str:
        done = subprocess.run(
            [program("sops"), *arguments],
            # Nothing of the user's: SOPS would also try keys of the environment and of the home folder.
            env={"PATH": os.environ["PATH"], "SOPS_AGE_KEY_FILE": str(self._key_file)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
        )
        if done.returncode in TAMPERED:
            raise MacMismatch(f"{name}: {TAMPERED[done.returncode]}")
        if done.returncode != 0:
            why = OTHER.get(done.returncode, f"sops {arguments[0]} ended with exit code {done.returncode}")
            raise AcceptanceError(f"{name}: {why}")
        return done.stdout
