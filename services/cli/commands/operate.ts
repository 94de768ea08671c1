/** `synodctl leader move` and `synodctl learner forget`: what an operator has a cluster do. */
import { ClientError, clientHeader } from '../../../shared/client/index.ts';
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import { readClientLog } from '../../../shared/wire/codec/client.ts';
import { readBallot } from '../../../shared/wire/codec/fields.ts';
import { LearnerServiceService } from '../../../shared/wire/gen/synod/v1/learner_service.ts';
import { ProposerServiceService } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import { OK, ask, askAny, parseNumber } from '../context.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit.ts';
import { showLine, showName } from '../text.ts';

export async function moveLeader(log: string, proposer: string, context: Context): Promise<number> {
  readClientLog(log);
  const to = proposer === 'any' ? 0 : parseNumber(proposer, 'PROPOSER', 1, 65_535);
  const request = { header: clientHeader(), log, to };
  const { moveLeader: method } = ProposerServiceService;
  const answer = await askAny(context, 'proposer', method, request).catch((error: unknown) => {
    // Only who leads can move a log, and whoever refused for that names it.
    if (!(error instanceof ClientError) || error.leader === undefined || error.outcome !== 'none') throw error;
    return ask('proposer', error.leader, method, request, context.timeoutMs);
  });
  const ballot = answer.ballot === undefined ? undefined : formatBallot(readBallot(answer.ballot, 'ballot'));
  const { from, leader } = answer;
  if (context.json) context.io.out(JSON.stringify({ log, from: from ?? null, leader, ballot: ballot ?? null }));
  else
    context.io.out(
      `${showName(log)} is led by proposer ${String(leader)} at ballot ${ballot ?? '–'}` +
        (from === undefined ? '' : from === leader ? ', as before' : ` (before: proposer ${String(from)})`),
    );
  return OK;
}

export async function forgetLearner(learner: string, force: boolean, context: Context): Promise<number> {
  const isDisk = /^[0-9a-f]{32}$/.test(learner);
  const request = {
    header: clientHeader(),
    learnerDisk: isDisk ? Buffer.from(learner, 'hex') : new Uint8Array(0),
    learner: isDisk ? 0 : parseNumber(learner, 'LEARNER (its number, or the 32 hex digits of its disk)', 1, 65_535),
    force,
  };
  const answer = await askAny(context, 'learner', LearnerServiceService.forgetLearner, request);
  const disk = Buffer.from(answer.learnerDisk).toString('hex');
  const { acceptors, missing, lost } = answer;
  if (context.json) context.io.out(JSON.stringify({ disk, acceptors, missing, lost }));
  else {
    const whose = isDisk ? `disk ${disk}` : `learner ${learner} (disk ${disk})`;
    context.io.out(`${whose} is forgotten by the acceptors ${acceptors.join(', ') || '–'}`);
    for (const line of lost) context.io.out(showLine(`lost: ${line}`));
  }
  if (missing.length === 0) return OK;
  context.io.err(`acceptors ${missing.join(', ')} could not be reached: run this again when they are back`);
  return EXIT.refused;
}
