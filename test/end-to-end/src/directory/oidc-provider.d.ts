/** The part of oidc-provider that the tests' provider uses; the package has no types of its own. */
declare module 'oidc-provider' {
  import type { RequestListener } from 'node:http';

  export interface GrantContext {
    body: object;
    status: number;
    readonly oidc: { readonly params: Readonly<Record<string, string>> };
  }

  export default class Provider {
    constructor(issuer: string, configuration: object);
    readonly AccessToken: { find(token: string): Promise<{ readonly accountId: string } | undefined> };
    registerGrantType(
      name: string,
      handler: (context: GrantContext) => Promise<void>,
      parameters: readonly string[],
    ): void;
    callback(): RequestListener;
  }
}
