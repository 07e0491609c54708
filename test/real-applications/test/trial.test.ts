import { expect, test } from 'vitest';
import { expectSeen } from '../src/application.ts';
import { APPLICATIONS } from '../src/applications/all.ts';
import { type Outcome, tableOf } from '../src/trial.ts';

test('names are good for resources, and every application has somebody who uses it', () => {
  const names = APPLICATIONS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, clients } of APPLICATIONS) {
    expect(name).toMatch(/^[a-z0-9-]+$/);
    expect(clients.length).toBeGreaterThan(0);
  }
});

test('what does not work is said in the table, on one line', () => {
  const outcome: Outcome = {
    application: 'a',
    client: 'c',
    through: 'phone',
    works: false,
    seen: 'one\n| two',
    seconds: 1.24,
  };
  expect(tableOf([outcome]).split('\n').at(-1)).toBe('| a | c | the phone page | **does not**: one \\| two | 1.2 s |');
  expect(() => expectSeen(false, 'nothing')).toThrow('seen: nothing');
});
