// `npm run support`: writes what is supported into its document.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../source.ts';
import { SUPPORT_FILE, supportDocument } from './files.ts';

writeFileSync(join(ROOT, SUPPORT_FILE), supportDocument());
