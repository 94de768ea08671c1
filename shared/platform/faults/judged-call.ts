/** Both ways of one call, and when it must end because something on it vanished. */
import type { Clock } from '../../ports/clock.ts';
import { Lane } from './lane.ts';
import type { FaultTable, Peer, Way } from './table.ts';

export interface CallPorts {
  readonly table: FaultTable;
  readonly clock: Clock;
  readonly count: (what: 'dropped' | 'delayed') => void;
}

/** A call that lost a message to chance ends after this, as TCP would give up or a peer would ask again. Milliseconds. */
const ENDS_AFTER_MS = 500;

export class JudgedCall {
  readonly in: Lane;
  readonly out: Lane;
  readonly peer: Peer;
  readonly #ports: CallPorts;
  /** Something vanished, and this is called once no fault cuts the peer off any more. */
  readonly #onEnd: () => void;
  readonly #stopListening: () => void;
  /** It lost something and has had its time. */
  #mayEnd = false;
  #cancelTimer = (): void => undefined;
  #owed: (() => void) | undefined;
  #closed = false;

  constructor(peer: Peer, ports: CallPorts, onEnd: () => void) {
    this.peer = peer;
    this.#ports = ports;
    this.#onEnd = onEnd;
    const lane = (way: Way): Lane =>
      new Lane({
        ...ports,
        peer,
        way,
        onLost: (cut) => {
          this.#onLost(cut);
        },
      });
    this.in = lane('in');
    this.out = lane('out');
    this.#stopListening = ports.table.onChange(() => {
      this.#review();
    });
  }

  /** Whether the other end hears nothing of this call now. */
  get isOutCut(): boolean {
    return this.#ports.table.cuts(this.peer, 'out');
  }

  /** The call is over for this process. `owed`: what the other end must hear of that, once it can. */
  close(owed?: () => void): void {
    this.#closed = true;
    this.#cancelTimer();
    this.in.close();
    this.out.close();
    this.#owed = owed;
    if (owed === undefined) this.#stopListening();
    else this.#review();
  }

  #onLost(cut: boolean): void {
    if (cut) {
      this.#mayEnd = true;
      return;
    }
    this.#cancelTimer = this.#ports.clock.after(ENDS_AFTER_MS, () => {
      this.#mayEnd = true;
      this.#review();
    });
  }

  #review(): void {
    const { table } = this.#ports;
    const isCut = table.cuts(this.peer, 'in') || table.cuts(this.peer, 'out');
    if (this.#closed) {
      if (isCut) return;
      this.#stopListening();
      this.#owed?.();
      this.#owed = undefined;
      return;
    }
    this.in.review();
    this.out.review();
    if (this.#mayEnd && !isCut) this.#onEnd();
  }
}
