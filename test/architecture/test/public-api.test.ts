import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { missingOf, type PublicPackage } from '../src/public-api.ts';

const libs = fileURLToPath(new URL('../../../libs', import.meta.url));

/** A package of the SDK with the sources that its `exports` name. */
function published(name: string): PublicPackage {
  const folder = join(libs, name);
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { exports: object };
  const entries = JSON.stringify(exports).match(/src\/[\w-]+\.ts/g)!;
  return { folder, entries };
}

test('everything that the SDK exports says what it is, and the types that it uses can be named', () => {
  const packages = [published('channel'), published('device')];
  expect(packages.flatMap(({ entries }) => entries)).toHaveLength(7);
  expect(missingOf(packages)).toEqual([]);
});

test('what is missing is found: names and members without a sentence, types that nobody can name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-public-api-'));
  try {
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { types: [], noEmit: true } }));
    writeFileSync(join(folder, 'index.ts'), "export { bare, Box, taken, type Options, type Told } from './box.ts';");
    writeFileSync(
      join(folder, 'box.ts'),
      `interface Hidden { secret: string }
      export const bare = 1;
      /** A sentence. */
      export interface Options {
        bare: string;
        /** A sentence. */
        said: { inside: number };
      }
      /** A sentence. */
      export type Told = { bare: boolean } | Map<string, Hidden>;
      /** @throws Error */
      export function taken(options: Options, hidden?: typeof unnamed): void { const body: Hidden[] = []; void [options, hidden, body]; }
      const unnamed = { value: 1 };
      /** A sentence. */
      export class Box<Item> extends Set<Item> {
        #own = 1;
        bare = 2;
        /** @throws Error */
        tagged(): Hidden | undefined { return this.#own > 1 ? { secret: '' } : undefined; }
        private notSeen(): void {}
        constructor(item: Item) { super([item]); this.notSeen(); }
      }`,
    );
    expect(missingOf([{ folder, entries: ['index.ts'] }]).sort()).toEqual([
      'Box uses Hidden, which is not exported',
      'Box.bare',
      'Box.constructor',
      'Box.tagged',
      'Options.bare',
      'Options.inside',
      'Told uses Hidden, which is not exported',
      'Told.bare',
      'bare',
      'taken',
      'taken uses unnamed, which is not exported',
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
