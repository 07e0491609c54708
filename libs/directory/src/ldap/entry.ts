import { type Account, NEVER } from '@sallyport/access';
import type { Entry } from 'ldapts';
import type { Flavour } from './flavour.ts';
import { canonicalDn } from './names.ts';

/** userAccountControl bit ACCOUNTDISABLE (MS-ADTS, section 2.2.16). */
const ACCOUNT_DISABLED = 0x2;
/** Between 1601 and 1970, ms; accountExpires counts 100 ns from 1601. */
const FILETIME_EPOCH_MS = 11_644_473_600_000;
const FILETIME_NEVER = 9_223_372_036_854_775_807n;
const DAY_MS = 86_400_000;
/** Lengths over which a text of a directory is not taken. */
const MAX_TEXT = 1_024;

/** The texts of an attribute. Attribute names have no case. */
export function textsOf(entry: Entry, attribute: string): readonly string[] {
  const values = attributeOf(entry, attribute);
  return values.filter((value): value is string => typeof value === 'string');
}

/** The first text of an attribute, empty when there is none or it is too long. */
export function textOf(entry: Entry, attribute: string): string {
  const [text = ''] = textsOf(entry, attribute);
  return text.length <= MAX_TEXT ? text : '';
}

function attributeOf(entry: Entry, attribute: string): readonly (string | Buffer)[] {
  const exact = entry[attribute];
  const name = attribute.toLowerCase();
  const value = exact ?? Object.entries(entry).find(([other]) => other.toLowerCase() === name)?.[1];
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** The id of an entry as text; undefined when it has none. */
export function subjectOf(entry: Entry, flavour: Flavour): string | undefined {
  const [value] = attributeOf(entry, flavour.id);
  if (value === undefined || value.length === 0) return undefined;
  return typeof value === 'string' ? value.toLowerCase() : formatGuid(value);
}

/** A GUID as people write it: the first three fields are little-endian. */
function formatGuid(bytes: Buffer): string | undefined {
  if (bytes.length !== 16) return undefined;
  const hex = (from: number, to: number, turned = false): string => {
    const part = Buffer.from(bytes.subarray(from, to));
    return (turned ? part.reverse() : part).toString('hex');
  };
  return `${hex(0, 4, true)}-${hex(4, 6, true)}-${hex(6, 8, true)}-${hex(8, 10)}-${hex(10, 16)}`;
}

/** The bytes of a GUID as text. */
export function parseGuid(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  for (const [from, to] of [
    [0, 4],
    [4, 6],
    [6, 8],
  ] as const)
    bytes.subarray(from, to).reverse();
  return bytes;
}

/** What the number of an account's primary group is kept as. */
const PRIMARY_GROUP = 'primaryGroup';

/** The number of the primary group among what is kept of an account; empty when there is none. */
export function primaryGroupOf(attributes: Account['attributes']): string {
  const { [PRIMARY_GROUP]: number = '' } = attributes as Readonly<Record<string, string>>;
  return number;
}

/** An account as an entry says; undefined for an entry that has no id or no login. */
export function accountOf(entry: Entry, flavour: Flavour): Account | undefined {
  const subject = subjectOf(entry, flavour);
  const login = textOf(entry, flavour.login);
  if (subject === undefined || login === '') return undefined;
  const read = { ...flavour.keep, ...(flavour.primaryGroup && { [PRIMARY_GROUP]: flavour.primaryGroup }) };
  const kept = Object.entries(read).map(([name, attribute]) => [name, textOf(entry, attribute)] as const);
  return {
    subject,
    externalId: '',
    login,
    displayName: textOf(entry, flavour.displayName).slice(0, 128),
    active: isActive(entry),
    expiresAt: expiryOf(entry),
    dn: canonicalDn(entry.dn) ?? '',
    version: textOf(entry, flavour.version) || textOf(entry, flavour.changed),
    attributes: Object.fromEntries(kept.filter(([, value]) => value !== '')),
  };
}

/**
 * What an administrator locks (draft-behera-ldap-password-policy, section 5.3.3). Any other time is that of wrong guesses by
 * whoever can reach the directory: sign-ins wait, but nobody is dismissed for it. The same goes for AD's lockoutTime.
 */
const LOCKED_FOR_GOOD = '000001010000Z';

function isActive(entry: Entry): boolean {
  const control = Number(textOf(entry, 'userAccountControl') || '0');
  const locked =
    textOf(entry, 'pwdAccountLockedTime') === LOCKED_FOR_GOOD ||
    textOf(entry, 'nsAccountLock').toLowerCase() === 'true';
  return (control & ACCOUNT_DISABLED) === 0 && !locked;
}

/** When an account ends: AD's accountExpires (100 ns since 1601, 0 for never) or shadowExpire (days since 1970, RFC 2307). */
function expiryOf(entry: Entry): number {
  const filetime = textOf(entry, 'accountExpires');
  if (/^\d{1,19}$/.test(filetime)) {
    const ticks = BigInt(filetime);
    return ticks === 0n || ticks >= FILETIME_NEVER ? NEVER : Number(ticks / 10_000n) - FILETIME_EPOCH_MS;
  }
  const days = textOf(entry, 'shadowExpire');
  return /^\d{1,7}$/.test(days) ? Number(days) * DAY_MS : NEVER;
}

/** Attributes to ask for with a user. */
export function userAttributes(flavour: Flavour): string[] {
  const { id, login, displayName, version, changed, account, keep, primaryGroup } = flavour;
  const kept = [...Object.values(keep), ...(primaryGroup === undefined ? [] : [primaryGroup])];
  return [...new Set([id, login, displayName, version, changed, ...account, ...kept])];
}
