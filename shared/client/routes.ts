/** Connections to the members of one role, and which of them to ask next. */
import { SynodError } from '../base/errors.ts';
import { parseHostPort } from '../platform/config/values.ts';
import { connect } from '../platform/grpc/connection.ts';
import type { Connection } from '../platform/grpc/connection.ts';
import { errorReader } from './errors.ts';

/** Logs whose leader is remembered; a hint that was forgotten costs one forwarding. */
const HINTS_MAX = 1_000;

export class Routes {
  readonly #role: string;
  readonly #connections: readonly Connection[];
  /** By log, which connection leads it. */
  readonly #hints = new Map<string, number>();
  #current: number;

  /** Throws INVALID_ARGUMENT for an address that is none. `start` in [0, 1) chooses who is asked first. */
  constructor(role: string, addresses: readonly string[], start: number, ownConnection = false) {
    for (const address of addresses)
      if ((parseHostPort(address)?.port ?? 0) === 0)
        throw new SynodError('INVALID_ARGUMENT', `${JSON.stringify(address)} is not HOST:PORT of a ${role}`);
    this.#role = role;
    this.#connections = addresses.map((address) =>
      connect(address, { fromStatus: errorReader(address, role), ownConnection }),
    );
    this.#current = Math.floor(start * addresses.length);
  }

  get size(): number {
    return this.#connections.length;
  }

  get addresses(): readonly string[] {
    return this.#connections.map(({ address }) => address);
  }

  /** Whom to ask about a log: its leader where one is known, otherwise whoever answered last. */
  pick(log: string): Connection {
    const found = this.#connections[this.#hints.get(log) ?? this.#current];
    if (found === undefined)
      throw new SynodError('FAILED_PRECONDITION', `no ${this.#role} is known: give the address of at least one`);
    return found;
  }

  /** A member said who leads: by its id, which is taken for its place in the list. A wrong hint costs a forwarding, no more. */
  leads(log: string, id: number | undefined): void {
    if (id === undefined || id > this.#connections.length) return;
    this.#hint(log, id - 1);
  }

  /** The member did not do it: the next try goes to the one it named, where that is one of ours, otherwise to the next. */
  failed(log: string, address: string, leader: string | undefined): void {
    const named = this.#connections.findIndex((each) => each.address === leader && each.address !== address);
    if (named >= 0) {
      this.#hint(log, named);
      return;
    }
    this.#hints.delete(log);
    const at = this.#connections.findIndex((each) => each.address === address);
    this.#current = (at + 1) % this.#connections.length;
  }

  close(): void {
    for (const each of this.#connections) each.close();
  }

  #hint(log: string, at: number): void {
    if (this.#hints.size >= HINTS_MAX && !this.#hints.has(log)) this.#hints.clear();
    this.#hints.set(log, at);
  }
}
