/** One check of `test connection`, in words that say what to do. */
export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly words: string;
}

/** What came of a password: right, or why not. A directory that does not answer is an error, never a wrong password. */
export type PasswordOutcome = 'right' | 'wrong' | 'disabled' | 'expired' | 'locked' | 'must change';

/** What every connector of a directory can do. */
export interface Connector {
  readonly kind: 'ldap' | 'oidc' | 'scim';
  /** Tries everything that the connector relies on; never throws. */
  test(): Promise<readonly Finding[]>;
}
