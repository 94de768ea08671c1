/** Free ports for the tests of a file, which no other file, run or cluster on this machine is given meanwhile. */
import { afterAll } from '@jest/globals';
import { claimPortBase, isFree } from '../../deploy/local/layout.ts';
import type { PortClaim } from '../../deploy/local/layout.ts';

let claim: PortClaim | undefined;
let ports: number[] = [];

afterAll(async () => {
  await claim?.release();
});

/** Ports on loopback that nobody listens on, in a claimed range; those that earlier tests had come last. */
export async function freePorts(count: number): Promise<number[]> {
  claim ??= await claimPortBase();
  if (ports.length === 0) ports = claim.ports;
  const found: number[] = [];
  for (let tries = ports.length; found.length < count && tries > 0; tries--) {
    const port = ports.shift() ?? 0;
    ports.push(port);
    if (await isFree(port)) found.push(port);
  }
  if (found.length < count) throw new Error(`${String(count)} ports are wanted, ${String(found.length)} are free`);
  return found;
}
