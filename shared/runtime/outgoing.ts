import type { AcceptorEffect } from '../paxos/acceptor.ts';

/** What leaves an acceptor. */
export type Outgoing = Exclude<AcceptorEffect, { kind: 'persist' | 'load' | 'note' | 'trim' }>;
