import type { Application, Client } from './application.ts';
import type { Surroundings } from './surroundings.ts';

const PATIENCE_MS = 240_000;

/** What became of one client at one application. */
export interface Outcome {
  readonly application: string;
  readonly client: string;
  readonly through: Client['through'];
  readonly works: boolean;
  /** What was seen, or why it does not work. */
  readonly seen: string;
  readonly seconds: number;
}

/** Lets every client use its application, one after another. */
export async function tryAll(
  surroundings: Surroundings,
  applications: readonly Application[],
  done: (outcome: Outcome) => void | Promise<void>,
): Promise<void> {
  for (const application of applications)
    for (const client of application.clients) await done(await tryOne(surroundings, application, client));
}

async function tryOne(surroundings: Surroundings, application: Application, client: Client): Promise<Outcome> {
  const startedAt = performance.now();
  const of = { application: application.title, client: client.name, through: client.through };
  const seconds = (): number => (performance.now() - startedAt) / 1000;
  try {
    const way = await surroundings.way(application, client.name);
    const seen = await inTime(client.use(way));
    return { ...of, works: true, seen, seconds: seconds() };
  } catch (error) {
    const why = String(error instanceof Error ? error.message : error).trim();
    return { ...of, works: false, seen: why.split('\n').at(-1)!, seconds: seconds() };
  }
}

async function inTime<Value>(work: Promise<Value>): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('not done after four minutes')), PATIENCE_MS);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The outcomes as a table for the docs. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');
  const rows = outcomes.map(
    ({ application, client, through, works, seen, seconds }) =>
      `| ${cell(application)} | ${cell(client)} | ${through === 'phone' ? 'the phone page' : 'device forward'} | ${works ? 'works' : '**does not**'}: ${cell(seen)} | ${seconds.toFixed(1)} s |`,
  );
  return ['| application | client | through | seen | time |', '|---|---|---|---|---:|', ...rows].join('\n');
}
