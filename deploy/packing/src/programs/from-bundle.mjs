// Loaded before a program of the tests (`node --import`): one of ours that was bundled is started from its bundle. Nothing else
// changes, and programs that other versions of Node run are left alone.
import { readFileSync } from 'node:fs';
import module from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

const list = new URL(import.meta.url).searchParams.get('programs');
const folder = dirname(list);
const source = process.argv[1] ?? '';
const bundle = JSON.parse(readFileSync(list, 'utf8'))[relative(folder, source)];
// Rules are left out by changing sources as they are read.
if (bundle !== undefined && module.registerHooks !== undefined && !process.env.RIG_WITHOUT) {
  const from = pathToFileURL(source).href;
  const url = pathToFileURL(join(folder, bundle)).href;
  module.registerHooks({
    resolve(specifier, context, nextResolve) {
      const found = nextResolve(specifier, context);
      return found.url === from ? { ...found, url, format: 'module' } : found;
    },
  });
}
