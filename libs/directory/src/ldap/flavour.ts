import type { LdapSettings } from '@sallyport/security-api';

/** Where a kind of server keeps what we need. */
export interface Flavour {
  readonly userFilter: string;
  readonly groupFilter: string;
  /** Never changes, never used again. */
  readonly id: string;
  /** The id is bytes of a GUID (MS-DTYP, section 2.3.4.2) rather than text. */
  readonly binaryId: boolean;
  readonly login: string;
  readonly displayName: string;
  /** Changes with each change of an entry. */
  readonly version: string;
  /** Grows with each change: what a cursor is made of. */
  readonly changed: string;
  readonly member: string;
  /** Number of an account's primary group, which is among no group's members (RFC 2307); undefined where it gives nothing. */
  readonly primaryGroup: string | undefined;
  /** Attributes that say whether an account may be used. */
  readonly account: readonly string[];
  readonly keep: Readonly<Record<string, string>>;
}

const STANDARD: Flavour = {
  userFilter: '(objectClass=inetOrgPerson)',
  groupFilter: '(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))',
  id: 'entryUUID',
  binaryId: false,
  login: 'uid',
  displayName: 'cn',
  version: 'entryCSN',
  changed: 'modifyTimestamp',
  member: 'member',
  primaryGroup: 'gidNumber',
  account: ['pwdAccountLockedTime', 'shadowExpire', 'nsAccountLock'],
  keep: { mail: 'mail', employeeId: 'employeeNumber' },
};

const ACTIVE_DIRECTORY: Flavour = {
  userFilter: '(&(objectClass=user)(!(objectClass=computer)))',
  groupFilter: '(objectClass=group)',
  id: 'objectGUID',
  binaryId: true,
  login: 'sAMAccountName',
  displayName: 'displayName',
  version: 'uSNChanged',
  changed: 'uSNChanged',
  member: 'member',
  // "Domain Users": no policy should mean everybody by a group that everybody is in.
  primaryGroup: undefined,
  account: ['userAccountControl', 'accountExpires'],
  keep: { mail: 'mail', employeeId: 'employeeID', userPrincipalName: 'userPrincipalName' },
};

const FLAVOURS = { ad: ACTIVE_DIRECTORY, standard: STANDARD } as const;

/** The flavour of a directory with what its operator set otherwise. */
export function flavourOf(settings: LdapSettings): Flavour {
  const { flavour, attributes = {}, userFilter, groupFilter, keep } = settings;
  const usual = FLAVOURS[flavour];
  return {
    ...usual,
    ...attributes,
    ...(attributes.version === undefined ? {} : { changed: attributes.version }),
    ...(attributes.id === undefined ? {} : { binaryId: attributes.id.toLowerCase() === 'objectguid' }),
    ...(userFilter === undefined ? {} : { userFilter }),
    ...(groupFilter === undefined ? {} : { groupFilter }),
    keep: { ...usual.keep, ...keep },
  };
}
