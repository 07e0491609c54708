import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const LINES = 25;

/** Self time of all V8 profiles in a folder, by part of the program and by function: where the CPU of a server went. */
export function summarise(folder: string): string {
  const shares = { part: new Map<string, number>(), function: new Map<string, number>() };
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))) {
    const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile;
    const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
    for (const [i, id] of profile.samples.entries()) {
      const frame = frames.get(id)!;
      if (frame.functionName === '(idle)') continue;
      const micros = profile.timeDeltas[i] ?? 0;
      add(shares.part, partOf(frame), micros);
      add(shares.function, `${frame.functionName || '(anonymous)'}  ${fileOf(frame)}:${frame.lineNumber + 1}`, micros);
    }
  }
  return `${table(shares.part)}\n\n${table(shares.function)}`;
}

type Frame = CpuProfile['nodes'][number]['callFrame'];

function add(shares: Map<string, number>, name: string, micros: number): void {
  shares.set(name, (shares.get(name) ?? 0) + micros);
}

function table(shares: ReadonlyMap<string, number>): string {
  const total = [...shares.values()].reduce((sum, micros) => sum + micros, 0);
  return [...shares]
    .sort((a, b) => b[1] - a[1])
    .slice(0, LINES)
    .map(([name, micros]) => `${((100 * micros) / total).toFixed(1).padStart(5)} %  ${name}`)
    .join('\n');
}

function fileOf({ url }: Frame): string {
  return url.replace(/^file:\/\/.*\/(?=(?:apps|libs|node_modules)\/)/, '');
}

/** A package, a file of ours, a module of Node, or what the engine calls it (system calls have names without a file). */
function partOf(frame: Frame): string {
  const file = fileOf(frame);
  if (file === '') return frame.functionName;
  return /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? file;
}
