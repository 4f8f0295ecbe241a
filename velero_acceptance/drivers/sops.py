"""SOPS with an age key: decrypt and encrypt its files."""

import json
import os
from pathlib import Path

import pyrage
from pydantic import SecretStr

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.files import write_whole
from velero_acceptance.core.installation import program
from velero_acceptance.core.programs import execute
from velero_acceptance.core.timeouts import seconds

AS_YAML = ("--input-type=yaml", "--output-type=yaml")
KEY_MARK = "AGE-SECRET-KEY-"
# By SOPS's exit codes (cmd/sops/codes): its own messages quote values.
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
        self.key_file = key_file

    @staticmethod
    def with_new_key(folder: Path) -> "Sops":
        """SOPS with a new age key, kept in *folder*."""
        key_file = folder / "age.key"
        write_whole(key_file, f"{pyrage.x25519.Identity.generate()}\n", mode=0o600)
        return Sops(key_file)

    def decrypt(self, name: str, text: str) -> SecretStr:
        """The plaintext of an encrypted YAML file; raises MacMismatch, or AcceptanceError when it does not open."""
        return SecretStr(self._run(name, "decrypt", *AS_YAML, "/dev/stdin", stdin=text))

    def encrypt(self, name: str, text: str, encrypted_regex: str) -> str:
        """Encrypt YAML for this key: the values below the keys that match *encrypted_regex*."""
        lines = self.key_file.read_text().splitlines()
        keys = [line.strip() for line in lines if line.startswith(KEY_MARK)]
        if not keys:
            raise AcceptanceError(f"{self.key_file} holds no age key")
        recipient = pyrage.x25519.Identity.from_str(keys[0]).to_public()
        rules = (f"--age={recipient}", f"--encrypted-regex={encrypted_regex}")
        return self._run(name, "encrypt", *rules, *AS_YAML, "/dev/stdin", stdin=text)

    def change(self, path: Path, keys: tuple[str, ...], value: str) -> None:
        """Replace one value in an encrypted file, as ``sops edit`` would."""
        index = "".join(f"[{json.dumps(key)}]" for key in keys)
        self._run(path.name, "set", "--value-stdin", str(path), index, stdin=json.dumps(value))

    def _run(self, name: str, *arguments: str, stdin: str) -> str:
        # Nothing of the user's: SOPS would also try keys of the environment and of the home folder.
        environment = {"PATH": os.environ["PATH"], "SOPS_AGE_KEY_FILE": str(self.key_file)}
        done = execute(program("sops"), *arguments, timeout=seconds("local_call"), environment=environment, stdin=stdin)
        if done.code in TAMPERED:
            raise MacMismatch(f"{name}: {TAMPERED[done.code]}")
        if done.code != 0:
            why = OTHER.get(done.code, f"sops {arguments[0]} ended with exit code {done.code}")
            raise AcceptanceError(f"{name}: {why}")
        return done.text
