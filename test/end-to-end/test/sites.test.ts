import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Device, siteOf } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gateway } from '../src/gateway.ts';

/** A gateway with a main site and a branch, which has a Proxy of its own. */
const gateway = await Gateway.start();
const { operator } = gateway;
const backend = createServer((_request, response) => response.end('here you are'));
await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;
let device: Device;

beforeAll(async () => {
  await gateway.addUser('ada');
  await gateway.addResource('wiki', 'wiki.corp', url);
  await operator.call(api.sites.put, { params: { name: 'b' }, body: { origins: ['ws://127.0.0.1:1'] } });
  await gateway.addProxy({}, 'b');
  await operator.call(api.sites.put, { params: { name: 'b' }, body: { origins: [gateway.origins[1]!] } });
  const at = { url, networks: ['127.0.0.0/8'] };
  const plant = { kind: 'http' as const, authority: 'plant.corp', backend: at, sites: ['b', 'here'] };
  await operator.call(api.resources.put, { params: { name: 'plant' }, body: plant });
  const lab = { ...plant, authority: 'lab.corp', sites: ['b'] };
  await operator.call(api.resources.put, { params: { name: 'lab' }, body: lab });
  const policy = { groups: ['staff'], resources: ['plant', 'lab'], context: {} };
  await operator.call(api.policies.put, { params: { name: 'branch' }, body: policy });
  device = await gateway.device('ada');
});

afterAll(async () => {
  device?.close();
  backend.close();
  await gateway.stop();
});

/** By which site a page comes, or the code of the error. */
async function siteFor(name: string): Promise<string | undefined> {
  try {
    const response = await device.fetch(`http://${name}.corp/`);
    expect(await response.text()).toBe('here you are');
    return siteOf(response);
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

const site = (name: string) => operator.call(api.sites.get, { params: { name } });

test('one session reaches each resource at its own site, and sites say what runs there', async () => {
  // What is only there first: while no channel to a site stands, a slow one loses what another has as well.
  expect([await siteFor('wiki'), await siteFor('lab'), await siteFor('plant')]).toEqual(['here', 'b', 'b']);
  expect(await operator.call(api.sessions.list)).toHaveLength(1);
  // Beats tell of it.
  await expect
    .poll(() => site('b'))
    .toMatchObject({
      liveProxies: 1,
      channels: 1,
      requests: 2,
      bytes: expect.any(Number),
      leaseMs: 15_000,
      ownLease: false,
      revocationMs: 15_050,
      resources: ['lab', 'plant'],
      everySite: [],
      proxies: [{ name: 'p2', live: true, rttMs: expect.any(Number) }],
    });
  const rights = await operator.call(api.users.rights, { params: { name: 'ada' } });
  expect(rights.resources.find(({ resource }) => resource === 'plant')?.sites).toMatchObject([
    { site: 'b', serves: true, liveProxies: ['p2'], policies: ['branch'] },
    { site: 'here', serves: true, liveProxies: ['p1'], policies: ['branch'] },
  ]);
});

test('a site that is emptied is left without a login, and comes back when it is open again', async () => {
  await operator.call(api.sites.drain, { params: { name: 'b' } });
  await expect.poll(() => siteFor('plant')).toBe('here');
  await expect.poll(async () => (await site('b')).channels).toBe(0);
  // What is nowhere else is out of reach, and it is said where it would be.
  expect(await siteFor('lab')).toBe('SITE_UNAVAILABLE');
  await operator.call(api.sites.open, { params: { name: 'b' } });
  await expect.poll(() => siteFor('lab')).toBe('b');
  expect(await operator.call(api.sessions.list)).toHaveLength(1);
});

test('a Proxy that is gone is left for another site that has the resource, without a login', async () => {
  await expect.poll(() => siteFor('plant')).toBe('b');
  await gateway.proxies[1]!.end('SIGKILL');
  await expect.poll(() => siteFor('plant')).toBe('here');
  expect(await siteFor('lab')).toBe('SITE_UNAVAILABLE');
  await gateway.restartProxy(1);
  await expect.poll(() => siteFor('lab')).toBe('b');
  expect(await operator.call(api.sessions.list)).toHaveLength(1);
});

test('policies by place close and open while channels stand', async () => {
  const change = (body: object) => operator.call(api.policies.change, { params: { name: 'branch' }, body });
  expect(await siteFor('lab')).toBe('b');
  await change({ networks: ['10.0.0.0/8'] });
  expect(await siteFor('lab')).toBe('CONTEXT_DENIED');
  await change({ networks: ['127.0.0.0/8'] });
  expect(await siteFor('lab')).toBe('b');
  await change({ networks: null, notSites: ['b'] });
  await expect.poll(() => siteFor('plant')).toBe('here');
  await expect.poll(() => siteFor('lab')).toBe('RESOURCE_UNKNOWN');
  await change({ notSites: null });
  await expect.poll(() => siteFor('lab')).toBe('b');
});

test('a Proxy that moves serves its new site, and a site that nothing names can go', async () => {
  await expect(operator.call(api.sites.remove, { params: { name: 'b' } })).rejects.toThrow(
    'site b is still named by resource lab, resource plant, Proxy p2',
  );
  const move = () => operator.call(api.proxies.move, { params: { name: 'p2' }, body: { site: 'here' } });
  // Who was not told that it is in force asks again.
  expect([await move(), await move()]).toEqual([{ done: true }, { done: false }]);
  await operator.call(api.resources.remove, { params: { name: 'lab' } });
  await operator.call(api.resources.change, { params: { name: 'plant' }, body: { sites: ['here'] } });
  await operator.call(api.sites.remove, { params: { name: 'b' } });
  await operator.call(api.sites.put, { params: { name: 'here' }, body: { origins: [gateway.origins[1]!] } });
  await expect.poll(() => siteFor('plant')).toBe('here');
  await gateway.proxies[0]!.end('SIGKILL');
  await expect.poll(() => siteFor('plant')).toBe('here');
  expect(await operator.call(api.sessions.list)).toHaveLength(1);
});
