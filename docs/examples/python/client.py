"""A client of Synod: proposals that take effect once, and subscriptions that last.

What it takes to write a client in any language is in this file: a session under a client id of its own, one number for every
sending of a proposal, outcomes, and `next`. It does one thing at a time; docs/protocol.md says what may be done at once.
"""

import os
import random
import sys
import time
from dataclasses import dataclass, field

import grpc

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "generated"))
from synod.v1 import learner_service_pb2, learner_service_pb2_grpc, proposer_pb2  # noqa: E402
from synod.v1 import proposer_service_pb2, proposer_service_pb2_grpc  # noqa: E402

CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Whether a request may be sent twice is the business of the protocol, not of the transport.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
]
# After these another try, elsewhere or later, may succeed. UNKNOWN and CANCELLED are made on the way, not by Synod.
AGAIN = {
    *(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED),
    *(grpc.StatusCode.ABORTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED),
}


class SynodError(Exception):
    """`outcome` "none": it had no effect and never will. "unknown": it may have had its effect, or may have it yet."""

    def __init__(self, code, message, outcome, leader="", unreachable=False, proposal=None):
        super().__init__(message)
        self.code, self.outcome, self.leader, self.unreachable = code, outcome, leader, unreachable
        # The id to try again with, where the outcome is unknown.
        self.proposal = proposal

    @staticmethod
    def of(error, address):
        trailers = dict(error.trailing_metadata() or ())
        # A status without the trailer was made on the way: whether the request arrived is not known.
        outcome = trailers.get("synod-outcome", "unknown")
        silent = error.code() == grpc.StatusCode.UNAVAILABLE and "synod-outcome" not in trailers
        text = f"nobody answers at {address}" if silent else error.details()
        return SynodError(error.code(), text, outcome, trailers.get("synod-leader", ""), silent)


@dataclass(frozen=True)
class ProposalId:
    """Names one proposal, however often it is sent, by whatever process: client:session:sequence."""

    client: bytes
    session: int
    sequence: int

    def __str__(self):
        return f"{self.client.hex()}:{self.session}:{self.sequence}"

    @staticmethod
    def parse(text):
        client, session, sequence = text.split(":")
        return ProposalId(bytes.fromhex(client), int(session), int(sequence))


@dataclass
class Session:
    client: bytes
    number: int
    window: int
    next: int = 1
    # Numbers that were used and have no answer yet.
    open: set = field(default_factory=set)

    def begin(self):
        if self.next > self.acknowledged + self.window:
            raise SynodError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{len(self.open)} proposals have no answer yet, and number {self.next} would be more than {self.window} above "
                f"{self.acknowledged}, up to which all are answered; retry the open ones first",
                "none",
            )
        proposal = ProposalId(self.client, self.number, self.next)
        self.open.add(self.next)
        self.next += 1
        return proposal

    @property
    def acknowledged(self):
        """All numbers up to this one are answered. One whose outcome is unknown is not: its answer is still wanted."""
        return min(self.open, default=self.next) - 1


class Members:
    """The addresses of a role, of which one is asked at a time."""

    def __init__(self, addresses, make_stub, attempt):
        self.addresses = list(addresses)
        self.attempt = attempt
        self.channels = [grpc.insecure_channel(address, CHANNEL_OPTIONS) for address in self.addresses]
        self.stubs = [make_stub(channel) for channel in self.channels]
        self.at = 0

    @property
    def current(self):
        return self.stubs[self.at], self.addresses[self.at]

    def failed(self, leader):
        """Goes to the leader that was named, where it is one of ours, else to the next."""
        named = leader in self.addresses and leader != self.addresses[self.at]
        self.at = self.addresses.index(leader) if named else (self.at + 1) % len(self.addresses)

    def call(self, what, timeout, once):
        """Runs `once(stub, seconds, retry)` until it succeeds. The outcome of its error covers all tries."""
        end = time.monotonic() + timeout
        outcome, unreachable, wait = "none", 0, 0.01
        for tries in range(1, 1_000_000):
            stub, address = self.current
            left = end - time.monotonic()
            try:
                # A try after one that may have had its effect is a retry, and says so.
                return once(stub, max(0.05, min(left, self.attempt)), outcome == "unknown")
            except grpc.RpcError as error:
                last = SynodError.of(error, address)
            if last.outcome == "unknown":
                outcome = "unknown"
            unreachable = unreachable + 1 if last.unreachable else 0
            self.failed(last.leader)
            # Each member is asked once without a wait; then waits are random and grow.
            pause = 0 if tries < len(self.addresses) else random.uniform(0, wait)
            wait = min(0.5, wait * 2) if pause else wait
            if last.code not in AGAIN or time.monotonic() + pause >= end:
                break
            time.sleep(pause)
        text = f"{what}: {last}"
        if unreachable >= len(self.addresses):
            text = f"{what}: nobody answers at {', '.join(self.addresses)}; is the cluster running?"
        raise SynodError(last.code, text, outcome, last.leader, unreachable >= len(self.addresses))

    def close(self):
        for channel in self.channels:
            channel.close()


class Client:
    """Proposes to any proposer and reads from any learner. `timeout`: seconds for a call with all its tries, `attempt`: for one of them."""

    def __init__(self, proposers, learners, timeout=5.0, attempt=2.0):
        self.timeout = timeout
        self.proposers = Members(proposers, proposer_service_pb2_grpc.ProposerServiceStub, attempt)
        self.learners = Members(learners, learner_service_pb2_grpc.LearnerServiceStub, attempt)
        self.sessions = {}

    def propose(self, log, value):
        """Has a value chosen in the next slot of a log. Returns (slot, id). Takes effect once, however often it had to be sent."""
        for last_try in (False, True):
            session = self._session(log)
            proposal = session.begin()
            try:
                return self._send(log, value, proposal, session), proposal
            except SynodError as error:
                if error.code != grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                # Most likely the session expired. The next one gets a new client id, for under the old one numbers that begin
                # again at 1 could be taken for retries. Only what had no effect in the old session may go into the new one.
                self.sessions.pop(log, None)
                if error.outcome == "unknown" or last_try:
                    raise

    def retry(self, log, value, proposal):
        """Sends a proposal again, with the same value and id. Returns the slot of its first effect."""
        session = self.sessions.get(log)
        mine = session is not None and (session.client, session.number) == (proposal.client, proposal.session)
        return self._send(log, value, proposal, session if mine else None, retry=True)

    def read(self, log, start=0):
        """Everything from a slot on that was answered before this call, as learned entries."""
        entries, next_slot = [], start
        while True:
            answer = self.learners.call(
                f"reading {log}",
                self.timeout,
                lambda stub, seconds, _retry: stub.Read(
                    learner_service_pb2.ReadRequest(log=log, linearizable=True, **{"from": next_slot}), timeout=seconds
                ),
            )
            entries.extend(answer.entries)
            if answer.next >= answer.applied:
                return entries
            next_slot = answer.next

    def subscribe(self, log, start=0):
        """Yields (entry, next) for every entry from a slot on, in order, each value once. Goes on by itself at another learner.

        Who stops listening resumes with start = the last `next`.
        """
        next_slot, silent_since, failures = start, time.monotonic(), 0
        while True:
            stub, address = self.learners.current
            stream = stub.Subscribe(learner_service_pb2.SubscribeRequest(log=log, **{"from": next_slot}))
            try:
                for message in stream:
                    silent_since, failures = time.monotonic(), 0
                    for entry in message.entries:
                        next_slot = max(next_slot, entry.slot + 1)
                        yield entry, next_slot
                    # Slots without a value of a client (no-ops, sessions) were passed, too.
                    next_slot = max(next_slot, message.next)
            except grpc.RpcError as error:
                last = SynodError.of(error, address)
                failures += 1
                late = failures >= len(self.learners.addresses) and time.monotonic() - silent_since > self.timeout
                if last.code not in AGAIN or (last.unreachable and late):
                    raise SynodError(last.code, f"subscribing to {log}: {last}", "none", "", last.unreachable) from error
            finally:
                stream.cancel()
            self.learners.failed("")
            time.sleep(random.uniform(0, 0.2))

    def close(self):
        self.proposers.close()
        self.learners.close()

    def _session(self, log):
        """The session of a log, opened by the first proposal that needs it, under 16 random bytes that no other session has."""
        if log not in self.sessions:
            client = os.urandom(16)
            try:
                opened = self.proposers.call(
                    f"opening a session in {log}",
                    self.timeout,
                    lambda stub, seconds, _retry: stub.OpenSession(
                        proposer_service_pb2.OpenSessionRequest(log=log, client=client), timeout=seconds
                    ),
                )
            except SynodError as error:
                # Opening again under the same id answers with the same session, and nothing was proposed yet.
                error.outcome = "none"
                raise
            self.sessions[log] = Session(client, opened.session, opened.window)
        return self.sessions[log]

    def _send(self, log, value, proposal, session, retry=False):
        request = proposer_service_pb2.ProposeRequest(
            log=log,
            protocol=proposer_pb2.PROTOCOL_MULTI,
            payload=value,
            client=proposal.client,
            session=proposal.session,
            sequence=proposal.sequence,
            # All numbers up to this one have their answers; their answers are then forgotten.
            acknowledged=min(session.acknowledged, proposal.sequence - 1) if session else 0,
        )

        def once(stub, seconds, again):
            request.retry = retry or again
            return stub.Propose(request, timeout=seconds)

        try:
            answer = self.proposers.call(f"proposing to {log}", self.timeout, once)
        except SynodError as error:
            if retry:
                error.outcome = "unknown"
            if error.outcome == "unknown":
                error.proposal = proposal
            elif session:
                session.open.discard(proposal.sequence)
            raise
        if session:
            session.open.discard(proposal.sequence)
        return answer.slot
