/** Faults that a role is asked to make on purpose: what they may be, and their form on the wire. */
import { SynodError } from '../../base/errors.ts';
import type { Fault as WireFault, FaultPeer as WireFaultPeer } from '../gen/synod/v1/fault.ts';
import { need, readEnum, refuse, whole } from './fields.ts';
import type { Role } from './header.ts';

/** What happens to messages. Times are in milliseconds. */
export type FaultAction =
  | { readonly kind: 'cut' }
  /** Each message vanishes with this probability, above 0 and at most 1, in steps of a millionth. */
  | { readonly kind: 'drop'; readonly share: number }
  /** Each message is held for `ms`, and by chance for up to `jitterMs` more. Order is kept. */
  | { readonly kind: 'delay'; readonly ms: number; readonly jitterMs: number };

/** As the role sees it that makes the fault: `in` is what it receives. */
export type FaultDirection = 'in' | 'out' | 'both';

export interface FaultPeer {
  /** Undefined: acceptors, proposers and learners, but no clients. */
  readonly role: Role | undefined;
  /** Undefined: all of that role. */
  readonly id: number | undefined;
}

export interface Fault {
  readonly id: string;
  readonly action: FaultAction;
  /** At least one. */
  readonly peers: readonly FaultPeer[];
  readonly direction: FaultDirection;
  /** How long it lasts, in milliseconds; 0 until it is healed. */
  readonly forMs: number;
}

export const FAULT_LIMITS = {
  /** Faults in force at one role. */
  faultsMax: 1_000,
  peersMax: 1_000,
  /** Of a delay, and of its jitter, in milliseconds. */
  delayMsMax: 60_000,
  /** How long one may last, in milliseconds: a week. */
  forMsMax: 7 * 24 * 3_600_000,
} as const;

const ROLES: readonly (Role | undefined)[] = [undefined, 'proposer', 'acceptor', 'learner', 'client'];
const ACTIONS = [undefined, 'cut', 'drop', 'delay'] as const;
const DIRECTIONS = [undefined, 'in', 'out', 'both'] as const;
const ID = /^[A-Za-z0-9._-]{1,64}$/;
const MILLION = 1_000_000;

/** Reads a fault. An empty id becomes what `draw` gives. Throws INVALID_ARGUMENT, with the field and its limit. */
export function readFault(wire: WireFault | undefined, draw: () => string): Fault {
  const fault = need(wire, 'fault');
  const id = fault.id === '' ? draw() : fault.id;
  if (!ID.test(id))
    refuse(`fault.id is ${JSON.stringify(id)}: 1 to 64 letters, digits, dots, dashes or underscores are needed`);
  if (fault.peers.length === 0) refuse('fault.peers is empty: name whose messages the fault acts on');
  if (fault.peers.length > FAULT_LIMITS.peersMax)
    refuse(`fault.peers has ${String(fault.peers.length)} entries: the limit is ${String(FAULT_LIMITS.peersMax)}`);
  return {
    id,
    action: readAction(fault),
    peers: fault.peers.map(readPeer),
    direction: readEnum(DIRECTIONS, fault.direction, 'fault.direction'),
    forMs: readForMs(fault.forMs),
  };
}

function readAction(wire: WireFault): FaultAction {
  const kind = readEnum(ACTIONS, wire.action, 'fault.action');
  const { dropsPerMillion, delayMs, jitterMs } = wire;
  switch (kind) {
    case 'cut':
      return { kind };
    case 'drop':
      if (dropsPerMillion < 1 || dropsPerMillion > MILLION)
        refuse(`fault.drops_per_million is ${String(dropsPerMillion)}: 1 to ${String(MILLION)} is needed`);
      return { kind, share: dropsPerMillion / MILLION };
    case 'delay': {
      const max = FAULT_LIMITS.delayMsMax;
      if (delayMs > max) refuse(`fault.delay_ms is ${String(delayMs)}: the limit is ${String(max)}`);
      if (jitterMs > max) refuse(`fault.jitter_ms is ${String(jitterMs)}: the limit is ${String(max)}`);
      if (delayMs + jitterMs === 0) refuse('fault.delay_ms and fault.jitter_ms are 0: such a fault does nothing');
      return { kind, ms: delayMs, jitterMs };
    }
  }
}

function readForMs(forMs: number): number {
  const max = FAULT_LIMITS.forMsMax;
  if (whole(forMs, 'fault.for_ms') > max) refuse(`fault.for_ms is ${String(forMs)}: the limit is ${String(max)}`);
  return forMs;
}

function readPeer({ role, id }: WireFaultPeer): FaultPeer {
  const name = role === 0 ? undefined : readEnum(ROLES, role, 'fault.peers.role');
  if (id !== 0 && (name === undefined || name === 'client'))
    refuse(`fault.peers.id is ${String(id)}, and only one of acceptors, proposers or learners has an id`);
  return { role: name, id: id === 0 ? undefined : id };
}

export function writeFault({ id, action, peers, direction, forMs }: Fault): WireFault {
  return {
    id,
    action: ACTIONS.indexOf(action.kind) as WireFault['action'],
    dropsPerMillion: action.kind === 'drop' ? Math.max(1, Math.round(action.share * MILLION)) : 0,
    delayMs: action.kind === 'delay' ? action.ms : 0,
    jitterMs: action.kind === 'delay' ? action.jitterMs : 0,
    peers: peers.map((peer) => ({ role: ROLES.indexOf(peer.role) as WireFaultPeer['role'], id: peer.id ?? 0 })),
    direction: DIRECTIONS.indexOf(direction) as WireFault['direction'],
    forMs,
  };
}

/** `acceptor 1, proposers 1 and 2, clients`, or `all roles`. */
export function peersText(peers: readonly FaultPeer[]): string {
  const roles = [...new Set(peers.map(({ role }) => role))];
  const texts = roles.map((role) => {
    if (role === undefined) return 'all roles';
    const of = peers.filter((peer) => peer.role === role).map(({ id }) => id);
    if (of.includes(undefined)) return `${role}s`;
    const last = String(of[of.length - 1]);
    return of.length === 1 ? `${role} ${last}` : `${role}s ${of.slice(0, -1).join(', ')} and ${last}`;
  });
  return texts.join(', ');
}

/** What a fault does to messages, in a few words: `cut`, `drop 30 %`, `delay 50 ms + up to 20 ms`. */
export function actionText(action: FaultAction): string {
  switch (action.kind) {
    case 'cut':
      return 'cut';
    case 'drop':
      return `drop ${String(Number((action.share * 100).toFixed(4)))} %`;
    case 'delay':
      return `delay ${String(action.ms)} ms${action.jitterMs === 0 ? '' : ` + up to ${String(action.jitterMs)} ms`}`;
  }
}

const DIRECTION_TEXT: Readonly<Record<FaultDirection, string>> = { in: 'from', out: 'to', both: 'from and to' };

/** One line for a person: `k3: cut from and to proposer 1, until it is healed`. */
export function faultText({ id, action, peers, direction, forMs }: Fault): string {
  const until = forMs === 0 ? 'until it is healed' : `for ${String(Math.ceil(forMs / 100) / 10)} s more`;
  return `${id}: ${actionText(action)} ${DIRECTION_TEXT[direction]} ${peersText(peers)}, ${until}`;
}

/** What a role answers whose setting `faults` is off. */
export function faultsAreOff(role: Role, id: number): SynodError {
  return new SynodError(
    'FAILED_PRECONDITION',
    `faults are switched off at ${role} ${String(id)}: start it with --faults (the setting faults; npm start -- --faults sets it for all roles)`,
  );
}
