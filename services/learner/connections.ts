/** The connections of a learner to all others: made together, and closed together. */
import type { Faults } from '../../shared/platform/faults/faults.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import type { Role } from '../../shared/wire/codec/header.ts';
import { errorOf } from '../../shared/wire/status.ts';

export interface ConnectedMember {
  readonly id: number;
  readonly connection: Connection;
}

export class Connections {
  readonly #faults: Faults;
  readonly #all = new Set<Connection>();

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  /** Connections to members of a role, by id. */
  to(role: Role, members: ReadonlyMap<number, string>): ConnectedMember[] {
    return [...members].map(([id, address]) => ({ id, connection: this.open(role, id, address) }));
  }

  open(role: Role, id: number, address: string): Connection {
    const fromStatus = (status: Parameters<typeof errorOf>[0]): ReturnType<typeof errorOf>['error'] =>
      errorOf(status).error;
    const connection = connect(address, { fromStatus, ...this.#faults.towards(role, id) });
    this.#all.add(connection);
    return connection;
  }

  /** Closes one of them, whose member is gone or elsewhere. */
  end(connection: Connection): void {
    this.#all.delete(connection);
    connection.close();
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }
}
