import type { ResourceView } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { doubtsOfResource } from '../src/index.ts';

function resource(url: string, networks: string[] = [], ca?: string): ResourceView {
  const backend = { url, networks, ...(ca === undefined ? {} : { ca }) };
  const kind = url.startsWith('tcp:') ? 'tcp' : 'http';
  return { name: 'r', title: 'r', kind, authority: 'r.corp', sites: null, region: null, backend };
}

test.each([
  ['http://127.0.0.1:8080', [], undefined, ['--network 127.0.0.0/8']],
  ['http://10.1.2.3', [], undefined, ['--network 10.1.2.3/32']],
  ['tcp://[::1]:22', [], undefined, ['--network ::1/128']],
  ['http://10.1.2.3', ['192.168.0.0/16'], undefined, ['lies in no network']],
  ['http://10.1.2.3', ['10.0.0.0/8'], undefined, []],
  ['tcp://[fd00::1]:22', ['fc00::/7'], undefined, []],
  ['http://wiki.corp', [], undefined, ['--network']],
  ['http://wiki', [], undefined, ['--network']],
  ['https://wiki.corp', ['10.0.0.0/8'], undefined, ['--ca']],
  ['https://wiki.corp', ['10.0.0.0/8'], 'PEM', []],
  ['https://127.0.0.1:1', [], undefined, ['--network', '--ca']],
  ['https://www.example.com', [], undefined, []],
  ['http://93.184.216.34', [], undefined, []],
  ['http://198.18.0.1', [], undefined, ['--network 198.18.0.1/32']],
  ['http://[::ffff:10.1.2.3]', ['10.0.0.0/8'], undefined, ['--network ::ffff:a01:203/128']],
  ['tcp://[2002:a00:1::]:22', [], undefined, ['--network 2002:a00:1::/128']],
])('%s with networks %j and CA %s', (url, networks, ca, words) => {
  const doubts = doubtsOfResource(resource(url, networks, ca));
  expect(doubts).toHaveLength(words.length);
  for (const [i, word] of words.entries()) expect(doubts[i]).toContain(word);
});

test('each server of a backend has its doubts, and so has a password that goes over plain HTTP', () => {
  const view = resource('http://10.1.2.3', ['10.1.0.0/16']);
  const servers = [{ url: 'http://10.2.2.3' }];
  const doubts = doubtsOfResource({ ...view, backend: { ...view.backend, servers, basic: { user: 'gate' } } });
  expect(doubts).toHaveLength(2);
  expect(doubts[0]).toContain('10.2.2.3');
  expect(doubts[1]).toContain('password');
});

test('Security, which answers updates, needs no CA: it tells Proxies itself', () => {
  const view = resource('https://127.0.0.1:8443', ['127.0.0.0/8']);
  expect(doubtsOfResource(view).join()).toContain('--ca');
  expect(doubtsOfResource({ ...view, authority: 'updates.sallyport' })).toEqual([]);
});
