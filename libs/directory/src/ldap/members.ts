import type { Entry } from 'ldapts';
import { DirectoryError } from '../errors.ts';
import type { LdapConnection } from './connection.ts';
import { textsOf } from './entry.ts';

/**
 * The members of an entry. Active Directory gives many in ranges: `member;range=0-1499` (MS-ADTS, section 3.1.1.3.1.3.3).
 * @throws DirectoryError ERR_DIRECTORY_ANSWER when they cannot all be read
 */
export async function allMembers(
  connection: Pick<LdapConnection, 'read'>,
  entry: Entry,
  attribute: string,
): Promise<readonly string[]> {
  const members = [...textsOf(entry, attribute), ...textsOf(entry, 'uniqueMember').map(withoutUid)];
  let range = rangeOf(entry, attribute);
  while (range) {
    members.push(...textsOf(entry, range.name));
    if (range.end === '*') break;
    const name = `${attribute};range=${Number(range.end) + 1}-*`;
    const next = await connection.read(entry.dn, [name]);
    // Half a group must not look like a group that lost half of its members.
    if (!next) throw new DirectoryError('ERR_DIRECTORY_ANSWER', 'a group vanished while its members were read');
    entry = next;
    range = rangeOf(next, attribute);
  }
  return members;
}

/** A unique member may end in bits that tell apart who had the name before (RFC 4517, section 3.3.21). */
function withoutUid(name: string): string {
  return name.replace(/#'[01]*'B$/, '');
}

function rangeOf(entry: Entry, attribute: string): { name: string; end: string } | undefined {
  for (const name of Object.keys(entry)) {
    const [, base = '', end = ''] = /^([^;]+);range=\d+-(\d+|\*)$/i.exec(name) ?? [];
    if (base.toLowerCase() === attribute.toLowerCase()) return { name, end };
  }
  return undefined;
}
