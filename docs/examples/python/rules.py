"""What an acceptor promises and votes: R1, R2 and R10 of ARCHITECTURE.md, for every log, in memory.

No network and no clock. Nothing here is durable, so nothing has to be synced before it is said (R3); and all of it is forgotten
when the process ends, so no process may ever go on in the place of an earlier one (R5, roster.py).
"""

from synod.v1 import acceptor_pb2 as pb
from synod.v1 import common_pb2 as common
from synod.v1.values_pb2 import Values

ZERO = (0, 0, bytes(8), common.BALLOT_KIND_FAST)
ROUND_MAX = 2**48
BATCH_MAX = 1_000
SLOTS_AHEAD_MAX = 65_536
LOGS_MAX = 10_000
# Values kept in all. There is no journal that learners could let go of: once it is full, new slots are refused.
BYTES_MAX = 256 * 1024 * 1024
PAGE_BYTES = 1024 * 1024


class Invalid(Exception):
    """A message that breaks its own rules. It changes nothing."""


class Log:
    def __init__(self, name):
        self.name = name
        # Ballots are tuples, and Python orders tuples as the protocol orders ballots.
        self.promised = ZERO
        self.state = common.LOG_STATE_OPEN
        self.votes = {}
        self.voted = ZERO
        self.highest = -1
        self.watermark = 0
        # Nothing is ever trimmed here, so the floor stays 0 and every vote can be reported.
        self.floor = 0


class Rules:
    def __init__(self, publish, ignore_promise=False):
        self.logs = {}
        self.bytes = 0
        # Told of every vote: publish(log, first, ballot, values).
        self.publish = publish
        # For a test that must fail: votes below the promise, against R2.
        self.ignore_promise = ignore_promise

    def prepare(self, header, asked):
        """A message of PHASE 1; answers Promised, WouldPromise or Rejected."""
        ballot = owned(asked.ballot, header)
        log = self.logs.get(asked.log) or Log(checked_name(asked.log))
        if ballot[0] > ROUND_MAX:
            return rejected(log, asked, pb.REJECT_REASON_ROUND)
        if log.name not in self.logs and len(self.logs) >= LOGS_MAX:
            return rejected(log, asked, pb.REJECT_REASON_LOGS)
        # R1: the owner of the promised ballot is answered again, for any range, and nothing changes.
        if ballot != log.promised:
            # R1: a promise only above the one before, and not below any vote.
            if ballot < log.promised or ballot < log.voted:
                return rejected(log, asked, pb.REJECT_REASON_BALLOT)
            if asked.ask:
                return pb.WouldPromise(log=log.name, ballot=asked.ballot, watermark=log.watermark, **highest(log))
            log.promised = ballot
            log.state = common.LOG_STATE_LED if asked.purpose == pb.PURPOSE_LEAD else common.LOG_STATE_CLOSED
            self.logs[log.name] = log
        return promised(log, asked)

    def accept(self, header, asked):
        """A message of PHASE 2; answers Accepted or Rejected. All of its slots get a vote, or none does."""
        ballot = owned(asked.ballot, header)
        values = checked_values(asked)
        log = self.logs.get(asked.log) or Log(checked_name(asked.log))
        end = asked.first + asked.count
        if ballot[0] > ROUND_MAX:
            return rejected(log, asked, pb.REJECT_REASON_ROUND)
        if log.name not in self.logs and len(self.logs) >= LOGS_MAX:
            return rejected(log, asked, pb.REJECT_REASON_LOGS)
        # R2: a vote only at or above the log's promise …
        if ballot < log.promised and not self.ignore_promise:
            return rejected(log, asked, pb.REJECT_REASON_BALLOT)
        if end > max(asked.watermark, log.watermark) + SLOTS_AHEAD_MAX:
            return rejected(log, asked, pb.REJECT_REASON_AHEAD)
        if self.bytes > BYTES_MAX and end - 1 > log.highest:
            return rejected(log, asked, pb.REJECT_REASON_SPACE)
        for slot, value in enumerate(values, asked.first):
            before = log.votes.get(slot)
            # … and the ballot of a slot's vote is a promise for that slot, too.
            if before and ballot < before[0]:
                return rejected(log, asked, pb.REJECT_REASON_BALLOT)
            # R2: never two values at one ballot.
            if before and ballot == before[0] and value != before[1]:
                return rejected(log, asked, pb.REJECT_REASON_CONFLICT)
        self.logs[log.name] = log
        self.vote(log, ballot, asked, values)
        return pb.Accepted(log=log.name, ballot=asked.ballot, first=asked.first, count=asked.count)

    def vote(self, log, ballot, asked, values):
        for slot, value in enumerate(values, asked.first):
            _, old = log.votes.get(slot, (ZERO, b""))
            self.bytes += len(value) - len(old)
            log.votes[slot] = (ballot, value)
        log.voted = max(log.voted, ballot)
        log.highest = max(log.highest, asked.first + asked.count - 1)
        log.watermark = max(log.watermark, asked.watermark)
        self.publish(log, asked.first, ballot, values)

    def other(self, header, message):
        """Resign and Tell. Alive only renews a leader's grace, and this acceptor grants none: grace spares time, not safety."""
        if message.HasField("resign"):
            log = self.logs.get(message.resign.log)
            if log and log.promised == owned(message.resign.ballot, header):
                log.state = common.LOG_STATE_CLOSED
        elif message.HasField("tell"):
            log = self.logs.get(message.tell.log)
            if log:
                log.watermark = max(log.watermark, message.tell.watermark)

    def fetch(self, asked):
        """What a learner missed: Votes, then one Fetched that says how far they reach."""
        log = self.logs.get(asked.log) or Log(asked.log)
        start = getattr(asked, "from")
        end = min(asked.to, log.highest + 1)
        ranges, cut = report(log, start, end)
        for first, ballot, values in ranges:
            yield pb.ToLearner(votes=votes(log, first, ballot, values, asked.values))
        until = cut if cut < end else max(start, asked.to)
        yield pb.ToLearner(
            fetched=pb.Fetched(
                log=log.name, until=until, watermark=log.watermark, floor=log.floor, **{"from": start}, **highest(log)
            )
        )

    def heads(self):
        for log in self.logs.values():
            yield pb.ToLearner(head=pb.Head(log=log.name, watermark=log.watermark, floor=log.floor, **highest(log)))

    def tip(self, asked):
        """R13: the greatest slot that was voted for, so that a read waits for whatever may be chosen."""
        log = self.logs.get(asked.log)
        tip = {"tip": log.highest} if log and log.highest >= 0 else {}
        return pb.ToLearner(tip=pb.Tip(log=asked.log, id=asked.id, **tip))


def promised(log, asked):
    """R10: says from where it reports, reports every vote from there on, and where it stops; the rest is unknown, not free."""
    start = max(getattr(asked, "from"), log.watermark if asked.from_watermark else 0)
    end = min(asked.to, log.highest + 1) if asked.HasField("to") else log.highest + 1
    ranges, cut = report(log, start, end)
    answer = pb.Promised(log=log.name, ballot=asked.ballot, watermark=log.watermark, floor=log.floor, **highest(log))
    setattr(answer, "from", start)
    for first, ballot, values in ranges:
        answer.votes.add(first=first, ballot=wire(ballot), count=len(values), values=encoded(values))
    if cut < end:
        answer.until = cut
    elif end <= log.highest:
        answer.until = max(start, end)
    return answer


def report(log, start, end):
    """The votes of [start, end) as ranges (first, ballot, values), a page of them, and the slot where the page ends."""
    ranges, size = [], 0
    for slot in range(start, end):
        if slot not in log.votes:
            continue
        ballot, value = log.votes[slot]
        if ranges and size + len(value) > PAGE_BYTES:
            return ranges, slot
        size += len(value)
        if ranges:
            first, last_ballot, values = ranges[-1]
            if last_ballot == ballot and first + len(values) == slot and len(values) < BATCH_MAX:
                values.append(value)
                continue
        ranges.append((slot, ballot, [value]))
    return ranges, end


def votes(log, first, ballot, values, with_values):
    made = pb.Votes(log=log.name, ballot=wire(ballot), first=first, count=len(values), watermark=log.watermark)
    if with_values:
        made.values = encoded(values)
    return made


def rejected(log, asked, reason):
    """A refusal is an answer: it says how the log stands here."""
    answer = pb.Rejected(log=log.name, ballot=asked.ballot, reason=reason, promised=wire(max(log.promised, log.voted)))
    if isinstance(asked, pb.Accept):
        answer.first = asked.first
    if log.state == common.LOG_STATE_LED:
        answer.leader = log.promised[1]
    answer.MergeFrom(pb.Rejected(state=log.state, watermark=log.watermark, floor=log.floor, **highest(log)))
    return answer


def owned(ballot, header):
    """The ballot as a tuple. R2: only its owner, in the very start that it names, uses a ballot; and only classic ones here."""
    if ballot.kind != common.BALLOT_KIND_CLASSIC or ballot.round < 1 or len(ballot.incarnation) != 8:
        raise Invalid(f"a classic ballot with an incarnation of 8 bytes is needed, and this is {str(ballot).split()}")
    if (ballot.proposer, ballot.incarnation) != (header.id, header.incarnation):
        raise Invalid(f"the ballot belongs to proposer {ballot.proposer}, {ballot.incarnation.hex()}, which is not the caller")
    return (ballot.round, ballot.proposer, ballot.incarnation, ballot.kind)


def checked_values(asked):
    values = list(Values.FromString(asked.values).value)
    if not 1 <= asked.count <= BATCH_MAX or len(values) != asked.count:
        raise Invalid(f"accept.count is {asked.count} and there are {len(values)} values: 1 to {BATCH_MAX} are needed, one a slot")
    return values


def checked_name(name):
    if not 1 <= len(name.encode()) <= 256:
        raise Invalid(f"the log's name has {len(name.encode())} bytes: 1 to 256 are needed")
    return name


def encoded(values):
    return Values(value=values).SerializeToString()


def wire(ballot):
    round_, proposer, incarnation, kind = ballot
    return common.Ballot(round=round_, proposer=proposer, incarnation=incarnation, kind=kind)


def highest(log):
    """Left out where nothing was voted: absence, never slot 0."""
    return {"highest": log.highest} if log.highest >= 0 else {}
