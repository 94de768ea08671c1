/**
 * The shipped machines in one room: three acceptors or as many as a script wants, two proposers, one learner, a network that is in
 * order and loses only what a script cuts, or keeps what it holds, and disks that are never slow. All that is said is written down, line
 * by line, and what the shipped traces tell of it as well, for a chart.
 */
import { TextChart } from '../../services/cli/trace/chart.ts';
import { Rows, lanesOf } from '../../services/cli/trace/rows.ts';
import { Batch } from '../../shared/base/batch.ts';
import { TraceMerger } from '../../shared/client/index.ts';
import type { Traced } from '../../shared/client/index.ts';
import { decodeEntry, encodeEntry } from '../../shared/machine/entry.ts';
import { Acceptor, type AcceptorEvent } from '../../shared/paxos/acceptor.ts';
import { formatBallot, type Owner } from '../../shared/paxos/ballot.ts';
import { Learner, type LearnerEvent } from '../../shared/paxos/learner.ts';
import type { AcceptorRecord, VoteRange } from '../../shared/paxos/messages.ts';
import { Proposer, type ProposerEvent } from '../../shared/paxos/proposer.ts';
import type { Admission, ProposerEffect } from '../../shared/paxos/proposing.ts';
import type { Machine } from '../../shared/paxos/step.ts';
import { majority } from '../../shared/paxos/quorum.ts';
import { AcceptorTrace } from '../../shared/runtime/trace/acceptor-trace.ts';
import { LearnerTrace } from '../../shared/runtime/trace/learner-trace.ts';
import { ProposerTrace } from '../../shared/runtime/trace/proposer-trace.ts';
import { traced } from '../../shared/runtime/trace/role-trace.ts';
import { Tracer } from '../../shared/runtime/trace/tracer.ts';
import type { TraceQueue } from '../../shared/runtime/trace/tracer.ts';
import type { TraceMember } from '../../shared/wire/codec/trace.ts';

const TICK_MS = 25;
const NO_OP = new TextEncoder().encode('no-op');
const PROPOSERS = [1, 2];

/** What is said all the time and tells nothing. */
const SILENT = new Set([
  'heartbeat',
  'alive',
  'promise-rtt',
  'accept-rtt',
  'quorum',
  'batch',
  'voted',
  'proposal',
  'promised',
  'ended',
]);

/** What a chart leaves out: a world at rest. */
const UNDRAWN = new Set(['peer', 'synced', 'ask', 'would-promise', 'fetch']);
const CHART_CELLS = 120;

type Protocol = 'basic' | 'multi' | 'fast';
type Node = `a${number}` | `p${number}` | 'l1';

export class TraceWorld {
  now = 0;
  readonly lines: string[] = [];
  readonly #quorum;
  readonly #acceptors = new Map<Node, { machine: Acceptor; records: AcceptorRecord[]; trace: AcceptorTrace }>();
  readonly #proposers = new Map<Node, { machine: Machine<ProposerEvent, ProposerEffect>; owner: Owner }>();
  readonly #learner;
  readonly #chosen = new Map<string, Uint8Array[]>();
  readonly #cut = new Set<string>();
  /** What is kept on the way, by sender and receiver. */
  readonly #kept = new Map<string, (() => void)[]>();
  readonly #queue: (() => void)[] = [];
  readonly #followed: { readonly member: TraceMember; readonly queue: TraceQueue }[] = [];
  readonly #merger = new TraceMerger(0);
  #rows = new Rows(false);
  #token = 0;

  constructor(acceptors = 3) {
    this.#quorum = majority(acceptors);
    for (let i = 1; i <= acceptors; i++) {
      const trace = new AcceptorTrace(this.#follow({ role: 'acceptor', id: i }), () => 1);
      this.#acceptors.set(`a${i}`, { machine: new Acceptor(0), records: [], trace });
    }
    const ids = Array.from({ length: acceptors }, (_, at) => at + 1);
    const trace = new LearnerTrace(this.#follow({ role: 'learner', id: 1 }), ids);
    this.#learner = traced(new Learner(this.#quorum, 0), trace);
    for (const id of PROPOSERS) this.start(`p${id}`, 'a');
    this.run(200);
    this.lines.length = 0;
    this.chart();
  }

  // ── what a script can do ─────────────────────────────────────────────────────────────────────────────────────────────

  start(node: Node, letter: string): void {
    const owner = { proposer: Number(node.slice(1)), incarnation: letter.repeat(16) };
    const ids = Array.from(this.#acceptors.keys(), (name) => Number(name.slice(1)));
    const trace = new ProposerTrace(this.#follow({ role: 'proposer', id: owner.proposer }), ids);
    const machine = traced(new Proposer(owner, this.#quorum, PROPOSERS, NO_OP, { probeMs: 1e9 }), trace);
    this.#proposers.set(node, { machine, owner });
    this.#proposer(node, { kind: 'tick' });
  }

  /** The process is gone: acceptors see its stream break, the others that it refuses connections. */
  kill(node: Node): void {
    const owner = this.#proposers.get(node)?.owner;
    if (owner === undefined) throw new Error(`${node} does not run`);
    this.#proposers.delete(node);
    for (const acceptor of this.#acceptors.keys())
      this.#send(node, acceptor, () => this.#acceptor(acceptor, { kind: 'proposer-gone', owner }));
    for (const peer of this.#proposers.keys())
      this.#send(node, peer, () => this.#proposer(peer, { kind: 'peer-down', peer: owner.proposer, refused: true }));
    this.#drain();
  }

  propose(
    node: Node,
    log: string,
    value: string,
    how: { protocol: Protocol; decree?: boolean; retry?: boolean },
  ): void {
    const { protocol, decree = false, retry = false } = how;
    const token = ++this.#token;
    const event = { token, log, entry: entryOf(value), protocol, decree, retry, timeoutMs: 5_000 };
    this.#proposer(node, { kind: 'propose', ...event });
    this.#drain();
  }

  event(node: Node, event: ProposerEvent): void {
    this.#proposer(node, event);
    this.#drain();
  }

  cut(a: string, b: string): void {
    this.#cut.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  /** Messages of one kind are lost on this way, in this direction. */
  lose(from: string, to: string, kind: string): void {
    this.#cut.add(`${from} ${to} ${kind}`);
  }

  /** Messages in this direction are kept until all is healed. */
  hold(from: string, to: string): void {
    this.#kept.set(`${from} ${to}`, []);
  }

  heal(): void {
    this.#cut.clear();
    for (const kept of this.#kept.values()) this.#queue.push(...kept);
    this.#kept.clear();
    this.#drain();
  }

  /** What happened since the last chart, as `synodctl trace --chart` draws it. */
  chart(): string[] {
    const lanes = lanesOf(this.#followed.map(({ member }) => member));
    const chart = new TextChart(lanes, CHART_CELLS, false);
    const rows = this.#rows.flush();
    this.#rows = new Rows(false);
    return [chart.head(), ...rows.flatMap((row) => chart.lines(row))];
  }

  #follow(member: TraceMember): Tracer {
    const tracer = new Tracer(() => this.now);
    const filter = { log: undefined, proposal: undefined, queueEvents: 10_000, values: true, idle: false };
    this.#followed.push({ member, queue: tracer.follow(filter) });
    return tracer;
  }

  /** Everybody hands over what it told of its last step, so that the order is that of the steps. */
  #tell(): void {
    for (const { member, queue } of this.#followed)
      for (const event of queue.take(Infinity)) {
        this.#merger.push({ ...event, member, wallMs: this.now } as Traced, 0);
        for (const each of this.#merger.take(Infinity)) {
          const what = each.message ?? each.kind;
          if (!UNDRAWN.has(what)) this.#rows.push(each, this.#merger.sendingOf(each));
        }
      }
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now += TICK_MS;
      for (const node of this.#proposers.keys()) this.#proposer(node, { kind: 'tick' });
      this.#drain();
      this.#learn({ kind: 'tick' });
      this.#drain();
    }
  }

  // ── the machines ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #send(from: string, to: string, deliver: () => void, kind = ''): void {
    if (this.#cut.has(`${from} ${to}`) || this.#cut.has(`${from} ${to} ${kind}`)) return;
    (this.#kept.get(`${from} ${to}`) ?? this.#queue).push(deliver);
  }

  #drain(): void {
    for (let deliver = this.#queue.shift(); deliver !== undefined; deliver = this.#queue.shift()) deliver();
  }

  #write(from: string, to: string, what: string, said: object): void {
    if (!SILENT.has(what)) this.lines.push(`${from} ${to.padEnd(3)} ${show(what, said)}`);
  }

  #acceptor(node: Node, event: AcceptorEvent): void {
    const acceptor = this.#acceptors.get(node);
    if (acceptor === undefined) return;
    const position = Number(node.slice(1)) - 1;
    acceptor.trace.event(event);
    for (const effect of acceptor.machine.step(event, { now: this.now, random: 0.5 })) {
      if (effect.kind === 'note') acceptor.trace.note(effect.note);
      else if (effect.kind === 'reply' || effect.kind === 'publish') acceptor.trace.sent(effect, acceptor.trace.cause);
      switch (effect.kind) {
        case 'persist':
          acceptor.records.push(effect.record);
          this.#write(node, '=', effect.record.kind, effect.record);
          break;
        case 'reply': {
          const { message } = effect;
          this.#write(node, `>${effect.to}`, message.kind, message);
          this.#send(node, effect.to, () =>
            this.#proposer(effect.to as Node, { kind: 'acceptor', from: position, message }),
          );
          break;
        }
        case 'publish': {
          const message = position === 0 ? effect.votes : { ...effect.votes, batch: undefined };
          this.#send(node, 'l1', () => this.#learn({ kind: 'acceptor', from: position, message }));
          break;
        }
        case 'reply-learner': {
          const { message } = effect;
          this.#write(node, '>l1', message.kind, message);
          this.#send(node, 'l1', () => this.#learn({ kind: 'acceptor', from: position, message }));
          break;
        }
        case 'load':
          this.#acceptor(node, { kind: 'loaded', id: effect.id, votes: votesOf(acceptor.records, effect) });
          break;
        default:
      }
    }
    this.#tell();
  }

  #proposer(node: Node, event: ProposerEvent): void {
    const proposer = this.#proposers.get(node);
    if (proposer === undefined) return;
    const moment = { now: this.now, random: 0.5 };
    const effects = [...proposer.machine.step(event, moment), ...proposer.machine.step({ kind: 'turn' }, moment)];
    this.#tell();
    for (const effect of effects) {
      switch (effect.kind) {
        case 'to-acceptor': {
          const to: Node[] = effect.to === undefined ? [...this.#acceptors.keys()] : [`a${effect.to + 1}`];
          const { message } = effect;
          this.#write(node, effect.to === undefined ? '>a*' : `>${to[0] ?? ''}`, message.kind, message);
          const { owner } = proposer;
          const deliver = (a: Node): void => this.#acceptor(a, { kind: 'proposer', from: node, owner, message });
          for (const a of to) this.#send(node, a, () => deliver(a), message.kind);
          break;
        }
        case 'to-peer': {
          const { message } = effect;
          const from = proposer.owner.proposer;
          this.#write(node, `>p${effect.to}`, message.kind, message);
          this.#send(node, `p${effect.to}`, () => this.#proposer(`p${effect.to}`, { kind: 'peer', from, message }));
          break;
        }
        case 'answer':
          this.#write(node, '!', effect.answer.kind, { token: effect.token, ...effect.answer });
          break;
        case 'load-sessions':
          this.#loadSessions(node, effect.log);
          break;
        case 'note':
          this.#write(node, '·', effect.note.kind, effect.note);
          break;
        default:
          this.#write(node, '·', effect.kind, effect);
      }
    }
  }

  /** A session table in which an entry is its own id. */
  #loadSessions(node: Node, log: string): void {
    const entries = this.#chosen.get(log) ?? [];
    const slots = new Map<string, number>();
    const admission: Admission = {
      check: (entry) => {
        const slot = slots.get(word(entry));
        return slot === undefined ? { kind: 'new' } : { kind: 'known', slot };
      },
      feed: (slot, entry) => {
        if (!slots.has(word(entry))) slots.set(word(entry), slot);
      },
    };
    entries.forEach((entry, slot) => {
      admission.feed(slot, entry);
    });
    this.#queue.push(() => this.#proposer(node, { kind: 'sessions', log, next: entries.length, admission }));
  }

  #learn(event: LearnerEvent): void {
    const effects = this.#learner.step(event, { now: this.now, random: 0.5 });
    this.#tell();
    for (const effect of effects) {
      if (effect.kind === 'chosen') {
        const entries = this.#chosen.get(effect.log) ?? [];
        this.#chosen.set(effect.log, [...entries, ...effect.batch.values()]);
        this.#write('l1', '!', 'chosen', effect);
        this.#queue.push(() =>
          this.#learn({ kind: 'applied', log: effect.log, next: effect.first + effect.batch.count }),
        );
      } else if (effect.kind === 'fetch') {
        const { message } = effect;
        const to: Node = `a${effect.to + 1}`;
        this.#write('l1', `>${to}`, message.kind, message);
        this.#send('l1', to, () => this.#acceptor(to, { kind: 'learner', from: 'l1', disk: 'd1', message }));
      } else if (effect.kind === 'finish') {
        const [to] = this.#proposers.keys();
        if (to === undefined) continue;
        this.#write('l1', `>${to}`, 'finish', effect);
        this.#send('l1', to, () => this.#proposer(to, effect));
      }
    }
  }
}

function votesOf(records: readonly AcceptorRecord[], load: { log: string; from: number; to: number }): VoteRange[] {
  return records.flatMap((r) => {
    if (r.kind !== 'vote' || r.log !== load.log) return [];
    const from = Math.max(r.first, load.from);
    const to = Math.min(r.first + r.batch.count, load.to);
    return from < to ? [{ first: from, ballot: r.ballot, batch: r.batch.slice(from - r.first, to - r.first) }] : [];
  });
}

/** An entry that is its own id, the same one each time. */
function entryOf(value: string): Uint8Array {
  const payload = new TextEncoder().encode(value);
  return encodeEntry({ kind: 'decree', client: Buffer.from(value.padEnd(16)).toString('hex').slice(0, 32), payload });
}

function word(entry: Uint8Array): string {
  try {
    const decoded = decodeEntry(entry);
    if ('payload' in decoded) return new TextDecoder().decode(decoded.payload);
  } catch {
    // The no-op of this world is a word.
  }
  return new TextDecoder().decode(entry);
}

/** `prepare log=orders ballot=1.p1 from=0 purpose=lead`: what is undefined, false, or of no interest is left out. */
function show(what: string, said: object): string {
  const parts = Object.entries(said).flatMap(([key, value]) => {
    const text =
      key === 'kind' || key === 'incarnation' || key === 'timeoutMs' || key === 'message'
        ? undefined
        : showValue(value);
    return text === undefined ? [] : [`${key}=${text}`];
  });
  return [what, ...parts].join(' ');
}

function showValue(value: unknown): string | undefined {
  if (value === undefined || value === false) return undefined;
  if (value instanceof Batch) return value.values().map(word).join(',');
  if (value instanceof Uint8Array) return word(value);
  if (Array.isArray(value))
    return value.length === 0 ? undefined : `[${value.map((v) => showValue(v) ?? '').join(' ')}]`;
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if ('round' in value && 'incarnation' in value)
    return formatBallot(value as Parameters<typeof formatBallot>[0]).replace('.aaaaaaaa', '');
  return `{${show('', value).trim()}}`;
}
