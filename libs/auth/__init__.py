"""Who is calling, for which tenant, and what may they do.

    authenticator   headers and address in, `Principal` out; synchronous, microseconds, no I/O
      keys          the keys file: what it may contain, parsed once into a `KeyRing`
      tokens        JOSE; the only module that imports python-jose
      networks      callers without credentials, let in from named networks
    reload          the keys file changed: new ring, or the old one kept and the reason logged
    guards          `require_permission`, `require_role`: FastAPI dependencies (imports FastAPI)
    minter          short tokens for calls between our services, and for a model's tools within one run
    new_keys        a keys file with random keys, for a first start

Authentication comes before the body is read (libs.web's Edge calls it and stores the principal in the ASGI
scope); authorisation stands beside each route. Tenant and namespaces come from the credential alone.
"""

from libs.auth.authenticator import Authenticator
from libs.auth.errors import AuthNotConfigured, NotAllowed, NotAuthenticated, Refusal, UnreadableKeys
from libs.auth.keys import KeyRing
from libs.auth.minter import NoRunToken, TokenMinter
from libs.auth.networks import TrustedNetwork
from libs.auth.new_keys import NewKeys, new_keys, new_keys_file
from libs.auth.permissions import Permission, Role, permissions_of
from libs.auth.principal import Principal
from libs.auth.settings import AuthSettings

__all__ = [
    "AuthNotConfigured",
    "AuthSettings",
    "Authenticator",
    "KeyRing",
    "NewKeys",
    "NoRunToken",
    "NotAllowed",
    "NotAuthenticated",
    "Permission",
    "Principal",
    "Refusal",
    "Role",
    "TokenMinter",
    "TrustedNetwork",
    "UnreadableKeys",
    "new_keys",
    "new_keys_file",
    "permissions_of",
]
