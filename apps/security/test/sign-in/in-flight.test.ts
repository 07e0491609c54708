import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InFlight } from '../../src/sign-in/in-flight.ts';

const flight = (owner: string, over: { until?: number; kept?: boolean } = {}) => ({
  value: owner,
  owner,
  until: 100,
  kept: false,
  ...over,
});

test('one network that floods pushes out itself, oldest first, and nobody else', () => {
  const inFlight = new InFlight<string>(10);
  inFlight.add('ada', flight('home'));
  for (let i = 0; i < 1_000; i++) expect(inFlight.add(`f${i}`, flight('flood'))).toBe(true);
  expect(inFlight.size).toBe(10);
  expect(inFlight.take('f990', 1)).toBeUndefined();
  expect(inFlight.take('f991', 1)?.owner).toBe('flood');
  expect(inFlight.take('ada', 1)?.owner).toBe('home');
});

test('what a person works on gives way to nobody', () => {
  const inFlight = new InFlight<string>(3);
  for (const id of ['a', 'b']) inFlight.add(id, flight('x', { kept: true }));
  for (let i = 0; i < 10; i++) expect(inFlight.add(`n${i}`, flight('y'))).toBe(true);
  expect(inFlight.take('a', 1)).toBeDefined();
  expect(inFlight.take('b', 1)).toBeDefined();
  const full = new InFlight<string>(1);
  full.add('a', flight('x', { kept: true }));
  expect(full.add('b', flight('y'))).toBe(false);
});

test('what is over is dropped, also behind what is kept', () => {
  const inFlight = new InFlight<string>(10);
  inFlight.add('kept', flight('x', { kept: true, until: 500 }));
  inFlight.add('old', flight('y', { until: 100 }));
  inFlight.add('new', flight('y', { until: 200 }));
  inFlight.expire(150);
  expect(inFlight.size).toBe(2);
  expect(inFlight.take('new', 201)).toBeUndefined();
  expect(inFlight.take('kept', 500)).toBeDefined();
});

test('whatever comes and goes, whoever stays within a fair share loses nothing', () => {
  const step = fc.tuple(fc.constantFrom('a', 'b', 'c', 'flood'), fc.boolean());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const inFlight = new InFlight<string>(8);
      const own: Record<string, string[]> = { a: [], b: [], c: [] };
      steps.forEach(([owner, takes], at) => {
        const ids = own[owner];
        if (takes || ids?.length === 2) {
          const id = ids?.shift();
          if (id !== undefined) expect(inFlight.take(id, 0)?.owner).toBe(owner);
          return;
        }
        inFlight.add(`${at}`, flight(owner));
        ids?.push(`${at}`);
        expect(inFlight.size).toBeLessThanOrEqual(8);
      });
      for (const id of Object.values(own).flat()) expect(inFlight.take(id, 0)).toBeDefined();
    }),
  );
});
