import { concat, encodeText } from './bytes.ts';
import { type CodeKey, type CryptoProvider, keyOf } from './crypto.ts';

/** Characters of the public part of an activation code at most. */
export const MAX_CODE_ID = 16;

/** The two parts of an activation code: the id travels, the secret never does. */
export interface ActivationCode {
  /** Public part: names the code to Security, 1 to `MAX_CODE_ID` characters of `0-9a-z`. */
  readonly id: string;
  /** Secret part, `0-9a-z`: only what is derived from it is used (`deriveCodeKey`). */
  readonly secret: string;
}

/** Reads what a person typed: case, spaces and look-alikes do not matter (SPEC.md, section 4). */
export function normaliseTypable(text: string): string {
  return text.toLowerCase().replace(/\s/g, '').replace(/[oO]/g, '0').replace(/[il]/g, '1');
}

/** The two parts of a code as typed; undefined for what is no code. */
export function parseActivationCode(code: string): ActivationCode | undefined {
  const [id, secret, ...rest] = normaliseTypable(code).split('-');
  const whole = id && secret && rest.length === 0 && id.length <= MAX_CODE_ID && /^[0-9a-z]+$/.test(id + secret);
  return whole ? { id, secret } : undefined;
}

/** The key that a code's secret stands for: the salt of the psk of an enrolment (SPEC.md, section 3). */
export function deriveCodeKey(crypto: CryptoProvider, { secret }: Pick<ActivationCode, 'secret'>): CodeKey {
  return keyOf(crypto.sha256(concat(encodeText('sallyport/1 code'), encodeText(secret))));
}
