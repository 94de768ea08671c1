/** The door of this room: Synod for TypeScript programs. */
export { clientHeader, connect, SynodClient } from './client.ts';
export { ClientError, errorReader } from './errors.ts';
export { faults } from './faults.ts';
export type { Fault, FaultAction, FaultDirection, FaultPeer, FaultsInForce, NewFault } from './faults.ts';
export { ProposeStream } from './propose-stream.ts';
export { formatProposalId, parseProposalId } from './proposal-id.ts';
export type { ProposalIdPrefix } from './proposal-id.ts';
export { readEntry } from './entries.ts';
export { followTrace, memberName, memberShort, mergeTraces, TraceMerger } from './trace.ts';
export type {
  MergedTrace,
  MergeOptions,
  TraceChange,
  Traced,
  TracedVotes,
  TraceEvent,
  TraceFollower,
  TraceKind,
  TraceMember,
  TraceMessage,
  TraceOptions,
} from './trace.ts';
export type {
  Ballot,
  CallOptions,
  ClientOptions,
  Decided,
  Entry,
  EntryEffect,
  EntryKind,
  Page,
  Progress,
  ProposalId,
  Proposed,
  ProposeOptions,
  ProposeStreamOptions,
  ReadOptions,
  StreamAnswer,
  SubscribeOptions,
} from './types.ts';
