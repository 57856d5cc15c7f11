"""The ground below the connectors: what has left, what has not, and over which connection."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.base import HttpApi, Limits
from connectors.egress import Gate
from connectors.transport import LEAVING, Transport
from tests.connectors.rig import NOW, Answer, Clock, Request, http, unused_port, wire_server

SURELY_NOT_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.LocalProtocolError)


@asynccontextmanager
async def transport(tls: ssl.SSLContext | None = None, *, patience_s: float = 5) -> AsyncIterator[Transport]:
    opened = Transport(lambda: tls or ssl.create_default_context(), connect_s=patience_s, read_s=patience_s)
    try:
        yield opened
    finally:
        await opened.aclose()


async def post(
    over: Transport, url: str, body: bytes = b"x", look: Callable[[], None] | None = None
) -> httpx.Response:
    extensions = {} if look is None else {LEAVING: look}
    sent = httpx.Request("POST", url, stream=httpx.ByteStream(body), extensions=extensions)
    return await over.handle_async_request(sent)


@dataclass
class Departures:
    """Counts how often a request was about to leave."""

    count: int = 0

    def __call__(self) -> None:
        self.count += 1


# Connections


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with wire_server(lambda _: http(200)) as host, transport() as over:
        for _ in range(5):
            assert (await post(over, host.url)).status_code == 200
    assert (len(host.requests), host.connections) == (5, 1)


async def test_calls_that_are_open_together_have_a_connection_each_and_waves_use_them_again() -> None:
    async with wire_server(lambda _: http(200)) as host, transport() as over:
        for _ in range(3):
            await asyncio.gather(*(post(over, host.url) for _ in range(4)))
    assert (len(host.requests), host.connections) == (12, 4)


def silent_and_broken(read: asyncio.Event) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        match request.path:
            case "/broken":
                return None
            case "/silent":
                read.set()
                return b""
            case _:
                return http(200)

    return answer


async def test_a_connection_that_still_waits_for_an_answer_is_given_to_nobody_else() -> None:
    read = asyncio.Event()
    async with wire_server(silent_and_broken(read)) as host, transport() as over:
        with pytest.raises(httpx.ReadError):
            await post(over, f"{host.url}/broken")
        silent = asyncio.create_task(post(over, f"{host.url}/silent"))
        await read.wait()
        silent.cancel()
        await asyncio.gather(silent, return_exceptions=True)
        assert (await post(over, f"{host.url}/fine")).status_code == 200
    assert host.connections == 3


@dataclass
class Watched:
    """A server that knows which of its connections are open. `serve` reads whole requests and answers each."""

    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    url: str = ""
    opened: int = 0
    closed: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            await self.serve(reader, writer)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()
            self.closed.put_nowait(None)


@asynccontextmanager
async def server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Watched]:
    watched = Watched(serve)
    listening = await asyncio.start_server(watched, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    watched.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield watched
    finally:
        listening.close()


async def answers_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\nx")
        writer.write(http(200))


async def test_nothing_stays_open() -> None:
    async with server(answers_ok) as host:
        async with transport() as over:
            await asyncio.gather(*(post(over, host.url) for _ in range(3)))
            assert host.closed.empty()
        for _ in range(3):
            await asyncio.wait_for(host.closed.get(), 5)


async def test_who_has_waited_long_for_a_turn_is_no_doubt() -> None:
    """Three calls are never answered; the fourth has waited all that time, and has sent nothing meanwhile."""

    def answer(request: Request) -> bytes:
        return b"" if request.path == "/silent" else http(200)

    async with wire_server(answer) as host:
        limits = Limits(timeout_s=0.2, connections=1, attempts=1)
        async with HttpApi("v", Gate([host.url]), Clock(), limits) as api:
            calls = ["silent", "silent", "silent", "ok"]
            *silent, waiting = await asyncio.gather(
                *(api.write("send", f"{host.url}/{path}", headers={}, json={}) for path in calls)
            )
    assert [one.cls for one in silent if isinstance(one, Outcome)] == [OutcomeClass.UNCERTAIN] * 3
    assert isinstance(waiting, httpx.Response)


# What has left


async def hangs_up_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\nx")
    writer.close()


async def answers_once_then_hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\nx")
    writer.write(http(200))
    await hangs_up_after_reading(reader, writer)


async def test_a_server_that_reads_and_hangs_up_may_have_taken_it() -> None:
    """On a new connection and on a used one, and nobody below us sends it again."""
    departures = Departures()
    async with server(hangs_up_after_reading) as host, transport() as over:
        with pytest.raises(httpx.ReadError):
            await post(over, host.url, look=departures)
        assert host.opened == 1
    async with server(answers_once_then_hangs_up) as host, transport() as over:
        await post(over, host.url, look=departures)
        with pytest.raises(httpx.ReadError):
            await post(over, host.url, look=departures)
        assert host.opened == 1
    assert departures.count == 3


async def answers_and_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\nx")
    writer.write(http(200))
    await writer.drain()
    writer.close()


async def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used() -> None:
    async with server(answers_and_closes) as host, transport() as over:
        for _ in range(5):
            assert (await post(over, host.url)).status_code == 200
            await asyncio.wait_for(host.closed.get(), 5)
        assert host.opened == 5


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, httpx.ReadError),
        (b"", httpx.ReadTimeout),
        (b"HTTP/1.1 200 OK\r\nContent-Le", httpx.ReadTimeout),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", httpx.ReadTimeout),
        (b"nonsense\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", httpx.RemoteProtocolError),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
            httpx.RemoteProtocolError,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
            httpx.DecodingError,
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", httpx.RemoteProtocolError),
    ],
    ids=lambda value: value.decode()[:40] if isinstance(value, bytes) else None,
)
async def test_a_broken_answer_is_never_told_as_surely_not_sent(
    answer: Answer, error: type[Exception]
) -> None:
    async with wire_server(lambda _: answer) as host, transport(patience_s=0.2) as over:
        with pytest.raises(error) as caught:
            await post(over, host.url)
    assert len(host.requests) == 1
    assert not isinstance(caught.value, SURELY_NOT_LEFT)


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def speaks_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(1)
    writer.write(http(400))


@pytest.mark.parametrize(
    ("serve", "error"), [(says_nothing, httpx.ConnectTimeout), (speaks_no_tls, httpx.ConnectError)]
)
async def test_without_tls_nothing_has_left(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], error: type[Exception]
) -> None:
    departures = Departures()
    async with server(serve) as host, transport(patience_s=0.3) as over:
        with pytest.raises(error):
            await post(over, host.url.replace("http:", "https:"), look=departures)
    assert departures.count == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-name.invalid"])
async def test_without_a_connection_nothing_has_left(host: str) -> None:
    departures = Departures()
    async with transport() as over:
        with pytest.raises(httpx.ConnectError) as caught:
            await post(over, f"http://{host}:{unused_port()}/secret-path", look=departures)
    assert departures.count == 0
    assert "secret-path" not in str(caught.value)


class TooLateError(Exception):
    pass


async def test_the_last_look_keeps_a_request_here_and_its_connection_does_not_stay_behind() -> None:
    def too_late() -> None:
        raise TooLateError

    async with wire_server(lambda _: http(200)) as host, server(says_nothing) as mute, transport() as over:
        with pytest.raises(TooLateError):
            await post(over, host.url, look=too_late)
        await post(over, host.url)
        with pytest.raises(TooLateError):
            await post(over, host.url, look=too_late)
        with pytest.raises(TooLateError):
            await post(over, mute.url, look=too_late)
        await asyncio.wait_for(mute.closed.get(), 5)
    assert len(host.requests) == 1


# What is sent, and what comes back


@pytest.mark.parametrize(
    "value", ["hush\r\nx-more: b", "hu\nsh", "hu\0sh", "hu\x01sh", " hush", "hush ", "\thush", "hu\x7fsh"]
)
async def test_a_header_that_can_be_none_goes_nowhere(value: str) -> None:
    async with wire_server(lambda _: http(200)) as host, transport() as over:
        request = httpx.Request("POST", host.url, headers={"access_token": value})
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await over.handle_async_request(request)
    assert (host.requests, host.connections) == ([], 0)
    assert "hu" not in str(caught.value)


@given(st.text(st.characters(codec="ascii"), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_header_arrives_as_it_was_or_not_at_all(value: str) -> None:
    async def arrives() -> None:
        async with wire_server(lambda _: http(200)) as host, transport() as over:
            try:
                request = httpx.Request("POST", host.url, headers={"access_token": value})
                await over.handle_async_request(request)
            except httpx.LocalProtocolError:
                assert host.requests == []
            else:
                assert [request.headers["access_token"] for request in host.requests] == [value]

    asyncio.run(arrives())


@pytest.mark.parametrize(
    "path", ["/a/%2e%2e/b", "/a%2Fb?x=%41&y=1+2", "/Xin%20l%E1%BB%97i?q=%C4%91", "/a//b/./c?", "/?a=[b]|c"]
)
async def test_an_address_goes_onto_the_wire_as_the_gate_has_seen_it(path: str) -> None:
    async with wire_server(lambda _: http(200)) as host, transport() as over:
        url = httpx.URL(host.url + path)
        await post(over, str(url))
    assert host.requests[0].path.rstrip("?") == url.raw_path.decode().rstrip("?")


async def test_nothing_is_added_that_was_not_said() -> None:
    async with wire_server(lambda _: http(200)) as host, transport() as over:
        await post(over, host.url, b"{}")
        await over.handle_async_request(httpx.Request("GET", host.url))
    posted, got = (request.headers for request in host.requests)
    assert posted["content-length"] == "2"
    assert "content-type" not in posted
    assert "content-length" not in got


async def test_cookies_and_redirects_are_left_alone() -> None:
    def answer(_: Request) -> Answer:
        return http(302, Set_Cookie="session=1", Location="http://127.0.0.1:1/")

    async with wire_server(answer) as host, transport() as over:
        for _ in range(2):
            assert (await post(over, host.url)).status_code == 302
    assert all("cookie" not in request.headers for request in host.requests)


async def test_a_compressed_answer_in_pieces_is_read_whole() -> None:
    body = '{"name": "Nguyễn"}'.encode() * 20_000
    packed = gzip.compress(body, 1)
    half = len(packed) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (packed[:half], packed[half:], b""))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with wire_server(lambda _: head + chunks) as host, transport() as over:
        first, second = await post(over, host.url), await post(over, host.url)
    assert first.content == second.content == body
    assert host.connections == 1


# Proxies of the environment


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.mark.usefixtures("_no_proxies")
async def test_plain_http_goes_through_the_proxy_but_for_the_exceptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with wire_server(lambda _: http(200)) as proxy, wire_server(lambda _: http(201)) as direct:
        monkeypatch.setenv("HTTP_PROXY", f"http://care:s3cret@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with transport() as over:
            assert (await post(over, "http://shop.example/pay?x=1")).status_code == 200
            assert (await post(over, direct.url)).status_code == 201
    [asked] = proxy.requests
    assert asked.path == "http://shop.example/pay?x=1"
    assert asked.headers["proxy-authorization"].startswith("Basic ")


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize("answer", [http(403), None])
async def test_a_proxy_that_makes_no_tunnel_has_carried_nothing(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    departures = Departures()
    async with wire_server(lambda _: answer) as proxy, transport() as over:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        with pytest.raises(SURELY_NOT_LEFT):
            await post(over, "https://shop.example/", look=departures)
    assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert departures.count == 0


@pytest.mark.usefixtures("_no_proxies")
async def test_no_proxy_there_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port()}")
    async with transport() as over:
        with pytest.raises(httpx.ProxyError):
            await post(over, "http://shop.example/")


@pytest.mark.usefixtures("_no_proxies")
async def test_tls_through_a_tunnel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The certificate is checked for the host behind the proxy."""
    for_server, for_client = _tls(tmp_path)
    departures = Departures()
    async with server(answers_ok, for_server) as host:
        port = int(host.url.rpartition(":")[2])

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            there, thither = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(_pump(reader, thither), _pump(there, writer))

        async with server(tunnel) as proxy, transport(for_client) as over:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            assert (await post(over, "https://shop.example/", look=departures)).status_code == 200
            with pytest.raises(httpx.ConnectError):
                await post(over, "https://other.example/", look=departures)
    assert departures.count == 1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while read := await reader.read(4096):
        writer.write(read)
    writer.close()


def _tls(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own for shop.example, and a client's that trusts it alone."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")]),
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=3650))
        .not_valid_after(NOW + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "shop.pem"
    plain = serialization.NoEncryption()
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    for_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for_server.load_cert_chain(pem)
    return for_server, ssl.create_default_context(cafile=str(pem))
