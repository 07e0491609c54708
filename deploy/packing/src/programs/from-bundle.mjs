// Loaded before a program of the tests (`node --import`): one of ours that was bundled is started from its bundle. Nothing else
// changes, and programs that other versions of Node run are left alone.
import { readFileSync } from 'node:fs';
import module from 'node:module';
import { pathToFileURL } from 'node:url';

const programs = JSON.parse(readFileSync(new URL(import.meta.url).searchParams.get('programs'), 'utf8'));
const source = process.argv[1];
const bundle = programs[source];
// Rules are left out by changing sources as they are read.
if (bundle !== undefined && module.registerHooks !== undefined && !process.env.RIG_WITHOUT) {
  const from = pathToFileURL(source).href;
  module.registerHooks({
    resolve(specifier, context, nextResolve) {
      const found = nextResolve(specifier, context);
      return found.url === from ? { ...found, url: pathToFileURL(bundle).href, format: 'module' } : found;
    },
  });
}
