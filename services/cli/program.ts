/** The command line: which commands there are, what each takes, and how each is shown in `--help`. */
import { Command, CommanderError, Option } from 'commander';
import { bench } from './commands/bench.ts';
import { DEMOS, demo } from './commands/demo.ts';
import type { DemoOptions } from './commands/demo.ts';
import { delay, drop, heal, list, partition } from './commands/fault.ts';
import type { FaultOptions } from './commands/fault.ts';
import { history } from './commands/history.ts';
import type { HistoryOptions } from './commands/history.ts';
import { dump, verify } from './commands/journal.ts';
import { showLog, subscribe } from './commands/log.ts';
import type { LogOptions } from './commands/log.ts';
import { forgetLearner, moveLeader } from './commands/operate.ts';
import { propose } from './commands/propose.ts';
import type { ProposeOptions } from './commands/propose.ts';
import { quorum } from './commands/quorum.ts';
import type { QuorumOptions } from './commands/quorum.ts';
import { restoreCluster } from './commands/restore.ts';
import { logs, status } from './commands/status.ts';
import type { StatusOptions } from './commands/status.ts';
import { top } from './commands/top.ts';
import type { TopOptions } from './commands/top.ts';
import { trace } from './commands/trace.ts';
import type { TraceOptions } from './commands/trace.ts';
import { contextOf } from './context.ts';
import type { Context } from './context.ts';
import { EXIT, EXIT_HELP, errorLine, exitCodeOf } from './exit.ts';
import type { Io } from './io.ts';
import type { RestoreOptions } from './restore/plan.ts';

/** Runs one command line (without node and the program's name). Resolves to the exit code; never fails. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  const program = build(io, (result) => (code = result));
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    // Commander has printed what is wrong, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (io.signal.aborted) return EXIT.ok;
    io.err(errorLine(error, argv.includes('--json')));
    return exitCodeOf(error);
  }
}

function build(io: Io, done: (code: number) => void): Command {
  const program = new Command('synodctl')
    .description('Synod from the command line: propose values, read logs, look at a cluster and operate it.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        io.out(text.replace(/\n$/, ''));
      },
      writeErr: (text) => {
        io.err(text.replace(/\n$/, ''));
      },
      outputError: (text, write) => {
        write(text.replace(/^error: /, 'synodctl: '));
      },
    })
    .showHelpAfterError('(see --help)')
    .enablePositionalOptions()
    .addHelpText('after', `\nExample:\n  synodctl propose hello\n${EXIT_HELP}`);
  clusterOptions(program);
  const add: Add = (parent, usage, about, example) =>
    parent
      .command(usage)
      .description(about)
      .exitOverride()
      .addHelpText('after', `\nExample:\n  ${example.join('\n  ')}\n${EXIT_HELP}`);
  /** An action that speaks to a cluster; options before the command's name count, too. */
  const cluster =
    (run: Action) =>
    async (...given: unknown[]): Promise<void> => {
      const command = given[given.length - 1] as Command;
      const options = { ...program.opts(), ...command.opts<Options>() };
      done(await run(command.args, options, await contextOf(options, io)));
    };
  valueCommands(program, add, cluster);
  clusterCommands(program, add, cluster);
  traceCommand(program, add, cluster);
  demoCommands(program, add, cluster);
  faultCommands(program, add, cluster);
  localCommands(program, add, io, done);
  return program;
}

type Add = (parent: Command, usage: string, about: string, example: readonly string[]) => Command;
/** What commander hands over; each command reads what it declared. */
type Options = ProposeOptions &
  LogOptions &
  StatusOptions &
  HistoryOptions &
  TopOptions &
  TraceOptions &
  DemoOptions &
  FaultOptions & { readonly force?: boolean };
type Action = (args: string[], options: Options, context: Context) => Promise<number>;
type Cluster = (run: Action) => (...given: unknown[]) => Promise<void>;

function clusterOptions(command: Command): Command {
  return command
    .option(
      '--endpoints <list>',
      'ROLE=HOST:PORT,… or ROLE=dns:HOST:PORT of proposers, learners and acceptors (SYNOD_ENDPOINTS)',
    )
    .option('--port-base <n>', 'the local cluster on this port base (SYNOD_PORT_BASE; default 7000)')
    .option('--timeout <seconds>', 'how long to try (default 5)')
    .option('--json', 'print JSON, one object a line');
}

function logOption(): Option {
  return new Option('-l, --log <name>', 'the log').default('default');
}

function valueCommands(program: Command, add: Add, cluster: Cluster): void {
  clusterOptions(
    add(program, 'propose [value...]', 'Have values chosen; prints log, slot, ballot and value of each.', [
      'synodctl propose hello',
      'synodctl propose --log orders --file orders.txt',
      'synodctl propose --protocol basic --log primary node-1',
      'synodctl propose --protocol fast --log events click --json',
      'synodctl propose --protocol fast --decree --log leader-of-eu node-2',
    ]),
  )
    .addOption(logOption())
    .option(
      '--protocol <name>',
      'multi: the next slot of the log; basic: a decree, slot 0 alone; fast: the next slot, without a leader',
      'multi',
    )
    .option('--decree', 'with fast: slot 0 alone, a log of its own')
    .option(
      '-f, --file <path>',
      'values from a file, one a line; - is standard input; a line ends at LF or CR LF, which are not part of the value',
    )
    .option('--base64', 'values are given and shown as base64')
    .option('--progress', 'also print who promised and who voted for each, as it happens')
    .action(cluster((values, options, context) => propose(values, options, context)));
  for (const [name, about, example, run] of [
    ['log', 'What was chosen, slot by slot.', 'synodctl log --log orders --from 100 --limit 20', showLog],
    ['subscribe', 'What is chosen, as it is applied, until Ctrl-C.', 'synodctl subscribe --log orders', subscribe],
  ] as const) {
    const command = clusterOptions(add(program, name, about, [example]))
      .addOption(logOption())
      .option('--from <slot>', 'the first slot', '0')
      .option('--limit <n>', `at most so many entries (default ${name === 'log' ? '100' : 'no end'})`)
      .option('--all', 'also no-ops, duplicates and sessions')
      .option('--base64', 'show values as base64')
      .action(cluster((_args, options, context) => run(options, context)));
    if (name === 'log') command.option('--local', 'what one learner has, without asking a quorum for the end');
  }
}

function clusterCommands(program: Command, add: Add, cluster: Cluster): void {
  clusterOptions(add(program, 'logs', 'All logs: leader, ballot, watermarks.', ['synodctl logs --all --json']))
    .option('--all', "also Synod's own logs")
    .option('--limit <n>', 'at most so many logs (default 1000)')
    .action(cluster((_args, options, context) => logs(options, context)));
  clusterOptions(
    add(program, 'status', 'All members: leaders, ballots, watermarks, queues, disks, and what is kept and why.', [
      'synodctl status',
      'synodctl status --log orders --json',
    ]),
  )
    .option('-l, --log <name>', 'only this log')
    .option('--all', "also Synod's own logs")
    .option('--limit <n>', 'at most so many logs (default 20)')
    .action(cluster((_args, options, context) => status(options, context)));

  clusterOptions(
    add(program, 'history', 'What became of proposals: outcome, slot, time, leader; or what happened to one of them.', [
      'synodctl history --log orders',
      'synodctl history --id 0da05b6e:1007:1',
      'synodctl history --log orders --slot 17',
    ]),
  )
    .option('-l, --log <name>', 'only this log')
    .option(
      '--id <id>',
      'one proposal, CLIENT:SESSION:SEQUENCE, or CLIENT for a decree; learners and acceptors are asked, too',
    )
    .option('--slot <slot>', 'only what was chosen, or sent, in this slot; needs --log')
    .option('--limit <n>', 'at most so many proposals, the newest (default 20)')
    .option('--all', 'also openings of sessions')
    .action(cluster((_args, options, context) => history(options, context)));

  clusterOptions(
    add(
      program,
      'top',
      'The cluster at work: roles, leaders, rates, latencies, queues; drawn anew until q or Ctrl-C.',
      ['synodctl top', 'synodctl top --once --json'],
    ),
  )
    .option('--once', 'print one screen, of one interval, and end')
    .option('--interval <time>', 'how often, and what rates are over (default 1s)')
    .action(cluster((_args, options, context) => top(options, context)));

  const leader = program.command('leader').description('Who leads a log.').exitOverride();
  clusterOptions(
    add(leader, 'move <log> <proposer>', 'Have another proposer lead a log; PROPOSER is its number, or any.', [
      'synodctl leader move orders 2',
    ]),
  ).action(cluster(([log = '', to = ''], _options, context) => moveLeader(log, to, context)));

  const learner = program.command('learner').description('Learners and what they hold.').exitOverride();
  clusterOptions(
    add(learner, 'forget <learner>', "Stop counting on a learner's disk; by its number or its disk's id.", [
      'synodctl learner forget 2',
    ]),
  )
    .option('--force', 'even where fewer disks than trim.holders keep what acceptors have dropped')
    .action(cluster(([id = ''], options, context) => forgetLearner(id, options.force ?? false, context)));
}

function traceCommand(program: Command, add: Add, cluster: Cluster): void {
  clusterOptions(
    add(program, 'trace', 'What happens in all members, in one order, as it happens; until Ctrl-C.', [
      'synodctl trace --log orders',
      'synodctl trace --propose hello --chart',
      'synodctl trace --log orders --for 10s --svg orders.svg',
      'synodctl trace --log orders --id 0dad1b6e71458c6c8fbdf83ad72084a1:17:3',
    ]),
  )
    .option('-l, --log <name>', 'only this log (default: all; with --propose: default)')
    .option('--id <id>', 'only this proposal, CLIENT:SESSION:SEQUENCE; --log adds the campaigns of its log')
    .option('--propose <value>', 'propose this value, and show what happens to it until it is applied')
    .option('--for <time>', 'end after this time, such as 10s')
    .option('--chart', 'as a message-sequence chart: a lane for each member')
    .option('--svg <file>', 'write such a chart as a picture at the end')
    .option('--all', "also heartbeats, every sync and Synod's own logs")
    .action(cluster((_args, options, context) => trace(options, context)));
}

function demoCommands(program: Command, add: Add, cluster: Cluster): void {
  const parent = program
    .command('demo')
    .description(
      'Paxos shown on the running cluster, and told from what its members do; for clusters started with --faults.',
    )
    .exitOverride();
  for (const [name, { about }] of Object.entries(DEMOS))
    clusterOptions(add(parent, name, about, [`synodctl demo ${name}`, `synodctl demo ${name} --slow`]))
      .option('--slow', 'with pauses, for an audience')
      .option('--svg <file>', 'write what happened as a picture at the end')
      .action(cluster((_args, options, context) => demo(name, options, context)));
}

function faultCommands(program: Command, add: Add, cluster: Cluster): void {
  const fault = program
    .command('fault')
    .description('Messages between members that are cut, lost or held on purpose; for clusters started with --faults.')
    .exitOverride();
  const lasting = (command: Command): Command =>
    clusterOptions(command).option('--for <time>', 'how long it lasts, such as 10s (default: until it is healed)');
  const onTheWay = (command: Command): Command =>
    lasting(command).option('--both-ways', 'also what the second side sends to the first');
  lasting(
    add(fault, 'partition <who...>', 'Cut members from one another: A[,B…] from C[,D…]. Both sides make it.', [
      'synodctl fault partition acceptor-1 from proposer-1,proposer-2',
      'synodctl fault partition proposer-1,acceptor-1 from all --for 10s',
      'synodctl fault partition acceptor-1 from learners --one-way',
    ]),
  )
    .option('--one-way', 'only what the first side sends to the second is lost')
    .action(cluster((words, options, context) => partition(words, options, context)));
  onTheWay(
    add(fault, 'drop <share> <who...>', 'Lose a share of the messages: SHARE A[,B…] to C[,D…].', [
      'synodctl fault drop 30% proposers to acceptor-1',
    ]),
  ).action(cluster((words, options, context) => drop(words, options, context)));
  onTheWay(
    add(fault, 'delay <time> <who...>', 'Hold messages, in order: TIME A[,B…] to C[,D…].', [
      'synodctl fault delay 50ms --jitter 20ms proposer-1 to acceptors',
    ]),
  )
    .option('--jitter <time>', 'hold each by up to so much more, by chance')
    .action(cluster((words, options, context) => delay(words, options, context)));
  clusterOptions(
    add(fault, 'heal [id...]', 'End faults, or all of them, at every member at once.', [
      'synodctl fault heal',
      'synodctl fault heal 3f9a01',
    ]),
  ).action(cluster((ids, _options, context) => heal(ids, context)));
  clusterOptions(add(fault, 'list', 'The faults in force, member by member.', ['synodctl fault list'])).action(
    cluster((_args, _options, context) => list(context)),
  );
}

function localCommands(program: Command, add: Add, io: Io, done: (code: number) => void): void {
  const journal = program.command('journal').description("An acceptor's journal, read where it lies.").exitOverride();
  for (const [name, about, example, run] of [
    ['verify', 'Read every record and say what a start would say.', 'synodctl journal verify data/acceptor-1', verify],
    ['dump', 'Print every record, oldest first.', 'synodctl journal dump data/acceptor-1 --json', dump],
  ] as const)
    add(journal, `${name} <dir>`, about, [example])
      .option('--json', 'print JSON')
      .action(async (folder: string, options: { json?: boolean }) => {
        done(await run(folder, options, io));
      });
  const made = program.command('cluster').description('A cluster as a whole, while nothing of it runs.').exitOverride();
  add(
    made,
    'restore <dir>',
    "A new cluster from a stopped learner's folder, when the acceptors are lost beyond repair.",
    [
      'synodctl cluster restore data/learner-1 --dry-run',
      'synodctl cluster restore data/learner-1 --into data-new --cluster new',
    ],
  )
    .option('--into <dir>', 'the folder for the new data: acceptor-N, learner-N and, for npm start, cluster.json')
    .option('--cluster <id>', 'the id of the new cluster, never used before; new draws one')
    .option('--acceptors <n>', 'how many acceptors the new cluster has, or their ids: 3, or 1,2,5 (default 3)')
    .option('--quorum <system>', 'its quorum system (default majority; see synodctl quorum)')
    .option('--learner <n>', 'the number of the restored learner (default: the one that it had)')
    .option('--dry-run', 'only say what the learner holds')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action(async (folder: string, options: RestoreOptions) => {
      done(await restoreCluster(folder, options, io));
    });
  add(program, 'quorum [system]', 'Which acceptors may decide: the legal quorum systems, and what each survives.', [
    'synodctl quorum --acceptors 5',
    'synodctl quorum --acceptors 4 --q1 3 --q2 2',
    'synodctl quorum --grid 2x3',
    'synodctl quorum --weights 1=2,2=1,3=1 --q1 3 --q2 2',
    'synodctl quorum --sets 1+2,3+4/1+3,2+4',
    'synodctl quorum weighted:1=2,2=1,3=1:3,2 --json',
  ])
    .option('--acceptors <n>', 'how many acceptors: 3 to 7 (default: those that the system names, or 3)')
    .option('--q1 <n>', 'any so many promise (or so much weight): they elect a leader, and answer linearizable reads')
    .option('--q2 <n>', 'any so many choose a value')
    .option('--qf <n>', 'any so many choose a value at a fast ballot (default: as few as is safe)')
    .option('--grid <RxC>', 'rows x columns: one of each column promises, a whole column chooses')
    .option('--weights <list>', 'ID=WEIGHT,…: sizes are of weights')
    .option('--sets <sets>', 'ID+ID,…/ID+ID,…[/ID+ID,…]: the sets that promise / choose / choose fast')
    .option('--json', 'print JSON, one object a system')
    .action((system: string | undefined, options: QuorumOptions) => {
      done(quorum(system, options, io));
    });
  add(program, 'bench [args...]', 'Measure this machine: starts a cluster of its own. See bench --help.', [
    'synodctl bench --quick',
  ])
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action(async (args: string[]) => {
      done(await bench(args));
    });
}
