"""A provider of every dialect: what it is sent is validated and kept, what it
answers comes from an independent mock or is played from a recording.

`Provider` stands where OpenAI, Anthropic or Google would. It answers 400 to
what their published shapes don't allow, so a wrong translation fails the call
that made it. Answers are @copilotkit/aimock's (`node/provider.mjs`), told in
the provider's own dialect by people who never saw nowait.
"""

import csv
import dataclasses
import http.client
import json
import os
import pathlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from conftest import ROOT
from shapes import complaints

SKY = "Short waves scatter most, so the sky is blue."
FORECAST = "It is sunny in Paris and it rains in Rome."
PERSON = {"name": "Ada Lovelace", "age": 36}
PICTURE = "A single red pixel."

USAGE = {
    "prompt_tokens": 21, "completion_tokens": 13, "total_tokens": 34, "input_tokens": 21, "output_tokens": 13,
    "promptTokenCount": 21, "candidatesTokenCount": 13, "totalTokenCount": 34,
}

# What the mock says: the first whose `match` fits.
SCRIPT = [
    {"match": {"hasToolResult": True}, "response": {"content": FORECAST, "usage": USAGE}},
    {
        "match": {"userMessage": "weather"},
        "response": {
            "usage": USAGE,
            "toolCalls": [
                {"name": "weather", "arguments": '{"city":"Paris"}', "id": "call_paris"},
                {"name": "weather", "arguments": '{"city":"Rome"}', "id": "call_rome"},
            ],
        },
    },
    {"match": {"userMessage": "first programmer"}, "response": {"content": json.dumps(PERSON), "usage": USAGE}},
    {"match": {"userMessage": "picture"}, "response": {"content": PICTURE, "usage": USAGE}},
    {"match": {"userMessage": "sky"}, "response": {"content": SKY, "usage": USAGE}},
]


@dataclasses.dataclass
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict
    raw: bytes
    body: dict


class Provider(ThreadingHTTPServer):
    """Listens on a port of its own from the start."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, mock):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.mock = mock
        self.lock = threading.Lock()
        self.asked = []
        self.played = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def play(self, *recordings):
        """Answers the next calls with these, one each."""
        with self.lock:
            self.played += recordings

    def forget(self):
        """Forgets every request, and what was to be played; returns the requests."""
        with self.lock:
            asked, self.asked, self.played = self.asked, [], []
        return asked


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A head and its body are two writes, and the second would wait for the first one's receipt.
    disable_nagle_algorithm = True

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        path, body = urlsplit(self.path).path, json.loads(raw)
        with self.server.lock:
            self.server.asked.append(Asked(self.path, dict(self.headers.items()), raw, body))
            recording = self.server.played.pop(0) if self.server.played else None
        if wrong := complaints(path, body):
            return self.reply(400, "application/json", json.dumps({"error": {
                "message": "; ".join(wrong), "type": "invalid_request_error", "param": None, "code": None,
            }}).encode())
        if recording:
            return self.reply(recording.status, recording.kind, recording.body, recording.headers)
        self.relay(raw)

    def reply(self, status, kind, body, headers={}):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def relay(self, raw):
        """Passes the mock's answer on as it comes."""
        mock = http.client.HTTPConnection(urlsplit(self.server.mock).netloc, timeout=30)
        # Google serves the same below both of its versions, the mock below one.
        path = self.path.replace("/v1/models/", "/v1beta/models/")
        mock.request("POST", path, raw, {"content-type": "application/json", "authorization": "Bearer any"})
        answer = mock.getresponse()
        self.send_response(answer.status)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while part := answer.read1():
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
        mock.close()

    def log_message(self, *_):
        pass


@dataclasses.dataclass
class Recording:
    """An answer to play: a real provider's, as somebody's project recorded it, or one written here."""

    status: int
    kind: str
    body: bytes
    headers: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, name):
        """The recording of that path; `recordings` has them."""
        answer = json.loads((folder() / name).read_text())["response"]
        told = answer.get("headers", {})
        waits = {name: told[name] for name in ("retry-after", "retry-after-ms") if name in told}
        if "sse" in answer:
            return cls(answer["status"], "text/event-stream", answer["sse"].encode(), waits)
        return cls(answer["status"], "application/json", json.dumps(answer["body"]).encode(), waits)

    @staticmethod
    def asked(name):
        """The call that was answered with that recording; none where nobody kept it."""
        return json.loads((folder() / name).read_text()).get("request", {}).get("body")

    @classmethod
    def written(cls, body, status=200, headers=None):
        """An answer in one piece."""
        return cls(status, "application/json", json.dumps(body).encode(), headers or {})


ABSENT = "The recordings are not here (NOWAIT_RECORDINGS), so no real answer was played to an SDK and no real call made."


def folder():
    """Where recordings are: `NOWAIT_RECORDINGS`, else `../shared/recordings` beside the project."""
    return pathlib.Path(os.environ.get("NOWAIT_RECORDINGS") or ROOT.parent / "shared/recordings")


def recordings():
    """The index of the recordings; empty if they are not here."""
    index = folder() / "index.tsv"
    if not index.exists():
        return []
    with index.open() as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
