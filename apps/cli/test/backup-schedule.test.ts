import type { BackupView } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { formatBackup } from '../src/commands/backup-schedule.ts';

const AT = Date.UTC(2026, 10, 26, 14, 15);
const target = {
  ...{ place: 'folder /a', triedAt: AT, dueAt: AT + 300_000, node: '', lookedAt: AT, backups: 3, trouble: null },
  newest: { name: '20261126T141500Z-9f2c01ab', takenAt: AT },
  verified: null,
};
const view: BackupView = { everyMs: 300_000, keep: 'all 1d', verified: null, verifiedAgeMs: null, targets: [target] };

test('what was never verified is said to count for nothing', () => {
  expect(formatBackup(view)).toContain('none: a backup counts when it was verified');
});

test('each target has a line: what is there, what is due, and what is wrong, without escapes of others', () => {
  const verified = { name: '20261126T141000Z-9f2c01ab', takenAt: AT - 300_000, verifiedAt: AT };
  const trouble = { code: 'ERR_TARGET_FULL', words: 'no \u001b[31mroom', since: AT };
  const targets = [target, { ...target, place: 'S3 bucket b at c', node: 'n1', verified, trouble }];
  const text = formatBackup({
    ...view,
    targets,
    verified: { ...verified, place: 'S3 bucket b at c' },
    verifiedAgeMs: 300_000,
  });
  const [own, other] = text.split('\n').filter((line) => /folder|bucket b at c .*at work/.test(line));
  expect(own).toMatch(/folder \/a .* 3 .* well/);
  expect(other).toMatch(/at work: n1 .*ERR_TARGET_FULL since/);
  expect(text).toContain('20261126T141000Z-9f2c01ab at S3 bucket b at c, 300 s old');
  expect(text).not.toContain('\u001b[31m');
});
