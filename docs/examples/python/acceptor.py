#!/usr/bin/env python3
"""An acceptor of Synod in Python, WITHOUT A DISK. Never for production: it forgets its promises and votes when it ends.

It takes part in a cluster that is started with it, from proto/ alone: proposers, learners and the other acceptors do not
notice what it is written in. A second process in its place is refused (R5). See README.md.
"""

import argparse
import asyncio
import hashlib
import os
import signal
import sys

try:
    import grpc
except ImportError:
    sys.exit("acceptor.py: Python's grpc is not installed; on Debian: apt-get install python3-grpcio (and run it as /usr/bin/python3)")

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "generated"))
try:
    from synod.v1 import acceptor_pb2 as pb
    from synod.v1 import acceptor_service_pb2 as service_pb
    from synod.v1 import acceptor_service_pb2_grpc as service_grpc
    from synod.v1 import common_pb2 as common
    from rules import Invalid, Rules, votes
    from roster import Refused, Roster
except ImportError as error:
    sys.exit(f"acceptor.py: {error}; the code of the protocol is made by ./generate.sh")

# The exit code that says: another start will end the same way.
REFUSED = 78
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
# Frames that wait for one learner. One that is slower is cut off; when it comes back it fetches what it missed.
FRAMES_MAX = 1_000
ASK_EVERY_SECONDS = 0.25
SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
    # Synod's roles ask once a second whether the other end is there.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
]
CHANNEL_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 1_000)]


class Follower:
    """A learner: what waits for it, frame by frame; None ends its stream."""

    def __init__(self, with_values):
        self.with_values = with_values
        self.frames = asyncio.Queue()

    def put(self, messages):
        if self.frames.qsize() >= FRAMES_MAX:
            self.frames = asyncio.Queue()
            self.frames.put_nowait(None)
            return
        self.frames.put_nowait(pb.FollowResponse(messages=messages))


class Acceptor(service_grpc.AcceptorServiceServicer):
    """One thread does everything, so a message is handled whole before the next one is looked at."""

    def __init__(self, args):
        self.args = args
        self.configuration = configuration_id(args.cluster, args.acceptors)
        own = {"cluster": args.cluster, "configuration": self.configuration, "role": common.ROLE_ACCEPTOR, "id": args.id}
        self.header = common.Header(**own)
        self.roster = Roster(args.id, args.acceptors)
        self.rules = Rules(self.publish, ignore_promise=args.planted == "ignore-promise")
        self.followers = set()
        self.ended = asyncio.get_running_loop().create_future()

    # ── proposers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def Session(self, requests, context):
        header = None
        async for frame in requests:
            if header is None:
                header = await self.admit(frame.hello, common.ROLE_PROPOSER, context)
                yield pb.SessionResponse(welcome=self.welcome())
            try:
                answers = [answer for message in frame.messages if (answer := self.answer(header, message))]
            except Invalid as error:
                await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
            if answers:
                yield pb.SessionResponse(messages=answers)

    def answer(self, header, message):
        kind = message.WhichOneof("message")
        if kind == "prepare":
            return said(self.rules.prepare(header, message.prepare))
        if kind == "accept":
            return said(self.rules.accept(header, message.accept))
        self.rules.other(header, message)
        return None

    async def Prepare(self, request, context):
        return await self.unary(request.header, request.prepare, self.rules.prepare, service_pb.PrepareResponse, context)

    async def Accept(self, request, context):
        return await self.unary(request.header, request.accept, self.rules.accept, service_pb.AcceptResponse, context)

    async def unary(self, header, message, handle, response, context):
        await self.admit(header, common.ROLE_PROPOSER, context)
        try:
            return response(**fields(handle(header, message)))
        except Invalid as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

    # ── learners ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def Follow(self, requests, context):
        requests = requests.__aiter__()
        first = await requests.__anext__()
        hello = first.hello
        await self.admit(hello.header, common.ROLE_LEARNER, context)
        follower = Follower(hello.values)
        reading = asyncio.create_task(self.listen(follower, first, requests))
        try:
            yield pb.FollowResponse(welcome=self.welcome())
            # From here on every vote goes to it, so that none falls between the heads and the live ones.
            self.followers.add(follower)
            follower.put(list(self.rules.heads()))
            while (frame := await follower.frames.get()) is not None:
                yield frame
        finally:
            self.followers.discard(follower)
            reading.cancel()

    async def listen(self, follower, frame, requests):
        try:
            while True:
                for message in frame.messages:
                    self.hear(follower, message)
                frame = await requests.__anext__()
        except StopAsyncIteration:
            follower.frames.put_nowait(None)

    def hear(self, follower, message):
        kind = message.WhichOneof("message")
        if kind == "fetch":
            follower.put(list(self.rules.fetch(message.fetch)))
        elif kind == "wish":
            follower.with_values = message.wish.values
        elif kind == "tip_question":
            follower.put([self.rules.tip(message.tip_question)])
        # Held is what the floor is raised by, and here it never is.

    def publish(self, log, first, ballot, values):
        for follower in list(self.followers):
            follower.put([pb.ToLearner(votes=votes(log, first, ballot, values, follower.with_values))])

    # ── other acceptors ────────────────────────────────────────────────────────────────────────────────────────────────

    async def Introduce(self, request, context):
        await self.check(request.header, common.ROLE_ACCEPTOR, context)
        try:
            return self.roster.asked(request.introduction)
        except Refused as error:
            self.end(error)
            await refuse(context, grpc.StatusCode.UNAVAILABLE, str(error))

    async def introduce_to(self, other):
        """Presents this acceptor to another one until it may speak."""
        async with grpc.aio.insecure_channel(self.args.acceptors[other], CHANNEL_OPTIONS) as channel:
            stub = service_grpc.AcceptorServiceStub(channel)
            while not self.roster.speaks:
                request = service_pb.IntroduceRequest(header=self.header, introduction=self.roster.introduction)
                try:
                    self.roster.answered(other, await stub.Introduce(request, timeout=2))
                except grpc.RpcError as error:
                    print(f"acceptor {other} does not answer an introduction: {error.details()}", file=sys.stderr, flush=True)
                except Refused as error:
                    return self.end(error)
                await asyncio.sleep(ASK_EVERY_SECONDS)

    def end(self, error):
        if not self.ended.done():
            self.ended.set_exception(error)

    async def Status(self, request, context):
        """For people: synodctl status. Journal, queues and links are left out: there are none, or nobody counts them."""
        process = common.Process(version="a Python example, without a disk", address=self.args.listen)
        return service_pb.AcceptorServiceStatusResponse(
            process=process,
            introduction=self.roster.introduction,
            speaks=self.roster.speaks,
            silent_because="" if self.roster.speaks else self.waits_for(),
            logs=len(self.rules.logs),
            header=self.header,
        )

    # ── the door ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def welcome(self):
        return pb.Welcome(acceptor=self.args.id, disk=self.roster.disk, now=self.roster.now)

    async def check(self, header, role, context):
        """R7: another cluster, another configuration, or who has no business here, is refused."""
        want = (self.args.cluster, self.configuration, role)
        if (header.cluster, header.configuration, header.role) != want:
            got = f"cluster {header.cluster!r}, configuration {header.configuration.hex()}, {common.Role.Name(header.role)}"
            here = f"cluster {want[0]!r}, configuration {want[1].hex()}, {common.Role.Name(role)}"
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"the message is of {got}, and this call is for {here}")
        if role == common.ROLE_PROPOSER and len(header.incarnation) != 8:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "header.incarnation must have 8 bytes")

    async def admit(self, header, role, context):
        """R5: until it may speak, an acceptor answers introductions only."""
        await self.check(header, role, context)
        if not self.roster.speaks:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, f"acceptor {self.args.id} does not speak: {self.waits_for()}")
        return header

    def waits_for(self):
        return f"it waits until acceptors {', '.join(map(str, self.roster.others))} have stored its disk"

    async def ready(self, reader, writer):
        """GET /readyz, for whoever starts it."""
        await reader.readline()
        status, body = ("200 OK", "ready\n") if self.roster.speaks else ("503 Service Unavailable", "does not speak yet\n")
        head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()


def said(answer):
    return pb.FromAcceptor(**fields(answer))


def fields(answer):
    """An answer under the name that FromAcceptor, PrepareResponse and AcceptResponse have for it."""
    names = {pb.Promised: "promised", pb.WouldPromise: "would_promise", pb.Rejected: "rejected", pb.Accepted: "accepted"}
    return {names[type(answer)]: answer}


async def refuse(context, code, text):
    """Ends the call. What is refused here changed nothing."""
    await context.abort(code, text, (("synod-outcome", "none"),))


def configuration_id(cluster, acceptors):
    """R7: the same text at all roles, so that those that were started with other acceptors never talk. See common.proto."""
    ids = ",".join(str(each) for each in sorted(acceptors))
    text = f"synod configuration 1\ncluster {cluster}\nacceptors {ids}\nquorum majority\n"
    return hashlib.sha256(text.encode()).digest()[:8]


def parse(argv):
    def members(text):
        try:
            return {int(each.split("=", 1)[0]): each.split("=", 1)[1] for each in text.split(",")}
        except (ValueError, IndexError):
            raise argparse.ArgumentTypeError(f"{text!r} is not 1=HOST:PORT,2=HOST:PORT,…") from None

    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  acceptor.py --id 3 --cluster 00ff… --listen 127.0.0.1:7103 \\\n"
        "    --acceptors 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103\n\n"
        "Other flags of Synod's acceptor are taken and not used. Ends with 78 where it must not take part.",
    )
    parser.add_argument("--id", type=int, required=True, help="its number among the acceptors")
    parser.add_argument("--cluster", required=True, help="the cluster's id; the same at all roles")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where it serves gRPC")
    parser.add_argument("--acceptors", type=members, required=True, metavar="1=HOST:PORT,…", help="all acceptors, this one too")
    parser.add_argument("--http", metavar="HOST:PORT", help="where it answers GET /readyz (default: nowhere)")
    parser.add_argument("--planted", choices=["ignore-promise"], help="a mistake, for tests that must find it")
    args, _ = parser.parse_known_args(argv)
    if args.id not in args.acceptors:
        parser.error(f"--id {args.id} is not among --acceptors {sorted(args.acceptors)}")
    return args


async def serve(args):
    acceptor = Acceptor(args)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    service_grpc.add_AcceptorServiceServicer_to_server(acceptor, server)
    server.add_insecure_port(args.listen)
    await server.start()
    if args.http:
        host, port = args.http.rsplit(":", 1)
        await asyncio.start_server(acceptor.ready, host, int(port))
    loop = asyncio.get_running_loop()
    stop = lambda: acceptor.ended.done() or acceptor.ended.set_result(None)  # noqa: E731
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    if os.environ.get("SYNOD_SUPERVISED") == "1":
        # A pipe that nobody writes to: its end says that whoever started this process is gone.
        loop.add_reader(sys.stdin.fileno(), lambda: os.read(sys.stdin.fileno(), 1) or stop())
    print(f"acceptor {args.id} listens at {args.listen}, WITHOUT A DISK: it forgets everything when it ends", file=sys.stderr, flush=True)
    asking = [asyncio.create_task(acceptor.introduce_to(other)) for other in acceptor.roster.others]
    try:
        await acceptor.ended
        return 0
    except Refused as error:
        print(f"acceptor {args.id} does not speak: {error}", file=sys.stderr, flush=True)
        return REFUSED
    finally:
        for task in asking:
            task.cancel()
        # Its last answer, which may say why it ends, leaves first.
        await server.stop(0.2)


def main(argv):
    args = parse(argv)
    try:
        return asyncio.run(serve(args))
    except RuntimeError as error:
        print(f"acceptor.py: {error}: is another process at --listen {args.listen}?", file=sys.stderr)
        return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
