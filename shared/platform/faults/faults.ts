/**
 * Faults on a running process, for tests: messages between it and others that vanish or come late, as a person or a program asks
 * for it by gRPC. Only where the setting `faults` is on; where it is off, nothing here is on the way of any message.
 */
import { randomBytes } from 'node:crypto';
import type { Interceptor, ServerInterceptor } from '@grpc/grpc-js';
import { SynodError } from '../../base/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Log } from '../../ports/telemetry.ts';
import { faultsAreOff, faultText, readFault, writeFault } from '../../wire/codec/fault.ts';
import type { Fault } from '../../wire/codec/fault.ts';
import { checkHeader, readClientHeader } from '../../wire/codec/header.ts';
import type { Header, Role } from '../../wire/codec/header.ts';
import type { Header as WireHeader } from '../../wire/gen/synod/v1/common.ts';
import { FaultServiceService } from '../../wire/gen/synod/v1/fault_service.ts';
import { served } from '../../wire/raw.ts';
import { realClock, realRandom } from '../clock.ts';
import { service } from '../grpc/methods.ts';
import type { ServedService } from '../grpc/methods.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { ClientCall } from './client-call.ts';
import type { CallPorts } from './judged-call.ts';
import { ServerCall } from './server-call.ts';
import { FaultTable } from './table.ts';

export interface FaultsOptions {
  /** The setting `faults`. */
  readonly on: boolean;
  readonly self: Header;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Calls that no fault may take: with them faults are healed, and a supervisor sees that the process lives. */
const EXEMPT = /^\/(synod\.v1\.FaultService|grpc\.health\.v1\.Health|grpc\.reflection\.)/;

const ROLES: readonly Role[] = ['client', 'proposer', 'acceptor', 'learner'];

export class Faults {
  readonly #options: FaultsOptions;
  readonly #table: FaultTable;
  readonly #ports: CallPorts;
  #dropped = 0;
  #delayed = 0;

  constructor(options: FaultsOptions) {
    const { clock = realClock, random = realRandom, on, log } = options;
    this.#options = options;
    this.#table = new FaultTable(clock, random);
    const counted = this.#register(options.metrics);
    this.#ports = {
      table: this.#table,
      clock,
      count: (what) => {
        if (what === 'dropped') this.#dropped++;
        else this.#delayed++;
        counted(what);
      },
    };
    if (!on) return;
    log.warn(
      {},
      'faults are switched on (faults): messages may be lost or held on purpose; this process is under test',
    );
    this.#table.onChange(() => {
      log.warn({ faults: this.lines() }, 'the faults that are made here on purpose have changed');
    });
  }

  get on(): boolean {
    return this.#options.on;
  }

  /** The faults in force, one line each. */
  lines(): string[] {
    return this.#table.list().map(faultText);
  }

  /** For the `process` part of a status. */
  status(): { faultsOn: boolean; faults: string[] } {
    return { faultsOn: this.on, faults: this.lines() };
  }

  /** What calls to a member pass through; nothing where faults are off. Give it to `connect`. */
  towards(role: Role, id: number): { readonly interceptors?: Interceptor[] } {
    if (!this.on) return {};
    const interceptor: Interceptor = (options, nextCall) =>
      // grpc-js needs no more of what comes back than the interface of the call that it gave, whatever its types say.
      new ClientCall(
        nextCall(options),
        { role, id },
        this.#ports,
        options.deadline,
      ) as unknown as ReturnType<Interceptor>;
    return { interceptors: [interceptor] };
  }

  /** What calls to this process pass through; nothing where faults are off. Give it to `serve`. */
  get served(): { readonly interceptors?: ServerInterceptor[] } {
    if (!this.on) return {};
    const interceptor: ServerInterceptor = (method, call) =>
      (EXEMPT.test(method.path)
        ? call
        : new ServerCall(call, method.path, this.#ports)) as unknown as ReturnType<ServerInterceptor>;
    return { interceptors: [interceptor] };
  }

  /** FaultService: served by every role, and refused where faults are off. */
  get service(): ServedService {
    const open = (request: { readonly header: WireHeader | undefined } | SynodError): void => {
      // A request that could not be decoded arrives as the error that says why.
      if (request instanceof SynodError) throw request;
      const { self, on } = this.#options;
      checkHeader(readClientHeader(request.header), self, ROLES);
      if (!on) throw faultsAreOff(self.role, self.id);
    };
    return service(served(FaultServiceService), {
      add: (request) => {
        open(request);
        return { fault: writeFault(this.add(readFault(request.fault, drawId))) };
      },
      list: (request) => {
        open(request);
        const faults = this.#table.list().map(writeFault);
        return { faults, messagesDropped: this.#dropped, messagesDelayed: this.#delayed };
      },
      heal: (request) => {
        open(request);
        const healed = this.heal(request.ids.length === 0 ? undefined : request.ids);
        return { healed: healed.map(writeFault) };
      },
    });
  }

  /** Messages lost here on purpose, and held, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  get delayed(): number {
    return this.#delayed;
  }

  /** Ends faults by their ids, or all. Returns those that were in force. */
  heal(ids?: readonly string[]): Fault[] {
    return this.#table.heal(ids);
  }

  /** Puts a fault in force. Throws RESOURCE_EXHAUSTED when there are too many. */
  add(fault: Fault): Fault {
    this.#table.add(fault);
    return fault;
  }

  /** Ends everything that waits. */
  stop(): void {
    this.#table.heal();
  }

  #register(metrics: Metrics | undefined): (what: 'dropped' | 'delayed') => void {
    if (metrics === undefined) return () => undefined;
    const prefix = `synod_${this.#options.self.role}_faults`;
    metrics.gaugeOf(`${prefix}_active`, 'Faults that are made here on purpose', () => this.#table.size);
    const dropped = metrics.counter(`${prefix}_messages_dropped_total`, 'Messages lost to such faults', {});
    const delayed = metrics.counter(`${prefix}_messages_delayed_total`, 'Messages held by such faults', {});
    return (what) => {
      (what === 'dropped' ? dropped : delayed).inc({});
    };
  }
}

function drawId(): string {
  return randomBytes(4).toString('hex');
}
