/**
 * A whole cluster on this machine, each role a process of its own: what `npm start` runs, and what end-to-end tests and
 * the benchmark use as a library. It starts roles, watches them, starts again what dies, and stops all in order.
 */
import { parseArgs } from 'node:util';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { quorumSystem } from '../../shared/paxos/quorum-setting.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import { nearest } from '../../shared/platform/config/nearest.ts';
import { claimFolder } from './folder.ts';
import type { ClaimedFolder } from './folder.ts';
import { CLAIMED_MEMBERS_MAX, MAJORITY, ROLES, checkPorts, claimPortBase, idsUpTo, layout } from './layout.ts';
import type { Member, PortClaim, Role, Shape } from './layout.ts';
import { RoleProcess } from './role-process.ts';
import type { RoleCommand } from './role-process.ts';

export type { Member, Role, Shape } from './layout.ts';
export type { RoleCommand } from './role-process.ts';

export interface ClusterOptions extends Partial<Shape> {
  /** The folder for everything that is kept. */
  readonly data: string;
  /** gRPC ports are base + 101, 201 and 301 and up, HTTP ports 1000 more. Default 7000; `free` finds a base that is free. */
  readonly portBase?: number | 'free';
  /** Arguments added to those of a role. */
  readonly roleArguments?: Partial<Readonly<Record<Role, readonly string[]>>>;
  /** Let faults be made on purpose at every role (`synodctl fault`). Default false. */
  readonly faults?: boolean;
  /** Environment added to that of every role. */
  readonly env?: Readonly<Record<string, string>>;
  /** Start again what ends without being asked to. Default true. */
  readonly restart?: boolean;
  /** Lines for a person. Default: none. */
  readonly say?: (line: string) => void;
  /** Milliseconds until a proposal must succeed. Default 60,000. */
  readonly readyMsMax?: number;
  /**
   * Milliseconds that a start waits for members that are not ready, such as a learner that has much to catch up with, once the rest
   * is enough for proposals. Default: it waits for all.
   */
  readonly laggardsMsMax?: number;
  /** Milliseconds that a role may take to stop before it is killed. Default 10,000. */
  readonly stopMsMax?: number;
  /** Gives up a start that is not ready yet. */
  readonly signal?: AbortSignal;
  /** What to run for a role; tests give their own. Default: the built roles. */
  readonly roleCommand?: RoleCommand;
}

export interface Cluster {
  /** The cluster's id. */
  readonly id: string;
  readonly portBase: number;
  readonly members: readonly Member[];
  /** `1=127.0.0.1:7101,…` of a role, as flags take it. */
  endpoints(role: Role): string;
  /** The gRPC addresses of a role, in order of ids. */
  addresses(role: Role): string[];
  /** The pid of a member's process, undefined while it does not run. */
  pid(role: Role, id: number): number | undefined;
  /** Sends a signal to a member's process; false when it does not run. What dies of it comes back by itself with `restart`. */
  kill(role: Role, id: number, signal?: NodeJS.Signals): boolean;
  /** Resolves when the member's process has ended. */
  ended(role: Role, id: number): Promise<void>;
  /** Starts a member that does not run; one that runs is killed first. */
  restart(role: Role, id: number): Promise<void>;
  /** Why a member refuses to run, undefined when it does not. */
  refusal(role: Role, id: number): string | undefined;
  /**
   * Resolves when every member, or each of those given, is ready; without a list, those that refuse to run are left out while the
   * rest suffices. Throws UNAVAILABLE with what is not ready and why, FAILED_PRECONDITION with a refusal.
   */
  ready(members?: readonly Pick<Member, 'role' | 'id'>[]): Promise<void>;
  /** Stops proposers, then learners, then acceptors, and frees the folder. Never fails. */
  stop(): Promise<void>;
  /** Resolves with sentences when so many members refuse to run, for their configuration or data, that no quorum is left. */
  readonly refused: Promise<string>;
}

/** Starts a cluster and waits until a proposal would succeed. Throws a SynodError with one clear sentence; nothing runs then. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { acceptors = 3, proposers = 2, learners = 2 } = options;
  const { quorum = MAJORITY } = options;
  const shape: Shape = { acceptors, proposers, learners, quorum };
  const system = quorumSystem(quorum, idsUpTo(acceptors));
  const say = options.say ?? ((): void => undefined);
  const { portBase, members, folder, release } = await claimPlace(options, shape);
  let reportRefusal: (why: string) => void = () => undefined;
  const refused = new Promise<string>((resolve) => (reportRefusal = resolve));
  let isStarted = false;
  const onRefused = (who: RoleProcess): void => {
    if (!suffices(system, processes)) reportRefusal(refusals(processes).join('\n'));
    else if (isStarted) say(goesOn(who, processes));
  };
  const processes = members.map(
    (member) =>
      new RoleProcess({
        member,
        arguments: [...roleArguments(member, members, folder.cluster), ...ownArguments(member.role, shape, options)],
        env: options.env ?? {},
        restart: options.restart ?? true,
        command: options.roleCommand,
        logFolder: folder.logs,
        say,
        onRefused,
      }),
  );
  const of = (role: Role, id: number): RoleProcess => {
    const found = processes.find(({ member }) => member.role === role && member.id === id);
    if (found === undefined) throw new SynodError('NOT_FOUND', `there is no ${role} ${String(id)} in this cluster`);
    return found;
  };
  const { stopMsMax = 10_000, readyMsMax = 60_000 } = options;
  const ofRole = (role: Role): Member[] => members.filter((member) => member.role === role);
  let stopping: Promise<void> | undefined;
  const cluster: Cluster = {
    id: folder.cluster,
    portBase,
    members,
    refused,
    endpoints: (role) => endpointList(ofRole(role)),
    addresses: (role) => ofRole(role).map(({ grpc }) => grpc),
    pid: (role, id) => of(role, id).pid,
    refusal: (role, id) => of(role, id).refusal,
    kill: (role, id, signal = 'SIGKILL') => of(role, id).signal(signal),
    ended: (role, id) => of(role, id).ended(),
    restart: (role, id) => of(role, id).restartNow(),
    ready: (chosen) => {
      const asked = chosen?.map(({ role, id }) => of(role, id));
      return waitReady(system, processes, asked, { readyMsMax, laggardsMsMax: Infinity, say, signal: options.signal });
    },
    stop() {
      stopping ??= stopAll(processes, stopMsMax).finally(release);
      return stopping;
    },
  };
  try {
    for (const each of processes) each.start();
    const { laggardsMsMax = Infinity, signal } = options;
    await waitReady(system, processes, undefined, { readyMsMax, laggardsMsMax, say, signal });
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  isStarted = true;
  // Told once it is known that the rest is enough: what is wrong with the settings of all is told as that.
  for (const each of processes) if (each.refusal !== undefined) say(goesOn(each, processes));
  return cluster;
}

interface Place {
  readonly portBase: number;
  readonly members: readonly Member[];
  readonly folder: ClaimedFolder;
  readonly release: () => Promise<void>;
}

/** Takes ports and folder. Everything that can be wrong is looked at before the first byte is written and the first process started. */
async function claimPlace(options: ClusterOptions, shape: Shape): Promise<Place> {
  const claim = await claimPorts(options.portBase ?? 7000, shape);
  try {
    const members = layout(shape, claim.base, options.data);
    await checkPorts(members);
    const folder = claimFolder(options.data, shape);
    const release = (): Promise<void> => {
      folder.release();
      return claim.release();
    };
    return { portBase: claim.base, members, folder, release };
  } catch (error) {
    await claim.release();
    throw error;
  }
}

/** The ports of a cluster: those that were asked for, or a base that is claimed while the cluster runs. */
async function claimPorts(portBase: number | 'free', shape: Shape): Promise<PortClaim> {
  if (portBase !== 'free') return { base: portBase, ports: [], release: () => Promise.resolve() };
  const most = Math.max(...ROLES.map((role) => shape[`${role}s`]));
  if (most > CLAIMED_MEMBERS_MAX)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `a cluster on free ports has at most ${String(CLAIMED_MEMBERS_MAX)} members of a role, not ${String(most)}; give a port base`,
    );
  return claimPortBase();
}

function refusals(processes: readonly RoleProcess[]): string[] {
  return processes.flatMap(({ refusal }) => refusal ?? []);
}

/** Whether quorums of acceptors, a proposer and a learner are among those that count: by default all that do not refuse to run. */
function suffices(
  quorum: QuorumSystem,
  processes: readonly RoleProcess[],
  counts: (each: RoleProcess) => boolean = ({ refusal }) => refusal === undefined,
): boolean {
  return ROLES.every((role) => {
    const left = processes.filter((each) => each.member.role === role && counts(each));
    if (role !== 'acceptor') return left.length > 0;
    // Somebody must come to lead before anything is chosen.
    const positions = left.reduce((set, { member }) => set | (1 << (member.id - 1)), 0);
    return quorum.isPhase1(positions) && quorum.isPhase2(positions);
  });
}

/** One line for a person about a role that the rest can do without. */
function goesOn({ member: { role }, refusal, logFile }: RoleProcess, processes: readonly RoleProcess[]): string {
  const all = processes.filter(({ member }) => member.role === role);
  const left = all.filter((each) => each.refusal === undefined).length;
  return (
    `${(refusal ?? '').replaceAll('\n', ' ')} (log ${logFile}). The other ${String(left)} of ${plural(all.length, role)} go on ` +
    'without it; put right what it says, then stop and start again.'
  );
}

function roleArguments(member: Member, members: readonly Member[], cluster: string): string[] {
  const list = (role: Role): string => endpointList(members.filter((other) => other.role === role));
  return [
    ...['--id', String(member.id), '--cluster', cluster, '--listen', member.grpc, '--http', member.http],
    ...['--acceptors', list('acceptor'), '--proposers', list('proposer'), '--learners', list('learner')],
    // A proposer keeps nothing.
    ...(member.data === undefined ? [] : ['--data', member.data]),
  ];
}

/** Arguments that the caller gave, and one that follows from the shape. */
function ownArguments(role: Role, shape: Shape, options: ClusterOptions): readonly string[] {
  const { roleArguments: given, env, faults = false } = options;
  const system = shape.quorum === undefined ? [] : ['--quorum', shape.quorum];
  const own = [...(faults ? ['--faults'] : []), ...system, ...(given?.[role] ?? [])];
  const isSet =
    own.some((argument) => argument.startsWith('--trim-holders')) ||
    { ...process.env, ...env }['SYNOD_TRIM_HOLDERS'] !== undefined;
  // With one learner there is one learner disk: acceptors that wait for a second would keep every vote until they are full.
  return role === 'acceptor' && shape.learners === 1 && !isSet ? ['--trim-holders', '1', ...own] : own;
}

function endpointList(members: readonly Member[]): string {
  return members.map(({ id, grpc }) => `${String(id)}=${grpc}`).join(',');
}

/** How long a start waits for what. Milliseconds. */
interface Patience extends Required<Pick<ClusterOptions, 'readyMsMax' | 'laggardsMsMax' | 'say'>> {
  readonly signal: AbortSignal | undefined;
}

/** A role that ends this often during a start will not stay up. */
const RESTARTS_MAX = 3;

/** Asks members, those that were chosen or all that do not refuse, until they are ready. What a proposer calls ready includes a quorum and a learner that it can reach. */
async function waitReady(
  quorum: QuorumSystem,
  all: readonly RoleProcess[],
  chosen: readonly RoleProcess[] | undefined,
  { readyMsMax, laggardsMsMax, say, signal }: Patience,
): Promise<void> {
  const began = performance.now();
  let enoughAt: number | undefined;
  for (let told = 0; ;) {
    const processes = chosen ?? all.filter(({ refusal }) => refusal === undefined);
    const answers = await Promise.all(processes.map(async (each) => ({ each, why: await each.whyNotReady() })));
    const missing = answers.flatMap(({ each, why }) =>
      why === undefined ? [] : [`${each.name}: ${why} (log ${each.logFile})`],
    );
    if (missing.length === 0 && (chosen !== undefined || suffices(quorum, all))) return;
    if (signal?.aborted === true) throw new SynodError('CANCELLED', 'The start was given up.');
    const refused = refusals(chosen ?? all);
    if (chosen === undefined ? !suffices(quorum, all) : refused.length > 0)
      throw new SynodError('FAILED_PRECONDITION', refused.join('\n'));
    missing.push(...refused);
    const hopeless = processes.find(({ restarts }) => restarts >= RESTARTS_MAX);
    if (hopeless !== undefined)
      throw new SynodError(
        'UNAVAILABLE',
        `${hopeless.name} ended ${String(RESTARTS_MAX)} times before it was ready: ${hopeless.lastEnd} (log ${hopeless.logFile})`,
      );
    const waitedMs = performance.now() - began;
    const ready = new Set(answers.flatMap(({ each, why }) => (why === undefined ? [each] : [])));
    enoughAt ??= suffices(quorum, all, (each) => ready.has(each)) ? performance.now() : undefined;
    if (enoughAt !== undefined && performance.now() - enoughAt > laggardsMsMax) {
      for (const line of missing) say(`Not ready yet, and the rest goes on meanwhile: ${line}`);
      return;
    }
    if (waitedMs > readyMsMax)
      throw new SynodError(
        'UNAVAILABLE',
        `the cluster was not ready within ${String(Math.round(readyMsMax / 1000))} s:\n  ${missing.join('\n  ')}`,
      );
    if (waitedMs > (told + 1) * 10_000) say(`Still waiting for ${missing.join('; ')}`);
    told = Math.floor(waitedMs / 10_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** First who takes proposals, last who keeps votes, so that what was taken is still answered and learned. */
async function stopAll(processes: readonly RoleProcess[], msMax: number): Promise<void> {
  for (const each of processes) each.stopRestarting();
  for (const role of ['proposer', 'learner', 'acceptor'] satisfies Role[])
    await Promise.all(processes.filter(({ member }) => member.role === role).map((each) => each.stop(msMax)));
}

const HELP = `npm start -- [flags]: a Synod cluster on this machine

  --acceptors N   how many acceptors: 3, 4, 5 or 7 (default 3), or 6 with another quorum system than
                  majorities; fixed once a data folder is made
  --quorum SYSTEM which acceptors decide (default majority; see synodctl quorum); fixed with the folder
  --proposers N   how many proposers (default 2)
  --learners N    how many learners (default 2)
  --data DIR      the folder for everything that is kept (default ./data)
  --faults        let tests cut, lose and hold messages between roles: see synodctl fault --help
  --port-base N   gRPC on N+101…, N+201…, N+301…, HTTP 1000 above each (default 7000; SYNOD_PORT_BASE)
  --help          this text

Ctrl-C stops all in order. The next start goes on with the same data.
`;

/** A learner that has much to catch up with does not hold up who wants to propose. */
const LAGGARDS_MS = 5_000;

/** `npm start`. Prints, runs until it is told to stop, and exits. */
export async function main(argv: readonly string[]): Promise<void> {
  const say = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  // Whoever read our lines may be gone before us; the roles are stopped in order all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const abort = new AbortController();
  const asked = stopRequest(abort);
  let cluster: Cluster;
  try {
    const options = readOptions(argv, process.env);
    if (options === 'help') {
      process.stdout.write(HELP);
      process.exit(EXIT.ok);
    }
    say(`Starting ${ROLES.map((role) => plural(options[`${role}s`], role)).join(', ')} …`);
    cluster = await startCluster({ ...options, laggardsMsMax: LAGGARDS_MS, say, signal: abort.signal });
    for (const line of readyLines(cluster, options)) say(line);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(abort.signal.aborted ? EXIT.ok : EXIT.failed);
  }
  const refusal = await Promise.race([asked, cluster.refused]);
  if (refusal !== undefined) process.stderr.write(`${refusal}\n`);
  say('Stopping …');
  await cluster.stop();
  say('Stopped. The data is kept.');
  process.exit(refusal === undefined ? EXIT.ok : EXIT.failed);
}

/**
 * Resolves when the cluster is to stop: at the first SIGINT or SIGTERM, or when npm is gone. Later signals change nothing: every
 * wait of a stop is bounded.
 */
export function stopRequest(abort: AbortController): Promise<undefined> {
  return new Promise((resolve) => {
    const stop = (): void => {
      abort.abort();
      resolve(undefined);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
    // npm gives a signal to the shell between it and us, which dies of it and does not pass it on. What is left to see of that
    // is that our parent has changed.
    const parent = process.ppid;
    if (process.env['npm_lifecycle_event'] !== undefined)
      setInterval(() => {
        if (process.ppid !== parent) stop();
      }, 200).unref();
  });
}

type StartOptions = Shape & {
  readonly quorum: string;
  readonly data: string;
  readonly portBase: number;
  readonly faults: boolean;
};

/** Reads flags and environment. Throws INVALID_ARGUMENT with every fault. */
export function readOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): StartOptions | 'help' {
  const text = { type: 'string' } as const;
  const known = { acceptors: text, proposers: text, learners: text, quorum: text, data: text, 'port-base': text };
  const { values, tokens } = parseArgs({
    args: [...argv],
    options: { ...known, faults: { type: 'boolean' }, help: { type: 'boolean' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  if (values['help'] === true) return 'help';
  const faults = tokens.flatMap((token, at) => {
    if (token.kind !== 'positional') return [];
    // The value of an unknown flag is not reported as a second fault.
    const before = tokens[at - 1];
    if (before?.kind === 'option' && before.name !== 'faults' && !Object.hasOwn(known, before.name)) return [];
    return [`${JSON.stringify(token.value)} is not expected: settings are written as --name value`];
  });
  for (const [name, value] of Object.entries(values)) {
    if (name === 'faults') {
      if (value !== true) faults.push('--faults takes no value');
    } else if (!Object.hasOwn(known, name)) {
      const meant = nearest(name, [...Object.keys(known), 'faults']);
      faults.push(`--${name} is not a setting${meant === undefined ? '' : `; did you mean --${meant}?`}`);
    } else if (typeof value !== 'string' || value === '') faults.push(`--${name} needs a value`);
  }
  const number = (
    name: string,
    given: unknown,
    preset: number,
    min: number,
    max: number,
    only?: readonly number[],
  ): number => {
    if (given === undefined || typeof given !== 'string' || given === '') return preset;
    const value = /^\d{1,6}$/.test(given) ? Number(given) : NaN;
    if (value >= min && value <= max && (only?.includes(value) ?? true)) return value;
    const must = only === undefined ? `a whole number from ${String(min)} to ${String(max)}` : only.join(', ');
    const hint = only !== undefined && value === 6 ? '; six need another --quorum than majority' : '';
    faults.push(`${name} must be ${must}, not ${JSON.stringify(given)}${hint}`);
    return preset;
  };
  const base = values['port-base'] ?? env['SYNOD_PORT_BASE'];
  const quorum = typeof values['quorum'] === 'string' ? values['quorum'] : (env['SYNOD_QUORUM'] ?? MAJORITY);
  // With majorities, six survive no more than five do.
  const sizes = quorum === MAJORITY ? [3, 4, 5, 7] : [3, 4, 5, 6, 7];
  const options = {
    acceptors: number('--acceptors', values['acceptors'], 3, 3, 7, sizes),
    proposers: number('--proposers', values['proposers'], 2, 1, 99),
    learners: number('--learners', values['learners'], 2, 1, 99),
    portBase: number(values['port-base'] === undefined ? 'SYNOD_PORT_BASE' : '--port-base', base, 7000, 1024, 64_000),
    data: typeof values['data'] === 'string' && values['data'] !== '' ? values['data'] : 'data',
    faults: values['faults'] === true,
    quorum,
  };
  if (faults.length === 0) faults.push(...quorumFaults(quorum, options.acceptors));
  if (faults.length > 0)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `npm start: ${faults.join('\n  ')}\nSee npm start -- --help for every setting.`,
    );
  return options;
}

function quorumFaults(quorum: string, acceptors: number): string[] {
  try {
    quorumSystem(quorum, idsUpTo(acceptors));
    return [];
  } catch (error) {
    return [`--quorum with ${String(acceptors)} acceptors: ${messageOf(error)}`];
  }
}

function readyLines(cluster: Cluster, { data, faults }: StartOptions): string[] {
  const rows = cluster.members.map((member) => [
    `${member.role} ${String(member.id)}`,
    member.grpc,
    `http://${member.http}`,
    member.data ?? '–',
    cluster.refusal(member.role, member.id) === undefined
      ? String(cluster.pid(member.role, member.id) ?? '–')
      : 'refused',
  ]);
  const base = cluster.portBase === 7000 ? '' : ` --port-base ${String(cluster.portBase)}`;
  const commands = [
    [`npx synodctl propose hello${base}`, 'have a value chosen'],
    [`npx synodctl log${base}`, 'what was chosen, slot by slot'],
    [`npx synodctl status${base}`, 'leaders, ballots, watermarks'],
    ['npm run bench', 'how fast it is on this machine'],
    ...(faults ? [[`npx synodctl fault --help`, 'cut, lose and hold messages on purpose'] as const] : []),
  ] as const;
  const width = Math.max(...commands.map(([command]) => command.length));
  return [
    '',
    ...table(['role', 'gRPC', 'metrics and health', 'data', 'pid'], rows),
    '',
    `Synod is ready. Cluster ${cluster.id}, data in ${data}, logs in ${data}/logs. Next:`,
    '',
    ...commands.map(([command, what]) => `  ${command.padEnd(width)}    ${what}`),
    '',
    'Ctrl-C stops all in order.',
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [head, ...rows].map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

function plural(count: number, role: Role): string {
  return `${String(count)} ${role}${count === 1 ? '' : 's'}`;
}
