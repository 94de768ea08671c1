import { createHash } from 'node:crypto';

/**
 * The id of a configuration (R7): 16 hex digits, the first 8 bytes of the SHA-256 of a canonical text of what must be the same
 * at all roles. Every message carries it, and another id is refused. The order in which acceptors are named does not matter.
 */
export function configurationId(cluster: string, acceptorIds: readonly number[], quorum: string): string {
  const acceptors = [...acceptorIds].sort((a, b) => a - b).join(',');
  const text = `synod configuration 1\ncluster ${cluster}\nacceptors ${acceptors}\nquorum ${quorum}\n`;
  return createHash('sha256').update(text, 'utf8').digest('hex').slice(0, 16);
}
