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
  readonly #all: Connection[] = [];

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  /** Connections to members of a role, by id. */
  to(role: Role, members: ReadonlyMap<number, string>): ConnectedMember[] {
    return [...members].map(([id, address]) => {
      const fromStatus = (status: Parameters<typeof errorOf>[0]): ReturnType<typeof errorOf>['error'] =>
        errorOf(status).error;
      const connection = connect(address, { fromStatus, ...this.#faults.towards(role, id) });
      this.#all.push(connection);
      return { id, connection };
    });
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }
}
