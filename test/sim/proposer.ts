/** The shipped proposer and its admission. It keeps nothing: every start is a new incarnation. */
import { Sessions } from '../../shared/machine/sessions.ts';
import type { Owner } from '../../shared/paxos/ballot.ts';
import type { Answer } from '../../shared/paxos/peers.ts';
import type { ProposerEffect } from '../../shared/paxos/proposing.ts';
import { Proposer, type ProposerEvent } from '../../shared/paxos/proposer.ts';
import { Inbox } from '../../shared/runtime/inbox.ts';
import { ProposerTrace } from '../../shared/runtime/trace/proposer-trace.ts';
import { traced } from '../../shared/runtime/trace/role-trace.ts';
import { createAdmission } from '../../services/proposer/admission.ts';
import { hex, SimNode, type World } from './node.ts';

export class SimProposer extends SimNode {
  readonly id: number;
  #inbox: Inbox<ProposerEvent, ProposerEffect> | undefined;
  #machine: Proposer | undefined;
  #owner: Owner = { proposer: 0, incarnation: '' };
  #token = 0;
  readonly #callers = new Map<number, (answer: Answer) => void>();
  #onDrained: () => void = () => undefined;

  constructor(world: World, id: number) {
    super(world, `proposer-${String(id)}`);
    this.id = id;
  }

  start(): void {
    this.begin();
    const { world } = this;
    this.#owner = { proposer: this.id, incarnation: hex(this.prng, 16) };
    this.#callers.clear();
    const ids = world.proposers.map((p) => p.id);
    const options = { batchValuesMax: 8, batchBytesMax: 4_096, probeMs: world.setup.probeMs };
    const machine = new Proposer(this.#owner, world.quorum, ids, world.noOp, options);
    const tracer = world.watch?.begin(this.name, () => this.now());
    const acceptors = world.acceptors.map((a) => a.id);
    const inbox = new Inbox<ProposerEvent, ProposerEffect>(
      tracer === undefined ? machine : traced(machine, new ProposerTrace(tracer, acceptors)),
      this.ports(),
      (effect) => {
        if (this.#inbox === inbox) this.#perform(effect);
      },
      () => {
        inbox.handleNow({ kind: 'turn' });
      },
    );
    this.#inbox = inbox;
    this.#machine = machine;
    this.every(25, () => {
      world.watch?.drain(this.name);
      inbox.post({ kind: 'tick' });
    });
    for (const peer of world.proposers)
      if (peer !== this && peer.isUp)
        this.send(peer, () => {
          peer.post({ kind: 'peer-down', peer: this.id, refused: false });
        });
  }

  crash(): void {
    this.isUp = false;
    this.world.watch?.crash(this.name);
    this.#inbox?.stop();
    this.#inbox = undefined;
    this.#machine = undefined;
    const { world } = this;
    const owner = this.#owner;
    // Streams break, where the network lets that be heard.
    for (const peer of world.proposers)
      if (peer !== this && !world.network.isCut(this.name, peer.name))
        world.schedule.after(5, () => {
          peer.receive(() => {
            peer.post({ kind: 'peer-down', peer: this.id, refused: true });
          });
        });
    for (const acceptor of world.acceptors)
      if (!world.network.isCut(this.name, acceptor.name))
        world.schedule.after(5, () => {
          acceptor.receive(() => {
            acceptor.post({ kind: 'proposer-gone', owner });
          });
        });
  }

  post(event: ProposerEvent): void {
    this.#inbox?.post(event);
  }

  leads(log: string): boolean {
    return this.#machine?.leaderOf(log) === this.id;
  }

  propose(
    log: string,
    entry: Uint8Array,
    protocol: 'basic' | 'multi',
    retry: boolean,
    timeoutMs: number,
    answer: (answer: Answer) => void,
  ): void {
    const token = this.#call(answer);
    this.post({ kind: 'propose', token, log, entry, protocol, retry, timeoutMs });
  }

  /** An operator moves a log. */
  move(log: string, to: number): void {
    const token = this.#call((answer) => {
      this.world.count(answer.kind === 'chosen' ? 'leader moved' : 'leader move refused');
    });
    this.post({ kind: 'move', token, log, to });
  }

  /** SIGTERM: it hands over what it leads; then `done` is called. */
  drain(done: () => void): void {
    this.#onDrained = done;
    this.post({ kind: 'drain' });
  }

  #call(answer: (answer: Answer) => void): number {
    const token = ++this.#token;
    this.#callers.set(token, answer);
    return token;
  }

  #perform(effect: ProposerEffect): void {
    const { world } = this;
    switch (effect.kind) {
      case 'to-acceptor': {
        const { message } = effect;
        world.watch?.toAcceptor(this.name, effect.to, message);
        const owner = this.#owner;
        if (message.kind === 'accept') world.oracle.accepts(message, owner);
        for (const acceptor of world.acceptors) {
          if (effect.to !== undefined && acceptor.position !== effect.to) continue;
          this.send(acceptor, () => {
            acceptor.post({ kind: 'proposer', from: this.name, owner, message });
          });
        }
        return;
      }
      case 'to-peer': {
        const peer = world.proposers.find((p) => p.id === effect.to);
        const { message } = effect;
        // What is forwarded twice by the network would be two sendings; streams between proposers do not do that.
        const once = message.kind === 'forward';
        if (peer !== undefined)
          this.send(
            peer,
            () => {
              peer.post({ kind: 'peer', from: this.id, message });
            },
            once,
          );
        return;
      }
      case 'answer': {
        const caller = this.#callers.get(effect.token);
        this.#callers.delete(effect.token);
        caller?.(effect.answer);
        return;
      }
      case 'load-sessions':
        return this.#loadSessions(effect.log, effect.slot);
      case 'read-slot':
        return this.#readSlot(effect.log, effect.slot);
      case 'note':
        world.watch?.noted(this.name, effect.note);
        return world.note(this.name, effect.note);
      case 'drained':
        world.count('drained');
        return this.#onDrained();
      case 'ended':
      case 'progress':
    }
  }

  #loadSessions(log: string, slot: number): void {
    const { limits, learners } = this.world;
    const learner = this.prng.pick(learners);
    this.send(learner, () => {
      learner.sessions(log, slot, (next, bytes) => {
        learner.send(this, () => {
          const sessions = bytes === undefined ? new Sessions(limits) : Sessions.import(bytes, limits);
          this.post({ kind: 'sessions', log, next, admission: createAdmission(sessions) });
        });
      });
    });
  }

  #readSlot(log: string, slot: number): void {
    const learner = this.prng.pick(this.world.learners);
    this.send(learner, () => {
      const entry = learner.entry(log, slot);
      learner.send(this, () => {
        this.post({ kind: 'slot', log, slot, entry });
      });
    });
  }
}
