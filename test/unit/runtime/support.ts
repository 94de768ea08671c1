/** An acceptor over a journal whose sync the test holds in its hand. */
import { Acceptor, type AcceptorEvent, type AcceptorOptions } from '../../../shared/paxos/acceptor.ts';
import type { Journal } from '../../../shared/ports/journal.ts';
import { AcceptorNode, replay, type Outgoing } from '../../../shared/runtime/acceptor-node.ts';
import { decodeRecord, encodeRecord } from '../../../shared/wire/codec/record.ts';

/** Entries are durable when the test says so, or, with `lies`, are said to be as soon as they are appended. */
export class HeldJournal implements Journal {
  onSynced: (synced: number) => void = () => undefined;
  readonly entries: Uint8Array[];
  readonly entryBytesMax = 1 << 20;
  readonly queuedBytes = 0;
  readonly bytes = 0;
  readonly first = 0;
  hasRoom = true;
  room = Infinity;
  readonly wantsTrim = false;
  readonly pinnedBelow = 0;
  /** What a crash leaves. */
  durable: number;
  readonly trims: number[] = [];
  readonly #lies: boolean;

  constructor(entries: readonly Uint8Array[] = [], lies = false) {
    this.entries = [...entries];
    this.durable = entries.length - 1;
    this.#lies = lies;
  }
  get newest(): number {
    return this.entries.length - 1;
  }
  get synced(): number {
    return this.#lies ? this.newest : this.durable;
  }
  append(entry: Uint8Array): number {
    this.entries.push(Uint8Array.from(entry));
    return this.newest;
  }
  /** One sync, up to the position. */
  sync(upTo = this.newest): void {
    this.durable = Math.max(this.durable, upTo);
    this.onSynced(this.synced);
  }
  read(from: number, to: number, visit: (position: number, entry: Uint8Array) => boolean): Promise<void> {
    for (let at = Math.max(0, from); at <= Math.min(to, this.newest); at++) {
      const entry = this.entries[at];
      if (entry !== undefined && !visit(at, entry)) break;
    }
    return Promise.resolve();
  }
  trim(below: number): Promise<void> {
    this.trims.push(below);
    return Promise.resolve();
  }
  seekRoom(): void {
    // There is room whenever the test says so.
  }
  idle(): void {
    // Nothing to mark.
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface Sent {
  readonly message: Outgoing;
  readonly position: number;
}

/** What a crash now, or one with this many entries durable, leaves to the next start. */
export function crashed(rig: NodeRig, durable = rig.journal.durable): Promise<NodeRig> {
  return NodeRig.start(new HeldJournal(rig.journal.entries.slice(0, durable + 1)));
}

export class NodeRig<J extends Journal = HeldJournal> {
  now = 1_000;
  readonly journal: J;
  readonly node: AcceptorNode;
  readonly sent: Sent[] = [];
  readonly fatal: unknown[] = [];
  flushes = 0;
  #soon: (() => void)[] = [];

  private constructor(journal: J, machine: Acceptor) {
    this.journal = journal;
    this.node = new AcceptorNode(machine, journal, {
      now: () => this.now,
      random: () => 0.5,
      soon: (callback) => void this.#soon.push(callback),
      onFatal: (error) => void this.fatal.push(error),
      encode: encodeRecord,
      decode: decodeRecord,
      send: (message, position) => void this.sent.push({ message, position }),
      flush: () => {
        this.flushes++;
      },
      note: () => undefined,
    });
  }

  /** Starts an acceptor on what a journal holds. */
  static start(journal = new HeldJournal(), options: Partial<AcceptorOptions> = {}): Promise<NodeRig> {
    return NodeRig.over(journal, options);
  }

  static async over<J extends Journal>(journal: J, options: Partial<AcceptorOptions> = {}): Promise<NodeRig<J>> {
    const machine = new Acceptor(journal.newest + 1, options);
    await replay(machine, journal, [], decodeRecord);
    return new NodeRig(journal, machine);
  }

  /** Posts an event and lets everything happen that needs no sync. */
  async handle(event: AcceptorEvent): Promise<void> {
    this.node.post(event);
    await this.settle();
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) {
      for (const callback of this.#soon.splice(0)) callback();
      await Promise.resolve();
    }
  }

  kinds(): string[] {
    return this.sent.map(({ message }) => ('message' in message ? message.message.kind : message.kind));
  }
}
