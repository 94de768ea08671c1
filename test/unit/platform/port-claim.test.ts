/** Goal: clusters and tests that run at the same time never meet on a port. Method: real sockets on loopback. */
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { expect, test } from '@jest/globals';
import { claimPortBase, isFree } from '../../../deploy/local/layout.ts';

function listening(port: number): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => {
      resolve(server);
    });
  });
}

test('claims share no port, although nobody listens on the ports themselves', async () => {
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimPortBase()));
  const ports = claims.flatMap((claim) => [claim.base, ...claim.ports]);
  expect(new Set(ports).size).toBe(8 * 121);
  expect(Math.max(...ports)).toBeLessThan(32_768);
  await Promise.all(claims.map((claim) => claim.release()));
});

test('a claim holds its base until it is let go, and leaves the ports to who made it', async () => {
  const { base, ports, release } = await claimPortBase();
  expect(await isFree(base)).toBe(false);
  const member = await listening(ports[0] ?? 0);
  expect(await isFree(ports[0] ?? 0)).toBe(false);
  await new Promise((resolve) => member.close(resolve));
  await release();
  // The control: it was the claim that held it.
  expect(await isFree(base)).toBe(true);
});
