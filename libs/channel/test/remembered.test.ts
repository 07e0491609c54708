import { expect, test } from 'vitest';
import { remembered } from '../src/remembered.ts';

function counted() {
  const asked: string[] = [];
  const lengthOf = remembered((text) => {
    asked.push(text);
    return text.length;
  });
  return { asked, lengthOf };
}

test('a name is looked at once, however often it comes', () => {
  const { asked, lengthOf } = counted();
  expect([lengthOf('accept'), lengthOf('x-accept'.slice(2)), lengthOf('host')]).toEqual([6, 6, 4]);
  expect(asked).toEqual(['accept', 'host']);
});

test('what is too long for a name is looked at each time and takes no place', () => {
  const { asked, lengthOf } = counted();
  const long = 'x'.repeat(129);
  expect([lengthOf(long), lengthOf(long)]).toEqual([129, 129]);
  expect(asked).toHaveLength(2);
});

test('ever new names take no more memory than a thousand of them', () => {
  const { asked, lengthOf } = counted();
  lengthOf('first');
  for (let i = 0; i < 1_024; i++) lengthOf(`name-${i}`);
  lengthOf('first');
  expect(asked.filter((text) => text === 'first')).toHaveLength(2);
});
