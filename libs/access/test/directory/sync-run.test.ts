import { expect, test } from 'vitest';
import { applyAccounts, claimSync, failSync, keepClaim } from '../../src/index.ts';
import { account, directory, users } from '../corp.ts';
import { BY } from '../scene.ts';

test('one node syncs at a time; another takes over only the run that it saw stand still', async () => {
  const { access } = await directory();
  const first = (await claimSync(access, 'corp', { node: 'a' }))!;
  expect(await claimSync(access, 'corp', { node: 'b' })).toBeUndefined();
  const seen = await access.store.transaction(({ tables }) => tables.directories.find({ name: 'corp' }));
  await access.store.transaction((transaction) => keepClaim(transaction, first));
  const over = { runId: seen!.runId!, beat: seen!.runBeat };
  expect(await claimSync(access, 'corp', { node: 'b', over })).toBeUndefined();
  const second = (await claimSync(access, 'corp', { node: 'b', over: { ...over, beat: over.beat + 1 } }))!;
  // The one that was thought dead writes nothing any more.
  const late = applyAccounts(access, 'corp', [account('s1')], { ...BY, run: first });
  await expect(late).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(await users(access)).toEqual([]);
  await failSync(access, second, 'the server does not answer');
  expect(await claimSync(access, 'corp', { node: 'a' })).toBeDefined();
});
