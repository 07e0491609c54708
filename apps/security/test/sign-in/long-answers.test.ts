import { issueCode, putGroup, putPolicy, putResource, putSite, putUser, readSiteMap } from '@sallyport/access';
import { expect, test } from 'vitest';
import { handshakesOf, type SceneParts, scene } from '../scene.ts';
import { TestDevice } from './device.ts';

const BY = { actor: 'olga', reason: 'test' };
const CRED = { password: { user: 'ada', secret: 'long enough' } };
const BACKEND = { url: 'http://10.0.0.1', networks: ['10.0.0.0/8'] };

/** What a user of two sites may reach: so many resources, each at both. */
async function openMany({ access }: SceneParts, count: number): Promise<void> {
  for (const name of ['a', 'b']) await putSite(access, { name, origins: [`wss://${name}.example`] }, BY);
  await putGroup(access, 'staff', BY);
  await putUser(access, 'ada', { password: 'long enough', groups: ['staff'] }, BY);
  const resources = Array.from({ length: count }, (_, i) => `r${i}`);
  for (const name of resources) {
    const authority = `${name}.${'x'.repeat(60)}.corp`;
    await putResource(access, name, { kind: 'http', authority, backend: BACKEND, sites: ['a', 'b'] }, BY);
  }
  await putPolicy(access, 'open', { groups: ['staff'], resources, context: {} }, BY);
}

/** The longest map that Security lets anybody make. */
async function fillMap({ access }: SceneParts): Promise<void> {
  for (let i = 0; ; i++) {
    const origins = Array.from({ length: 16 }, (_, k) => `wss://${k}.${i}.${'x'.repeat(200)}`);
    const isFull = await putSite(access, { name: `s${i}`, origins }, BY).then(
      () => false,
      () => true,
    );
    if (isFull) return;
  }
}

test('a sign-in fits beside the longest site map: routes that have no room come with the first channel', async () => {
  const { context, clock } = await scene();
  await openMany(context, 100);
  const gateway = { handshakes: handshakesOf(context), keys: context.keys };
  const device = await TestDevice.create(gateway);
  await device.enrol((await issueCode(context.access, 'ada', undefined, BY)).code, CRED);
  const login = async () => {
    clock.now += 60_000;
    const answer = await device.login(CRED);
    if (typeof answer === 'string') throw new Error(answer);
    return { status: answer.text('status'), hasRoutes: answer.has('routes') };
  };
  expect(await login()).toEqual({ status: 'ok', hasRoutes: true });
  await fillMap(context);
  // A node keeps a map for two seconds; this one has kept none.
  gateway.handshakes = handshakesOf(context);
  expect((JSON.stringify(await readSiteMap(context.access)).length * 4) / 3).toBeGreaterThan(50_000);
  expect(await login()).toEqual({ status: 'ok', hasRoutes: false });
});
