/** The methods of AcceptorService over an acceptor. */
import { assert } from '../../shared/base/assert.ts';
import { SynodError } from '../../shared/base/errors.ts';
import type { Owner } from '../../shared/paxos/ballot.ts';
import type { Accept, Prepare } from '../../shared/paxos/messages.ts';
import type { CallContext } from '../../shared/platform/grpc/context.ts';
import { service } from '../../shared/platform/grpc/methods.ts';
import type { Handlers, ServedService } from '../../shared/platform/grpc/methods.ts';
import {
  readAccept,
  readPrepare,
  writeAcceptResponse,
  writePrepareResponse,
} from '../../shared/wire/codec/acceptor.ts';
import { hexOf, ID_BYTES, logName, need, writeOrNone } from '../../shared/wire/codec/fields.ts';
import { checkHeader, readClientHeader, readHeader } from '../../shared/wire/codec/header.ts';
import { readIntroduction, writeIntroduceResponse } from '../../shared/wire/codec/introduction.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type {
  AcceptorServiceStatusResponse,
  AcceptRequest,
  AcceptResponse,
  ForgetRequest,
  ForgetResponse,
  IntroduceRequest,
  IntroduceResponse,
  PrepareRequest,
  PrepareResponse,
  TipRequest,
  TipResponse,
} from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { Header as WireHeader } from '../../shared/wire/gen/synod/v1/common.ts';
import { raw, served } from '../../shared/wire/raw.ts';
import type { CallAnswer } from './calls.ts';
import type { Core } from './core.ts';
import { busy, checkOwner, ownerOf } from './sessions.ts';
import { logsResponse, lostWith } from './status.ts';

const BOTH_WAYS = { requestStream: true, responseStream: true } as const;
const DEFINITION = {
  ...served(AcceptorServiceService),
  session: { ...raw(AcceptorServiceService.session), ...BOTH_WAYS },
  follow: { ...raw(AcceptorServiceService.follow), ...BOTH_WAYS },
};
const EVERYBODY = ['proposer', 'acceptor', 'learner', 'client'] as const;

/** `status` says what the process knows beside the acceptor itself. */
export function acceptorService(core: Core, status: () => Promise<AcceptorServiceStatusResponse>): ServedService {
  const anybody = (header: WireHeader | undefined): void => {
    checkHeader(readClientHeader(header), core.self, EVERYBODY);
  };
  const handlers: Handlers<typeof DEFINITION> = {
    prepare: (request, call) => onPrepare(core, request, call),
    accept: (request, call) => onAccept(core, request, call),
    session: (stream, context) => {
      core.sessions.open(stream, context);
    },
    follow: (stream, context) => {
      core.followers.open(stream, context);
    },
    tip: (request, call) => {
      anybody(request.header);
      return onTip(core, request, call);
    },
    introduce: (request) => onIntroduce(core, request),
    forget: (request, call) => {
      anybody(request.header);
      return onForget(core, request, call);
    },
    status: (request) => {
      anybody(request.header);
      return status();
    },
    logs: (request) => {
      anybody(request.header);
      return logsResponse(core.machine, request, core.config['trim.holders'], [...core.followers.status()]);
    },
  };
  return service(DEFINITION, handlers);
}

async function onPrepare(core: Core, request: PrepareRequest, call: CallContext): Promise<PrepareResponse> {
  const message: Prepare = readPrepare(need(request.prepare, 'prepare'));
  const answer = await propose(core, request.header, message, call);
  assert(isPhase1(answer), 'R10', () => `a Prepare was answered by ${answer.kind}`);
  return writePrepareResponse(answer);
}

async function onAccept(core: Core, request: AcceptRequest, call: CallContext): Promise<AcceptResponse> {
  const message: Accept = readAccept(need(request.accept, 'accept'));
  if (core.isBusy) {
    core.noteBusy();
    return writeAcceptResponse(busy(message));
  }
  const answer = await propose(core, request.header, message, call);
  assert(isPhase2(answer), 'R9', () => `an Accept was answered by ${answer.kind}`);
  return writeAcceptResponse(answer);
}

/** Gives the machine a proposer's message; the answer comes when what it depends on is durable (R3). */
function propose(
  core: Core,
  header: WireHeader | undefined,
  message: Prepare | Accept,
  call: CallContext,
): Promise<CallAnswer> {
  const owner: Owner = ownerOf(readHeader(header), core.self);
  checkOwner(message, owner);
  core.membership.admit();
  core.heardCaller(owner);
  return core.calls.ask(call.timeoutMs, (from) => ({ kind: 'proposer', from, owner, message }));
}

function isPhase1(
  answer: CallAnswer,
): answer is Extract<CallAnswer, { kind: 'promised' | 'would-promise' | 'rejected' }> {
  return answer.kind === 'promised' || answer.kind === 'would-promise' || answer.kind === 'rejected';
}

function isPhase2(answer: CallAnswer): answer is Extract<CallAnswer, { kind: 'accepted' | 'rejected' }> {
  return answer.kind === 'accepted' || answer.kind === 'rejected';
}

/** A fetch of no slots tells all ends of a log. */
async function onTip(core: Core, request: TipRequest, call: CallContext): Promise<TipResponse> {
  const log = logName(request.log);
  core.membership.admit();
  const message = { kind: 'fetch', log, from: 0, to: 0, values: false } as const;
  const answer = await core.calls.ask(call.timeoutMs, (from) => ({ kind: 'learner', from, disk: '', message }));
  assert(answer.kind === 'fetched', 'R13', () => `a question for the end of a log was answered by ${answer.kind}`);
  const { highest, watermark, floor } = answer;
  return { tip: writeOrNone(Math.max(highest, floor - 1)), watermark, floor };
}

/** R5: always answered, so that a cluster that starts all at once does not wait for itself. */
async function onIntroduce(core: Core, request: IntroduceRequest): Promise<IntroduceResponse> {
  checkHeader(readHeader(request.header), core.self, ['acceptor']);
  return writeIntroduceResponse(await core.membership.introduce(readIntroduction(request.introduction)));
}

async function onForget(core: Core, request: ForgetRequest, call: CallContext): Promise<ForgetResponse> {
  const disk = hexOf(request.learnerDisk, ID_BYTES, 'learner_disk');
  core.membership.admit();
  const before = lostWith(core.machine, disk);
  // R14: every forgotten disk is kept for ever, so only what was counted on can become one.
  if (!before.known) return before;
  const { force } = request;
  const answer = await core.calls.ask(call.timeoutMs, (from) => ({ kind: 'forget', from, disk, force }));
  assert(answer.kind === 'forgotten', 'R15', () => `a Forget was answered by ${answer.kind}`);
  if (answer.refused !== undefined) throw new SynodError('FAILED_PRECONDITION', answer.refused);
  return before;
}
