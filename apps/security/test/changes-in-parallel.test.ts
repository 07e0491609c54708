import { expect, test } from 'vitest';
import { memoryGround, parallelScene } from './parallel-scene.ts';

const { operations, inOrder, interleavings } = await parallelScene(({ now }) => memoryGround(now));

test.each(Object.keys(operations))(
  '%s, with every other change in between: as if one had come after the other',
  async (name) => {
    const one = operations[name]!;
    for (const [otherName, other] of Object.entries(operations)) {
      const serial = [await inOrder(one, other, false), await inOrder(other, one, true)];
      for (const [at, outcome] of await interleavings(one, other))
        expect(serial, `${otherName} before transaction ${at} of ${name}`).toContain(outcome);
    }
  },
);
