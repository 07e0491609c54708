import type { CborFields } from '@sallyport/channel';
import type { AuthorizationCode } from '@sallyport/directory';

/** What a device brings to say who its user is (SPEC.md, section 3). */
export type PresentedCredentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly user: string; readonly secret: string }
  | { readonly kind: 'oidc'; readonly directory: string; readonly grant: AuthorizationCode }
  | { readonly kind: 'resume'; readonly token: Uint8Array };

/** Reads the credentials of a request. @throws ChannelError ERR_CHANNEL_MESSAGE for a wrong shape */
export function readCredentials(fields: CborFields): PresentedCredentials {
  const cred = fields.optionalMap('cred');
  const password = cred?.optionalMap('password');
  if (password) return { kind: 'password', user: password.line('user', 128), secret: password.text('secret', 256) };
  const oidc = cred?.optionalMap('oidc');
  if (oidc) return { kind: 'oidc', directory: oidc.line('directory', 64), grant: readGrant(oidc) };
  if (cred?.has('resume')) return { kind: 'resume', token: cred.bytes('resume') };
  return { kind: 'none' };
}

function readGrant(oidc: CborFields): AuthorizationCode {
  return {
    code: oidc.text('code', 4_096),
    verifier: oidc.text('verifier', 128),
    redirect: oidc.text('redirect', 255),
    issuer: oidc.optionalText('issuer', 512),
  };
}
