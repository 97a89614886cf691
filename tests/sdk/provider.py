"""A provider of every dialect: what it is sent is validated and kept, what it
answers comes from an independent mock or is played from a recording.

`Provider` stands where OpenAI, Anthropic or Google would. It answers 400 to
what their published shapes don't allow, so a wrong translation fails the call
that made it. Answers are @copilotkit/aimock's (`node/provider.mjs`), told in
the provider's own dialect by people who never saw nowait.
"""

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

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        path, body = urlsplit(self.path).path, json.loads(raw)
        with self.server.lock:
            self.server.asked.append(Asked(self.path, dict(self.headers.items()), body))
            recording = self.server.played.pop(0) if self.server.played else None
        if wrong := complaints(path, body):
            return self.reply(400, "application/json", json.dumps({"error": {
                "message": "; ".join(wrong), "type": "invalid_request_error", "param": None, "code": None,
            }}).encode())
        if recording:
            return self.reply(recording.status, recording.kind, recording.body)
        self.relay(raw)

    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def relay(self, raw):
        """Passes the mock's answer on as it comes."""
        mock = http.client.HTTPConnection(urlsplit(self.server.mock).netloc, timeout=30)
        mock.request("POST", self.path, raw, {"content-type": "application/json", "authorization": "Bearer any"})
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
    """A real provider's answer, as somebody's project recorded it."""

    status: int
    kind: str
    body: bytes
    request: dict

    @classmethod
    def read(cls, name):
        """The recording of that path below `NOWAIT_RECORDINGS`, else `../shared/recordings`; none if they are not here."""
        folder = os.environ.get("NOWAIT_RECORDINGS") or ROOT.parent / "shared/recordings"
        try:
            told = json.loads((pathlib.Path(folder) / name).read_text())
        except FileNotFoundError:
            return None
        answer = told["response"]
        kind = answer.get("headers", {}).get("content-type")
        if "sse" in answer:
            return cls(answer["status"], kind or "text/event-stream", answer["sse"].encode(), told.get("request", {}))
        return cls(answer["status"], kind or "application/json", json.dumps(answer["body"]).encode(), told.get("request", {}))
