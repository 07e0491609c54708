import { expect, test, vi } from 'vitest';
import { Batcher, type BatchLimits } from '../src/batcher.ts';

const LIMITS = {
  maxRunning: 2,
  besideAfterMs: 0,
  maxQuestions: 4,
  weight: { of: (question: string) => question.length, most: 100 },
};

/** A batcher whose batches a test answers by hand. */
function manual({ besideAfterMs, ...more }: BatchLimits<string> = LIMITS) {
  const batches: { questions: readonly string[]; answer(): void; fail(error: Error): void }[] = [];
  const batcher = new Batcher<string, string>(
    (questions) =>
      new Promise((resolve, reject) => {
        batches.push({ questions, answer: () => resolve(questions.map((one) => `${one}!`)), fail: reject });
      }),
    { ...LIMITS, ...more, besideAfterMs },
  );
  return { batcher, batches };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('what is asked in one turn goes together, a lone question goes alone', async () => {
  const { batcher, batches } = manual();
  const first = batcher.ask('a');
  await turn();
  const rest = [batcher.ask('b'), batcher.ask('c')];
  await turn();
  expect(batches.map(({ questions }) => questions)).toEqual([['a'], ['b', 'c']]);
  for (const { answer } of batches) answer();
  expect(await Promise.all([first, ...rest])).toEqual(['a!', 'b!', 'c!']);
});

test('while two batches are on their way the next one gathers, within its bounds', async () => {
  const { batcher, batches } = manual();
  const asked = [batcher.ask('1')];
  await turn();
  asked.push(batcher.ask('2'));
  await turn();
  for (let i = 3; i <= 8; i++) asked.push(batcher.ask(String(i)));
  await turn();
  expect(batches.length).toBe(2);
  batches[0]!.answer();
  await turn();
  expect(batches[2]!.questions).toEqual(['3', '4', '5', '6']);
  batches[1]!.answer();
  await turn();
  expect(batches[3]!.questions).toEqual(['7', '8']);
  for (const { answer } of batches) answer();
  expect(await Promise.all(asked)).toEqual(['1!', '2!', '3!', '4!', '5!', '6!', '7!', '8!']);
});

test('ranks go one after the other, as they are when a batch sets out, and in each the order is that in which it came', async () => {
  const rankOf = new Map<string, 0 | 1>();
  const { batcher, batches } = manual({ ...LIMITS, rankOf: (question) => rankOf.get(question) ?? 2 });
  const asked = Array.from({ length: 13 }, (_, i) => batcher.ask(String(i + 1)));
  await turn();
  rankOf.set('10', 1).set('12', 1).set('13', 0);
  batches[0]!.answer();
  await turn();
  expect(batches[2]!.questions).toEqual(['13', '10', '12', '9']);
  for (const { answer } of batches) answer();
  await turn();
  batches.at(-1)!.answer();
  expect((await Promise.all(asked)).at(10)).toBe('11!');
});

test('batches that hang keep nobody waiting for long, up to a number of them', async () => {
  const { batcher, batches } = manual({ ...LIMITS, slow: { afterMs: 20, most: 1 } });
  const asked = ['1', '2', '3'].map(async (question) => {
    const answer = batcher.ask(question);
    await turn();
    return answer;
  });
  await turn();
  for (let i = 4; i <= 20; i++) asked.push(batcher.ask(String(i)));
  // Two hang, one of which counts no more; the third hangs, too, and counts.
  await vi.waitFor(() => expect(batches).toHaveLength(3), { timeout: 90_000 });
  for (let i = 0; i < asked.length; i++) {
    for (const { answer } of batches) answer();
    await turn();
  }
  expect(await Promise.all(asked)).toHaveLength(20);
  expect(batches.flatMap(({ questions }) => questions)).toHaveLength(20);
});

test('beside a batch that has just set out only a full one goes', async () => {
  const { batcher, batches } = manual({ ...LIMITS, besideAfterMs: 60_000 });
  const asked = ['1', '2', '3'].map((question) => batcher.ask(question));
  await turn();
  asked.push(batcher.ask('4'), batcher.ask('5'), batcher.ask('6'));
  await turn();
  expect(batches.map(({ questions }) => questions)).toEqual([['1', '2', '3']]);
  asked.push(batcher.ask('7'));
  await turn();
  expect(batches[1]?.questions).toEqual(['4', '5', '6', '7']);
  for (const { answer } of batches) answer();
  expect(await Promise.all(asked)).toEqual(['1!', '2!', '3!', '4!', '5!', '6!', '7!']);
});

test('what waits goes beside a batch that is late, and behind one that is back', async () => {
  const { batcher, batches } = manual({ ...LIMITS, besideAfterMs: 40 });
  const asked = [batcher.ask('1')];
  await turn();
  asked.push(batcher.ask('2'));
  await vi.waitFor(() => expect(batches[1]?.questions).toEqual(['2']), { timeout: 90_000 });
  asked.push(batcher.ask('3'));
  batches[0]!.answer();
  batches[1]!.answer();
  await vi.waitFor(() => expect(batches[2]?.questions).toEqual(['3']), { timeout: 90_000 });
  batches[2]!.answer();
  expect(await Promise.all(asked)).toEqual(['1!', '2!', '3!']);
});

test('a heavy question goes alone, however heavy it is', async () => {
  const { batcher, batches } = manual();
  const asked = ['x'.repeat(99), 'yy', 'z'.repeat(500)].map((question) => batcher.ask(question));
  for (let i = 0; i < 3; i++) {
    await turn();
    for (const { answer } of batches) answer();
  }
  await Promise.all(asked);
  expect(batches.map(({ questions }) => questions.length)).toEqual([1, 1, 1]);
});

test('a batch that fails fails its questions only, and the next ones go on', async () => {
  const { batcher, batches } = manual();
  const lost = batcher.ask('a').catch((error: Error) => error.message);
  await turn();
  batches[0]!.fail(new Error('gone'));
  expect(await lost).toBe('gone');
  const next = batcher.ask('b');
  await turn();
  batches[1]!.answer();
  expect(await next).toBe('b!');
});
