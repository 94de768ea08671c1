/** An acceptor's disk in virtual time: it is slow, full, fails once, dies with its process, and is looked at from outside. */
import type { Prng } from '../../shared/base/prng.ts';
import { diskError, MemoryDisk, type DiskOp } from '../support/memory-disk.ts';
import { DiskView } from './disk-view.ts';

/** What was done to a disk while its process was down; the next start must notice it. */
export type Damage = 'flipped' | 'swapped' | 'emptied' | 'yesterday';

/** What a disk asks of the process that uses it. */
export interface DiskOwner {
  /** Calls back after `ms` virtual milliseconds, if this start of the process still lives. */
  readonly later: (ms: number, run: () => void) => void;
  readonly prng: Prng;
  readonly now: () => number;
  /** Mean milliseconds of a sync. */
  readonly syncMs: number;
  /** The process dies here: nothing of this operation happens. */
  readonly die: () => void;
  readonly violation: (text: string) => void;
}

export class SimDisk {
  memory = new MemoryDisk();
  readonly view = new DiskView();
  damage: Damage | undefined;
  /** Syncs take this many times as long. */
  slow = 1;
  /** The next sync fails, once. */
  failSync = false;
  /** The process dies at this operation from now, counted from 1; only operations that write count. */
  diesIn = Infinity;
  /** It dies at the next record of several sectors, before its sync. */
  diesTorn = false;
  /** The file whose sync failed, and when. */
  #failed: { readonly name: string; readonly at: number } | undefined;

  /** A process begins to use the disk. */
  attach(owner: DiskOwner): void {
    this.#failed = undefined;
    const { memory, view } = this;
    view.rebuild(memory);
    memory.gate = (op) => this.#gate(op, owner);
    memory.fault = (op) => this.#fault(op, owner);
    memory.onDurable = (op) => {
      if (op.kind === 'sync') view.onSync(memory, op.name);
      else view.onFolder(memory);
      if (view.broken !== undefined) owner.violation(view.broken);
    };
  }

  /** The process ends: by a kill, which leaves what was written, or with the power, which leaves what was synced and some more. */
  end(how: 'kill' | 'power', prng: Prng): void {
    this.memory = how === 'kill' ? this.memory.kill() : this.memory.crash(prng);
    this.diesIn = Infinity;
    this.diesTorn = false;
  }

  #gate(op: DiskOp, owner: DiskOwner): Promise<void> | undefined {
    if (this.#diesAt(op)) {
      owner.die();
      return new Promise(() => undefined);
    }
    // R4: what failed is never tried again, and the process is gone before anything else happens.
    const failed = this.#failed;
    if (failed !== undefined && (op.kind === 'write' || op.kind === 'sync'))
      if (failed.name === op.name || owner.now() > failed.at)
        owner.violation(`R4: ${op.kind} of ${op.name} after a sync of ${failed.name} had failed`);
    const ms =
      op.kind === 'sync' || op.kind === 'sync-folder'
        ? owner.prng.next() * 2 * owner.syncMs * this.slow
        : op.kind === 'read'
          ? owner.prng.next() * owner.syncMs * 0.2
          : 0;
    if (ms === 0) return undefined;
    return new Promise((done) => {
      owner.later(ms, done);
    });
  }

  #diesAt(op: DiskOp): boolean {
    const writes = op.kind === 'write' || op.kind === 'sync' || op.kind === 'sync-folder' || op.kind === 'rename';
    if (writes && --this.diesIn <= 0) return true;
    if (!this.diesTorn || op.kind !== 'sync') return false;
    const segment = op.name.replace('.tmp', '.seg');
    return this.view.holds(segment) && this.memory.dirtySectors(segment) > 1;
  }

  #fault(op: DiskOp, owner: DiskOwner): Error | undefined {
    if (!this.failSync || op.kind !== 'sync') return undefined;
    this.failSync = false;
    this.#failed = { name: op.name, at: owner.now() };
    return diskError('EIO', 'the sync failed');
  }
}
