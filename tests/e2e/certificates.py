"""Certificates of the cluster's servers, as cert-manager keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme

    from tests.e2e.release import Release


def put(release: Release, authority: trustme.CA, secret: str, *hosts: str) -> None:
    """Write a certificate for hosts into a Secret with cert-manager's keys."""
    issued = authority.issue_cert(*hosts)
    data = {
        "tls.crt": "".join(pem.bytes().decode() for pem in issued.cert_chain_pems),
        "tls.key": issued.private_key_pem.bytes().decode(),
        "ca.crt": authority.cert_pem.bytes().decode(),
    }
    body = {"metadata": {"name": secret}, "type": "kubernetes.io/tls", "stringData": data}
    release.core.create_namespaced_secret(release.namespace, body)
