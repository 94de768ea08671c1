/**
 * Goal: a cluster whose third acceptor is docs/examples/python/acceptor.py chooses, learns and survives as any other; the example
 * client keeps its word through outcomes that are unknown, expired sessions and breaks.
 * Method: real processes, killed. Controls: an acceptor that ignores its promise lets two values be chosen, and the learner that
 * sees them stops; without a majority nothing is chosen.
 */
import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { clientHeader, connect } from '../../shared/client/index.ts';
import { encodeEntry } from '../../shared/machine/entry.ts';
import { Batch } from '../../shared/base/batch.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import type { ClusterOptions } from '../../deploy/local/cluster.ts';
import { accept, callAccept, callPrepare, prepare, proposer } from '../integration/acceptor-support.ts';
import { Harness, built, eventually, main, scratch } from '../e2e/cluster.ts';
import { readAll } from '../e2e/load.ts';
import { freePorts } from '../support/ports.ts';
import { describeWith, EXAMPLES, Python, pythonTools, run } from './support.ts';
import type { Started } from './support.ts';

jest.setTimeout(120_000);

const tools = pythonTools();
let python: Python;

/** A cluster of three acceptors, of which the third is the Python one, with these flags of its own. */
function startWithPython(flags: readonly string[], options: Partial<ClusterOptions>): Promise<Harness> {
  return Harness.start({
    env: { PYTHONPATH: python.env['PYTHONPATH'] ?? '', PYTHONDONTWRITEBYTECODE: '1' },
    roleCommand: (role, id) =>
      role === 'acceptor' && id === 3
        ? { command: python.command, arguments: [python.script('acceptor.py'), ...flags] }
        : { command: process.execPath, arguments: [main(role)] },
    ...options,
  });
}

describeWith(tools, 'a cluster with an acceptor in Python', () => {
  beforeAll(async () => {
    await built();
    python = new Python(tools.command);
  });
  afterAll(() => {
    (python as Python | undefined)?.remove();
  });

  describe('as it should be', () => {
    let harness: Harness;
    beforeAll(async () => {
      harness = await startWithPython([], {});
    });
    beforeEach(() => harness.allBack());
    afterAll(async () => {
      await (harness as Harness | undefined)?.stop();
    });

    function example(command: string, ...args: string[]): Started {
      const { cluster } = harness;
      const members = [
        '--proposers',
        cluster.addresses('proposer').join(),
        '--learners',
        cluster.addresses('learner').join(),
      ];
      return python.start('example.py', [command, '--json', ...members, ...args]);
    }

    /** What a command prints, once it ended well. */
    async function printed(command: string, ...args: string[]): Promise<Record<string, unknown>[]> {
      const { ended, lines, said } = example(command, ...args);
      expect({ command, code: await ended, said: said() }).toEqual({ command, code: 0, said: '' });
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    }

    /** Waits for so many lines of a command that goes on; fails with what it said when it ended instead. */
    async function heard(process: Started, count: number): Promise<void> {
      await eventually(`${count} lines`, () => {
        if (process.child.exitCode !== null && process.lines.length < count)
          throw new Error(`it ended with ${process.lines.length} lines: ${process.said()}`);
        return process.lines.length === count;
      });
    }

    async function values(log: string): Promise<string[][]> {
      const learned = await readAll(harness.cluster, log);
      return learned.map(({ entries }) =>
        entries.filter(({ effect, value }) => effect === 'applied' && value !== '').map(({ value }) => value),
      );
    }

    test('the tour of the client: propose, retry elsewhere, subscribe, resume', async () => {
      expect((await printed('tour')).map(({ step }) => step)).toEqual(['propose', 'retry', 'subscribe', 'resume']);
    });

    test('with a Synod acceptor killed, proposals are chosen by the Python votes, and every learner learns them', async () => {
      await harness.end('acceptor', 1);
      const lines = await printed('propose', '--log', 'two-left', 'a', 'b', 'c');
      expect(lines.map(({ value }) => value)).toEqual(['a', 'b', 'c']);
      expect(await values('two-left')).toEqual([
        ['a', 'b', 'c'],
        ['a', 'b', 'c'],
      ]);
    });

    test('an outcome that is unknown is found out by a retry with the same id, through any proposer', async () => {
      const log = 'unknown';
      await printed('propose', '--log', log, 'before');
      await harness.end('acceptor', 1);
      const began = example('propose', '--log', log, '--timeout', '6', '-');
      began.write('one');
      await heard(began, 1);
      // Control: a majority is gone, the Python acceptor alone chooses nothing.
      await harness.end('acceptor', 2);
      began.write('two');
      expect(await began.ended).toBe(3);
      const { error } = JSON.parse(began.said()) as { error: { outcome: string; id: string } };
      expect(error.outcome).toBe('unknown');
      await harness.allBack();

      const again = ['--log', log, '--timeout', '20', '--id', error.id, 'two'];
      const [first] = await printed('retry', ...again);
      for (const address of harness.cluster.addresses('proposer')) {
        const [later] = await printed('retry', '--proposers', address, ...again);
        expect(later?.['slot']).toBe(first?.['slot']);
      }
      expect(await values(log)).toEqual([
        ['before', 'one', 'two'],
        ['before', 'one', 'two'],
      ]);
    });

    test('a client whose session expired goes on under a new client id, and a retry under the old one is outcome unknown', async () => {
      const log = 'expired';
      const client = example('propose', '--log', log, '--timeout', '100', '--attempt', '100', '-');
      client.write('before');
      await heard(client, 1);
      await openSessions(log, 10_000);
      client.write('after');
      await heard(client, 2);
      client.child.stdin?.end();
      expect(await client.ended).toBe(0);
      const ids = client.lines.map((line) => (JSON.parse(line) as { id: string }).id);
      expect(ids[1]?.split(':')[0]).not.toBe(ids[0]?.split(':')[0]);
      expect(await values(log)).toEqual([
        ['before', 'after'],
        ['before', 'after'],
      ]);

      const late = example('retry', '--log', log, '--id', ids[0] ?? '', 'before');
      expect(await late.ended).toBe(3);
      expect(JSON.parse(late.said())).toMatchObject({ error: { code: 'FAILED_PRECONDITION', outcome: 'unknown' } });
    });

    /** As many others as a log keeps: the one unused the longest expires. Opening one a second time is opening it once. */
    async function openSessions(log: string, count: number): Promise<void> {
      const connection = harness.at(harness.cluster.addresses('proposer')[0] ?? '');
      let left = count;
      const openSome = async (): Promise<void> => {
        while (left-- > 0) {
          const request = { header: clientHeader(), log, client: randomBytes(16) };
          await eventually('a session is opened', () =>
            connection.unary(ProposerServiceService.openSession, request, { timeoutMs: 5_000 }).catch(() => undefined),
          );
        }
      };
      await Promise.all(Array.from({ length: 250 }, openSome));
    }

    test('a subscription goes on at another learner where it was, and one that stopped resumes from `next`', async () => {
      const log = 'break';
      await printed('propose', '--log', log, 'a', 'b');
      const addresses = harness.cluster.addresses('learner').join();
      const listening = example('subscribe', '--log', log, '--timeout', '60', '--learners', addresses);
      await heard(listening, 2);
      await harness.end('learner', 1);
      await printed('propose', '--log', log, 'c', 'd');
      await heard(listening, 4);
      listening.child.kill('SIGINT');
      expect(await listening.ended).toBe(130);
      const entries = listening.lines.map((line) => JSON.parse(line) as { payload: string; next: number });
      expect(entries.map(({ payload }) => Buffer.from(payload, 'base64').toString())).toEqual(['a', 'b', 'c', 'd']);

      const [resumed] = await printed('subscribe', '--log', log, '--from', String(entries[1]?.next), '--count', '1');
      expect(Buffer.from(String(resumed?.['payload']), 'base64').toString()).toBe('c');
    });

    test('two proposers in a duel: the Python acceptor refuses the older ballot, and one value is chosen', async () => {
      const answers = await duel(harness);
      await wake(harness, answers);
      expect(answers).toMatchObject({ older: ['accepted', 'rejected'], newer: ['accepted', 'accepted'] });
      const learned = await readAll(harness.cluster, answers.log);
      for (const { entries } of learned)
        expect(entries.map(({ value }) => value).slice(0, 2)).toEqual(['', 'the newer']);
    });

    test('what starts in its place is refused, because it forgot what the first one promised (R5)', async () => {
      await harness.end('acceptor', 3);
      await harness.cluster.restart('acceptor', 3);
      const why = await eventually('it refuses to run', () => harness.cluster.refusal('acceptor', 3));
      expect(why).toContain('forgets its promises when it ends, and cannot come back');
      // The two others are a majority.
      await printed('propose', '--log', 'without-it', 'a');
    });
  });

  test('control: one that ignores its promise lets two values be chosen, and the learner that sees them stops', async () => {
    const harness = await startWithPython(['--planted', 'ignore-promise'], { proposers: 1, learners: 1 });
    try {
      // By their answers alone two values are chosen. A learner sees that unless its stream breaks just then, so again until it did.
      let rounds = 0;
      await eventually('the learner stops', async () => {
        if (harness.cluster.pid('learner', 1) === undefined) return true;
        const answers = await duel(harness, `duel-${++rounds}`);
        expect(answers).toMatchObject({ older: ['accepted', 'accepted'], newer: ['accepted', 'accepted'] });
        return eventually('it stops now', () => harness.cluster.pid('learner', 1) === undefined, 10_000).catch(
          () => false,
        );
      });
      const fatal = harness.logLines('learner', 1, 0).filter(({ level }) => level === 'fatal');
      expect(fatal.map(({ msg }) => msg).join('\n')).toMatch(/R9: .*two values are chosen/);
    } finally {
      await harness.stop();
    }
  });
});

describeWith(tools, 'the example in Python', () => {
  beforeAll(() => {
    python = new Python(tools.command);
  });
  afterAll(() => {
    (python as Python | undefined)?.remove();
  });

  test('says that nobody answers where no cluster runs', async () => {
    const [port] = await freePorts(1);
    const { ended, said } = python.start('example.py', [
      'propose',
      '--proposers',
      `127.0.0.1:${port}`,
      '--timeout',
      '1',
      'x',
    ]);
    expect(await ended).toBe(4);
    expect(said()).toContain(
      `nobody answers at 127.0.0.1:${port}; is the cluster running? [UNAVAILABLE, outcome none]`,
    );
  });

  test('says what to do where the code of the protocol was not made', async () => {
    const { path, remove } = scratch();
    try {
      cpSync(join(EXAMPLES, 'python'), path, { recursive: true, filter: (source) => !source.endsWith('generated') });
      for (const script of ['example.py', 'acceptor.py']) {
        const { code, err } = await run(python.command, [join(path, script), '--help']);
        expect({ script, code }).toEqual({ script, code: 1 });
        expect(err).toContain('the code of the protocol is made by ./generate.sh');
      }
    } finally {
      remove();
    }
  });

  test.each(['example.py', 'acceptor.py'])('%s has help with an example', async (script) => {
    const { ended, lines } = python.start(script, ['--help']);
    expect(await ended).toBe(0);
    expect(lines.join('\n')).toContain('example');
  });
});

/** What acceptors answered to the owner of the older and of the newer ballot, and in which log. */
interface Duel {
  readonly log: string;
  readonly older: readonly (string | undefined)[];
  readonly newer: readonly (string | undefined)[];
}

/**
 * Two proposers of the test's own: both get promises, the older first; then the older one writes at acceptors 1 and 3, the newer
 * one at 2 and 3, all of it for slot 1: while slot 0 has no value a learner applies nothing, and asks the acceptors for all votes
 * of both. The cluster's own proposers sleep from then on.
 */
async function duel(harness: Harness, log = 'duel'): Promise<Duel> {
  const { cluster } = harness;
  const proposers = cluster.members.filter(({ role }) => role === 'proposer');
  const configuration = configurationId(cluster.id, [1, 2, 3], 'majority');
  const header = proposer({ cluster: cluster.id, configuration, id: 1 });
  const at = cluster.addresses('acceptor').map((address) => harness.at(address));
  const valueOf = (payload: string): Batch =>
    Batch.of([
      encodeEntry(
        payload === '' ? { kind: 'no-op' } : { kind: 'decree', client: 'cd'.repeat(16), payload: Buffer.from(payload) },
      ),
    ]);
  const writes = (round: number, payload: string) => async (acceptor: number) => {
    const message = accept(round, 1, [], { log, batch: valueOf(payload) });
    return (await callAccept(at[acceptor - 1]!, message, header)).answer?.$case;
  };
  for (const { id } of proposers) cluster.kill('proposer', id, 'SIGSTOP');
  for (const [round, acceptors] of [
    [1, [1, 3]],
    [2, [2, 3]],
  ] as const)
    for (const acceptor of acceptors) {
      const { answer } = await callPrepare(at[acceptor - 1]!, prepare(round, { log }), header);
      expect(answer?.$case).toBe('promised');
    }
  const older = await Promise.all([1, 3].map(writes(1, 'the older')));
  const newer = await Promise.all([2, 3].map(writes(2, 'the newer')));
  return { log, older, newer };
}

/** Has the proposers go on. They find slot 1 voted and slot 0 free, and fill it. */
async function wake(harness: Harness, { log }: Duel): Promise<void> {
  const proposers = harness.cluster.members.filter(({ role }) => role === 'proposer');
  for (const { id } of proposers) harness.cluster.kill('proposer', id, 'SIGCONT');
  const [learner = ''] = harness.cluster.addresses('learner');
  const reader = connect({ learners: [learner], timeoutMs: 30_000 });
  try {
    await eventually('both slots are applied', async () => (await reader.read(log, { all: true })).applied === 2);
  } finally {
    reader.close();
  }
}
