/** An acceptor for tests of learners: the real machine behind a real gRPC server, over a journal in memory, with faults to plant. */
import { Acceptor } from '../../shared/paxos/acceptor.ts';
import type { AcceptorEffect, AcceptorEvent } from '../../shared/paxos/acceptor.ts';
import { Batch } from '../../shared/base/batch.ts';
import { RangeMap } from '../../shared/base/range-map.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { CLASSIC } from '../../shared/paxos/ballot.ts';
import type { Ballot } from '../../shared/paxos/ballot.ts';
import type { AcceptorRecord, Held } from '../../shared/paxos/messages.ts';
import { service } from '../../shared/platform/grpc/methods.ts';
import type { ServedService } from '../../shared/platform/grpc/methods.ts';
import { serve } from '../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../shared/platform/grpc/server.ts';
import { hexOf } from '../../shared/wire/codec/fields.ts';
import { decodeFollowRequest, encodeFollowWelcome, encodeToLearner } from '../../shared/wire/codec/learner.ts';
import type { ToLearnerOrTip } from '../../shared/wire/codec/learner.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { raw, served } from '../../shared/wire/raw.ts';
import { statusOf } from '../../shared/wire/status.ts';
import { silentLog } from './silent-log.ts';

const BOTH_WAYS = { requestStream: true, responseStream: true } as const;
const DEFINITION = {
  ...served(AcceptorServiceService),
  follow: { ...raw(AcceptorServiceService.follow), ...BOTH_WAYS },
} as const;

interface Follower {
  readonly write: (frame: Buffer) => void;
  readonly disk: string;
  values: boolean;
}

/** The ballot that tests vote at. */
export const BALLOT: Ballot = { round: 1, proposer: 1, incarnation: '00000000000000aa', kind: CLASSIC };

export class FakeAcceptor {
  readonly id: number;
  /** Live votes are not published: they are lost on the way. */
  losesVotes = false;
  /** Questions for the end of a log are not answered. */
  losesQuestions = false;
  /** Start and draw of the next welcome. */
  start = 1;
  draw = 1;
  /** What learners said they hold, by disk and log. */
  readonly held = new Map<string, Map<string, Held>>();
  /** Questions that came. */
  questions = 0;
  /** Logs that were asked for again. */
  fetches = 0;
  /** What Forget answers with. */
  /** Learner disks that it holds for known are all but these. */
  readonly unknownDisks = new Set<string>();
  forgetRefusal: SynodError | undefined = undefined;
  readonly forgotten: string[] = [];
  readonly #machine: Acceptor;
  readonly #records: AcceptorRecord[] = [];
  readonly #followers = new Map<string, Follower>();
  readonly #floors = new Map<string, number>();
  #server: RunningServer | undefined;
  #names = 0;

  constructor(id: number) {
    this.id = id;
    this.#machine = new Acceptor(0, { trimMs: 0 });
  }

  get address(): string {
    return this.#server?.address ?? '';
  }

  get followers(): number {
    return this.#followers.size;
  }

  /** Where its live votes go with their values. */
  get valueFollowers(): number {
    return [...this.#followers.values()].filter((f) => f.values).length;
  }

  async listen(address = '127.0.0.1:0'): Promise<void> {
    this.#server = await serve({
      address,
      services: [this.#service()],
      facing: 'roles',
      toStatus: statusOf,
      log: silentLog,
    });
  }

  async close(): Promise<void> {
    await this.#server?.close(0);
    this.#followers.clear();
  }

  /** Votes for values at consecutive slots. */
  vote(log: string, first: number, entries: readonly Uint8Array[], watermark = 0, ballot = BALLOT): void {
    const message = { kind: 'accept', log, ballot, first, batch: Batch.of(entries), watermark } as const;
    const owner = { proposer: ballot.proposer, incarnation: ballot.incarnation };
    this.#step({ kind: 'proposer', from: 'test', owner, message });
  }

  /** Drops all votes below a slot, as after a trim: learners are told the floor, and fetch nothing below it. */
  floorFor(log: string, floor: number): void {
    this.#floors.set(log, floor);
  }

  #step(event: AcceptorEvent): void {
    for (const effect of this.#machine.step(event, { now: performance.now(), random: 0.5 })) this.#perform(effect);
  }

  #perform(effect: AcceptorEffect): void {
    switch (effect.kind) {
      case 'persist':
        this.#records.push(effect.record);
        return;
      case 'publish':
        if (!this.losesVotes) for (const to of this.#followers.values()) this.#send(to, effect.votes);
        return;
      case 'reply-learner':
      case 'reply-tip': {
        const to = this.#followers.get(effect.to);
        if (to !== undefined) this.#send(to, effect.message);
        return;
      }
      case 'load':
        this.#step({ kind: 'loaded', id: effect.id, votes: this.#load(effect.log, effect.from, effect.to) });
        return;
      default:
        return;
    }
  }

  #load(log: string, from: number, to: number): { first: number; ballot: Ballot; batch: Batch }[] {
    const votes = new RangeMap<{ ballot: Ballot; batch: Batch }>((v, a, b) => ({ ...v, batch: v.batch.slice(a, b) }));
    for (const record of this.#records)
      if (record.kind === 'vote' && record.log === log)
        votes.set(record.first, record.first + record.batch.count, { ballot: record.ballot, batch: record.batch });
    return votes.within(from, to).map((r) => ({ first: r.from, ...r.value }));
  }

  #send(to: Follower, message: ToLearnerOrTip): void {
    const floor = 'log' in message ? (this.#floors.get(message.log) ?? 0) : 0;
    if (message.kind === 'votes' && message.first < floor) return;
    if (message.kind === 'head' || message.kind === 'fetched') message = { ...message, floor };
    const sent = message.kind === 'votes' && !to.values && !this.#fetching ? { ...message, batch: undefined } : message;
    to.write(encodeToLearner([sent], this.#records.length - 1));
  }

  /** True while a fetch is answered, whose votes come as they were asked for. */
  #fetching = false;

  #service(): ServedService {
    const refuse = (): never => {
      throw new SynodError('UNIMPLEMENTED', 'not in this test');
    };
    return service(DEFINITION, {
      prepare: refuse,
      accept: refuse,
      session: refuse,
      tip: refuse,
      introduce: refuse,
      status: refuse,
      logs: refuse,
      forget: (request) => {
        if (this.forgetRefusal !== undefined) throw this.forgetRefusal;
        const disk = hexOf(request.learnerDisk, 16, 'learner_disk');
        this.forgotten.push(disk);
        return { known: !this.unknownDisks.has(disk), lost: [] };
      },
      follow: (stream) => {
        const name = `learner-${String(++this.#names)}`;
        let follower: Follower | undefined;
        stream.on('data', (bytes: Buffer) => {
          const { hello, messages } = decodeFollowRequest(bytes);
          if (hello !== undefined) {
            follower = { disk: hello.learnerDisk, values: hello.values, write: (frame) => stream.write(frame) };
            this.#followers.set(name, follower);
            const { id, start, draw } = this;
            const position = this.#records.length - 1;
            stream.write(encodeFollowWelcome({ acceptor: id, disk: String(id).repeat(32), start, draw, position }));
            this.#step({ kind: 'learner-joined', from: name });
          }
          if (follower === undefined) return;
          for (const message of messages) this.#heard(name, follower, message);
        });
        stream.on('end', () => stream.end());
        stream.once('close', () => this.#followers.delete(name));
      },
    });
  }

  #heard(from: string, follower: Follower, message: ReturnType<typeof decodeFollowRequest>['messages'][number]): void {
    if (message.kind === 'tip?') {
      this.questions++;
      if (!this.losesQuestions) this.#step({ kind: 'question', from, message });
      return;
    }
    if (message.kind === 'wish') follower.values = message.values;
    if (message.kind === 'held') {
      const logs = this.held.get(follower.disk) ?? new Map<string, Held>();
      this.held.set(follower.disk, logs.set(message.log, message));
    }
    if (message.kind === 'fetch') this.fetches++;
    this.#fetching = message.kind === 'fetch' && message.values;
    this.#step({ kind: 'learner', from, disk: follower.disk, message });
    this.#fetching = false;
  }
}
