import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FORBIDDEN_HOSTS } from '../../../libs/channel/test/hostile.ts';
import { mayReach, resolveBackend } from '../src/backend/address.ts';

test.each([
  ['93.184.216.34', [], true],
  ['2606:4700::1', [], true],
  ['127.0.0.1', [], false],
  ['127.0.0.1', ['127.0.0.0/8'], true],
  ['10.1.2.3', ['10.1.0.0/16'], true],
  ['10.2.2.3', ['10.1.0.0/16'], false],
  ['169.254.169.254', [], false],
  ['::1', [], false],
  ['::1', ['::1/128'], true],
  ['::ffff:127.0.0.1', [], false],
  ['::ffff:127.0.0.1', ['127.0.0.0/8'], false],
  ['::ffff:10.1.2.3', ['10.0.0.0/8', '::1/128'], false],
  ['::ffff:10.1.2.3', ['::ffff:10.0.0.0/104'], true],
  ['10.1.2.3', ['::ffff:10.0.0.0/104'], false],
  ['64:ff9b::7f00:1', [], false],
  ['2002:7f00:1::', [], false],
  ['fe80::1', [], false],
  ['fd00::1', ['fd00::/8'], true],
  ['localhost', ['127.0.0.0/8'], false],
])('%s with networks %j may be reached: %s', (address, networks, expected) => {
  expect(mayReach(address, networks)).toBe(expected);
});

test('a name is resolved, and only addresses in named networks count', async () => {
  await expect(resolveBackend('localhost', { networks: [] })).rejects.toMatchObject({ code: 'ERR_BACKEND_ADDRESS' });
  const found = await resolveBackend('localhost', { networks: ['127.0.0.0/8', '::1/128'] });
  expect(found.length).toBeGreaterThan(0);
});

test('a network of a resource that is not one lets nobody through', () => {
  expect(() => mayReach('10.1.2.3', ['10.0.0.0/33'])).toThrow(TypeError);
});

const addressOf = (host: string): string => new URL(`http://${host}/`).hostname.replace(/^\[|\]$/g, '');

test.each(FORBIDDEN_HOSTS)('%s may not be reached, however it is written', (host) => {
  expect(mayReach(addressOf(host), [])).toBe(false);
});

const corpus = new URL('../../../../shared/corpora/ssrf/forbidden-hosts.json', import.meta.url);

test.runIf(existsSync(corpus))('no address of the list of forbidden hosts may be reached', () => {
  const { hosts } = JSON.parse(readFileSync(corpus, 'utf8')) as { hosts: string[] };
  const addresses = hosts.filter((host) => URL.canParse(`http://${host}/`)).map(addressOf);
  expect(addresses.length).toBeGreaterThan(50);
  for (const address of addresses) expect(mayReach(address, []), address).toBe(false);
});
