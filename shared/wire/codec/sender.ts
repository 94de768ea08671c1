/** Who speaks on a call, read off the first message of any method: its header, or the header of its hello. */
import type { Header as WireHeader } from '../gen/synod/v1/common.ts';
import { AcceptorServiceService } from '../gen/synod/v1/acceptor_service.ts';
import { LearnerServiceService } from '../gen/synod/v1/learner_service.ts';
import { PeerServiceService } from '../gen/synod/v1/peer_service.ts';
import { ProposerServiceService } from '../gen/synod/v1/proposer_service.ts';
import { readClientHeader } from './header.ts';
import type { Role } from './header.ts';

export interface Sender {
  readonly role: Role;
  /** 0 for a client. */
  readonly id: number;
}

/** What matters here of a generated method. */
interface Readable {
  readonly path: string;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

const CLIENT: Sender = { role: 'client', id: 0 };

/** How the first message of a method is read where it comes as bytes. */
const READERS = new Map<string, (bytes: Buffer) => unknown>(
  [AcceptorServiceService, LearnerServiceService, PeerServiceService, ProposerServiceService].flatMap((service) =>
    (Object.values(service) as Readable[]).map((method) => [method.path, method.requestDeserialize] as const),
  ),
);

/** Who sent the first message of a call, decoded or as bytes. One that does not say, or cannot be read, is a client. */
export function senderOf(path: string, message: unknown): Sender {
  try {
    const { role, id } = readClientHeader(headerOf(decoded(path, message)));
    return { role, id };
  } catch {
    // The handler refuses it with a reason; here it only matters that it is nobody's.
    return CLIENT;
  }
}

function decoded(path: string, message: unknown): unknown {
  return message instanceof Uint8Array ? READERS.get(path)?.(Buffer.from(message)) : message;
}

function headerOf(message: unknown): WireHeader | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const { header, hello } = message as { header?: WireHeader; hello?: WireHeader | { header?: WireHeader } };
  if (header !== undefined || hello === undefined) return header;
  return 'header' in hello ? hello.header : (hello as WireHeader);
}
