import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { closureOf } from '../src/lock.ts';
import { NOTICE_FILE, noticeOf, unfittingOf } from '../src/notice/notice.ts';
import { ROLES } from '../src/roles.ts';
import { ROOT } from '../src/source.ts';

test('NOTICE has the licence of everything that is packed (npm run notice writes it)', () => {
  const notice = readFileSync(join(ROOT, NOTICE_FILE), 'utf8');
  expect(notice).toBe(noticeOf());
  for (const { name, version } of ROLES.flatMap(({ apps }) => closureOf(ROOT, apps).packages))
    expect(notice).toContain(`\n${name} ${version}  (`);
});

test('nothing is packed whose licence does not go with ours', () => {
  expect(unfittingOf()).toEqual([]);
});
