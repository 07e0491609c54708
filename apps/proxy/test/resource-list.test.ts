import { encodeCbor } from '@sallyport/channel';
import { expect, test } from 'vitest';
import { resourceList } from '../src/device/resource-list.ts';

const resources = (count: number, letters: number): Parameters<typeof resourceList>[0] => ({
  resources: Array.from({ length: count }, (_, i) => ({
    ...{ name: `${i}-${'n'.repeat(letters)}`, title: 'ü'.repeat(letters), authority: `${i}.${'a'.repeat(letters)}` },
    ...{ kind: 'http' as const, rules: [], backend: { url: 'http://x', networks: [] } },
  })),
});

test.each([
  [3, 100],
  [64, 120],
  [2_000, 5],
  [4_000, 120],
])('%i resources with names of %i letters have room in one message, the first ones if not all', (count, letters) => {
  const of = resources(count, letters);
  const list = resourceList(of);
  expect(encodeCbor({ resources: list.map((one) => ({ ...one })) }).length).toBeLessThan(56_000);
  expect(list.map(({ name }) => name)).toEqual(of.resources.slice(0, list.length).map(({ name }) => name));
  expect(list.length).toBeGreaterThanOrEqual(Math.min(count, 48));
});
