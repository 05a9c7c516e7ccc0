"""`python -m ci <command>`: what the nox sessions run, with nothing but the standard library."""

from __future__ import annotations

import argparse
import sys

from ci import demo, lock, paths, readiness, tools
from ci.addons import argo_cd, network_policies
from ci.cluster import providers
from ci.images import components
from ci.steps import StepError, run, step

PROVIDERS = ("kind", "minikube", "existing")
ADDONS = {"argocd": argo_cd, "network-policies": network_policies}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; print a failure as a sentence with its way out and return 1."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except StepError as error:
        print(f"\n✘ {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; run the same command again to go on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ci", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    for name, summary, action in (
        ("demo", "go from nothing to a printed prediction", _demo),
        ("ready", "bring up the cluster and push the images to it", _ready),
        ("addon", "put into the cluster what people have in theirs", _addon),
    ):
        command = commands.add_parser(name, help=summary)
        if action is _addon:
            command.add_argument("addon", choices=ADDONS)
            command.add_argument("--remove", action="store_true", help="take it away again")
        command.add_argument("--provider", choices=PROVIDERS, default="kind", help="where the cluster comes from")
        command.add_argument("--registry", default="", help="registry the cluster pulls from (existing clusters)")
        command.set_defaults(run=action)

    down = commands.add_parser("down", help="remove the cluster, the registry and the routes")
    down.set_defaults(run=lambda _: providers.down())

    build = commands.add_parser("images", help="build the images and print their sizes")
    build.add_argument("--push", metavar="REGISTRY", default="", help="push them to REGISTRY as well")
    build.add_argument("--gpu", action="store_true", help="with NVIDIA's libraries in training and server")
    build.set_defaults(run=_images)

    prepare = commands.add_parser("prepare", help="make every program and image that a whole run needs")
    prepare.set_defaults(run=lambda _: readiness.prepare())

    workflows = commands.add_parser("workflows", help="check .github/workflows with actionlint")
    workflows.set_defaults(run=lambda _: run([tools.actionlint(), "-color"], cwd=paths.ROOT))

    pins = commands.add_parser("lock", help="pin every requirement file again")
    pins.add_argument("--upgrade", action="store_true", help="take newer versions where allowed")
    pins.set_defaults(run=lambda options: lock.write(["--upgrade"] if options.upgrade else []))
    return parser


def _demo(options: argparse.Namespace) -> None:
    demo.run_demo(options.provider, options.registry)


def _ready(options: argparse.Namespace) -> None:
    readiness.ready_for_tests(options.provider, options.registry)


def _addon(options: argparse.Namespace) -> None:
    addon = ADDONS[options.addon]
    cluster = providers.up(options.provider)
    if options.remove:
        addon.remove(cluster)
    else:
        addon.install(cluster, options.registry or cluster.registry)


def _images(options: argparse.Namespace) -> None:
    built = components.build(gpu=options.gpu)
    if options.push:
        pushed = components.push(built, options.push)
        values = paths.cache() / "pushed-values.json"
        components.write_values(pushed, values)
        for image in pushed:
            print(f"  {image.pushed}")
        with step("done"):
            print(f"  helm install mnist charts/tensorflow-model --values {values}")


if __name__ == "__main__":
    raise SystemExit(main())
