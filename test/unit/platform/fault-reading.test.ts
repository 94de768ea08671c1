/**
 * Goal: a call goes on being read after messages of it were held and let go together. Method: the call of each end between a network that
 * gives a message only when it was asked for one, and a stream of Node that asks once for all it was given.
 */
import { Readable } from 'node:stream';
import { Metadata } from '@grpc/grpc-js';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { ClientCall } from '../../../shared/platform/faults/client-call.ts';
import { ServerCall } from '../../../shared/platform/faults/server-call.ts';
import { FaultTable } from '../../../shared/platform/faults/table.ts';
import type { Peer } from '../../../shared/platform/faults/table.ts';
import { writeHeader } from '../../../shared/wire/codec/header.ts';
import { AcceptorServiceService } from '../../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const ONE: Peer = { role: 'proposer', id: 1 };

let clock: ManualClock;
let table: FaultTable;
let heard: number[];
beforeEach(() => {
  clock = new ManualClock();
  table = new FaultTable(clock, { next: () => 0 });
  heard = [];
});

/** What lies below a call: it holds messages until it is asked, each time for one. */
class Network {
  readonly #waiting: unknown[] = [];
  #asked = 0;
  receive: (message: unknown) => void = () => undefined;

  startRead(): void {
    this.#asked++;
    this.#give();
  }

  send(message: unknown): void {
    this.#waiting.push(message);
    this.#give();
  }

  #give(): void {
    while (this.#asked > 0 && this.#waiting.length > 0) {
      this.#asked--;
      this.receive(this.#waiting.shift());
    }
  }
}

/** A reader as grpc-js has one. */
function reader(startRead: () => void): Readable {
  const stream = new Readable({ objectMode: true, read: startRead });
  stream.on('data', (each: { readonly number: number }) => heard.push(each.number));
  return stream;
}

function clientCall(network: Network): void {
  const next = {
    start: (_: Metadata, listener: { onReceiveMessage: (message: unknown) => void }) => {
      network.receive = (each) => {
        listener.onReceiveMessage(each);
      };
    },
    startRead: () => {
      network.startRead();
    },
  };
  const ports = { table, clock, count: () => undefined };
  const call = new ClientCall(next as never, ONE, ports, undefined);
  const stream = reader(() => {
    call.startRead();
  });
  call.start(new Metadata(), { onReceiveMessage: (each: unknown) => stream.push(each) });
}

function serverCall(network: Network): void {
  const next = {
    start: (listener: { onReceiveMessage: (message: unknown) => void }) => {
      network.receive = (each) => {
        listener.onReceiveMessage(each);
      };
    },
    startRead: () => {
      network.startRead();
    },
  };
  const ports = { table, clock, count: () => undefined };
  const call = new ServerCall(next as never, AcceptorServiceService.session.path, ports);
  const stream = reader(() => {
    call.startRead();
  });
  const rest = { onReceiveMetadata: () => undefined, onReceiveHalfClose: () => undefined, onCancel: () => undefined };
  call.start({ ...rest, onReceiveMessage: (each: unknown) => stream.push(each) });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Each says who sends it, as the first message of a call must. */
const message = (number: number) => ({
  header: writeHeader({
    cluster: 'ab'.repeat(16),
    configuration: '12'.repeat(8),
    role: 'proposer',
    id: 1,
    incarnation: 'cd'.repeat(8),
  }),
  number,
});

describe.each([
  ['client', clientCall],
  ['server', serverCall],
] as const)('a call of the %s', (_, make) => {
  test('is read to its end after messages of it were held', async () => {
    const network = new Network();
    make(network);
    network.send(message(1));
    await turn();
    table.add({ id: 'a', action: { kind: 'delay', ms: 50, jitterMs: 0 }, peers: [ONE], direction: 'both', forMs: 0 });
    for (const number of [2, 3, 4]) network.send(message(number));
    await turn();
    expect(heard).toEqual([1]);
    table.heal();
    await turn();
    for (const number of [5, 6, 7, 8]) {
      network.send(message(number));
      await turn();
    }
    expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('is read to its end where nothing is held (control)', async () => {
    const network = new Network();
    make(network);
    for (const number of [1, 2, 3]) {
      network.send(message(number));
      await turn();
    }
    expect(heard).toEqual([1, 2, 3]);
  });
});
