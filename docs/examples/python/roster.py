"""Whether an acceptor may speak (R5): its disk must be the one that the cluster's roster names.

This acceptor has no disk. It draws the id of one at every start, and that is the point: a new cluster takes that id into its
roster, and the next process under the same acceptor id, which knows nothing of what this one promised, has another and is refused.
"""

import os

from synod.v1 import acceptor_pb2 as pb
from synod.v1.acceptor_service_pb2 import IntroduceResponse
from synod.v1.common_pb2 import Remembered


class Refused(Exception):
    """This process must not take part, and must end."""


class Roster:
    def __init__(self, acceptor, acceptors):
        self.acceptor = acceptor
        self.others = sorted(set(acceptors) - {acceptor})
        self.disk = os.urandom(16)
        self.now = Remembered(start=1, draw=int.from_bytes(os.urandom(6), "big"))
        self.state = pb.ROSTER_STATE_NONE
        self.disks = {}
        # Disks of acceptors that hold no roster yet; acceptors that hold the one that is stored here.
        self.fresh = {}
        self.holders = set()
        self.remembered = {}
        # Another acceptor stored this start.
        self.witnessed = not self.others
        self.advance()

    @property
    def speaks(self):
        return self.state == pb.ROSTER_STATE_COMPLETE and self.witnessed

    @property
    def introduction(self):
        members = [pb.RosterMember(acceptor=each, disk=disk) for each, disk in sorted(self.disks.items())]
        roster = pb.Roster(state=self.state, members=members)
        return pb.Introduction(acceptor=self.acceptor, disk=self.disk, now=self.now, roster=roster)

    def asked(self, told):
        """Another acceptor introduces itself. It is answered whatever this one's own standing."""
        self.learn(told)
        if self.on_roster(told) and told.roster.state != pb.ROSTER_STATE_NONE:
            before = self.remembered.get(told.acceptor)
            # What contradicts what is remembered is not taken over: it is the evidence against that disk.
            if before is None or same_start(before, told.now) or told.now.start > before.start:
                if before is None or position(told.now) >= position(before):
                    self.remembered[told.acceptor] = told.now
        self.advance()
        remembered = self.remembered.get(told.acceptor) if self.on_roster(told) else None
        return IntroduceResponse(introduction=self.introduction, remembered=remembered)

    def answered(self, sender, answer):
        """What another acceptor said when this one introduced itself."""
        told = answer.introduction
        if told.acceptor != sender or sender not in self.others:
            return
        self.learn(told)
        if told.roster.state == pb.ROSTER_STATE_NONE:
            self.fresh[sender] = told.disk
        if answer.HasField("remembered") and self.on_roster(told):
            if not same_start(answer.remembered, self.now):
                raise Refused(f"acceptor {sender} remembers another start of this disk")
            self.witnessed = True
        self.advance()

    def learn(self, told):
        theirs = {member.acceptor: member.disk for member in told.roster.members}
        if told.acceptor not in self.others or not theirs:
            return
        if not self.disks:
            if theirs.get(self.acceptor) != self.disk:
                raise Refused(
                    f"acceptor {told.acceptor} has a roster that does not name this start's disk. An acceptor without a disk forgets "
                    "its promises when it ends, and cannot come back: a majority of the others is enough, or begin a new cluster"
                )
            self.disks, self.state = theirs, pb.ROSTER_STATE_PENDING
        if theirs != self.disks:
            # A complete roster is not given up because a foreign acceptor came by; a pending one can never be completed now.
            if self.state == pb.ROSTER_STATE_PENDING:
                raise Refused(f"acceptor {told.acceptor} holds another roster than this one, and no cluster can come of both")
            return
        if self.on_roster(told):
            self.holders.add(told.acceptor)
        # Who calls it complete saw it stored at all.
        if told.roster.state == pb.ROSTER_STATE_COMPLETE:
            self.holders.update(self.others)

    def advance(self):
        """None, then pending, then complete: only after the same roster was seen stored at all acceptors."""
        lowest = not self.others or self.acceptor < self.others[0]
        if self.state == pb.ROSTER_STATE_NONE and lowest and len(self.fresh) == len(self.others):
            self.disks = {**self.fresh, self.acceptor: self.disk}
            self.state = pb.ROSTER_STATE_PENDING
        if self.state == pb.ROSTER_STATE_PENDING and self.holders.issuperset(self.others):
            self.state = pb.ROSTER_STATE_COMPLETE

    def on_roster(self, told):
        return self.disks.get(told.acceptor) == told.disk


def same_start(a, b):
    return (a.start, a.draw) == (b.start, b.draw)


def position(remembered):
    return remembered.position if remembered.HasField("position") else -1
