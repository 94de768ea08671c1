/** `synodctl cluster restore DIR`: a new cluster from what one learner holds, when the acceptors are lost beyond repair. */
import { RESERVED_LOG_PREFIX } from '../../../shared/base/limits.ts';
import { SynodError } from '../../../shared/base/errors.ts';
import type { StoreIdentity } from '../../../shared/ports/learner-store.ts';
import { EXIT, UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { planOf, requireEmpty } from '../restore/plan.ts';
import type { Plan, RestoreOptions } from '../restore/plan.ts';
import { openSource } from '../restore/source.ts';
import type { Source } from '../restore/source.ts';
import { isLocal, writeCluster } from '../restore/write.ts';
import { table } from '../table.ts';
import { showName } from '../text.ts';

/** Logs that are listed for a person; `--json` lists all. */
const LOGS_SHOWN = 40;

export async function restoreCluster(folder: string, options: RestoreOptions, io: Io): Promise<number> {
  const plan = options.dryRun === true ? undefined : planOf(options);
  const isJson = options.json === true;
  if (plan !== undefined && options.yes !== true && (isJson || io.piped))
    throw new UsageError('nobody can be asked here: add --yes once you know what will be missing (--dry-run tells)');
  const source = await openSource(folder);
  try {
    const { identity } = source.store;
    if (plan === undefined) {
      if (isJson) io.out(JSON.stringify({ from: identity, logs: Object.fromEntries(source.ends) }));
      else for (const line of holdings(folder, identity, source)) io.out(line);
      return EXIT.ok;
    }
    const learner = plan.learner ?? Number(identity.learner);
    refuseSame(plan, identity);
    requireEmpty(plan, learner);
    if (!isJson) for (const line of [...holdings(folder, identity, source), '', ...missing(plan)]) io.out(line);
    if (options.yes !== true) await confirm(plan, io);
    await writeCluster(plan, source, learner);
    if (isJson) io.out(JSON.stringify(resultOf(plan, learner, identity, source)));
    else for (const line of ['', ...next(plan, learner)]) io.out(line);
    return EXIT.ok;
  } finally {
    await source.close();
  }
}

/** R7: members of two clusters with one id would take one another for their own. */
function refuseSame({ cluster }: Plan, identity: StoreIdentity): void {
  if (cluster === identity.cluster)
    throw new SynodError(
      'FAILED_PRECONDITION',
      `--cluster ${cluster} is the id of the old cluster: what is left of it could be taken for the new one. Give another, or new`,
    );
}

function holdings(folder: string, { learner, cluster, disk }: StoreIdentity, { ends }: Source): string[] {
  const logs = [...ends].filter(([log]) => !log.startsWith(RESERVED_LOG_PREFIX));
  const own = ends.size - logs.length;
  const shown = logs.slice(0, LOGS_SHOWN).map(([log, end]) => [showName(log), String(end)]);
  const more = logs.length - shown.length;
  return [
    `${folder}: learner ${learner} of cluster ${cluster}, disk ${disk}`,
    ...(shown.length === 0 ? ['It holds no log.'] : table(['log', 'it holds all slots below'], shown)),
    ...(more === 0 ? [] : [`and ${String(more)} logs more (--json lists all)`]),
    ...(own === 0 ? [] : [`and ${String(own)} of Synod's own`]),
  ];
}

/** What is lost, without softening. */
function missing({ cluster }: Plan): string[] {
  return [
    `Cluster ${cluster} will begin with exactly these slots. What may be missing in it:`,
    '- Values that were chosen, and perhaps acknowledged, in slots from these ends on, and in logs that are not named. Nobody can',
    '  tell from here whether there were any. They are gone, and other values will take their slots.',
    '- The outcome of every proposal that was under way when the old cluster ended is unknown. A retry under its old id is answered',
    '  from these slots if it is there, and otherwise takes effect anew.',
    'Another learner may hold more: compare with synodctl cluster restore DIR --dry-run, and restore from the one that is furthest.',
    'The old cluster must never run again: its members and this one would go on to different values.',
  ];
}

async function confirm({ cluster }: Plan, io: Io): Promise<void> {
  io.out('');
  io.out(`Type the id of the new cluster, ${cluster}, to go on:`);
  let typed = '';
  for await (const part of io.input) {
    typed += Buffer.from(part).toString('utf8');
    if (typed.includes('\n')) break;
  }
  if (typed.split('\n')[0]?.trim() !== cluster)
    throw new SynodError('CANCELLED', 'that is not the id of the new cluster; nothing was written');
}

function next(plan: Plan, learner: number): string[] {
  const { into, cluster, acceptors, quorum } = plan;
  const start = isLocal(plan)
    ? [
        `npm start -- --data ${into} --acceptors ${String(acceptors.length)}${quorum === 'majority' ? '' : ` --quorum ${quorum}`}`,
      ]
    : [
        `start each acceptor and learner ${String(learner)} with --cluster ${cluster}, --quorum ${quorum} and its folder here`,
      ];
  return [
    `${into} holds the data of cluster ${cluster}: acceptors ${acceptors.join(', ')} and learner ${String(learner)}.`,
    `Next: ${start.join('')}`,
    'All of these acceptors must be there at the first start, each with its folder. Other learners start with empty folders, and',
    'take everything from this one: it is the only copy until they have.',
  ];
}

function resultOf(plan: Plan, learner: number, from: StoreIdentity, { ends }: Source): object {
  const { into, cluster, configuration, acceptors, quorum } = plan;
  return { from, cluster, configuration, acceptors, quorum, learner, into, logs: Object.fromEntries(ends) };
}
