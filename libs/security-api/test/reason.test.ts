import { expect, test } from 'vitest';
import { parseReason } from '../src/reason.ts';

test.each<[text: string, reason: string | undefined]>([
  ['phone lost', 'phone lost'],
  ['  phone lost\u3000', 'phone lost'],
  ['端末紛失', '端末紛失'],
  ['x'.repeat(500), 'x'.repeat(500)],
  ['x'.repeat(501), undefined],
  ['', undefined],
  ['ab', undefined],
  ['   ', undefined],
  [' ab ', undefined],
  ['\u00a0\u2003\u3000 ', undefined],
  ['phone\nlost', undefined],
  ['phone \u001b[31mlost', undefined],
  ['phone \ud800 lost', undefined],
])('%j as a reason is %j', (text, reason) => {
  expect(parseReason(text)).toBe(reason);
});
