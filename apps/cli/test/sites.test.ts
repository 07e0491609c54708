import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { formatSite } from '../src/commands/sites.ts';

const SITE = {
  ...{
    name: 'b',
    origins: ['wss://b.example'],
    leaseMs: 30_000,
    ownLease: true,
    revocationMs: 30_060,
    drainedAt: null,
  },
  ...{ liveProxies: 1, channels: 3, requests: 12, bytes: 2_048, resources: ['plant'], everySite: ['wiki'] },
};
const PROXY = {
  ...{ name: 'b-1', live: true, channels: 3, requests: 12, bytes: 2_048, rttMs: 81, leaseUntil: 1_800_000_000_000 },
  node: 's1',
};

test('a site is shown with its Proxies, how far Security is, and what a revocation may take there', () => {
  const text = stripVTControlCharacters(
    formatSite({ ...SITE, proxies: [PROXY, { ...PROXY, name: 'b-2', rttMs: null }] }),
  );
  for (const words of ['30 s', 'within 30 s', '81 ms', 'not measured', 'resources plant', 'at every site wiki', 'open'])
    expect(text).toContain(words);
  const drained = formatSite({ ...SITE, drainedAt: 1_800_000_000_000, proxies: [], resources: [], everySite: [] });
  for (const words of ['drained 20', '(none)', '(none names it)']) expect(drained).toContain(words);
});
