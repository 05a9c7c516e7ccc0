"""Ask at a steady rate and tell every answer: a program for a pod or for here, until a further line tells it to end.

The first line of standard input is a plan as JSON: `clients`, each with the name its answers bear, and `questions`,
lists by name. Each line of standard output is one answer: [client, started, seconds, status, version, retry_after,
problem]. The status is 0 where nothing was answered; the problem is "" where the answer is the right one.

It needs the standard library, and for gRPC what the publisher's image has.
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import threading
import time
from typing import Any

OK = 200
SPREAD = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "tensorflow.serving.PredictionService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
PREDICT = "/tensorflow.serving.PredictionService/Predict"


class Http:
    """One client of HTTP/1.1, on a connection that is kept or on a new one for each request."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._host, _, port = client["target"].rpartition(":")
        self._port = int(port)
        self._path = client["path"]
        self._is_kept = client["is_kept"]
        self._timeout = client["timeout_seconds"]
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, body: str) -> tuple[int, str, str, str]:
        """Return status, version, Retry-After and the answer's text."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        reply = self._connection.getresponse()
        text = reply.read().decode()
        version, retry_after = reply.getheader("X-Model-Version") or "", reply.getheader("Retry-After") or ""
        if not self._is_kept:
            self.reset()
        return reply.status, version, retry_after, text

    def reset(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Grpc:
    """One gRPC client, with the channel that any client has; a name with several addresses is spread over.

    Addresses are looked up again when a connection ends, and no sooner: all that were found before may be gone by then.
    So who spreads asks again what nobody has answered, as gRPC's service config says (its guide on retries).
    """

    def __init__(self, client: dict[str, Any]) -> None:
        import grpc  # noqa: PLC0415 - where only HTTP is asked it need not be there

        options: list[tuple[str, Any]] = [("grpc.dns_min_time_between_resolutions_ms", 2000)]
        if client["is_spread"]:
            options.append(("grpc.service_config", json.dumps(SPREAD)))
        self._channel = grpc.insecure_channel(f"dns:///{client['target']}", options)
        self._call: Any = self._channel.unary_unary(PREDICT)
        self._timeout = client["timeout_seconds"]

    def ask(self, body: str) -> tuple[int, str, str, str]:
        """Return 200, the version, "" and the scores as JSON; raise the call's error."""
        from model_description.protos import serving_pb2  # noqa: PLC0415
        from serving_codec import tensors  # noqa: PLC0415

        reply = serving_pb2.PredictResponse.FromString(self._call(base64.b64decode(body), timeout=self._timeout))
        scores = {name: tensors.to_numpy(tensor).tolist() for name, tensor in reply.outputs.items()}
        return OK, str(reply.model_spec.version.value), "", json.dumps({"predictions": next(iter(scores.values()))})

    def reset(self) -> None:
        """Keep the channel, which mends itself."""


def answered(text: str) -> str | None:
    """Return the label an answer gives: as it is told, or the place of the highest score."""
    told = json.loads(text)
    if "prediction" in told:
        return str(told["prediction"])
    scores = (told.get("predictions") or [None])[0]
    return str(scores.index(max(scores))) if isinstance(scores, list) else None


def problem_of(status: int, text: str, expected: str | None) -> str:
    """Return what is wrong with an answer, or ""."""
    if status != OK:
        return f"status {status}: {text[:200]}"
    got = answered(text) if expected is not None else None
    return "" if got == expected else f"wrong: expected {expected}, got {got}"


def run(number: int, client: dict[str, Any], questions: list[list[Any]], stopped: threading.Event) -> None:
    """Ask at the client's rate until it is told to stop."""
    asking = (Grpc if client["kind"] == "grpc" else Http)(client)
    # Clients do not ask in step.
    due = time.monotonic() + client["period_seconds"] * (number % 7) / 7
    turn = 37 * number
    while not stopped.wait(max(0.0, due - time.monotonic())):
        due = max(due + client["period_seconds"], time.monotonic() - client["period_seconds"])
        turn += 1
        body, expected = questions[turn % len(questions)]
        started = time.time()
        try:
            status, version, retry_after, text = asking.ask(body)
            problem = problem_of(status, text, expected)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            status, version, retry_after, problem = 0, "", "", " ".join(repr(error).split())[:300]
            asking.reset()
        line = [client["name"], started, time.time() - started, status, version, retry_after, problem]
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Run the plan's clients side by side."""
    plan = json.loads(sys.stdin.readline())
    stopped = threading.Event()
    threads = [
        threading.Thread(target=run, args=(number, client, plan["questions"][client["questions"]], stopped))
        for number, client in enumerate(plan["clients"])
    ]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    stopped.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
