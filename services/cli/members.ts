/** Members by name on a command line: `acceptor-1`, `proposers`, `all`, `clients`. */
import type { FaultPeer } from '../../shared/client/index.ts';
import { ROLES } from './endpoints.ts';
import type { Endpoints, Place, RoleName } from './endpoints.ts';
import { UsageError } from './exit.ts';

/** A member, or all clients, which have no place where they could be asked for something. */
export interface Named {
  readonly name: string;
  readonly peer: FaultPeer;
  readonly place: Place | undefined;
}

export interface Sides {
  readonly left: readonly Named[];
  readonly right: readonly Named[];
}

const CLIENTS: Named = { name: 'clients', peer: { role: 'client', id: undefined }, place: undefined };

/**
 * Reads `A[,B…] WORD C[,D…]`. A group (`acceptors`, `proposers`, `learners`, `all`) leaves out whom the other side names. Throws
 * UsageError, with the names that are known.
 */
export function readSides(words: readonly string[], word: 'from' | 'to', endpoints: Endpoints): Sides {
  const at = words.indexOf(word);
  const left = listed(words.slice(0, at));
  const right = listed(words.slice(at + 1));
  if (at < 0 || left.length === 0 || right.length === 0)
    throw new UsageError(
      `who is concerned is written as A[,B…] ${word} C[,D…], for example acceptor-1 ${word} proposers, not ${JSON.stringify(words.join(' '))}`,
    );
  const single = (names: readonly string[]): Named[] => names.flatMap((name) => one(name, endpoints) ?? []);
  const [fixedLeft, fixedRight] = [single(left), single(right)];
  const all = (names: readonly string[], fixed: readonly Named[], others: readonly Named[]): Named[] =>
    unique([...fixed, ...names.flatMap((name) => group(name, endpoints) ?? []).filter((each) => !has(others, each))]);
  const sides = { left: all(left, fixedLeft, fixedRight), right: all(right, fixedRight, fixedLeft) };
  const both = sides.left.find((each) => has(sides.right, each));
  if (both !== undefined) throw new UsageError(`${both.name} is named on both sides of "${word}"`);
  if (sides.left.length === 0 || sides.right.length === 0)
    throw new UsageError(`nobody is left on one side of "${word}": a group leaves out whom the other side names`);
  return sides;
}

function listed(words: readonly string[]): string[] {
  return words
    .join(',')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** The member or group of a single name; undefined for the name of a group. Throws UsageError for what is neither. */
function one(name: string, endpoints: Endpoints): Named | undefined {
  if (name === CLIENTS.name) return CLIENTS;
  if (group(name, endpoints) !== undefined) return undefined;
  const place = endpoints.places.find((each) => nameOf(each) === name);
  if (place === undefined)
    throw new UsageError(
      `${JSON.stringify(name)} is nobody in ${endpoints.source}: there are ${endpoints.places.map(nameOf).join(', ')}, ` +
        'and the groups acceptors, proposers, learners, all and clients',
    );
  return namedOf(place);
}

function group(name: string, endpoints: Endpoints): Named[] | undefined {
  if (name === 'all') return endpoints.places.map(namedOf);
  const role: RoleName | undefined = ROLES.find((each) => `${each}s` === name);
  return role === undefined ? undefined : endpoints.of(role).map(namedOf);
}

/** `acceptor-1` */
export function nameOf({ role, id }: Pick<Place, 'role' | 'id'>): string {
  return `${role}-${String(id)}`;
}

function namedOf(place: Place): Named {
  return { name: nameOf(place), peer: { role: place.role, id: place.id }, place };
}

function has(names: readonly Named[], { name }: Named): boolean {
  return names.some((each) => each.name === name);
}

function unique(names: readonly Named[]): Named[] {
  return names.filter((each, at) => names.findIndex(({ name }) => name === each.name) === at);
}
