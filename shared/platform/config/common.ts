/** The settings that several roles share, so that they read the same everywhere. */
import { messageOf } from '../../base/errors.ts';
import { QUORUM_FORMS, isQuorumSetting, quorumSystem } from '../../paxos/quorum-setting.ts';
import type { HostPort } from './values.ts';
import {
  choice,
  duration,
  endpoints,
  hostPort,
  hostPortText,
  integer,
  ipPort,
  members,
  optional,
  setting,
  text,
  yesNo,
} from './values.ts';

/** Settings of every role: spread them into the role's schema, with those of `addressBook` that it needs. */
export const commonSettings = {
  cluster: text({
    describe: 'the id of the cluster; the same at all roles',
    pattern: /^[A-Za-z0-9._-]{1,64}$/,
    must: '1 to 64 letters, digits, dots, dashes or underscores',
  }),
  id: integer({ describe: 'the number of this process among those of its role', min: 1, max: 65_535 }),
  listen: hostPort({ describe: 'where to serve gRPC' }),
  http: optional(hostPort({ describe: 'where to serve metrics and health (left out: the host and gRPC port + 1000)' })),
  quorum: setting(
    'SYSTEM',
    {
      describe:
        'which acceptors decide; the same at all roles: majority, sizes:Q1,Q2[,QF], grid:RxC, weighted:… or sets:… (synodctl quorum --help)',
      default: 'majority',
    },
    (given) => (isQuorumSetting(given) ? { value: given } : { must: `must be ${QUORUM_FORMS}` }),
  ),
  'log.level': choice(['debug', 'info', 'warn', 'error', 'silent'], { describe: 'what to log', default: 'info' }),
  'calls.max': integer({
    describe: 'unary calls in progress before more are refused',
    default: '10000',
    min: 1,
    max: 1_000_000,
  }),
  'streams.max': integer({ describe: 'streams open before more are refused', default: '1000', min: 1, max: 100_000 }),
  'call.deadline': duration({
    describe: 'deadline of a call whose caller gave none',
    default: '5s',
    min: 10,
    max: 3_600_000,
  }),
  'stop.grace': duration({ describe: 'how long a stop may wait for work in progress', default: '5s', max: 600_000 }),
  faults: yesNo({ describe: 'let tests lose and hold messages on purpose (synodctl fault)', default: 'false' }),
  reflection: yesNo({ describe: 'serve gRPC reflection', default: 'false' }),
};

/** Where the others are. */
export const addressBook = {
  acceptors: endpoints({ describe: 'every acceptor of the cluster; the same ids at all roles' }),
  proposers: members({ describe: 'every proposer, or the name by which DNS knows them' }),
  learners: members({ describe: 'every learner, or the name by which DNS knows them' }),
};

/** How members are found whose list is `dns:…`. */
export const discoverySettings = {
  'discovery.interval': duration({
    describe: 'how often DNS is asked for the members of a dns: list',
    default: '2s',
    min: 100,
    max: 60_000,
  }),
  'discovery.forget': duration({
    describe: 'a member that neither answers nor is named by DNS for so long is forgotten',
    default: '5m',
    min: 100,
  }),
  'discovery.server': optional(
    ipPort({ describe: 'the DNS server to ask for dns: lists (left out: those of this machine)' }),
  ),
};

/** What is wrong with a quorum system for these acceptors (R7), a sentence for a person; undefined when it is safe. */
export function quorumFault(config: {
  readonly quorum: string;
  readonly acceptors: ReadonlyMap<number, string>;
}): string | undefined {
  try {
    quorumSystem(config.quorum, [...config.acceptors.keys()]);
    return undefined;
  } catch (error) {
    return `--quorum with --acceptors: ${messageOf(error)}`;
  }
}

/** The folder of a role that keeps something. */
export const dataFolder = text({ describe: 'the folder for this process alone; made when it is missing', form: 'DIR' });

/** The HTTP address of a process: as set, or its gRPC host and port + 1000 (port 0 stays 0: any free one). */
export function httpAddress(config: { readonly listen: HostPort; readonly http: HostPort | undefined }): string {
  if (config.http !== undefined) return hostPortText(config.http);
  const { host, port } = config.listen;
  return hostPortText({ host, port: port === 0 ? 0 : (port + 1_000) % 65_536 });
}
