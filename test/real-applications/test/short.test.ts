import { afterAll, beforeAll, expect, test } from 'vitest';
import { APPLICATIONS } from '../src/applications/all.ts';
import { NO_PROGRAMS } from '../src/programs.ts';
import { Surroundings } from '../src/surroundings.ts';
import { type Outcome, tryAll } from '../src/trial.ts';

const short = APPLICATIONS.filter(({ short }) => short);
const surroundings = new Surroundings(NO_PROGRAMS);
beforeAll(() => surroundings.start(short), 300_000);
afterAll(() => surroundings.stop(), 60_000);

test('git, secure cookies and NTLM work for their clients, through what `npm start` starts', async () => {
  const outcomes: Outcome[] = [];
  await tryAll(surroundings, short, (outcome) => void outcomes.push(outcome));
  expect(outcomes.filter(({ works }) => !works)).toEqual([]);
  expect(outcomes.length).toBeGreaterThan(3);
}, 600_000);
