import { request } from 'undici';
import { afterAll, expect, test, vi } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway } from '../src/gateway.ts';

const LONG = 100;
const NAMES = ['wiki', 'crm'] as const;
const backends = await Promise.all(NAMES.map(() => startBackend()));
const gateway = await Gateway.start();
for (const [i, name] of NAMES.entries()) await gateway.addResource(name, `${name}.corp`, backends[i]!.url);
await gateway.addUser('ada');
afterAll(async () => {
  await gateway.stop();
  for (const backend of backends) await backend.close();
});

async function channels(): Promise<number> {
  const answer = await request(`${gateway.proxies[0]!.ready['metricsUrl']}/metrics`);
  return Number(/^sallyport_channels (\d+)$/m.exec(await answer.body.text())?.[1]);
}

test('a hundred long streams of one device at one site are all served, by two channels', async () => {
  const device = await gateway.device('ada');
  const open = Array.from({ length: LONG }, (_, i) => {
    const authority = `${NAMES[i % NAMES.length]!}.corp`;
    return device.request({ method: 'GET', scheme: 'http', authority, path: '/events', fields: [] });
  });
  const answers = await Promise.all(open);
  expect(answers.map(({ status }) => status)).toEqual(Array(LONG).fill(200));
  await vi.waitFor(() => expect(backends.map(({ listeners }) => listeners.size)).toEqual([50, 50]), 90_000);
  expect(await channels()).toBe(2);
  // Short ones go on beside them.
  const short = Array.from({ length: 20 }, () => device.fetch('http://wiki.corp/headers'));
  expect((await Promise.all(short)).map(({ status }) => status)).toEqual(Array(20).fill(200));
  for (const backend of backends) backend.sendEvent('news');
  for (const backend of backends) backend.sendEvent();
  const texts = await Promise.all(answers.map(({ body }) => new Response(body).text()));
  expect(texts).toEqual(Array(LONG).fill('data: news\n\n'));
  expect(await channels()).toBe(2);
  device.close();
});
