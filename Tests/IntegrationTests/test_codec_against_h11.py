"""The codec and h11 read the same messages and have to come to the same end.

h11 is a reader that others wrote. Where the two may differ, and why, is listed in codec/differences.py; whatever is
not listed is a failure: accepting what h11 refuses opens the door to smuggling, refusing what it accepts breaks
clients. What the codec sends on is read by h11 once more. `--seed` or HTTP1_SEED repeats a run.
"""

import os
import random
from dataclasses import dataclass

import pytest
from codec.differences import (
    BODY,
    DIFFERENCES,
    LOOSER,
    REQUEST,
    RESPONSE,
    STRICTER,
    WITHOUT_CONTENT,
    codings,
    fields,
)
from codec.messages import Messages
from codec.probe import Probe
from codec.reference import Reading, read_request, read_response

# The first test may have to build the probe.
pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(300)]

REQUESTS, RESPONSES, BODIES = 6000, 4000, 4000
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings"}
FRAMING = {b"host", b"content-length", b"transfer-encoding"}
EDGE = {b"forwarded", b"x-real-ip", b"x-request-id", b"x-url-scheme", b"remote-user"}


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe()


@pytest.fixture
def messages(pytestconfig) -> Messages:
    seed = pytestconfig.getoption("--seed", default=None) or os.environ.get("HTTP1_SEED")
    seed = int(seed) if seed else random.SystemRandom().randrange(2**32)
    print(f"HTTP1_SEED={seed}")
    return Messages(seed)


@dataclass
class Comparison:
    """What both say of one message; the codec's body is read for it where h11 read one."""

    kind: str
    data: bytes
    head: dict
    body: dict | None
    reference: Reading

    def fail(self, what: str) -> None:
        pytest.fail(f"{what}\n{self.data!r}\ncodec: {self.head}\n       {self.body}\nh11: {self.reference}")


def compare(probe: Probe, kind: str, cases: list[bytes], references: list[Reading], frame: str) -> list[Comparison]:
    heads = probe.ask([(frame, data) for data in cases])
    chunked = [n for n, head in enumerate(heads) if head.get("framing") == "chunked"]
    bodies = dict(zip(chunked, probe.ask([("C", cases[n][heads[n]["bytes"] :]) for n in chunked]), strict=True))
    return [
        Comparison(kind, data, head, bodies.get(n), reference)
        for n, (data, head, reference) in enumerate(zip(cases, heads, references, strict=True))
    ]


def listed(part: str, data: bytes, direction: str, without_content: bool = False) -> bool:
    entries = DIFFERENCES + [WITHOUT_CONTENT] * without_content
    return any(part in entry.parts and entry.direction == direction and entry.applies(data) for entry in entries)


def judge_head(case: Comparison, without_content: bool = False) -> bool:
    """True when both accept the head; fails when they differ in what isn't listed."""
    ours, theirs = case.head["verdict"], case.reference.head
    if ours == theirs:
        if ours == "accepted" and case.head["bytes"] != case.reference.head_length:
            case.fail("the head ends in different places")
        return ours == "accepted"
    if ours == "accepted":
        if not listed(case.kind, case.data[: case.head["bytes"]], LOOSER, without_content):
            case.fail(f"accepted a head that h11 calls {theirs}")
    elif theirs == "accepted":
        if not listed(case.kind, case.data[: case.reference.head_length], STRICTER):
            case.fail(f"{ours} is a head that h11 accepts")
    elif ours == "incomplete" and not listed(case.kind, case.data, LOOSER):
        case.fail("waits for more of a head that h11 refuses")
    return False


def judge_body(case: Comparison) -> str | None:
    """The verdict that both share on the body; fails when they differ in what isn't listed."""
    rest = case.data[case.head["bytes"] :]
    framing = case.head["framing"]
    if framing == "chunked":
        ours, content, length = case.body["verdict"], case.body["content"], case.body["bytes"]
    elif framing == "untilClose":
        ours, content, length = "accepted", rest, len(rest)
    else:
        wanted = case.head.get("length", 0)
        ours, content = ("accepted" if len(rest) >= wanted else "incomplete"), rest[:wanted]
        length = len(content)
    theirs = case.reference.body
    if ours == theirs == "accepted":
        if (content, length) != (case.reference.content, case.reference.body_length):
            case.fail("different content, or another end")
    elif ours == "accepted":
        if framing != "chunked" or not listed(BODY, rest, LOOSER):
            case.fail(f"accepted a body that h11 calls {theirs}")
    elif theirs == "accepted":
        if framing != "chunked" or not listed(BODY, rest, STRICTER):
            case.fail(f"{ours} is a body that h11 accepts")
    elif (ours, theirs) == ("incomplete", "refused") and not listed(BODY, rest, LOOSER):
        case.fail("waits for more of a body that h11 refuses")
    return ours if ours == theirs else None


def is_edge(name: bytes) -> bool:
    return name in EDGE or name.startswith(b"x-forwarded-")


def speaks_for_another(name: bytes) -> bool:
    dashed = name.replace(b"_", b"-")
    return dashed != name and (is_edge(dashed) or dashed in HOP_BY_HOP | FRAMING)


def forwarded(headers: list[tuple[bytes, bytes]], request: bool) -> list[tuple[bytes, bytes]]:
    """What a proxy sends on of the fields that h11 saw, what it says itself left out."""
    nominated = {
        element.strip(b" \t").lower() for name, value in headers if name == b"connection" for element in value.split(b",")
    }
    rewritten = HOP_BY_HOP | {b"content-length", b"transfer-encoding", b"trailer"}
    kept = []
    for name, value in headers:
        protected = name in FRAMING or is_edge(name)
        if name in rewritten or (name in nominated and not protected):
            continue
        if request and (name in (b"host", b"expect") or is_edge(name) or speaks_for_another(name)):
            continue
        kept.append((name, value))
    return kept


def judge_upstream(case: Comparison, strict: bool) -> None:
    """h11 reads what goes upstream: the same request, framed in one way."""
    written = case.head["written"]
    if any(byte >= 0x80 for byte in written.split(b" ")[1]):
        return
    second = read_request(written)
    if second.head != "accepted" or second.head_length != len(written):
        case.fail(f"h11 does not accept what goes upstream: {second}\n{written!r}")
    event = second.event
    target = case.head["path"]
    if event.method != case.head["method"] or bytes(event.target) not in (target, b"/" + target, b"*" + target):
        case.fail(f"another request goes upstream\n{written!r}")
    headers = second.headers
    if headers[0] != (b"host", case.head["authority"] or b"localhost"):
        case.fail(f"another Host goes upstream\n{written!r}")
    framing = [(name, value) for name, value in headers if name in (b"content-length", b"transfer-encoding")]
    expected = {
        "chunked": [[(b"transfer-encoding", b"chunked")]],
        "length": [[(b"content-length", b"%d" % case.head.get("length", 0))]],
        "none": [[], [(b"content-length", b"0")]],
    }
    if framing not in expected[case.head["framing"]]:
        case.fail(f"other framing goes upstream\n{written!r}")
    hops = [(name, value) for name, value in headers if name in HOP_BY_HOP]
    if hops != [(b"connection", b"upgrade"), (b"upgrade", b"websocket")] * case.head["websocket"]:
        case.fail(f"hop-by-hop fields go upstream\n{written!r}")
    if strict and forwarded(headers, request=True) != forwarded(case.reference.headers, request=True):
        case.fail(f"other fields go upstream\n{written!r}")


def judge_downstream(case: Comparison, strict: bool, method: str) -> None:
    """h11 reads what goes to the client: the same response, framed in one way."""
    written = case.head["written"]
    second = read_response(written, method, websocket=case.head["status"] == 101)
    if second.head != "accepted" or second.head_length != len(written):
        case.fail(f"h11 does not accept what goes to the client: {second}\n{written!r}")
    if second.event.status_code != case.head["status"] or bytes(second.event.reason) != case.head["phrase"]:
        case.fail(f"another response goes to the client\n{written!r}")
    lengths, coding = fields(written, b"content-length"), codings(written)
    if case.head["framing"] in ("chunked", "untilClose"):
        if coding != [b"chunked"] or lengths:
            case.fail(f"not chunked to the client\n{written!r}")
    elif coding or len(lengths) > 1 or (case.head["framing"] == "length" and int(lengths[0]) != case.head["length"]):
        case.fail(f"other framing to the client\n{written!r}")
    trailer = {b"trailer"}
    if strict and case.head["status"] != 101:
        ours = [field for field in forwarded(second.headers, request=False) if field[0] not in trailer]
        theirs = [field for field in forwarded(case.reference.headers, request=False) if field[0] not in trailer]
        if ours != theirs:
            case.fail(f"other fields go to the client\n{written!r}")


def test_requests(probe, messages):
    cases = [messages.request() for _ in range(REQUESTS)]
    agreed, bodies = 0, {"accepted": 0, "refused": 0, "incomplete": 0, None: 0}
    for case in compare(probe, REQUEST, cases, [read_request(data) for data in cases], "Q"):
        both = judge_head(case)
        if case.head["verdict"] == "accepted":
            judge_upstream(case, strict=both)
        if both:
            agreed += 1
            event = case.reference.event
            assert (event.method, event.target) == (case.head["method"], case.head["target"])
            bodies[judge_body(case)] += 1
    print(f"{agreed} of {REQUESTS} accepted by both, bodies: {bodies}")
    assert agreed > REQUESTS / 5 and bodies["accepted"] > REQUESTS / 10 and bodies["incomplete"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_responses(probe, messages, method):
    cases = [messages.response() for _ in range(RESPONSES // 2)]
    references = [read_response(data, method) for data in cases]
    agreed, bodies = 0, {"accepted": 0, "refused": 0, "incomplete": 0, None: 0}
    for case in compare(probe, RESPONSE, cases, references, "H" if method == "HEAD" else "R"):
        status = case.head.get("status", 200)
        both = judge_head(case, without_content=method == "HEAD" or status in (204, 304) or status < 200)
        if case.head["verdict"] == "accepted":
            judge_downstream(case, both, method)
        if both:
            agreed += 1
            assert case.reference.event.status_code == status
            bodies[judge_body(case)] += 1
    print(f"{agreed} of {len(cases)} accepted by both, bodies: {bodies}")
    assert agreed > len(cases) / 5 and bodies["accepted"] > len(cases) / 10


def test_chunked_bodies(probe, messages):
    cases = [CHUNKED + messages.chunked() for _ in range(BODIES)]
    bodies = {"accepted": 0, "refused": 0, "incomplete": 0, None: 0}
    for case in compare(probe, REQUEST, cases, [read_request(data) for data in cases], "Q"):
        assert judge_head(case)
        verdict = judge_body(case)
        bodies[verdict] += 1
        if verdict == "accepted":
            trailers = read_request(CHUNKED + b"0\r\n" + case.body["trailers"] + b"\r\n").trailers
            sensitive = (b"host", b"expect", b"content-type", b"content-length")
            expected = [field for field in forwarded(case.reference.trailers, request=True) if field[0] not in sensitive]
            if trailers != expected:
                case.fail("other trailers go on")
    print(f"bodies: {bodies}")
    assert bodies["accepted"] > BODIES / 5 and bodies["refused"] > BODIES / 50 and bodies["incomplete"]


@pytest.mark.parametrize("entry", [*DIFFERENCES, WITHOUT_CONTENT], ids=lambda entry: entry.name)
def test_listed_differences_are_real(probe, entry):
    """Keeps the list honest: an entry whose example no longer differs has to go."""
    assert entry.applies(entry.example)
    if BODY in entry.parts and len(entry.parts) == 1:
        reference = read_request(CHUNKED + entry.example).body
        [ours] = probe.ask([("C", entry.example)])
    elif REQUEST in entry.parts:
        reference = read_request(entry.example).head
        [ours] = probe.ask([("Q", entry.example)])
    else:
        reference = read_response(entry.example, "GET").head
        [ours] = probe.ask([("R", entry.example)])
    if entry.direction == LOOSER:
        assert ours["verdict"] == "accepted" and reference == "refused"
    else:
        # Of a huge chunk h11 waits for the content.
        assert ours["verdict"] == "refused" and reference in ("accepted", "incomplete")
