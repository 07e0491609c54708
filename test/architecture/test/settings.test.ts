import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { CHART_SCHEMA, chartSchemaText } from '../src/chart.ts';
import { DOCUMENTS, readAllSettings, readText, settingsTable, withTables } from '../src/settings.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const all = await readAllSettings(root);

test('documents say of every setting what its server says (npm run settings writes it)', () => {
  const apps = DOCUMENTS.flatMap((file) => {
    const document = readText(root, file);
    const { text, apps } = withTables(document, all);
    expect(document, file).toBe(text);
    return apps;
  });
  expect(apps.sort()).toEqual([...all.keys()].sort());
});

test('Helm judges values by what the chart has and servers read (npm run settings writes it)', () => {
  expect(readText(root, CHART_SCHEMA) === chartSchemaText(root, all), CHART_SCHEMA).toBe(true);
});

test('servers read their settings by that list, and no document or recipe names one that nobody reads', () => {
  const readers = globSync('apps/*/src/**/*.ts', { cwd: root }).filter((file) =>
    /readSettings\(\{/.test(readText(root, file).replace(/readSettings\(\{\s*\.\.\.SETTINGS,/g, '')),
  );
  expect(readers, 'apps that read settings of which no document knows').toEqual([]);
  const variables = [...all.values()].flatMap((settings) => Object.entries(settings));
  const known = new Set(variables.flatMap(([name, { secret }]) => (secret ? [name, `${name}_FILE`] : [name])));
  const texts = [...globSync('*.md', { cwd: root }), ...globSync('{docs,deploy}/**/*.{md,env,service}', { cwd: root })];
  expect(texts.length).toBeGreaterThan(40);
  for (const file of texts) {
    const named = [...readText(root, file).matchAll(/\bSALLYPORT_[A-Z_]*[A-Z]\b/g)].map(([name]) => name);
    expect(
      named.filter((name) => !known.has(name)),
      file,
    ).toEqual([]);
  }
});

test('a table has a row for each setting, with what holds when it is absent', () => {
  const settings = {
    A: { about: 'must be' },
    B: { about: 'where; absent: nowhere', fallback: undefined },
    C: { about: 'a place', fallback: { host: '::1', port: 80 } },
    D: { about: 'names', fallback: ['a', 'b'] },
    E: { about: 'a set', fallback: { size: 0, has: () => false } },
  };
  expect(settingsTable(settings).split('\n').slice(2)).toEqual([
    '| `A` | none: must be given | must be |',
    '| `B` | nowhere | where |',
    '| `C` | `::1:80` | a place |',
    '| `D` | `a,b` | names |',
    '| `E` | – | a set |',
  ]);
});
