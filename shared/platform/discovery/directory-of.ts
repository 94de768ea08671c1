import type { Log } from '../../ports/telemetry.ts';
import { realClock } from '../clock.ts';
import { isFixed } from '../config/values.ts';
import type { HostPort, MemberList } from '../config/values.ts';
import { DnsDirectory, FixedDirectory } from './directory.ts';
import type { Directory } from './directory.ts';
import { DnsLookup } from './dns-lookup.ts';

/** The settings of discovery, as roles have them. */
export interface DiscoveryConfig {
  readonly 'discovery.interval': number;
  readonly 'discovery.forget': number;
  readonly 'discovery.server': HostPort | undefined;
}

/** The directory of a setting. `role`, for the log, says whose members they are. */
export function directoryOf(list: MemberList, role: string, config: DiscoveryConfig, log: Log): Directory {
  if (isFixed(list)) return new FixedDirectory(list);
  return new DnsDirectory(list, role, {
    intervalMs: config['discovery.interval'],
    forgetMs: config['discovery.forget'],
    lookup: new DnsLookup({ server: config['discovery.server'] }),
    clock: realClock,
    log,
  });
}
