import { readRealm } from '@sallyport/access';
import { expect, test } from 'vitest';
import { adminScene } from '../admin-scene.ts';

test('a run of the database server that nobody has waited in is held, status says so, and one wait is for all nodes', async () => {
  const { context, clock, call } = await adminScene();
  const { access, node } = context;
  await access.store.transaction(({ tables }) =>
    tables.realms.update({ where: { id: 'realm' } }, { heldRun: 'the run before' }),
  );
  const { longestLeaseMs, held } = await readRealm(access.store);
  expect(held).toBe(true);
  const { json: first } = await call('GET', '/v1/status');
  expect(first.log).toMatchObject({ heldAfter: 'serverRun' });
  expect(first.log.holdMs).toBeGreaterThan(longestLeaseMs);
  expect(first.degraded.join()).toContain('after a start of the database server');
  expect(await readRealm(access.store)).toMatchObject({ heldRun: 'the run before' });
  clock.now += longestLeaseMs + 1_000;
  await node.report();
  expect((await readRealm(access.store)).heldRun).toBe('memory');
  const { json: later } = await call('GET', '/v1/status');
  expect(later.log.holdMs).toBe(0);
  expect(later.log).not.toHaveProperty('heldAfter');
});
