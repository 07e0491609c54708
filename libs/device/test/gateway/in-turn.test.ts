import { expect, test } from 'vitest';
import { inTurn } from '../../src/gateway/in-turn.ts';

const never = new Promise<never>(() => undefined);

async function run(attempts: Readonly<Record<string, () => Promise<string>>>, enough = Number.POSITIVE_INFINITY) {
  const begun: string[] = [];
  const late: string[] = [];
  const seen: string[] = [];
  const attempt = (name: string): Promise<string> => {
    begun.push(name);
    return attempts[name]!();
  };
  const turns = { staggerMs: 20, late: (result: string) => void late.push(result) };
  for await (const outcome of inTurn(Object.keys(attempts), attempt, turns)) {
    seen.push('result' in outcome ? outcome.result : `no ${outcome.item}`);
    if (seen.length === enough) break;
  }
  return { begun, seen, late };
}

test('one after the other while they fail, and all outcomes are given', async () => {
  const fails = () => Promise.reject(new Error('no'));
  expect(await run({ a: fails, b: async () => 'B', c: fails })).toEqual({
    begun: ['a', 'b', 'c'],
    seen: ['no a', 'B', 'no c'],
    late: [],
  });
});

test('whoever has enough does not begin the next one', async () => {
  expect(await run({ a: async () => 'A', b: async () => 'B' }, 1)).toEqual({ begun: ['a'], seen: ['A'], late: [] });
});

test('the next begins beside one that says nothing', async () => {
  expect(await run({ a: () => never, b: async () => 'B' }, 1)).toMatchObject({ begun: ['a', 'b'], seen: ['B'] });
});

test('what comes when nobody wants it any more is handed over, to be closed', async () => {
  let give = (_: string): void => undefined;
  const slow = new Promise<string>((resolve) => (give = resolve));
  const { late } = await run({ a: () => slow, b: async () => 'B' }, 1);
  give('A');
  await slow;
  await Promise.resolve();
  expect(late).toEqual(['A']);
});
