/** A proposer and a learner that keep one log in memory, served over real gRPC on free ports; faults are planted one by one. */
import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import type { Outcome } from '../../../shared/base/errors.ts';
import type { LearnedEntry } from '../../../shared/wire/gen/synod/v1/learner.ts';
import { AcceptorServiceService } from '../../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type {
  AcceptorServiceLogsResponse,
  AcceptorServiceStatusResponse,
} from '../../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { LearnerServiceService } from '../../../shared/wire/gen/synod/v1/learner_service.ts';
import type {
  EndRequest,
  EndResponse,
  ReadRequest,
  ReadResponse,
  SubscribeRequest,
  SubscribeResponse,
} from '../../../shared/wire/gen/synod/v1/learner_service.ts';
import type { Progress } from '../../../shared/wire/gen/synod/v1/proposer.ts';
import { ProposerServiceService } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import type {
  MoveLeaderRequest,
  MoveLeaderResponse,
  OpenSessionRequest,
  OpenSessionResponse,
  ProposeRequest,
  ProposeResponse,
  ProposeStreamRequest,
  ProposeStreamResponse,
  ProposeWithProgressRequest,
  ProposeWithProgressResponse,
} from '../../../shared/wire/gen/synod/v1/proposer_service.ts';

export const BALLOT = { round: 3, proposer: 1, incarnation: Buffer.alloc(8, 0xab), kind: 2 } as const;
export const BALLOT_TEXT = '3.p1.abababab';

/** What all fake members share: the log, and which id took effect at which slot. */
export class FakeLog {
  readonly values: Uint8Array[] = [];
  readonly #slots = new Map<string, number>();
  /** False plants the fault that ids are not looked at. */
  deduplicates = true;
  window = 1_024;
  sessions = 0;
  /** By client: opening a session again gives the one that is open. */
  readonly #open = new Map<string, number>();

  open(client: Uint8Array): number {
    const id = Buffer.from(client).toString('hex');
    const session = this.#open.get(id) ?? ++this.sessions;
    this.#open.set(id, session);
    return session;
  }

  expire(client: Uint8Array, session: number): void {
    const id = Buffer.from(client).toString('hex');
    if (this.#open.get(id) === session) this.#open.delete(id);
  }

  apply(client: Uint8Array, session: number, sequence: number, value: Uint8Array): number {
    const id = `${Buffer.from(client).toString('hex')}/${String(session)}/${String(sequence)}`;
    const known = this.#slots.get(id);
    if (known !== undefined && this.deduplicates) return known;
    const slot = this.values.length;
    this.values.push(Buffer.from(value));
    this.#slots.set(id, slot);
    return slot;
  }

  texts(): string[] {
    return this.values.map((value) => Buffer.from(value).toString());
  }
}

export interface Fault {
  readonly code: number;
  readonly outcome: Outcome;
  readonly message?: string;
  /** The value is chosen all the same. */
  readonly afterwards?: boolean;
  readonly leader?: string;
}

export interface Fake {
  readonly address: string;
  stop(): void;
}

export interface FakeProposer extends Fake {
  readonly requests: ProposeRequest[];
  readonly streamed: ProposeStreamRequest[];
  /** The next requests fail with these, one after the other. */
  readonly faults: Fault[];
  /** Answers are held back while set. */
  silent: boolean;
  /** The stream breaks when so many proposals have come on it, without an answer to the last message. */
  breakStreamAfter: number;
}

export async function fakeProposer(log: FakeLog, leader = 1): Promise<FakeProposer> {
  const server = new Server();
  const fake = {
    ...{ address: '', requests: [] as ProposeRequest[], streamed: [] as ProposeStreamRequest[], faults: [] as Fault[] },
    ...{ silent: false, breakStreamAfter: Infinity },
    stop: () => server.forceShutdown(),
  };
  const { propose, proposeWithProgress, openSession, proposeStream, moveLeader } = ProposerServiceService;
  server.addService(
    { propose, proposeWithProgress, openSession, proposeStream, moveLeader },
    {
      propose: (
        { request }: ServerUnaryCall<ProposeRequest, ProposeResponse>,
        answer: sendUnaryData<ProposeResponse>,
      ) => {
        fake.requests.push(request);
        if (fake.silent) return;
        const fault = fake.faults.shift();
        const apply = (): number => log.apply(request.client, request.session, request.sequence, request.payload);
        if (fault !== undefined) {
          if (fault.code === 9) log.expire(request.client, request.session);
          if (fault.afterwards === true) apply();
          answer(statusOf(fault));
          return;
        }
        const { log: name, client, session, sequence } = request;
        const base = { log: name, slot: apply(), ballot: BALLOT, leader, own: true, client, session, sequence };
        answer(null, { ...base, payload: request.protocol === 1 ? request.payload : Buffer.alloc(0) });
      },
      proposeWithProgress: (stream: ServerWritableStream<ProposeWithProgressRequest, ProposeWithProgressResponse>) => {
        const { propose: request } = stream.request;
        if (request === undefined) throw new Error('nothing is proposed');
        const { log: name, client, session, sequence, payload } = request;
        const slot = log.apply(client, session, sequence, payload);
        // A kind that only a later version knows is among them.
        const later = { sequence: 0, kind: 9 as never, member: 0, ballot: undefined, slot: undefined };
        stream.write({ progress: [...told(0), later], answer: undefined });
        const answer = { log: name, slot, ballot: BALLOT, leader, payload: Buffer.alloc(0), own: true };
        stream.write({ progress: [], answer: { ...answer, client, session, sequence } });
        stream.end();
      },
      openSession: (
        { request }: ServerUnaryCall<OpenSessionRequest, OpenSessionResponse>,
        answer: sendUnaryData<OpenSessionResponse>,
      ) => {
        answer(null, { client: request.client, session: log.open(request.client), window: log.window });
      },
      moveLeader: (
        { request }: ServerUnaryCall<MoveLeaderRequest, MoveLeaderResponse>,
        answer: sendUnaryData<MoveLeaderResponse>,
      ) => {
        const fault = fake.faults.shift();
        if (fault !== undefined) answer(statusOf(fault));
        else answer(null, { from: 1, leader: request.to, ballot: BALLOT });
      },
      proposeStream: (stream: ServerDuplexStream<ProposeStreamRequest, ProposeStreamResponse>) => {
        let client: Uint8Array = Buffer.alloc(0);
        let session = 0;
        let seen = 0;
        stream.on('error', () => {});
        stream.on('end', () => stream.end());
        stream.on('data', (message: ProposeStreamRequest) => {
          fake.streamed.push(message);
          if (fake.silent) return;
          const { hello } = message;
          if (hello !== undefined) {
            client = hello.client;
            session = hello.session ?? log.open(client);
            const welcome = { client, session, window: log.window, leader };
            stream.write({ welcome, chosen: [], refused: [], progress: [] });
          }
          const chosen = message.proposals.flatMap(({ firstSequence, payloads }) =>
            payloads.map((payload, at) => {
              const slot = log.apply(client, session, firstSequence + at, payload);
              seen++;
              return { firstSequence: firstSequence + at, count: 1, firstSlot: slot, ballot: BALLOT, leader };
            }),
          );
          if (seen >= fake.breakStreamAfter) {
            fake.breakStreamAfter = Infinity;
            stream.emit('error', statusOf({ code: 14, outcome: 'unknown' }));
          } else if (chosen.length > 0)
            stream.write({ welcome: undefined, chosen, refused: [], progress: progressOf(message) });
        });
      },
    },
  );
  fake.address = await bind(server);
  return fake;
}

export interface FakeLearner extends Fake {
  /** Subscriptions end with UNAVAILABLE after so many entries. */
  breakAfter: number;
  readonly subscribed: SubscribeRequest[];
}

export async function fakeLearner(log: FakeLog): Promise<FakeLearner> {
  const server = new Server();
  const fake = {
    address: '',
    breakAfter: Infinity,
    subscribed: [] as SubscribeRequest[],
    stop: () => server.forceShutdown(),
  };
  const { read, subscribe, end } = LearnerServiceService;
  const entry = (slot: number): LearnedEntry => ({
    ...{ slot, kind: 3, client: Buffer.alloc(16, 7), session: 1, sequence: slot + 1 },
    ...{ payload: log.values[slot]!, ballot: BALLOT, effect: 1 },
  });
  server.addService(
    { read, subscribe, end },
    {
      read: ({ request }: ServerUnaryCall<ReadRequest, ReadResponse>, answer: sendUnaryData<ReadResponse>) => {
        const to = Math.min(log.values.length, request.from + (request.limit === 0 ? 1_000 : request.limit));
        const entries = Array.from({ length: Math.max(0, to - request.from) }, (_, at) => entry(request.from + at));
        answer(null, { entries, next: to, applied: log.values.length, first: 0 });
      },
      end: (_call: ServerUnaryCall<EndRequest, EndResponse>, answer: sendUnaryData<EndResponse>) => {
        answer(null, { end: log.values.length, applied: log.values.length });
      },
      subscribe: (stream: ServerWritableStream<SubscribeRequest, SubscribeResponse>) => {
        fake.subscribed.push(stream.request);
        stream.on('error', () => {});
        for (let slot = stream.request.from, sent = 0; slot < log.values.length; slot++, sent++) {
          if (sent >= fake.breakAfter) {
            fake.breakAfter = Infinity;
            stream.emit('error', statusOf({ code: 14, outcome: 'none' }));
            return;
          }
          stream.write({ entries: [entry(slot)], next: slot + 1 });
        }
      },
    },
  );
  fake.address = await bind(server);
  return fake;
}

/** Acceptor 1 promised and accepted each proposal that asks for it. */
function progressOf({ proposals }: ProposeStreamRequest): Progress[] {
  return proposals.flatMap(({ firstSequence, payloads, progress }) =>
    progress ? payloads.flatMap((_, at) => told(firstSequence + at)) : [],
  );
}

function told(sequence: number): Progress[] {
  return ([2, 3] as const).map((kind) => ({
    sequence,
    kind,
    member: 1,
    ballot: BALLOT,
    slot: kind === 3 ? 0 : undefined,
  }));
}

/** An acceptor that says only this of what its journal is kept for. */
export async function fakeAcceptor(keptBecause: string): Promise<Fake> {
  const server = new Server();
  const { status, logs } = AcceptorServiceService;
  const journal = { first: 0, synced: 9, bytes: 1, bytesMax: 2, hasRoom: true, keptBecause };
  server.addService(
    { status, logs },
    {
      status: (_call: unknown, answer: sendUnaryData<AcceptorServiceStatusResponse>) => {
        const said = { process: undefined, introduction: undefined, speaks: true, silentBecause: '', journal, logs: 0 };
        answer(null, { ...said, queues: [], links: [], header: undefined, activity: undefined });
      },
      logs: (_call: unknown, answer: sendUnaryData<AcceptorServiceLogsResponse>) => {
        answer(null, { logs: [], more: false });
      },
    },
  );
  return { address: await bind(server), stop: () => server.forceShutdown() };
}

function statusOf({
  code,
  outcome,
  message,
  leader,
}: Fault): Error & { code: number; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  metadata.set('synod-outcome', outcome);
  if (leader !== undefined) metadata.set('synod-leader', leader);
  return Object.assign(new Error('planted'), { code, details: message ?? 'planted', metadata });
}

function bind(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(`127.0.0.1:${String(port)}`);
      else reject(error);
    });
  });
}

/** The address of a port on which nobody listens. */
export async function deadAddress(): Promise<string> {
  const server = new Server();
  const address = await bind(server);
  server.forceShutdown();
  return address;
}
