/** A call that this process makes, its messages judged on their way out and in. */
import { Metadata, status as STATUS } from '@grpc/grpc-js';
import type { Deadline, InterceptingListener, NextCall, StatusObject } from '@grpc/grpc-js';
import { JudgedCall } from './judged-call.ts';
import type { CallPorts } from './judged-call.ts';
import { Reading } from './reading.ts';
import type { Peer } from './table.ts';

/** A call as grpc-js hands it from one interceptor to the next. */
export type GrpcCall = ReturnType<NextCall>;
type MessageContext = Parameters<GrpcCall['sendMessageWithContext']>[0];

/** Why a call ended here, for logs. */
export const LOST_TEXT = 'a message of this call was lost to a fault that was made on purpose (faults); it begins anew';

export class ClientCall implements GrpcCall {
  readonly #next: GrpcCall;
  readonly #judged: JudgedCall;
  readonly #ports: CallPorts;
  readonly #deadline: Deadline | undefined;
  #listener: Partial<InterceptingListener> | undefined;
  #started = false;
  /** grpc-js said how the call ended, and will say no more. */
  #over = false;
  #ended = false;
  /** This process gave the call up. */
  #cancelled = false;
  readonly #reading: Reading;
  /** The caller asked for a message before the call started. */
  #wantsBeforeStart = false;
  #cancelDeadline = (): void => undefined;

  constructor(next: GrpcCall, peer: Peer, ports: CallPorts, deadline: Deadline | undefined) {
    this.#next = next;
    this.#reading = new Reading(() => {
      next.startRead();
    });
    this.#ports = ports;
    this.#deadline = deadline;
    this.#judged = new JudgedCall(peer, ports, () => {
      this.#end(STATUS.UNAVAILABLE, LOST_TEXT);
    });
  }

  start(metadata: Metadata, listener?: Partial<InterceptingListener>): void {
    this.#listener = listener;
    this.#judged.out.send({
      isMessage: false,
      bytes: 0,
      deliver: () => {
        this.#started = true;
        this.#next.start(metadata, this.#receiver());
        if (this.#wantsBeforeStart) this.#reading.want();
      },
    });
    // A call that grpc-js does not know of has nobody else who keeps its deadline.
    if (!this.#started) this.#armDeadline();
  }

  sendMessageWithContext(context: MessageContext, message: unknown): void {
    const { out } = this.#judged;
    let told = false;
    const written: MessageContext['callback'] = (error) => {
      if (!told) context.callback?.(error);
      told = true;
    };
    const fate = out.send({
      isMessage: true,
      bytes: sizeOf(message),
      deliver: () => {
        if (!this.#ended) this.#next.sendMessageWithContext({ ...context, callback: written }, message);
      },
      lose: written,
    });
    // What is held is on its way: the next one need not wait for it.
    if (fate === 'held' && out.hasRoom) written();
  }

  sendMessage(message: unknown): void {
    this.sendMessageWithContext({}, message);
  }

  halfClose(): void {
    const deliver = (): void => {
      if (!this.#ended) this.#next.halfClose();
    };
    this.#judged.out.send({ isMessage: false, bytes: 0, deliver });
  }

  startRead(): void {
    if (this.#started) this.#reading.want();
    else this.#wantsBeforeStart = true;
  }

  cancelWithStatus(code: STATUS, details: string): void {
    this.#cancelled = true;
    // Where the other end can hear it, grpc-js says so, and answers with the status.
    if (this.#started && !this.#over && !this.#judged.isOutCut) this.#next.cancelWithStatus(code, details);
    else this.#end(code, details);
  }

  getPeer(): string {
    return this.#next.getPeer();
  }

  getAuthContext(): ReturnType<GrpcCall['getAuthContext']> {
    return this.#next.getAuthContext();
  }

  #receiver(): InterceptingListener {
    const { in: lane } = this.#judged;
    return {
      onReceiveMetadata: (metadata) => {
        const deliver = (): void => this.#listener?.onReceiveMetadata?.(metadata);
        lane.send({ isMessage: false, bytes: 0, deliver });
      },
      onReceiveMessage: (message: unknown) => {
        this.#onMessage(message);
      },
      onReceiveStatus: (status) => {
        const deliver = (): void => {
          this.#finish(status);
        };
        this.#over = true;
        if (this.#ended) return;
        // What was said here passes no network.
        if (this.#cancelled || status.code === STATUS.DEADLINE_EXCEEDED) deliver();
        else if (lane.send({ isMessage: false, bytes: 0, deliver }) !== 'delivered') this.#armDeadline();
      },
    };
  }

  #onMessage(message: unknown): void {
    this.#reading.got();
    if (this.#ended) return;
    const { in: lane } = this.#judged;
    const deliver = (): void => {
      if (!this.#ended) this.#listener?.onReceiveMessage?.(message);
    };
    // grpc-js says that a unary call ended without an answer.
    if (message === null) {
      deliver();
      return;
    }
    const fate = lane.send({ isMessage: true, bytes: sizeOf(message), deliver });
    if (fate === 'delivered') return;
    // The caller asks for the next one when it has this one; until then reading goes on here.
    if (fate === 'lost' || lane.hasRoom) this.#reading.want();
  }

  #armDeadline(): void {
    if (this.#deadline === undefined || this.#deadline === Infinity) return;
    const ms = Math.max(0, Number(this.#deadline) - Date.now());
    this.#cancelDeadline();
    this.#cancelDeadline = this.#ports.clock.after(ms, () => {
      this.#end(
        STATUS.DEADLINE_EXCEEDED,
        'Deadline exceeded: the call or its answer was lost or held on purpose (faults)',
      );
    });
  }

  /** Ends the call here and, once it can hear it, at the other end. */
  #end(code: STATUS, details: string): void {
    if (this.#ended) return;
    const cancel = (): void => {
      this.#next.cancelWithStatus(STATUS.CANCELLED, details);
    };
    // One that never left is over for grpc-js, too, which keeps its deadline; nobody else knows of it.
    if (!this.#started) cancel();
    const owed = this.#started && !this.#over ? cancel : undefined;
    this.#finish({ code, details, metadata: new Metadata() }, owed);
  }

  #finish(status: StatusObject, owed?: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelDeadline();
    this.#judged.close(owed);
    this.#listener?.onReceiveStatus?.(status);
  }
}

/** What a message costs to hold; one that is decoded has no size, and is small. */
export function sizeOf(message: unknown): number {
  return message instanceof Uint8Array ? message.length : 0;
}
