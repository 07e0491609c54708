import { expect, test } from 'vitest';
import { archiveWords } from '../../src/farm/status.ts';

test('an archive that takes nothing is degraded, with since when and where to look; a database without one is not', () => {
  const since = Date.UTC(2026, 10, 26, 14, 5);
  expect(archiveWords(undefined)).toEqual([]);
  expect(archiveWords({ takenAt: since, failingSince: 0 })).toEqual([]);
  const [words] = archiveWords({ takenAt: since, failingSince: since });
  expect(words).toMatch(/takes no WAL since 2026-11-26T14:05:00.000Z/);
  expect(words).toContain('sallyport backup continuous check');
});
