/**
 * Faults of the network itself: packets that vanish or are refused, by iptables, where this machine lets a run have a network of its own. The
 * whole run is then started again in new namespaces, one of networks and one of mounts, which are gone with its last process and
 * whatever it left in them.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { Prng } from '../../shared/base/prng.ts';
import { messageOf } from '../../shared/base/errors.ts';
import { nameOf } from './crew.ts';
import type { Member } from './crew.ts';
import type { Fault, FaultKind, Ground, Skipped } from './fault.ts';

/** Set where the run has a network of its own. */
const MARK = 'SYNOD_CHAOS_NAMESPACE';
const UNSHARE = ['--net', '--mount', '--', 'sh', '-c'];
const TRIAL =
  'ip link set lo up && iptables -A INPUT -p tcp --dport 1 -m statistic --mode random --probability 0.5 -j DROP && ' +
  'iptables -A INPUT -p tcp --dport 1 -j REJECT --reject-with tcp-reset';

export const hasOwnNetwork = (): boolean => process.env[MARK] === '1';

/** Why this machine gives a run no network of its own; undefined where it does. */
export function whyNoOwnNetwork(): string | undefined {
  try {
    execFileSync('unshare', [...UNSHARE, TRIAL], { stdio: ['ignore', 'ignore', 'pipe'], timeout: 10_000 });
    return undefined;
  } catch (error) {
    return `no network namespace with iptables here: ${messageOf(error).split('\n').slice(0, 2).join(' ').slice(0, 200)}`;
  }
}

/** Runs this very command in a network of its own; resolves to its exit code. */
export function inOwnNetwork(): Promise<number> {
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', [...UNSHARE, 'ip link set lo up && exec "$@"', 'sh', ...command], {
    ...{ stdio: 'inherit', env: { ...process.env, [MARK]: '1' } },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 2));
  });
}

export function networkFaults({ crew }: Ground, why: string | undefined): (FaultKind | Skipped)[] {
  if (why !== undefined) return [{ name: 'network', why }];
  const one = (random: Prng): Member => random.pick(crew.members);
  const refused = ['-j', 'REJECT', '--reject-with', 'tcp-reset'];
  return [
    { name: 'network cut', weight: 3, draw: (random) => rule(one(random), 'all packets', 'vanish', ['-j', 'DROP']) },
    { name: 'network refused', weight: 1, draw: (random) => rule(one(random), 'all packets', 'are refused', refused) },
    { name: 'network loss', weight: 2, draw: (random) => loss(one(random), 2 + random.below(40)) },
  ];
}

function loss(member: Member, percent: number): Fault {
  const chance = ['-m', 'statistic', '--mode', 'random', '--probability', String(percent / 100)];
  return rule(member, `${percent} % of the packets`, 'vanish', [...chance, '-j', 'DROP']);
}

/** What goes to the gRPC port of a member and comes from it; its connections to others stay. Roles and clients feel it alike. */
function rule(member: Member, which: string, what: string, target: readonly string[]): Fault {
  const port = member.grpc.slice(member.grpc.lastIndexOf(':') + 1);
  const rules = ['--dport', '--sport'].map((way) => ['INPUT', '-p', 'tcp', way, port, ...target]);
  const all = (command: '-A' | '-D'): Promise<undefined> => {
    for (const each of rules) execFileSync('iptables', ['-w', '5', command, ...each], { stdio: 'ignore' });
    return Promise.resolve(undefined);
  };
  return {
    ...{ kind: 'network', members: [member] },
    text: `${which} at the port of ${nameOf(member)} ${what}`,
    begin: () => all('-A'),
    end: () => all('-D'),
  };
}
