/** Serial numbers of certificates that nobody trusts any more, as hexadecimal digits in upper case, as Node writes them. */
export type RevokedSerials = ReadonlySet<string>;

/**
 * Reads Google's list of revoked attestation keys (`https://android.googleapis.com/attestation/status`): `{"entries": {<serial number in
 * hexadecimal>: {"status": "REVOKED" | "SUSPENDED", …}}}`. What is suspended is not trusted either.
 * @throws TypeError for anything else: a list that cannot be read revokes nothing, and must not be taken for an empty one
 */
export function parseRevokedSerials(text: string): RevokedSerials {
  const { entries } = JSON.parse(text) as { entries?: unknown };
  if (typeof entries !== 'object' || entries === null) throw new TypeError('the list of revoked keys has no entries');
  const serials = Object.keys(entries);
  const strange = serials.find((serial) => !/^[0-9a-f]{1,40}$/i.test(serial));
  if (strange !== undefined) throw new TypeError('the list of revoked keys names something that is no serial number');
  return new Set(serials.map(asNodeWritesIt));
}

/** Whole bytes in upper case. */
function asNodeWritesIt(serial: string): string {
  const digits = serial.toUpperCase().replace(/^0+(?=.)/, '');
  return digits.length % 2 === 0 ? digits : `0${digits}`;
}
