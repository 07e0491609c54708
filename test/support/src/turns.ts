import { createHash } from 'node:crypto';
import type { Reporter } from 'vitest/node';

/** Files of tests that take long, with about how long, as seconds of one of three workers on two busy cores. */
export const LONG_FILES: Readonly<Record<string, number>> = {
  'test/fault/test/scenarios/archive.test.ts': 130,
  'test/fault/test/scenarios/clocks.test.ts': 110,
  'test/fault/test/scenarios/copies.test.ts': 60,
  'test/fault/test/scenarios/durability.test.ts': 100,
  'test/fault/test/scenarios/links.test.ts': 100,
  'test/fault/test/scenarios/nodes.test.ts': 150,
  'test/fault/test/scenarios/proxies.test.ts': 90,
  'test/fault/test/scenarios/quota.test.ts': 40,
  'test/fault/test/scenarios/redis.test.ts': 110,
  'test/fault/test/scenarios/restore.test.ts': 140,
  'test/fault/test/scenarios/revocation.test.ts': 120,
  'test/fault/test/scenarios/rolling.test.ts': 140,
  'test/fault/test/scenarios/sites.test.ts': 90,
  'test/fault/test/scenarios/standby.test.ts': 130,
  'test/drill/test/runbook.test.ts': 400,
  'test/drill/test/drill.test.ts': 60,
  'test/model/test/model.test.ts': 90,
  'test/real-applications/test/short.test.ts': 50,
  'test/simulation/test/simulation.test.ts': 60,
  'test/end-to-end/test/app-updates.test.ts': 110,
  'test/end-to-end/test/backup.test.ts': 130,
  'test/end-to-end/test/backup-by-hand.test.ts': 170,
  'test/end-to-end/test/cluster-of-sites.test.ts': 80,
  'test/end-to-end/test/crash-steps.test.ts': 80,
  'test/end-to-end/test/device-life.test.ts': 80,
  'test/end-to-end/test/directory-sync.test.ts': 80,
  'test/end-to-end/test/durability.test.ts': 260,
  'test/end-to-end/test/failover.test.ts': 50,
  'test/end-to-end/test/going-back.test.ts': 60,
  'test/end-to-end/test/interleaved.test.ts': 260,
  'test/end-to-end/test/key-turns.test.ts': 120,
  'test/end-to-end/test/phone-attacks.test.ts': 80,
  'test/end-to-end/test/real-clients.test.ts': 110,
  'test/end-to-end/test/restore-export.test.ts': 120,
  'test/end-to-end/test/restore.test.ts': 50,
  'test/end-to-end/test/standby-copy.test.ts': 70,
  'apps/security/test/backup/verify-export.test.ts': 50,
  'apps/security/test/changes-in-parallel.test.ts': 70,
  'apps/security/test/scim/scim-large.test.ts': 80,
  'libs/channel/test/mutation.test.ts': 60,
  'libs/security-client/test/living-connection.test.ts': 50,
};
/** Seconds of a worker that long files may take in a short run, so that all of it takes less than twenty minutes. */
export const SHORT_RUN_SECONDS = 850;

/** Which of the long files a run shows. */
export interface Turn {
  readonly shown: readonly string[];
  readonly left: readonly string[];
}

/** A seed draws so many files as the seconds are enough for; over some runs each has its turn. */
export function turnOf(files: Readonly<Record<string, number>>, seconds: number, seed: number): Turn {
  const drawn = Object.keys(files)
    .map((file) => ({ file, place: placeBy(seed, file) }))
    .sort((one, other) => (one.place < other.place ? -1 : 1));
  const [shown, left]: [string[], string[]] = [[], []];
  let spent = 0;
  for (const { file } of drawn) {
    if (spent + files[file]! > seconds) left.push(file);
    else {
      shown.push(file);
      spent += files[file]!;
    }
  }
  return { shown, left };
}

/** The turn of this run: all but in the short form. @throws Error when the form is neither of both */
export function turnOfRun({ TEST_FORM: form = 'long', TEST_SEED: seed }: NodeJS.ProcessEnv): Turn & { seed: number } {
  if (form !== 'short' && form !== 'long') throw new Error(`TEST_FORM is short or long, and not ${form}`);
  const drawnBy = Number(seed ?? Math.floor(Math.random() * 2 ** 31));
  const seconds = form === 'long' ? Number.POSITIVE_INFINITY : SHORT_RUN_SECONDS;
  return { ...turnOf(LONG_FILES, seconds, drawnBy), seed: drawnBy };
}

/** Says at the end of a run what it left out, and how to see that. */
export class LeftOut implements Reporter {
  readonly #turn: Turn & { readonly seed: number };

  constructor(turn: Turn & { readonly seed: number }) {
    this.#turn = turn;
  }

  onTestRunEnd(): void {
    for (const line of leftOutLines(this.#turn)) process.stdout.write(`${line}\n`);
  }
}

/** The lines of that; none when nothing was left out. */
export function leftOutLines({ left, seed }: Turn & { readonly seed: number }): string[] {
  if (left.length === 0) return [];
  return [
    '',
    ` Left out of this run, ${left.length} files that take long (TEST_SEED=${seed} draws the same, TEST_FORM=long npm test runs all)`,
    ...[...left].sort().map((file) => `   ${file}`),
  ];
}

function placeBy(seed: number, file: string): string {
  return createHash('sha256').update(`${seed} ${file}`).digest('hex');
}
