/** The settings of a proposer. */
import { z } from 'zod';
import { PROPOSER_DEFAULTS } from '../../shared/paxos/proposing.ts';
import { ACCEPTORS_MAX, ACCEPTORS_MIN } from '../../shared/paxos/quorum.ts';
import { addressBook, commonSettings, discoverySettings, quorumFault } from '../../shared/platform/config/common.ts';
import { choice, duration, integer, isFixed, size } from '../../shared/platform/config/values.ts';

const MIB = 1024 * 1024;
const ms = (of: number): string => `${String(of)}ms`;

export const proposerSettings = z
  .object({
    ...commonSettings,
    ...addressBook,
    ...discoverySettings,
    'proposals.in-flight.max': integer({
      describe: 'proposals held here before more are refused',
      default: String(PROPOSER_DEFAULTS.inFlightMax),
      min: 1,
      max: 1_000_000,
    }),
    pipeline: integer({
      describe: 'batches of one log under way at once; more fill a long network, fewer gather more values each',
      default: String(PROPOSER_DEFAULTS.pipeline),
      min: 1,
      max: 1_000,
    }),
    'stream.queue.bytes': size({
      describe: 'bytes that may wait for one slow acceptor, proposer or client',
      default: '16MiB',
      min: 4 * MIB,
    }),
    'heartbeat.interval': duration({
      describe: 'how often this proposer tells the others that it is alive',
      default: ms(PROPOSER_DEFAULTS.heartbeatMs),
      min: 10,
      max: 10_000,
    }),
    'peer.silence.min': duration({
      describe: 'another proposer is given up after a silence between this and peer.silence.max',
      default: ms(PROPOSER_DEFAULTS.silenceMsMin),
      min: 20,
      max: 60_000,
    }),
    'peer.silence.max': duration({
      describe: 'the other end of that range',
      default: ms(PROPOSER_DEFAULTS.silenceMsMax),
      min: 20,
      max: 60_000,
    }),
    'round.timeout': duration({
      describe: 'how long a phase waits for its quorum before it is tried again',
      default: ms(PROPOSER_DEFAULTS.timeoutMs),
      min: 20,
      max: 60_000,
    }),
    'fast.timeout': duration({
      describe: 'how long votes at a fast ballot may stay below a fast quorum before another ballot decides',
      default: ms(PROPOSER_DEFAULTS.fastMs),
      min: 10,
      max: 60_000,
    }),
    'fast.recovery': choice(['coordinated', 'classic'], {
      describe: 'a collision in a log that was opened: its opener decides the slot, or the log goes to a leader',
      default: PROPOSER_DEFAULTS.fastRecovery,
    }),
    'fast.collisions.max': integer({
      describe: 'percent of the last 100 slots that may collide before a log goes to a leader',
      default: String(PROPOSER_DEFAULTS.fastCollisionsMax),
      min: 0,
      max: 100,
    }),
    'fast.wait.min': duration({
      describe: 'how long a log stays with a leader before it is opened for fast voting; doubles up to fast.wait.max',
      default: ms(PROPOSER_DEFAULTS.fastWaitMsMin),
      min: 10,
      max: 3_600_000,
    }),
    'fast.wait.max': duration({
      describe: 'the other end of that range',
      default: ms(PROPOSER_DEFAULTS.fastWaitMsMax),
      min: 10,
      max: 3_600_000,
    }),
    'history.proposals': integer({
      describe: 'proposals that ended whose records are kept (synodctl history)',
      default: '4096',
      max: 100_000,
    }),
    'history.bytes': size({
      describe: 'bytes that the texts of these records may take',
      default: '4MiB',
      min: 64 * 1024,
      max: 1024 * MIB,
    }),
    'probe.interval': duration({
      describe: 'how often a probe round shows that a quorum answers',
      default: ms(PROPOSER_DEFAULTS.probeMs),
      min: 100,
      max: 3_600_000,
    }),
  })
  .superRefine((config, context) => {
    const fault = (message: string): void => {
      context.addIssue({ code: 'custom', message });
    };
    if (isFixed(config.proposers) && !config.proposers.has(config.id))
      fault(
        `--id ${String(config.id)} is not among the proposers ${[...config.proposers.keys()].join(', ')} (--proposers); ` +
          'the others would not know it',
      );
    const count = config.acceptors.size;
    const unsafe = quorumFault(config);
    if (count < ACCEPTORS_MIN || count > ACCEPTORS_MAX)
      fault(`--acceptors names ${String(count)}; a cluster has ${String(ACCEPTORS_MIN)} to ${String(ACCEPTORS_MAX)}`);
    else if (unsafe !== undefined) fault(unsafe);
    if (config['peer.silence.max'] < config['peer.silence.min'])
      fault(
        `--peer-silence-max is ${ms(config['peer.silence.max'])}, below --peer-silence-min, which is ${ms(config['peer.silence.min'])}`,
      );
    if (config['fast.wait.max'] < config['fast.wait.min'])
      fault(
        `--fast-wait-max is ${ms(config['fast.wait.max'])}, below --fast-wait-min, which is ${ms(config['fast.wait.min'])}`,
      );
    if (config['peer.silence.min'] < 2 * config['heartbeat.interval'])
      fault(
        `--peer-silence-min is ${ms(config['peer.silence.min'])}: at least two heartbeats (--heartbeat-interval, ${ms(config['heartbeat.interval'])}) must fit in it`,
      );
  });

export type ProposerConfig = z.output<typeof proposerSettings>;
