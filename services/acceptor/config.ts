/** The settings of an acceptor. */
import { z } from 'zod';
import { JOURNAL_DEFAULTS } from '../../shared/journal/index.ts';
import { ACCEPTOR_DEFAULTS } from '../../shared/paxos/acceptor.ts';
import { ACCEPTORS_MIN } from '../../shared/paxos/quorum.ts';
import { addressBook, commonSettings, dataFolder, quorumFault } from '../../shared/platform/config/common.ts';
import { duration, integer, optional, size } from '../../shared/platform/config/values.ts';

const MIB = 1024 * 1024;
const mib = (bytes: number): string => `${String(bytes / MIB)}MiB`;

export const acceptorSettings = z
  .object({
    ...commonSettings,
    acceptors: addressBook.acceptors,
    // Every role is started with the same list of addresses; an acceptor calls nobody but acceptors.
    proposers: optional(addressBook.proposers),
    learners: optional(addressBook.learners),
    data: dataFolder,
    // Half of a segment must take the largest message between roles.
    'journal.segment.bytes': size({
      describe: 'bytes of one file of the journal, allocated before they are used',
      default: mib(JOURNAL_DEFAULTS.segmentBytes),
      min: 16 * MIB,
      max: 1024 * MIB,
    }),
    'journal.bytes.max': size({
      describe: 'above this new slots are refused; two segments more are kept for what must go on',
      default: mib(JOURNAL_DEFAULTS.bytesMax),
      min: 32 * MIB,
    }),
    'journal.queue.bytes': size({
      describe: 'bytes that may wait for their write before Accepts are refused as busy',
      default: '64MiB',
      min: 4 * MIB,
    }),
    'stream.queue.bytes': size({
      describe: 'bytes that may wait for one slow proposer or learner',
      default: '16MiB',
      min: 4 * MIB,
    }),
    'trim.holders': integer({
      describe: 'how many learner disks must hold a slot before it is dropped',
      default: String(ACCEPTOR_DEFAULTS.holders),
      min: 1,
      max: 1_000,
    }),
    'leader.grace': duration({
      describe: 'how long after its last word a leader is protected from others',
      default: `${String(ACCEPTOR_DEFAULTS.graceMs)}ms`,
      min: 1,
      max: 60_000,
    }),
  })
  .superRefine((config, context) => {
    const fault = (message: string): void => {
      context.addIssue({ code: 'custom', message });
    };
    // R5: an acceptor that is not in the configuration could promise and vote without anybody counting it.
    if (!config.acceptors.has(config.id))
      fault(
        `--id ${String(config.id)} is not among the acceptors ${[...config.acceptors.keys()].join(', ')} (--acceptors); ` +
          'start it with an id of the configuration',
      );
    // Proposers and learners refuse fewer acceptors than that; an acceptor alone decides nothing.
    const unsafe = config.acceptors.size < ACCEPTORS_MIN ? undefined : quorumFault(config);
    if (unsafe !== undefined) fault(unsafe);
    const segment = config['journal.segment.bytes'];
    if (segment % 512 !== 0) fault(`--journal-segment-bytes must be a multiple of 512, not ${String(segment)} bytes`);
    if (config['journal.bytes.max'] < 2 * segment)
      fault(
        `--journal-bytes-max must be at least two segments (--journal-segment-bytes), that is ${String(2 * segment)} bytes, ` +
          `not ${String(config['journal.bytes.max'])}`,
      );
  });

export type AcceptorConfig = z.output<typeof acceptorSettings>;
