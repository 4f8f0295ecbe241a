"""The ed25519 key that signs evidence, and the public keys that verify it."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.signer import CryptoSigner, SSlibKey

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import write_whole
from velero_acceptance.core.installation import folder_of_user

VARIABLE = "ACCEPTANCE_SIGNING_KEY"
# The permissions of others: a private key that they can read is refused.
OTHERS = 0o077


def private_path() -> Path:
    """The path of the private key: $ACCEPTANCE_SIGNING_KEY, else in the user's configuration ($XDG_CONFIG_HOME)."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    folder = folder_of_user("XDG_CONFIG_HOME", ".config")
    return folder / "velero-acceptance" / "signing-key.pem"


def public_path() -> Path:
    """The path of the public key, next to the private one."""
    return private_path().with_suffix(".pub")


def signer() -> CryptoSigner:
    """The signer; its key is generated on first use, unless one is named. Raises Refusal when it cannot be used."""
    path = private_path()
    if not path.exists() and not os.environ.get(VARIABLE):
        _make(path)
    return CryptoSigner(_private(path))


def verifier(path: Path) -> SSlibKey:
    """The public key in *path* (PEM); raises Refusal."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except FileNotFoundError:
        raise Refusal(f"there is no public key {path}: give the one of the signer with --key") from None
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Refusal(f"{path} is not a public key in PEM format") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Refusal(f"{path} is not an ed25519 key, which evidence is signed with")
    return SSlibKey.from_crypto(key)


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        if path.stat().st_mode & OTHERS:
            raise Refusal(f"the signing key {path} can be read by others: chmod 600 it")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise Refusal(f"the signing key {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Refusal(f"the signing key {path} is not a private key in PEM format without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refusal(f"the signing key {path} is not an ed25519 key: openssl genpkey -algorithm ed25519")
    return key


def _make(path: Path) -> None:
    """Generate a key pair. Two runs that start at once keep the first one."""
    key = Ed25519PrivateKey.generate()
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(unfinished, pem, mode=0o600)
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    finally:
        unfinished.unlink()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
