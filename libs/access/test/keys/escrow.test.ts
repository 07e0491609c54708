import { expect, test } from 'vitest';
import { noteEscrowProof, recordEscrow } from '../../src/index.ts';
import { withAda } from '../ada.ts';
import { BY } from '../scene.ts';

test('each receipt counts once, in whatever order those of officers and of a drill come', async () => {
  const { access, clock } = await withAda();
  const officer = (name: string) => ({ name, recipient: '', commitment: '', proofKey: '' });
  const escrow = { id: 'e1', threshold: 2, officers: ['ann', 'bob', 'eve'].map(officer), keks: [], drillKey: '' };
  await recordEscrow(access, escrow, { by: BY, replaces: false });
  const start = clock.now;
  clock.now += 10_000;
  const note = (at: number, officers: readonly string[], drill = false) =>
    noteEscrowProof(access, { set: 'e1', officers, drill, at: start + at }, BY);
  await note(3_000, ['ann']);
  await note(3_000, ['bob']);
  // It was made before, and comes later: nobody has seen it yet.
  expect(await note(2_000, ['ann', 'bob'], true)).toMatchObject({
    drilledAt: start + 2_000,
    proofs: [
      { officer: 'ann', at: start + 3_000 },
      { officer: 'bob', at: start + 3_000 },
    ],
  });
  expect((await note(2_500, ['ann', 'eve'], true)).drilledAt).toBe(start + 2_500);
  const again = { code: 'ERR_ACCESS_INVALID' };
  for (const name of ['ann', 'bob']) await expect(note(3_000, [name])).rejects.toMatchObject(again);
  await expect(note(2_000, ['ann', 'bob'], true)).rejects.toMatchObject(again);
  await expect(note(2_500, ['ann', 'eve'], true)).rejects.toMatchObject(again);
  expect((await note(4_000, ['eve'])).drilledAt).toBe(start + 2_500);
});
