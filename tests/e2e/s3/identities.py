"""The service of identities beside the S3 server: who may take which role, and the sessions that it gave."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from requests_aws4auth import AWS4Auth

from ci import paths
from ci.addons import s3_server
from ci.cluster.forward import forwarded
from tests.e2e import certificates
from tests.e2e.s3.conftest import ACCESS_KEY, SECRET_KEY, TIMEOUT_SECONDS, apply
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import trustme

    from tests.e2e.release import Release

# Its policies are those that are made here: the bucket is models, the prefix team.
DOCUMENT = paths.ROOT / "docs" / "model-store.md"
AUDIENCE = "sts.amazonaws.com"
LOOPBACK = "127.0.0.1"
REPLY_TIMEOUT_SECONDS = 30
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}


@dataclass(frozen=True)
class Identities:
    """The service, with the API server of the cluster as the issuer of tokens; `authority` is a file."""

    release: Release
    authority: Path

    def install(self, authority: trustme.CA) -> None:
        """Make it, and return when it knows the issuer."""
        issuer = json.loads(self.release.kubectl("get", "--raw=/.well-known/openid-configuration"))
        host = issuer["issuer"].removeprefix("https://")
        for secret, *hosts in (("identities-tls", "identities", LOOPBACK), ("issuer-tls", host)):
            certificates.put(self.release, authority, secret, *hosts)
        keys = self.release.kubectl("get", "--raw=/openid/v1/jwks")
        documents = {"configuration": json.dumps(issuer | {"jwks_uri": f"https://{host}/keys"}), "keys": keys}
        config_map = {"metadata": {"name": "issuer"}, "data": documents}
        self.release.core.create_namespaced_config_map(self.release.namespace, config_map)
        # For documentation, so nobody's: what the Service shows there is reached from within the cluster alone.
        address = f"192.0.2.{random.randint(1, 254)}"  # noqa: S311 - not a secret
        apply(self.release, s3_server.identities(host, address))
        shown = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
        self.release.core.patch_namespaced_service_status("issuer", self.release.namespace, shown)
        for name in ("issuer", "identities"):
            self.release.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={TIMEOUT_SECONDS}s")
        provider = {"Url": issuer["issuer"], "ClientIDList.member.1": AUDIENCE}
        # The nodes take a moment to know where the address leads, and the service looks there at once.
        wait_for(
            lambda: self._ask("iam", "CreateOpenIDConnectProvider", provider).ok, "issuer is known", TIMEOUT_SECONDS
        )

    def role(self, name: str, service_account: str) -> str:
        """Make a role that a service account of the release's namespace may take, and return its ARN."""
        made = self._ask(
            "iam", "CreateRole", {"RoleName": name, "AssumeRolePolicyDocument": self._trust(service_account)}
        )
        policy = {"RoleName": name, "PolicyName": "store", "PolicyDocument": _documented("s3:ListBucket")}
        self._ask("iam", "PutRolePolicy", policy).raise_for_status()
        return _element("Arn", made)

    def exchange(self, role: str, service_account: str) -> requests.Response:
        """Return the reply to a token of a service account of the release's namespace, as its pods would send it."""
        body: Any = {"spec": {"audiences": [AUDIENCE], "expirationSeconds": 600}}
        token = self.release.core.create_namespaced_service_account_token(
            service_account, self.release.namespace, body
        ).status.token
        asked = {"RoleArn": role, "RoleSessionName": "suite", "WebIdentityToken": token}
        return self._ask("sts", "AssumeRoleWithWebIdentity", asked)

    def sessions(self) -> list[dict[str, str]]:
        """Return the sessions that were given, with their keys, as the service keeps them."""
        kept = json.loads(self.release.kubectl("exec", "deployment/identities", "--", "cat", "/data/iam.json"))
        return list(kept["sessions"].values())

    def _trust(self, service_account: str) -> str:
        provider = _element("Arn", self._ask("iam", "ListOpenIDConnectProviders", {}))
        given = {
            "arn:aws:iam::123456789012:oidc-provider/ISSUER": provider,
            "ISSUER": provider.partition("/")[2],
            "NAMESPACE:mnist-tensorflow-model": f"{self.release.namespace}:{service_account}",
        }
        policy = _documented("sts:AssumeRoleWithWebIdentity")
        for name, value in given.items():
            policy = policy.replace(name, value)
        return policy

    def _ask(self, service: str, action: str, parameters: Mapping[str, str]) -> requests.Response:
        # Roles are its owner's to make; a token is all that an exchange needs.
        auth = AWS4Auth(ACCESS_KEY, SECRET_KEY, "us-east-1", service) if service == "iam" else None
        data = {"Action": action, "Version": VERSIONS[service], **parameters}
        with forwarded(self.release.kubectl_command, "service/identities", s3_server.IDENTITIES_PORT) as port:
            url = f"https://{LOOPBACK}:{port}/"
            return requests.post(url, data, auth=auth, verify=str(self.authority), timeout=REPLY_TIMEOUT_SECONDS)


def _documented(action: str) -> str:
    """Return the policy in the documentation that allows an action."""
    policies = re.findall("```json\n(.+?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    [policy] = [policy for policy in policies if f'"{action}"' in policy]
    return str(policy)


def _element(name: str, reply: requests.Response) -> str:
    """Return what the first element of a name has in it."""
    found = re.search(f"<{name}>([^<]+)</{name}>", reply.text)
    assert found is not None, reply.text
    return found[1]
