// `npm run ports`: writes what is made from the table of ports (libs/ports).
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from '../source.ts';
import { portFiles } from './files.ts';

for (const [file, text] of portFiles()) {
  mkdirSync(dirname(join(ROOT, file)), { recursive: true });
  writeFileSync(join(ROOT, file), text);
}
process.stdout.write(
  'ports: documents, rules of firewalls and the chart are written; then npm run kubernetes -- render\n',
);
