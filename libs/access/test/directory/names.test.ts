import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nameFrom } from '../../src/directory/names.ts';
import { scene } from '../scene.ts';

test('whatever a directory calls somebody becomes a name of the realm, the same each time', async () => {
  const { access } = await scene();
  const pattern = /^[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?$/;
  expect(nameFrom(access.crypto, 'Ada.Lovelace')).toBe('ada.lovelace');
  expect(nameFrom(access.crypto, 'Åsa Öberg')).toBe('asa-oberg');
  expect(nameFrom(access.crypto, 'Field Staff', '@corp')).toBe('field-staff@corp');
  expect(nameFrom(access.crypto, 'юлия')).toMatch(/^x-[0-9a-f]{8}$/);
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 300 }), (text) => {
      const name = nameFrom(access.crypto, text, '@corp');
      expect(name).toMatch(pattern);
      expect(nameFrom(access.crypto, text, '@corp')).toBe(name);
    }),
    { verbose: 1, numRuns: 2_000 },
  );
});
