/** The learner's settings. */
import { z } from 'zod';
import {
  addressBook,
  commonSettings,
  dataFolder,
  discoverySettings,
  quorumFault,
} from '../../shared/platform/config/common.ts';
import { duration, integer, size } from '../../shared/platform/config/values.ts';

export const learnerSettings = z
  .object({
    ...commonSettings,
    ...addressBook,
    ...discoverySettings,
    data: dataFolder,
    'reads.waiting.max': integer({
      describe: 'reads, answers and tables that wait for a slot before more are refused',
      default: '10000',
      min: 1,
      max: 1_000_000,
    }),
    'subscribers.max': integer({
      describe: 'subscriptions open before more are refused',
      default: '500',
      min: 1,
      max: 100_000,
    }),
    'apply.queue.max': size({
      describe: 'values that wait to be applied; what comes beyond it is fetched later',
      default: '64MiB',
      min: 4 * 1024 * 1024,
    }),
    'apply.interval': duration({
      describe: 'how long chosen values that nobody waits for may gather before they are stored in one transaction',
      default: '20ms',
      min: 0,
    }),
    'compare.interval': duration({
      describe: 'how often learners tell one another how far they are and compare digests',
      default: '500ms',
      min: 10,
      max: 60_000,
    }),
  })
  .superRefine((config, context) => {
    const unsafe = quorumFault(config);
    if (unsafe !== undefined) context.addIssue({ code: 'custom', message: unsafe });
  });

export type LearnerConfig = z.output<typeof learnerSettings>;
