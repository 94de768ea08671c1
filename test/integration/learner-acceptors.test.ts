/**
 * Goal: learners and the real acceptors understand one another, from the roster to the trim floor.
 * Method: real gRPC in one process; the test proposes by unary Accepts.
 */
import { afterEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { learnerSettings } from '../../services/learner/config.ts';
import { startLearner } from '../../services/learner/learner.ts';
import type { RunningLearner } from '../../services/learner/learner.ts';
import { Batch } from '../../shared/base/batch.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { command, open } from '../support/learner.ts';
import { freePorts } from '../support/ports.ts';
import { silentLog } from '../support/silent-log.ts';
import { until } from '../support/until.ts';
import { CLUSTER, accept, callAccept, cleanUp, cleanups, configOf, proposer, start, to } from './acceptor-support.ts';
import type { Started } from './acceptor-support.ts';

afterEach(cleanUp);

const local = (port: number): string => `127.0.0.1:${String(port)}`;
const list = (ports: readonly number[]): string => ports.map((port, i) => `${String(i + 1)}=${local(port)}`).join(',');

async function startAll(): Promise<{ acceptors: Started[]; learners: RunningLearner[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'synod-learner-'));
  cleanups.push(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const ports = await freePorts(6);
  const acceptorPorts = ports.slice(0, 3);
  const learnerPorts = ports.slice(3, 5);
  const acceptors = await Promise.all(
    acceptorPorts.map((port, i) =>
      start(configOf({ id: String(i + 1), listen: local(port), http: local(0), acceptors: list(acceptorPorts) })),
    ),
  );
  const learners: RunningLearner[] = [];
  for (const [i, port] of learnerPorts.entries()) {
    const id = String(i + 1);
    const config = learnerSettings.parse({
      cluster: CLUSTER,
      id,
      listen: local(port),
      http: local(0),
      acceptors: list(acceptorPorts),
      proposers: `1=${local(ports[5] ?? 0)}`,
      learners: list(learnerPorts),
      data: join(folder, id),
    });
    const fail = (reason: string): void => {
      throw new Error(reason);
    };
    const learner = await startLearner(config, { log: silentLog, onFatal: fail, onRefused: fail });
    cleanups.push(() => learner.stop(600));
    learners.push(learner);
  }
  return { acceptors, learners };
}

test('what acceptors vote for is learned, read, reported as held, and trimmed once both learners agree on it', async () => {
  const { acceptors, learners } = await startAll();
  const header = proposer({ configuration: configurationId(CLUSTER, [1, 2, 3], 'majority') });
  const connections = acceptors.map(({ acceptor }) => to(acceptor));
  await until(() => acceptors.every(({ acceptor }) => acceptor.core.membership.silentBecause === undefined));

  for (let first = 0; first < 600; first += 100) {
    const entries = Array.from({ length: 100 }, (_, i) =>
      first + i === 0 ? open() : command(0, first + i, `v${String(first + i)}`, first + i - 1),
    );
    const message = accept(1, first, [], { log: 'x', batch: Batch.of(entries), watermark: first });
    for (const connection of connections) await callAccept(connection, message, header);
  }
  await until(() => learners.every(({ store }) => store.progress('x')?.held === 600));

  const [learner] = learners;
  if (learner === undefined) throw new Error('a learner is needed');
  const request = { header: undefined, log: 'x', from: 598, limit: 0, linearizable: true, all: false };
  const { entries } = await to(learner).unary(LearnerServiceService.read, request, { timeoutMs: 5_000 });
  expect(entries.map((e) => Buffer.from(e.payload).toString())).toEqual(['v598', 'v599']);

  // Two disks hold it and share the digest at slot 512: the acceptors let go what is below, and the rest once the log is at rest.
  let floor = 0;
  const look = { header: undefined, log: 'x', after: '', limit: 0, all: true };
  const looking = setInterval(() => {
    connections[0]?.unary(AcceptorServiceService.logs, look, { timeoutMs: 1_000 }).then(
      ({ logs }) => (floor = logs[0]?.floor ?? 0),
      () => undefined,
    );
  }, 100);
  await until(() => floor >= 512).finally(() => {
    clearInterval(looking);
  });
});

test('a port in use gets one clear sentence, and the folder is let go', async () => {
  const [port, other] = await freePorts(2);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const folder = mkdtempSync(join(tmpdir(), 'synod-learner-'));
  const given = {
    ...{ cluster: CLUSTER, id: '1', acceptors: '1=a:1,2=b:1,3=c:1', proposers: '1=d:1', data: folder },
    http: '127.0.0.1:0',
  };
  const ports = { log: silentLog, onFatal: () => undefined, onRefused: () => undefined };
  const taken = learnerSettings.parse({ ...given, listen: local(port ?? 0), learners: `1=${local(port ?? 0)}` });
  await expect(startLearner(taken, ports)).rejects.toThrow(
    /is in use by another process; choose another with --listen/,
  );
  const free = learnerSettings.parse({ ...given, listen: local(other ?? 0), learners: `1=${local(other ?? 0)}` });
  const learner = await startLearner(free, ports);
  await expect(startLearner(taken, ports)).rejects.toThrow(/another process uses the data folder/);
  await learner.stop(600);
  await expect(startLearner({ ...free, cluster: 'other' }, ports)).rejects.toThrow(
    /belongs to learner 1 of cluster test/,
  );
  await expect(startLearner({ ...free, id: 7 }, ports)).rejects.toThrow(/--id is 7, and --learners names 1 only/);
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
