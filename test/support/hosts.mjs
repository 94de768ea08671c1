/**
 * Given to a role's process with --import: names are looked up in the JSON file of SYNOD_TEST_HOSTS, `{"name": "ip"}`, which is
 * read each time. It stands in for the system's resolver, which tests cannot change; all else is the process that ships.
 */
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

const file = process.env.SYNOD_TEST_HOSTS ?? '';

dns.promises.lookup = async (name) => {
  const address = isIP(name) === 0 ? JSON.parse(readFileSync(file, 'utf8'))[name] : name;
  if (address === undefined) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
  return [{ address, family: isIP(address) }];
};
