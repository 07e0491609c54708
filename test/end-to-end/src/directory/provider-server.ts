// A real OpenID provider as its own process. Its accounts are the names that people type; groups follow from them.
import { generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

/** What the process is started with, as JSON in its first argument. */
export interface ProviderOptions {
  readonly issuer: string;
  readonly port: number;
  readonly tls: { readonly certificate: string; readonly key: string };
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirects: readonly string[];
  readonly logoutUri: string;
}

/** What the test tells it. */
export type ProviderOrder = { readonly type: 'rotate' } | { readonly type: 'fail'; readonly failing: boolean };

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const options = JSON.parse(process.argv[2]!) as ProviderOptions;
let failing = false;
let keys = [newKey()];
let listener = makeProvider();

function newKey(): JsonWebKey {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const kid = randomBytes(4).toString('hex');
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' } as JsonWebKey;
}

/** Groups by the name of the account: more than 200 are given as a reference, as Entra ID does. */
function claimsOf(sub: string): object {
  const groups = sub.includes('captain') ? ['g-crew', 'g-captains'] : ['g-crew'];
  const person = { sub, preferred_username: `${sub}@corp.example`, name: `Person ${sub}` };
  if (!sub.includes('many')) return { ...person, groups };
  const source = { endpoint: `${options.issuer}/elsewhere` };
  return { ...person, _claim_names: { groups: 'src1' }, _claim_sources: { src1: source } };
}

function configuration(): object {
  return {
    clients: [
      {
        client_id: options.clientId,
        client_secret: options.clientSecret,
        application_type: 'native',
        redirect_uris: [...options.redirects, 'http://127.0.0.1/'],
        grant_types: ['authorization_code', TOKEN_EXCHANGE],
        response_types: ['code'],
        token_endpoint_auth_method: 'client_secret_basic',
        backchannel_logout_uri: options.logoutUri,
        backchannel_logout_session_required: true,
      },
    ],
    jwks: { keys },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    claims: {
      openid: ['sub', 'groups', '_claim_names', '_claim_sources'],
      profile: ['name', 'preferred_username'],
    },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true } },
    findAccount: async (_context: unknown, sub: string) => ({ accountId: sub, claims: async () => claimsOf(sub) }),
    pkce: { required: () => true },
    // Of itself it does not call loopback addresses.
    fetch: (url: string, init: RequestInit) => fetch(url, { ...init, dispatcher: undefined } as RequestInit),
    ttl: { AccessToken: 3_600, Session: 3_600, Grant: 3_600, IdToken: 600, Interaction: 600, AuthorizationCode: 60 },
  };
}

function makeProvider(): RequestListener {
  const provider = new Provider(options.issuer, configuration());
  provider.registerGrantType(
    TOKEN_EXCHANGE,
    async (ctx) => {
      const { subject_token: subject, audience } = ctx.oidc.params;
      const token = await provider.AccessToken.find(subject!);
      ctx.body = token
        ? {
            access_token: `for ${audience} ${token.accountId}`,
            issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
            token_type: 'Bearer',
            expires_in: 600,
          }
        : { error: 'invalid_request' };
      ctx.status = token ? 200 : 400;
    },
    ['subject_token', 'subject_token_type', 'audience'],
  );
  return provider.callback();
}

const tls = { cert: readFileSync(options.tls.certificate), key: readFileSync(options.tls.key) };
const server = createServer(tls, (request, response) => {
  if (failing) return void request.socket.destroy();
  // The groups of an account that has too many for a token, page by page, as Microsoft Graph gives them.
  if (request.url?.startsWith('/graph')) {
    const second = request.url.endsWith('page=2');
    const value = Array.from({ length: 150 }, (_, i) => `g-${second ? 150 + i : i}`);
    const next = second ? {} : { '@odata.nextLink': `${options.issuer}/graph?page=2` };
    return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ value, ...next }));
  }
  listener(request, response);
});
process.on('message', (order: ProviderOrder) => {
  if (order.type === 'fail') failing = order.failing;
  // New keys at once, and the old ones are gone: the hardest rollover there is.
  if (order.type === 'rotate') {
    keys = [newKey()];
    listener = makeProvider();
  }
  process.send?.({ type: 'done' });
});
process.on('disconnect', () => process.exit(0));
server.listen(options.port, '127.0.0.1', () => process.send?.({ type: 'ready' }));
