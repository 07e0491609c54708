import { expect, test } from 'vitest';
import { NodeList } from '../src/index.ts';

const URLS = ['https://a', 'https://b', 'https://c'];

function listOf(name = 'p1') {
  const clock = { now: 1_000_000 };
  const learned: (readonly string[])[] = [];
  const list = new NodeList(
    { name, urls: URLS },
    (urls) => learned.push(urls),
    () => clock.now,
  );
  return { list, clock, learned };
}

test('every Proxy has an order of its own, the same each time', () => {
  expect(listOf().list.inOrder).toEqual(listOf().list.inOrder);
  const firsts = new Set(Array.from({ length: 50 }, (_, i) => listOf(`p${i}`).list.inOrder[0]));
  expect(firsts).toEqual(new Set(URLS));
});

test('a node that failed is asked last for a while, each time longer, until it answers', () => {
  const { list, clock } = listOf();
  const first = list.inOrder[0]!;
  list.failed(first);
  expect(list.inOrder.at(-1)).toBe(first);
  clock.now += 2_000;
  expect(list.inOrder[0]).toBe(first);
  list.failed(first);
  clock.now += 2_000;
  expect(list.inOrder.at(-1)).toBe(first);
  list.answered(first);
  expect(list.inOrder[0]).toBe(first);
});

test('a node that answers others is slow, one that answers nobody is gone', () => {
  const { list, clock } = listOf();
  expect(list.answeredWithin('https://a', 600)).toBe(false);
  list.answered('https://a');
  clock.now += 599;
  expect(list.answeredWithin('https://a', 600)).toBe(true);
  clock.now += 1;
  expect(list.answeredWithin('https://a', 600)).toBe(false);
});

test('new nodes are learned and told once; no nodes at all is a mistake', () => {
  const { list, learned } = listOf();
  list.learn([]);
  list.learn([...URLS].reverse());
  expect(learned).toEqual([]);
  list.learn(['https://a', 'https://d']);
  expect(new Set(list.inOrder)).toEqual(new Set(['https://a', 'https://d']));
  expect(learned).toHaveLength(1);
});
