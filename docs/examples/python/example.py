#!/usr/bin/env python3
"""An example client of Synod in Python: propose, retry with the same id, subscribe, resume. See README.md."""

import argparse
import base64
import json
import sys
import uuid

try:
    import grpc
except ImportError:
    sys.exit("example.py: Python's grpc is not installed; on Debian: apt-get install python3-grpcio (and run it as /usr/bin/python3)")
try:
    from client import Client, ProposalId, SynodError
except ImportError as error:
    sys.exit(f"example.py: {error}; the code of the protocol is made by ./generate.sh")

REFUSED, USAGE, UNKNOWN, UNREACHABLE = 1, 2, 3, 4
EPILOG = """examples:
  example.py tour
  example.py propose --log orders 'two apples'
  example.py retry --log orders --id 5f…:0:1 'two apples'
  example.py subscribe --log orders --from 17 --count 3

Exit codes: 0 done; 1 refused, nothing was changed; 2 wrong usage; 3 outcome unknown, retry with the id; 4 nobody answers."""


def show(args, text, fields):
    print(json.dumps(fields) if args.json else text, flush=True)


def propose(client, args):
    """Each value once, in the order given; `-` takes lines of standard input as they come."""
    lines = (line.rstrip("\n") for line in sys.stdin) if args.values == ["-"] else args.values
    for value in lines:
        slot, proposal = client.propose(args.log, value.encode())
        show(args, f"{args.log}  slot {slot}  {value}  (id {proposal})", {"slot": slot, "value": value, "id": str(proposal)})


def retry(client, args):
    slot = client.retry(args.log, args.value.encode(), args.id)
    show(args, f"{args.log}  slot {slot}  {args.value}", {"slot": slot, "value": args.value, "id": str(args.id)})


def subscribe(client, args):
    """Prints `next` with each entry: who stops and comes back goes on with --from NEXT."""
    count = 0
    for entry, next_slot in client.subscribe(args.log, args.start):
        text = f"{args.log}  slot {entry.slot}  {entry.payload.decode(errors='replace')}  (next {next_slot})"
        payload = base64.b64encode(entry.payload).decode()
        show(args, text, {"slot": entry.slot, "payload": payload, "next": next_slot})
        count += 1
        if count == args.count:
            return


def tour(client, args):
    """All of it in one go. Every sentence is checked before it is printed."""
    log = args.log
    slot, proposal = client.propose(log, b"two apples")
    show(args, f"proposed: chosen in slot {slot}", {"step": "propose", "slot": slot})

    client.proposers.failed("")
    again = client.retry(log, b"two apples", proposal)
    check(again == slot, f"the same id got slot {slot}, then {again}")
    address = client.proposers.current[1]
    show(args, f"retried with the same id through {address}: slot {again} again", {"step": "retry", "slot": again})

    slots = [slot] + [client.propose(log, value)[0] for value in (b"a pear", b"three plums")]
    heard, next_slot = [], slot
    for entry, next_slot in client.subscribe(log, slot):
        heard.append((entry.slot, entry.payload))
        if len(heard) == 2:
            break
    show(args, f"subscribed from slot {slot}: heard {len(heard)}, then stopped at {next_slot}", {"step": "subscribe", "next": next_slot})

    slots.append(client.propose(log, b"a fig")[0])
    # A break: the next subscription is at another learner, where there is one.
    client.learners.failed("")
    for entry, _ in client.subscribe(log, next_slot):
        heard.append((entry.slot, entry.payload))
        if entry.slot == slots[-1]:
            break
    mine = [each for each in heard if each[0] in slots]
    want = list(zip(slots, (b"two apples", b"a pear", b"three plums", b"a fig")))
    check(mine == want, f"heard {mine} where {want} was chosen")
    show(args, f"resumed from {next_slot}: heard the rest, each value once, in order", {"step": "resume", "slots": slots})


def check(holds, otherwise):
    if not holds:
        sys.exit(f"example.py: this should never happen: {otherwise}")


def proposal_id(text):
    try:
        return ProposalId.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no CLIENT:SESSION:SEQUENCE, such as 00112233445566778899aabbccddeeff:0:1") from None


def parse(argv):
    common = argparse.ArgumentParser(add_help=False)
    addresses = lambda text: [each for each in text.split(",") if each]  # noqa: E731
    common.add_argument("--proposers", type=addresses, default="127.0.0.1:7201,127.0.0.1:7202", metavar="HOST:PORT,…")
    common.add_argument("--learners", type=addresses, default="127.0.0.1:7301,127.0.0.1:7302", metavar="HOST:PORT,…")
    common.add_argument("--log", default="default", help="the log's name (default: default)")
    common.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="for one call with all its tries (5)")
    common.add_argument("--attempt", type=float, default=2.0, metavar="SECONDS", help="for one try (2)")
    common.add_argument("--json", action="store_true", help="one JSON object a line")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, run, about):
        made = commands.add_parser(name, parents=[common], help=about, description=about, epilog=EPILOG, formatter_class=form)
        made.set_defaults(run=run)
        return made

    command("tour", tour, "propose, retry, subscribe and resume, each step checked").set_defaults(log=f"tour-{uuid.uuid4().hex[:8]}")
    command("propose", propose, "have values chosen; - reads lines").add_argument("values", nargs="+", metavar="VALUE")
    again = command("retry", retry, "send a proposal again under its id; answers with the slot of its first effect")
    again.add_argument("--id", required=True, type=proposal_id, metavar="CLIENT:SESSION:SEQUENCE", help="as propose printed it")
    again.add_argument("value", metavar="VALUE", help="the same as the first time")
    heard = command("subscribe", subscribe, "every value from a slot on, as it is chosen")
    heard.add_argument("--from", dest="start", type=int, default=0, metavar="SLOT", help="resume here: the last `next` (0)")
    heard.add_argument("--count", type=int, default=0, metavar="N", help="stop after N values (default: never)")
    return parser.parse_args(argv)


def main(argv):
    args = parse(argv)
    client = Client(args.proposers, args.learners, args.timeout, args.attempt)
    try:
        args.run(client, args)
        return 0
    except SynodError as error:
        code = error.code.name
        proposal = str(error.proposal) if error.proposal else None
        if args.json:
            fields = {"code": code, "message": str(error), "outcome": error.outcome, "id": proposal}
            print(json.dumps({"error": fields}), file=sys.stderr)
        else:
            hint = f"; try again with: retry --log {args.log} --id {proposal} VALUE" if proposal else ""
            print(f"example.py: {error} [{code}, outcome {error.outcome}{hint}]", file=sys.stderr)
        if error.outcome == "unknown":
            return UNKNOWN
        return UNREACHABLE if error.unreachable else REFUSED
    except KeyboardInterrupt:
        return 130
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
