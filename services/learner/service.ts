/** The learner's gRPC service: who may call what, and where it goes. */
import { SynodError } from '../../shared/base/errors.ts';
import { service } from '../../shared/platform/grpc/methods.ts';
import type { ServedService } from '../../shared/platform/grpc/methods.ts';
import { checkHeader, readClientHeader, readHeader } from '../../shared/wire/codec/header.ts';
import type { Expected, Role } from '../../shared/wire/codec/header.ts';
import type { Header as WireHeader } from '../../shared/wire/gen/synod/v1/common.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { served } from '../../shared/wire/raw.ts';
import type { Answers } from './answers.ts';
import type { CatchUpServer } from './catch-up.ts';
import type { Forgetting } from './forgetting.ts';
import type { LearnerMetrics, ReadKind } from './metrics.ts';
import type { Peers } from './peers.ts';
import type { Reads } from './reads.ts';
import type { StatusPages } from './status.ts';
import type { Subscriptions } from './subscriptions.ts';
import type { Trust } from './trust.ts';

export interface ServiceParts {
  readonly expected: Expected;
  readonly reads: Reads;
  readonly subscriptions: Subscriptions;
  readonly answers: Answers;
  readonly peers: Peers;
  readonly catchUps: CatchUpServer;
  readonly forgetting: Forgetting;
  readonly status: StatusPages;
  readonly trust: Trust;
  readonly metrics: LearnerMetrics;
}

const ANYBODY: readonly Role[] = ['client', 'proposer', 'acceptor', 'learner'];

export function learnerService(parts: ServiceParts): ServedService {
  const { expected, reads, subscriptions, answers, peers, catchUps, forgetting, status, trust, metrics } = parts;
  const client = <T extends { readonly header: WireHeader | undefined }>(request: T | SynodError): T => {
    const sound = readable(request);
    checkHeader(readClientHeader(sound.header), expected, ANYBODY);
    return sound;
  };
  const role = <T extends { readonly header: WireHeader | undefined }>(
    request: T | SynodError,
    roles: readonly Role[],
  ): T => {
    const sound = readable(request);
    checkHeader(readHeader(sound.header), expected, roles);
    return sound;
  };
  return service(served(LearnerServiceService), {
    read: (request, call) => {
      const sound = client(request);
      return counted(metrics, sound.linearizable ? 'linearizable' : 'local', reads.read(sound, call.timeoutMs));
    },
    end: (request, call) => counted(metrics, 'end', reads.end(client(request), call.timeoutMs)),
    subscribe: (request, stream) => subscriptions.serve(client(request), stream),
    logs: (request) => status.logs(client(request)),
    status: async (request) => {
      client(request);
      return { ...status.status(), activity: await metrics.activity() };
    },
    forgetLearner: (request) => forgetting.forget(client(request)),
    sessions: (request, stream, call) =>
      counted(metrics, 'sessions', answers.sessions(client(request), stream, call.timeoutMs)),
    answers: (stream, call) => {
      answers.answers(stream, call);
    },
    compare: (stream, call) => {
      peers.serve(stream, call);
    },
    catchUp: (request, stream) => {
      const sound = role(request, ['learner']);
      // R11: a state that others do not share must not spread.
      trust.require();
      return catchUps.serve(sound, stream);
    },
  });
}

/** A request that could not be decoded arrives as the error that says why. */
function readable<T>(request: T | SynodError): T {
  if (request instanceof SynodError) throw request;
  return request;
}

async function counted<T>(metrics: LearnerMetrics, kind: ReadKind, answer: Promise<T>): Promise<T> {
  try {
    const value = await answer;
    metrics.read(kind, 'answered');
    return value;
  } catch (error) {
    const late = error instanceof SynodError && (error.code === 'DEADLINE_EXCEEDED' || error.code === 'UNAVAILABLE');
    metrics.read(kind, late ? 'late' : 'refused');
    throw error;
  }
}
