"""`python -m ci.lint.manifests`: hold every rendered values case to kube-score's and checkov's rules.

What stays as it is stands in waived.toml, with its reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci import paths, tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VALUES = "*-values.yaml"
WAIVED = Path(__file__).with_name("waived.toml")
# The oldest Kubernetes the chart takes image volumes on; which API versions are current is asked of this one.
KUBERNETES = "v1.31"
FINE = 10


@dataclass(frozen=True, order=True)
class Finding:
    """A rule that an object of a values case does not keep."""

    check: str
    kind: str
    name: str
    case: str
    told: str

    def __str__(self) -> str:
        return f"{self.case}: {self.kind} {self.name}: {self.check}: {self.told}"


@dataclass(frozen=True)
class Waiver:
    """Rules that may be left, in objects of some kinds and in some values cases or in all, and why."""

    checks: tuple[str, ...]
    reason: str
    kinds: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()

    def covers(self, check: str, finding: Finding) -> bool:
        """Tell whether a finding is of this check, one of the kinds and one of the cases."""
        is_there = (not self.kinds or finding.kind in self.kinds) and (not self.cases or finding.case in self.cases)
        return finding.check == check and is_there


def main() -> int:
    """Print what is found and not waived, and what is waived for nothing; return 1 when there is either."""
    with tempfile.TemporaryDirectory() as folder:
        rendered = Path(folder)
        render_cases(rendered)
        findings = [*by_kube_score(rendered), *by_checkov(rendered)]
    problems = judge(findings, waivers(WAIVED.read_text(encoding="utf-8")))
    print(*problems, sep="\n", file=sys.stderr)
    print(f"kube-score and checkov: {len(findings)} findings, {len(problems)} to mend")
    return int(bool(problems))


def judge(findings: Iterable[Finding], waived: Sequence[Waiver]) -> list[str]:
    """Return a sentence for each finding that nothing waives, and for each check that is waived and never found."""
    found = sorted(set(findings))
    open_ones = [str(one) for one in found if not any(w.covers(check, one) for w in waived for check in w.checks)]
    stale = [
        f"{WAIVED.name} waives {check}, which is not found any longer: remove it"
        for waiver in waived
        for check in waiver.checks
        if not any(waiver.covers(check, one) for one in found)
    ]
    return [*open_ones, *stale]


def waivers(text: str) -> list[Waiver]:
    """Read waivers from TOML."""
    return [
        Waiver(tuple(item["checks"]), item["reason"], tuple(item.get("kinds", ())), tuple(item.get("cases", ())))
        for item in tomllib.loads(text)["waived"]
    ]


def render_cases(folder: Path) -> None:
    """Write `<case>.yaml` for each values case of the chart, and `examples-<case>.yaml` for each example."""
    for values in (*sorted((paths.CHART / "ci").glob(VALUES)), *sorted((paths.CHART / "examples").glob(VALUES))):
        command = [str(tools.helm()), "template", "mnist", str(paths.CHART), "--namespace=models", f"--values={values}"]
        done = _checked([*command, f"--kube-version={KUBERNETES}"])
        prefix = "" if values.parent.name == "ci" else f"{values.parent.name}-"
        (folder / f"{prefix}{values.name.replace('-values', '')}").write_text(done.stdout, encoding="utf-8")


def by_kube_score(folder: Path) -> Iterator[Finding]:
    """Yield what kube-score finds: case by case, since it looks at how objects of a release fit together."""
    program = str(tools.kube_score())
    for path in sorted(folder.glob("*.yaml")):
        # It ends with 1 where it finds something critical.
        done = _checked([program, "score", "--output-format=json", f"--kubernetes-version={KUBERNETES}", path], {0, 1})
        for item in json.loads(done.stdout):
            for check in item["checks"]:
                if check["skipped"] or check["grade"] >= FINE:
                    continue
                told = "; ".join(f"{note['path']} {note['summary']}".strip() for note in check["comments"] or ())
                names = (item["type_meta"]["kind"], item["object_meta"]["name"])
                yield Finding(check["check"]["id"], *names, path.stem, told)


def by_checkov(folder: Path) -> Iterator[Finding]:
    """Yield what checkov finds; it asks nobody on the network."""
    command = ["checkov", "--directory", str(folder), "--framework=kubernetes", "--compact", "--quiet", "--output=json"]
    done = _checked([*command, "--skip-download", "--soft-fail"])
    for item in json.loads(done.stdout)["results"]["failed_checks"]:
        kind, _, rest = item["resource"].partition(".")
        case = Path(item["file_path"]).stem
        yield Finding(item["check_id"], kind, rest.split(".")[1], case, item["check_name"])


def _checked(command: Sequence[str | Path], codes: Iterable[int] = (0,)) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode not in set(codes):
        raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    raise SystemExit(main())
