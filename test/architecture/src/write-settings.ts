// `npm run settings`: writes the tables of settings into the documents, and what values the chart takes, from what the servers read.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CHART_SCHEMA, chartSchemaText } from './chart.ts';
import { DOCUMENTS, readAllSettings, readText, withTables } from './settings.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const all = await readAllSettings(root);
for (const file of DOCUMENTS) writeFileSync(`${root}/${file}`, withTables(readText(root, file), all).text);
writeFileSync(`${root}/${CHART_SCHEMA}`, chartSchemaText(root, all));
