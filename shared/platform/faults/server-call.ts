/** A call that this process answers, its messages judged once the first of them said who calls. */
import { Metadata, status as STATUS } from '@grpc/grpc-js';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { senderOf } from '../../wire/codec/sender.ts';
import { sizeOf, LOST_TEXT } from './client-call.ts';
import { JudgedCall } from './judged-call.ts';
import type { CallPorts } from './judged-call.ts';
import type { Item } from './lane.ts';
import { Reading } from './reading.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type PartialStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

export class ServerCall implements ServerInterceptingCallInterface {
  readonly #next: ServerInterceptingCallInterface;
  readonly #path: string;
  readonly #ports: CallPorts;
  #listener: Listener | undefined;
  /** Undefined until it is known who calls. */
  #judged: JudgedCall | undefined;
  /** What is to be sent before that. */
  #early: Item[] = [];
  readonly #reading: Reading;
  #ended = false;

  constructor(next: ServerInterceptingCallInterface, path: string, ports: CallPorts) {
    this.#next = next;
    this.#reading = new Reading(() => {
      next.startRead();
    });
    this.#path = path;
    this.#ports = ports;
  }

  start(listener: Listener): void {
    this.#listener = listener;
    this.#next.start({
      onReceiveMetadata: (metadata) => {
        listener.onReceiveMetadata(metadata);
      },
      onReceiveMessage: (message: unknown) => {
        this.#onMessage(message);
      },
      onReceiveHalfClose: () => {
        this.#onFrame(() => {
          listener.onReceiveHalfClose();
        });
      },
      onCancel: () => {
        this.#onFrame(() => {
          this.#finish();
        });
      },
    });
  }

  sendMetadata(metadata: Metadata): void {
    const deliver = (): void => {
      this.#next.sendMetadata(metadata);
    };
    this.#send({ isMessage: false, bytes: 0, deliver });
  }

  sendMessage(message: unknown, callback: () => void): void {
    let told = false;
    const written = (): void => {
      if (!told) callback();
      told = true;
    };
    const deliver = (): void => {
      this.#next.sendMessage(message, written);
    };
    const fate = this.#send({ isMessage: true, bytes: sizeOf(message), deliver, lose: written });
    if (fate === 'held' && this.#judged?.out.hasRoom === true) written();
  }

  sendStatus(status: PartialStatus): void {
    const deliver = (): void => {
      this.#next.sendStatus(status);
    };
    this.#send({ isMessage: false, bytes: 0, deliver });
  }

  startRead(): void {
    this.#reading.want();
  }

  getPeer(): string {
    return this.#next.getPeer();
  }

  getDeadline(): ReturnType<ServerInterceptingCallInterface['getDeadline']> {
    return this.#next.getDeadline();
  }

  getHost(): string {
    return this.#next.getHost();
  }

  getAuthContext(): ReturnType<ServerInterceptingCallInterface['getAuthContext']> {
    return this.#next.getAuthContext();
  }

  getConnectionInfo(): ReturnType<ServerInterceptingCallInterface['getConnectionInfo']> {
    return this.#next.getConnectionInfo();
  }

  getMetricsRecorder(): ReturnType<ServerInterceptingCallInterface['getMetricsRecorder']> {
    return this.#next.getMetricsRecorder();
  }

  #onMessage(message: unknown): void {
    this.#reading.got();
    const { in: lane } = this.#judged ?? this.#identify(message);
    const deliver = (): void => {
      if (!this.#ended) this.#listener?.onReceiveMessage(message);
    };
    const fate = lane.send({ isMessage: true, bytes: sizeOf(message), deliver });
    if (fate === 'delivered') return;
    // The handler asks for the next one when it has this one; until then reading goes on here.
    if (fate === 'lost' || lane.hasRoom) this.#reading.want();
  }

  /** What comes in and is no message. Before the first message nobody is known to judge. */
  #onFrame(deliver: () => void): void {
    if (this.#judged === undefined) deliver();
    else this.#judged.in.send({ isMessage: false, bytes: 0, deliver });
  }

  #identify(message: unknown): JudgedCall {
    const judged = new JudgedCall(senderOf(this.#path, message), this.#ports, () => {
      this.#endLost();
    });
    this.#judged = judged;
    const early = this.#early;
    this.#early = [];
    for (const item of early) judged.out.send(item);
    return judged;
  }

  #send(item: Item): 'delivered' | 'held' | 'lost' {
    if (this.#judged !== undefined) return this.#judged.out.send(item);
    // With no fault in force nothing needs to wait: whoever it is, it passes.
    if (this.#ports.table.size === 0 && this.#early.length === 0) {
      item.deliver();
      return 'delivered';
    }
    this.#early.push(item);
    return 'held';
  }

  /** Something on it was lost, and the caller can be told: both sides begin anew. */
  #endLost(): void {
    if (this.#ended) return;
    this.#next.sendStatus({ code: STATUS.UNAVAILABLE, details: LOST_TEXT, metadata: new Metadata() });
    this.#finish();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#judged?.close();
    this.#early = [];
    this.#listener?.onCancel();
  }
}
