/** The command line of the benchmark. */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  readonly what: 'all' | 'memory' | 'trace' | 'fast';
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly only: RegExp | undefined;
  readonly quick: boolean;
  readonly json: boolean;
  readonly out: string | undefined;
  readonly profile: boolean;
  /** Where the cluster keeps its data for the time being: this is the disk that is measured. */
  readonly folder: string;
  readonly via: 'leader' | 'all';
  readonly processes: number;
  readonly failovers: number;
  /** Memory run: proposals at the first and the last look. */
  readonly from: number;
  readonly to: number;
  /** Trace run: pairs of a case. */
  readonly pairs: number;
  /** Fast run: where the plot goes. */
  readonly svg: string | undefined;
}

export const HELP = `npm run bench -- [memory | trace | fast] [flags]: how fast Synod is on this machine

Starts a cluster of its own, drives it through client processes, and compares every figure with a bare gRPC server.

  memory           instead: is the memory of acceptors and learners flat from --from to --to proposals?
  trace            instead: what does it cost to follow the trace of all roles? With and without, in pairs
  fast             instead: Fast Paxos beside Multi-Paxos, with messages held 5 ms each way, and 1 to 8 proposers on one log
  --seconds N      how long each case is measured (default 5; 1 with --quick)
  --only TEXT      only cases whose name matches, such as "stream" or "unary 1 " (also: failover)
  --quick          64 B only, one second each, one failover
  --json           print the results as JSON instead of a table
  --out FILE       where the results go (default results/bench-TIME.json)
  --data DIR       the disk to measure: a folder is made in DIR and removed again (default results)
  --profile        have every role write a CPU profile (results/profile-TIME)
  --via WHOM       leader: clients find the leader; all: each process uses one proposer (default leader)
  --processes N    client processes (default 2)
  --failovers N    how often the leader is killed (default 5; 1 with --quick)
  --from N --to N  memory: proposals, default 1000000 and 5000000
  --pairs N        trace: pairs of each case (default 6)
  --svg FILE       fast: a plot of the results

The exit code is 0 when every run counts: the log grew by exactly what was acknowledged. Speed never decides it.
`;

export function readOptions(argv: readonly string[]): BenchOptions | 'help' {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: {
      ...{
        seconds: text,
        only: text,
        out: text,
        data: text,
        via: text,
        processes: text,
        failovers: text,
        from: text,
        to: text,
        pairs: text,
        svg: text,
      },
      ...{ quick: flag, json: flag, profile: flag, help: flag },
    },
    allowPositionals: true,
  });
  if (values.help === true) return 'help';
  const [what = 'all', ...more] = positionals;
  if ((what !== 'all' && what !== 'memory' && what !== 'trace' && what !== 'fast') || more.length > 0)
    throw new Error(`${JSON.stringify(positionals.join(' '))} is not expected; see --help`);
  const via = values.via ?? 'leader';
  if (via !== 'leader' && via !== 'all') throw new Error(`--via must be leader or all, not ${JSON.stringify(via)}`);
  const quick = values.quick ?? false;
  const number = (name: string, given: string | undefined, preset: number, min: number): number => {
    const value = given === undefined ? preset : Number(given);
    if (Number.isFinite(value) && value >= min) return value;
    throw new Error(`--${name} must be a number from ${String(min)} on, not ${JSON.stringify(given)}`);
  };
  return {
    what,
    via,
    quick,
    seconds: number('seconds', values.seconds, quick ? 1 : 5, 0.1),
    warmUpSeconds: quick ? 1 : 5,
    only: values.only === undefined ? undefined : new RegExp(values.only, 'i'),
    json: values.json ?? false,
    out: values.out,
    profile: values.profile ?? false,
    folder: values.data ?? 'results',
    processes: number('processes', values.processes, 2, 1),
    failovers: number('failovers', values.failovers, quick ? 1 : 5, 1),
    from: number('from', values.from, 1_000_000, 1_000),
    to: number('to', values.to, 5_000_000, 2_000),
    pairs: number('pairs', values.pairs, 6, 1),
    svg: values.svg,
  };
}
