/**
 * `npm run demo -- NAME`: a demonstration for whoever has nothing running. It starts a cluster for it, in a folder that goes with it, and
 * can kill its processes; where one runs already, it is that one, as `synodctl demo` has it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../shared/base/errors.ts';
import { contextOf } from '../../services/cli/context.ts';
import type { Context } from '../../services/cli/context.ts';
import { DEMOS, demo } from '../../services/cli/commands/demo.ts';
import { errorLine, EXIT, exitCodeOf, UsageError } from '../../services/cli/exit.ts';
import type { Io } from '../../services/cli/io.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';

const HELP = `npm run demo -- NAME [flags]: Paxos shown on a real cluster, and told from what its members do

${Object.entries(DEMOS)
  .map(([name, { about }]) => `  ${name.padEnd(14)}${about}`)
  .join('\n')}

  --slow          with pauses, for an audience
  --json          one JSON object a line: scenes, events, claims
  --svg FILE      write what happened as a picture at the end
  --port-base N   look for a running cluster there (default 7000; SYNOD_PORT_BASE); without one, a cluster is started
                  on free ports, in a folder of its own, and stopped at the end
  --alone         on a cluster of its own, also where one runs
  --help          this text

Example:
  npm run demo -- basic --slow

Exit codes: 0 done; 1 refused, or what is told is contradicted by what happened; 2 wrong usage.
`;

export async function main(argv: readonly string[]): Promise<void> {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      abort.abort();
    });
  // A reader that went away, such as head: the cluster is stopped in order all the same.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', () => {
      abort.abort();
    });
  try {
    process.exitCode = await play(argv, ioOf(abort.signal));
  } catch (error) {
    process.stderr.write(`${errorLine(error, argv.includes('--json'))}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

async function play(argv: readonly string[], io: Io): Promise<number> {
  const { name, options } = readArguments(argv);
  if (name === undefined) {
    io.out(HELP.trimEnd());
    return EXIT.ok;
  }
  const found = await contextOf(options, io);
  const isThere = found.endpoints.places.some(({ listening }) => listening);
  if (isThere && options.alone !== true) return demo(name, options, found);
  io.err(`${isThere ? '' : 'No cluster runs there: '}starting one for this, and stopping it at the end …`);
  const folder = mkdtempSync(join(tmpdir(), 'synod-demo-'));
  let cluster: Cluster | undefined;
  try {
    const acceptors = DEMOS[name]?.acceptors?.started;
    const data = join(folder, 'data');
    cluster = await startCluster({
      ...{ data, portBase: 'free', faults: true, signal: io.signal },
      ...(acceptors === undefined ? {} : { acceptors }),
    });
    return await demo(name, options, await contextFor(cluster, found), { kill: killer(cluster) });
  } finally {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function contextFor(cluster: Cluster, { io, json, timeoutMs }: Context): Promise<Context> {
  const options = { portBase: String(cluster.portBase), json, timeout: String(timeoutMs / 1_000) };
  return contextOf(options, io);
}

function killer(cluster: Cluster): (proposer: number) => Promise<void> {
  return async (proposer) => {
    const pid = cluster.pid('proposer', proposer);
    const gone = cluster.ended('proposer', proposer);
    if (pid === undefined || !cluster.kill('proposer', proposer))
      throw new Error(`proposer ${String(proposer)} does not run`);
    await gone;
  };
}

interface Options {
  readonly slow?: boolean;
  readonly json?: boolean;
  readonly svg?: string;
  readonly portBase?: string;
  readonly alone?: boolean;
}

/** Throws a UsageError for what is no argument. */
function readArguments(argv: readonly string[]): { readonly name: string | undefined; readonly options: Options } {
  const flag = { type: 'boolean' } as const;
  const text = { type: 'string' } as const;
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: { slow: flag, json: flag, help: flag, alone: flag, svg: text, 'port-base': text },
      allowPositionals: true,
    });
    if (values.help === true) return { name: undefined, options: {} };
    const [name, ...more] = positionals;
    const names = Object.keys(DEMOS);
    if (name === undefined || !names.includes(name) || more.length > 0)
      throw new UsageError(
        `npm run demo -- NAME takes one of ${names.join(', ')}, not ${JSON.stringify(positionals.join(' '))}`,
      );
    const { slow, json, svg, alone, 'port-base': portBase } = values;
    return {
      name,
      options: {
        ...(slow === undefined ? {} : { slow }),
        ...(json === undefined ? {} : { json }),
        ...(alone === undefined ? {} : { alone }),
        ...(svg === undefined ? {} : { svg }),
        ...(portBase === undefined ? {} : { portBase }),
      },
    };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${messageOf(error)}; see npm run demo -- --help`);
  }
}

function ioOf(signal: AbortSignal): Io {
  return {
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    env: process.env,
    input: process.stdin,
    piped: true,
    listens,
    color: process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '',
    signal,
  };
}

function listens(address: string): Promise<boolean> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: 2_000 });
    const answer = (yes: boolean) => (): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', answer(true)).once('error', answer(false)).once('timeout', answer(false));
  });
}
