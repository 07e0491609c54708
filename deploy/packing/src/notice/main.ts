// `npm run notice`: writes the licences of what images and packages bring.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../source.ts';
import { NOTICE_FILE, noticeOf } from './notice.ts';

writeFileSync(join(ROOT, NOTICE_FILE), noticeOf());
