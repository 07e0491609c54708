import { expect, test } from 'vitest';
import { Turns } from '../web/shell/turns.ts';

test('eight requests of a resource are under way at once, the others follow in their order', async () => {
  const turns = new Turns();
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  for (let i = 0; i < 11; i++)
    void turns.take('wiki.corp').then((end) => {
      begun.push(i);
      ends.push(end);
    });
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toHaveLength(8);
  ends[3]!();
  ends[3]!();
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun.slice(8)).toEqual([8]);
  for (const end of ends.splice(0)) end();
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun.slice(9)).toEqual([9, 10]);
  // Another resource waits for none of them.
  (await turns.take('mail.corp'))();
  for (const end of ends) end();
});
