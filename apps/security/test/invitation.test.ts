import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { invitationText } from '../src/invitation.ts';

const folder = mkdtempSync('/tmp/sallyport-invitation-');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the first token goes to a terminal, and never into a journal', () => {
  expect(invitationText('secret-token', { folder, isTerminal: true })).toContain('secret-token');
  expect(readdirSync(folder)).toEqual([]);
  const text = invitationText('secret-token', { folder, isTerminal: false });
  expect(text).not.toContain('secret-token');
  const file = join(folder, 'first-operator-token');
  expect(text).toContain(file);
  expect(readFileSync(file, 'utf8')).toBe('secret-token\n');
  expect(statSync(file).mode & 0o777).toBe(0o600);
});
