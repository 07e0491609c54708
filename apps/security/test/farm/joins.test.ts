import { listAudit } from '@sallyport/access';
import { PROXY_PATHS } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { createProxyService } from '../../src/app.ts';
import { siteMapSigner } from '../../src/sign-in/site-map.ts';
import { handshakesOf, scene } from '../scene.ts';

test('a refused join is on record with its reason and its address, many of them as one sum', async () => {
  const { context } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const { service, endControl } = createProxyService(
    { ...context, handshakes: handshakesOf(context), siteMap: siteMapSigner(context) },
    certificate,
  );
  const payload = { token: 'made-up.token', csr: 'AAAA' };
  for (let i = 0; i < 30; i++) {
    const answer = await service.inject({ method: 'POST', url: PROXY_PATHS.join, payload });
    expect(answer.statusCode, answer.body).toBe(403);
  }
  await context.refusals.stop();
  const events = await context.access.store.transaction((transaction) => listAudit(transaction, 99));
  const joins = events.filter(({ action }) => action === 'proxy.join');
  expect(joins.map(({ outcome }) => outcome)).toEqual(joins.map(() => 'refused'));
  expect(joins.length).toBeGreaterThan(0);
  expect(joins.length).toBeLessThan(5);
  expect(joins.map(({ reason }) => reason).join()).toMatch(/the join token is unknown, used or expired.*\(29 times\)/);
  expect(JSON.stringify(joins)).toContain('127.0.0.1');
  expect(JSON.stringify(joins)).not.toContain('made-up');
  endControl();
  await service.close();
});
